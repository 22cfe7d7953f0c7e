package promql

import (
	"math"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// floatColumns is what an iterator offers that can give all its samples at once.
// ok is false, and the iterator as it was, if some are histograms. The slices
// are valid, and may be changed, until the iterator is used again.
type floatColumns interface {
	Floats() (t []int64, v []float64, ok bool)
}

// columns are the samples of one series.
type columns struct {
	t      []int64
	v      []float64
	resets []int
	ps     []promql.FPoint
	ownT   []int64 // memory for iterators that give one sample at a time
	ownV   []float64
}

// fill reads a series. Staleness markers are left out where windows are wanted.
func (c *columns) fill(it chunkenc.Iterator, windows bool) error {
	batch, ok := it.(floatColumns)
	if ok {
		c.t, c.v, ok = batch.Floats()
	}
	if !ok {
		c.t, c.v = c.ownT[:0], c.ownV[:0]
		for {
			kind := it.Next()
			if kind == chunkenc.ValNone {
				break
			}
			if kind != chunkenc.ValFloat {
				return errLongWay
			}
			t, v := it.At()
			c.t, c.v = append(c.t, t), append(c.v, v)
		}
		c.ownT, c.ownV = c.t, c.v
	}
	if windows {
		c.dropStale()
	}
	return it.Err()
}

func isStale(v float64) bool { return math.Float64bits(v) == value.StaleNaN }

func (c *columns) dropStale() {
	n := slices.IndexFunc(c.v, isStale)
	if n < 0 {
		return
	}
	for i := n; i < len(c.v); i++ {
		if v := c.v[i]; !isStale(v) {
			c.t[n], c.v[n] = c.t[i], v
			n++
		}
	}
	c.t, c.v = c.t[:n], c.v[:n]
}

// findResets lists the samples that are smaller than the one before.
func (c *columns) findResets() []int {
	c.resets = c.resets[:0]
	for i := 1; i < len(c.v); i++ {
		if c.v[i] < c.v[i-1] {
			c.resets = append(c.resets, i)
		}
	}
	return c.resets
}

// points are the samples in the engine's form.
func (c *columns) points() []promql.FPoint {
	c.ps = c.ps[:0]
	for i, t := range c.t {
		c.ps = append(c.ps, promql.FPoint{T: t, F: c.v[i]})
	}
	return c.ps
}

// row is the result of one series at each step.
type row struct {
	v    []float64
	have []bool
	n    int // how many steps have a value
}

func newRow(steps int) *row { return &row{v: make([]float64, steps), have: make([]bool, steps)} }

func (r *row) reset() {
	if r.n > 0 {
		clear(r.have)
	}
	r.n = 0
}

func (r *row) set(k int, v float64) {
	r.v[k], r.have[k] = v, true
	r.n++
}

// points copies the row into memory of the answer.
func (r *row) points(mem *pointSlabs, start, step int64) []promql.FPoint {
	out := mem.take(r.n)
	n := 0
	for k, ok := range r.have {
		if ok {
			out[n] = promql.FPoint{T: start + int64(k)*step, F: r.v[k]}
			n++
		}
	}
	return out
}

// slabPoints is how many points one slab has: 1 MiB of them.
const slabPoints = 1 << 16

var slabs = sync.Pool{New: func() any { return new([slabPoints]promql.FPoint) }}

// pointSlabs is the memory of one answer, from a pool.
type pointSlabs struct {
	used []*[slabPoints]promql.FPoint
	rest []promql.FPoint
}

// take returns n points with any content.
func (s *pointSlabs) take(n int) []promql.FPoint {
	if n > len(s.rest) {
		if n > slabPoints {
			return make([]promql.FPoint, n)
		}
		slab := slabs.Get().(*[slabPoints]promql.FPoint)
		s.used = append(s.used, slab)
		s.rest = slab[:]
	}
	out := s.rest[:n:n]
	s.rest = s.rest[n:]
	return out
}

// free ends the use of all that was taken.
func (s *pointSlabs) free() {
	for _, slab := range s.used {
		slabs.Put(slab)
	}
	*s = pointSlabs{}
}
