package tsdbcache

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
)

// A packed page holds blocks, each the samples of one raw page. A block
// continues from the state that the block before it left:
//
//	payload:  u64 bits of the first value, uvarint first interval, blocks
//	block:    u8 value codec | time codec << 3 | start time changed << 5
//	          u8 samples - 1
//	          [zigzag varint: start time - previous start time]
//	          times, values
//
// An integer column (the changes of the interval; the values or their steps as
// integers times a power of ten) is one of
//
//	zero      nothing: all are 0
//	packed    zigzag varint minimum, u8 width, then n fields of width bits
//	sparse    u8 count, then (u8 position, zigzag varint) of those not 0
//
// A scale is the power of ten in the low half of its byte and, in the high half,
// how many zero bits were left out at the end of all steps.
//
// Every choice is made by size, per block, and every decoder gives back the
// same bits.
type packState struct {
	t, dt int64
	v     uint64
	st    int64
}

const (
	colZero = iota
	colPacked
	colSparse
)

const (
	valConst  = iota // as the value before the block
	valRaw           // 8 bytes each
	valXOR           // see xor.go
	valSteps         // u8 scale, packed column of steps between scaled values
	valSparse        // u8 scale, sparse column of steps
	valWindow        // see xor.go
	valLevels        // u8 scale, packed column of scaled values less the one before the block
)

const (
	maxBlock   = 64 // samples
	maxScale   = 12 // decimal digits behind the point
	maxScaled  = 1 << 53
	maxShift   = 15
	flagSTMask = 1 << 5
)

var errCorrupt = errors.New("corrupt block")

var pow10 = [maxScale + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12}

// scaled returns the value of b * 10^k as an integer if dividing that integer gives back
// exactly the bits.
func scaled(b uint64, k int) (int64, bool) {
	v := math.Float64frombits(b)
	x := v * pow10[k]
	if !(x > -maxScaled && x < maxScaled) {
		return 0, false
	}
	m := int64(math.RoundToEven(x))
	return m, math.Float64bits(float64(m)/pow10[k]) == b
}

// scaleOf finds an exponent under which all values are integers, and those
// integers. The exponent of the value with most digits nearly always fits all.
func scaleOf(vs []uint64, out []int64) (int, bool) {
	k := 0
	for i := range vs {
		m, ok := scaled(vs[i], k)
		for !ok && k < maxScale {
			k++
			m, ok = scaled(vs[i], k)
		}
		if !ok {
			return 0, false
		}
		out[i] = m
	}
	if k == 0 {
		return 0, true
	}
	for i := range vs {
		m, ok := scaled(vs[i], k)
		if !ok {
			return 0, false
		}
		out[i] = m
	}
	return k, true
}

// packer encodes blocks. Its scratch space makes it belong to one writer.
type packer struct {
	dod, ms, steps, levels [maxBlock]int64
	buf                    []byte
}

// column picks the smaller form of an integer column and its size.
func column(c []int64) (form int, lo int64, width uint, size int) {
	lo, hi := c[0], c[0]
	nonzero, sparse := 0, 1
	for i := range c {
		v := c[i]
		lo, hi = min(lo, v), max(hi, v)
		if v != 0 {
			nonzero++
			sparse += 1 + varintLen(zigzag(v))
		}
	}
	if nonzero == 0 {
		return colZero, 0, 0, 0
	}
	width = widthOf(uint64(hi - lo)) // wraps correctly: hi - lo as unsigned
	size = varintLen(zigzag(lo)) + 1 + bytesFor(len(c), width)
	if sparse < size {
		return colSparse, 0, 0, sparse
	}
	return colPacked, lo, width, size
}

func putPacked(b []byte, c []int64, lo int64, width uint) []byte {
	b = binary.AppendUvarint(b, zigzag(lo))
	b = append(b, byte(width))
	w := bitWriter{b: b}
	for _, v := range c {
		w.put(uint64(v-lo), width)
	}
	return w.finish()
}

func putSparse(b []byte, c []int64) []byte {
	at := len(b)
	b = append(b, 0)
	for i, v := range c {
		if v != 0 {
			b[at]++
			b = append(b, byte(i))
			b = binary.AppendUvarint(b, zigzag(v))
		}
	}
	return b
}

// encode packs samples (at most maxBlock) that follow s into a block, and
// returns the block (valid until the next call) and the state after it.
func (p *packer) encode(s packState, st int64, ts []int64, vs []uint64) ([]byte, packState) {
	n := len(ts)
	b := append(p.buf[:0], 0, byte(n-1))
	if st != s.st {
		b[0] |= flagSTMask
		b = binary.AppendUvarint(b, zigzag(st-s.st))
		s.st = st
	}
	dod := p.dod[:n]
	for i, t := range ts {
		d := t - s.t
		dod[i] = d - s.dt
		s.t, s.dt = t, d
	}
	form, lo, width, _ := column(dod)
	b[0] |= byte(form) << 3
	switch form {
	case colPacked:
		b = putPacked(b, dod, lo, width)
	case colSparse:
		b = putSparse(b, dod)
	}
	b = p.values(b, s.v, vs)
	s.v = vs[n-1]
	p.buf = b
	return b, s
}

// values appends the value part and sets the codec in the block's first byte.
func (p *packer) values(b []byte, prev uint64, vs []uint64) []byte {
	n := len(vs)
	same := true
	for _, v := range vs {
		same = same && v == prev
	}
	if same {
		b[0] |= valConst
		return b
	}
	if k, ok := scaleOf(vs, p.ms[:]); ok {
		base, ok := scaled(prev, k)
		if !ok {
			base = 0
		}
		ms, steps, levels := p.ms[:n], p.steps[:n], p.levels[:n]
		last, all := base, int64(0)
		for i, m := range ms {
			steps[i], levels[i] = m-last, m-base
			all |= steps[i]
			last = m
		}
		// Sizes of memory are multiples of 4096: zero bits that all steps end
		// in are left out.
		shift := min(bits.TrailingZeros64(uint64(all)), maxShift)
		if shift > 0 {
			for i := range steps {
				steps[i] >>= shift
				levels[i] >>= shift
			}
		}
		form, lo, width, size := column(steps)
		_, lo2, width2, size2 := column(levels)
		if min(size, size2)+1 < 8*n {
			b = append(b, byte(k|shift<<4))
			switch {
			case form == colSparse && size <= size2:
				b[0] |= valSparse
				return putSparse(b, steps)
			case size <= size2:
				b[0] |= valSteps
				return putPacked(b, steps, lo, width)
			default:
				// column may have found the sparse form smaller, but only
				// the packed one exists for levels; it is never much larger.
				b[0] |= valLevels
				if width2 == 0 {
					lo2, width2 = bounds(levels)
				}
				return putPacked(b, levels, lo2, width2)
			}
		}
	}
	at := len(b)
	b = appendXOR(b, prev, vs)
	end := len(b)
	b = appendWindow(b, prev, vs)
	if n1, n2 := end-at, len(b)-end; n2 < n1 && n2 <= 8*n {
		b = append(b[:at], b[end:]...)
		b[0] |= valWindow
		return b
	} else if n1 <= 8*n {
		b[0] |= valXOR
		return b[:end]
	}
	b = b[:at]
	b[0] |= valRaw
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func bounds(c []int64) (lo int64, width uint) {
	lo, hi := c[0], c[0]
	for _, v := range c {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, widthOf(uint64(hi - lo))
}
