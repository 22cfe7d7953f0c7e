package tsdbcache

import (
	"encoding/binary"
	"math/bits"
)

// bitWriter appends bit fields, lowest bit first, to a byte slice.
type bitWriter struct {
	b   []byte
	acc uint64
	n   uint
}

// put appends the low w bits of v; w is at most 64.
func (w *bitWriter) put(v uint64, width uint) {
	if width > 32 {
		w.put(v&0xffffffff, 32)
		v, width = v>>32, width-32
	}
	w.acc |= (v & (1<<width - 1)) << w.n
	w.n += width
	for w.n >= 8 {
		w.b = append(w.b, byte(w.acc))
		w.acc >>= 8
		w.n -= 8
	}
}

// finish pads to a byte and returns everything written.
func (w *bitWriter) finish() []byte {
	if w.n > 0 {
		w.b = append(w.b, byte(w.acc))
		w.acc, w.n = 0, 0
	}
	return w.b
}

// bitReader reads what bitWriter wrote. Past the end it gives zeros and
// remembers that it did.
type bitReader struct {
	b     []byte
	off   int
	acc   uint64
	n     uint
	short bool
}

func (r *bitReader) get(width uint) uint64 {
	if width > 32 {
		lo := r.get(32)
		return lo | r.get(width-32)<<32
	}
	for r.n < width {
		switch {
		case r.off+4 <= len(r.b):
			r.acc |= uint64(binary.LittleEndian.Uint32(r.b[r.off:])) << r.n
			r.off += 4
			r.n += 32
		case r.off < len(r.b):
			r.acc |= uint64(r.b[r.off]) << r.n
			r.off++
			r.n += 8
		default:
			r.short = true
			r.n += 32
		}
	}
	v := r.acc & (1<<width - 1)
	r.acc >>= width
	r.n -= width
	return v
}

// bytesFor is the number of bytes that n fields of a width take.
func bytesFor(n int, width uint) int { return (n*int(width) + 7) / 8 }

func widthOf(v uint64) uint { return uint(bits.Len64(v)) }

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func varintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
