package tsdbcache

import (
	"fmt"
	"math"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// iterator walks one series of a query, a chunk at a time. It owns a copy of
// the pages, so eviction cannot pull them from under it.
type iterator struct {
	copied
	mint, maxt int64 // maxt is also where the query's view of the series ends
	lateN      uint32
	chunk      int // next chunk to decode
	cur        points
	i          int // position in cur; -1 before the first sample
	scratch    []byte
	err        error
}

// begin copies what the query can see of a series and goes before its first
// sample.
func (it *iterator) begin(db *DB, n *note, mint, maxt int64) {
	it.mint, it.maxt, it.lateN = mint, min(maxt, n.lastT), n.lateN
	it.chunk, it.i, it.err = 0, -1, nil
	it.cur.reset()
	it.chunks, it.late = it.chunks[:0], false
	db.mu.RLock()
	switch e := db.series.entry(n.slot); {
	case db.closed:
		it.err = ErrClosed
	case e.gen == n.gen: // else evicted since
		db.copyRange(&it.copied, e, it.mint, it.maxt)
	}
	db.mu.RUnlock()
	if it.late && it.err == nil {
		if err := it.merge(it.lateN, &it.cur, &it.scratch); err != nil {
			it.fail(err)
		}
		it.chunks = it.chunks[:0]
	}
}

func (it *iterator) fail(err error) {
	it.err = fmt.Errorf("cannot read a chunk of the ring: %w", err)
	it.cur.reset()
	it.chunks = it.chunks[:0]
}

// Next goes to the next sample.
func (it *iterator) Next() chunkenc.ValueType {
	for {
		it.i++
		if it.i >= len(it.cur.t) && !it.load() {
			it.i = len(it.cur.t)
			return chunkenc.ValNone
		}
		t := it.cur.t[it.i]
		if t > it.maxt {
			it.finish()
			return chunkenc.ValNone
		}
		if t >= it.mint {
			return it.kind()
		}
	}
}

func (it *iterator) finish() {
	it.cur.reset()
	it.chunk, it.i = len(it.chunks), 0
}

// load decodes the next chunk that has samples.
func (it *iterator) load() bool {
	for it.chunk < len(it.chunks) {
		it.cur.reset()
		it.i = 0
		it.chunk++
		if err := it.decode(it.chunks[it.chunk-1], it.lateN, &it.cur, &it.scratch); err != nil {
			it.fail(err)
			return false
		}
		if len(it.cur.t) > 0 {
			return true
		}
	}
	return false
}

// Seek goes to the first sample at or after t, never back.
func (it *iterator) Seek(t int64) chunkenc.ValueType {
	if it.i >= 0 && it.i < len(it.cur.t) && it.cur.t[it.i] >= t {
		return it.kind()
	}
	t = max(t, it.mint)
	it.i = max(it.i, 0)
	for {
		if n := len(it.cur.t); n > 0 && it.cur.t[n-1] >= t {
			it.i += sort.Search(n-it.i, func(k int) bool { return it.cur.t[it.i+k] >= t })
			if it.cur.t[it.i] > it.maxt {
				it.finish()
				return chunkenc.ValNone
			}
			return it.kind()
		}
		for it.chunk < len(it.chunks) && it.chunks[it.chunk].maxT < t {
			it.chunk++
		}
		if !it.load() {
			it.finish()
			return chunkenc.ValNone
		}
	}
}

func (it *iterator) kind() chunkenc.ValueType {
	if len(it.cur.hs) > 0 {
		switch rec := &it.cur.hs[it.i]; {
		case rec.fh != nil:
			return chunkenc.ValFloatHistogram
		case rec.h != nil:
			return chunkenc.ValHistogram
		}
	}
	return chunkenc.ValFloat
}

// At is the current float.
func (it *iterator) At() (int64, float64) {
	return it.cur.t[it.i], math.Float64frombits(it.cur.v[it.i])
}

// AtHistogram copies the current integer histogram.
func (it *iterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	src := it.cur.hs[it.i].h
	if h == nil {
		return it.cur.t[it.i], src.Copy()
	}
	src.CopyTo(h)
	return it.cur.t[it.i], h
}

// AtFloatHistogram copies the current histogram as floats.
func (it *iterator) AtFloatHistogram(fh *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	rec := it.cur.hs[it.i]
	switch {
	case rec.fh == nil:
		return it.cur.t[it.i], rec.h.ToFloat(fh)
	case fh == nil:
		return it.cur.t[it.i], rec.fh.Copy()
	}
	rec.fh.CopyTo(fh)
	return it.cur.t[it.i], fh
}

// AtT is the current time.
func (it *iterator) AtT() int64 { return it.cur.t[it.i] }

// AtST is the current start time, 0 if it is not known.
func (it *iterator) AtST() int64 { return it.cur.st[it.i] }

// Err is what ended the iteration early.
func (it *iterator) Err() error { return it.err }
