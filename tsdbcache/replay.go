package tsdbcache

import (
	"encoding/binary"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
)

// sparse holds values by number, in chunks.
type sparse[T any] struct{ chunks []*[sparseChunk]T }

const sparseChunk = 4096

// at is the value of a number, or nil when none near it was ever set.
func (s *sparse[T]) at(i uint32) *T {
	if int(i/sparseChunk) >= len(s.chunks) || s.chunks[i/sparseChunk] == nil {
		return nil
	}
	return &s.chunks[i/sparseChunk][i%sparseChunk]
}

func (s *sparse[T]) make(i uint32) *T {
	for int(i/sparseChunk) >= len(s.chunks) {
		s.chunks = append(s.chunks, nil)
	}
	c := &s.chunks[i/sparseChunk]
	if *c == nil {
		*c = new([sparseChunk]T)
	}
	return &(*c)[i%sparseChunk]
}

// loggedSeries is a series record. Its labels lie in the log as it was read.
type loggedSeries struct {
	labels []byte // nil: no record; see labelStore
	gen    uint32
	pages  uint32 // found for it, linked through arena.link
}

// replay collects what a series log says.
type replay struct {
	symbols sparse[string]
	series  sparse[loggedSeries]
	metas   map[string]metadata.Metadata
	records int
	bad     int // payloads that make no sense
}

func newReplay() *replay { return &replay{metas: map[string]metadata.Metadata{}} }

// complete reports whether all symbols of a series are known.
func (r *replay) complete(s *loggedSeries) bool {
	for enc := s.labels; len(enc) > 0; {
		var id uint32
		id, enc = nextRef(enc)
		if p := r.symbols.at(id); p == nil || *p == "" {
			return false
		}
	}
	return true
}

const maxSymbol = 1 << 30 // as maxSlot, it bounds what a bad record can allocate

// add takes one payload. The number spaces are checked later, against how much
// was really read.
func (r *replay) add(p []byte) {
	kind, p := p[0], p[1:]
	switch kind {
	case 'Y':
		id, k := binary.Uvarint(p)
		if k <= 0 || id == 0 || id >= maxSymbol {
			r.bad++
			return
		}
		*r.symbols.make(uint32(id)) = string(p[k:])
	case 'S':
		slot, k := binary.Uvarint(p)
		if k <= 0 || slot == 0 || slot >= maxSlot || len(p) < k+4 {
			r.bad++
			return
		}
		s := loggedSeries{gen: binary.LittleEndian.Uint32(p[k:]), labels: p[k+4:]}
		n := 0
		for p = s.labels; len(p) > 0; p, n = p[k:], n+1 {
			var id uint64
			if id, k = binary.Uvarint(p); k != varintLen(id) || id == 0 || id >= maxSymbol {
				r.bad++
				return
			}
		}
		if n == 0 || n%2 != 0 || len(s.labels) > maxLabelBytes {
			r.bad++
			return
		}
		*r.series.make(uint32(slot)) = s
		r.records++
	case 'M':
		var f [4]string
		for i := range f {
			n, k := binary.Uvarint(p)
			if k <= 0 || n > uint64(len(p)-k) {
				r.bad++
				return
			}
			f[i], p = string(p[k:k+int(n)]), p[k+int(n):]
		}
		if len(r.metas) < maxMetas {
			r.metas[f[0]] = metadata.Metadata{Type: model.MetricType(f[1]), Unit: f[2], Help: f[3]}
		}
	default:
		r.bad++
	}
}
