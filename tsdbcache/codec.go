package tsdbcache

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
)

// A packed page holds blocks, each the samples of one raw page. A block
// continues from the state that the block before it left:
//
//	payload:  first value, uvarint first interval, blocks
//	value:    u8 digits behind the point, zigzag varint value without the point;
//	          or 255, u64 bits
//	block:    u8 value codec | time codec << 4 | start time changed << 6 | full raw page << 7
//	          [u8 samples - 1, unless from a full raw page]
//	          [zigzag varint: start time - previous start time]
//	          times, values
//
// An integer column (the changes of the interval; the values or their steps as
// integers times a power of ten) is one of
//
//	zero      nothing: all are 0
//	packed    zigzag varint least value (of its high bits, see frameShift),
//	          u8 width, then n fields of width bits
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
	scale byte  // of the newest block that has one
	width uint8 // and least value of the newest packed column of steps
	lo    int64
}

const (
	colZero = iota
	colPacked
	colSparse
)

const (
	valConst     = iota // as the value before the block
	valRaw              // 8 bytes each
	valXOR              // see xor.go
	valSteps            // u8 scale, packed column of steps between scaled values
	valSparse           // u8 scale, sparse column of steps
	valWindow           // see xor.go
	valLevels           // u8 scale, packed column of scaled values less the one before the block
	valAgain            // fields of steps, with the scale, width and least value of the state
	valStepsOn          // valSteps with the scale of the state
	valSparseOn         // valSparse with the scale of the state
	valNear             // u8 scale, packed columns of steps and of what the bits differ, see near.go
	valBitSteps         // packed column of steps between the values' bits
	valBitLevels        // packed column of the values' bits less those of the one before the block
	numValCodecs
)

const (
	maxBlock   = 64 // samples
	maxScale   = 12 // decimal digits behind the point
	maxScaled  = 1 << 53
	maxShift   = 15
	codecMask  = 15
	flagSTMask = 1 << 6
	flagFull   = 1 << 7
	firstRaw   = 255
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
	dod, ms, steps, levels, near [maxBlock]int64
	buf                          []byte
	dec                          points
}

// frameShift is how many low bits of a column's least value are zero, so that
// it takes few bytes beside wide fields.
func frameShift(width uint) uint {
	if width > 7 {
		return width - 7
	}
	return 0
}

// frame picks least value and width of a packed column with values from lo to
// hi. What the width leaves free is shared between both ends: then the next
// block may fit into the same frame.
func frame(lo, hi int64) (int64, uint) {
	for w := widthOf(uint64(hi - lo)); ; w++ { // wraps correctly: hi - lo as unsigned
		s := frameShift(w)
		spare := uint64(1)<<w - 1 - uint64(hi-lo)
		if least := (lo - int64(spare/2)) >> s << s; least <= lo && fits(hi, least, w) {
			return least, w
		}
		if least := lo >> s << s; fits(hi, least, w) {
			return least, w
		}
	}
}

func fits(hi, least int64, w uint) bool { return w >= 64 || uint64(hi-least) < 1<<w }

func frameSize(n int, lo int64, w uint) int {
	return varintLen(zigzag(lo>>frameShift(w))) + 1 + bytesFor(n, w)
}

// column picks the smaller form of an integer column and its size.
func column(c []int64) (form int, lo int64, width uint, size int) {
	nonzero, sparse := 0, 1
	for _, v := range c {
		if v != 0 {
			nonzero++
			sparse += 1 + varintLen(zigzag(v))
		}
	}
	if nonzero == 0 {
		return colZero, 0, 0, 0
	}
	lo, width = frame(slices.Min(c), slices.Max(c))
	size = frameSize(len(c), lo, width)
	if sparse < size {
		return colSparse, 0, 0, sparse
	}
	return colPacked, lo, width, size
}

func putPacked(b []byte, c []int64, lo int64, width uint) []byte {
	b = binary.AppendUvarint(b, zigzag(lo>>frameShift(width)))
	b = append(b, byte(width))
	return putFields(b, c, lo, width)
}

func putFields(b []byte, c []int64, lo int64, width uint) []byte {
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
	b := append(p.buf[:0], 0)
	if n == rawSamples {
		b[0] = flagFull
	} else {
		b = append(b, byte(n-1))
	}
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
	b[0] |= byte(form) << 4
	switch form {
	case colPacked:
		b = putPacked(b, dod, lo, width)
	case colSparse:
		b = putSparse(b, dod)
	}
	at := len(b)
	same := true
	for _, v := range vs {
		same = same && v == s.v
	}
	var ok bool
	switch {
	case same: // valConst
	default:
		if b, ok = p.scaled(b, &s, vs); !ok {
			b = p.mantissas(b[:at], &s, vs)
		}
	}
	s.v = vs[n-1]
	p.buf = b
	return b, s
}

// scaled appends values that are integers times a power of ten, and sets the
// codec in the block's first byte. False: they are not, or it would not pay.
func (p *packer) scaled(b []byte, s *packState, vs []uint64) ([]byte, bool) {
	n := len(vs)
	k, ok := scaleOf(vs, p.ms[:])
	if !ok {
		return b, false
	}
	base, ok := scaled(s.v, k)
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
	// Sizes of memory are multiples of 4096: zero bits that all steps end in
	// are left out. That of the block before does if it saves the scale.
	shift := min(bits.TrailingZeros64(uint64(all)), maxShift)
	if before := int(s.scale >> 4); int(s.scale&15) == k && before < shift && (shift-before)*n < 24 {
		shift = before
	}
	if shift > 0 {
		for i := range steps {
			steps[i] >>= shift
			levels[i] >>= shift
		}
	}
	scale := byte(k | shift<<4)
	on := scale == s.scale
	form, lo, width, size := column(steps)
	lo2, width2 := frame(slices.Min(levels), slices.Max(levels))
	size2 := frameSize(n, lo2, width2)
	if on && width <= uint(s.width) && form == colPacked && bytesFor(n, uint(s.width)) <= min(size, size2) &&
		fitsAll(steps, s.lo, uint(s.width)) {
		b[0] |= valAgain
		return putFields(b, steps, s.lo, uint(s.width)), true
	}
	if min(size, size2)+1 >= 8*n {
		return b, false
	}
	steppy := size <= size2
	if on && steppy {
		if form == colSparse {
			b[0] |= valSparseOn
			return putSparse(b, steps), true
		}
		b[0] |= valStepsOn
		s.lo, s.width = lo, uint8(width)
		return putPacked(b, steps, lo, width), true
	}
	s.scale = scale
	b = append(b, scale)
	switch {
	case steppy && form == colSparse:
		b[0] |= valSparse
		return putSparse(b, steps), true
	case steppy:
		b[0] |= valSteps
		s.lo, s.width = lo, uint8(width)
		return putPacked(b, steps, lo, width), true
	}
	b[0] |= valLevels
	return putPacked(b, levels, lo2, width2), true
}

func fitsAll(c []int64, lo int64, width uint) bool {
	for _, v := range c {
		if v < lo || !fits(v, lo, width) {
			return false
		}
	}
	return true
}
