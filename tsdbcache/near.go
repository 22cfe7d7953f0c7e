package tsdbcache

import (
	"encoding/binary"
	"math"
	"slices"
)

// Values that are no short decimals: sums of decimals, which went wrong in
// their last bits, and full mantissas.

// maxNear is how far the bits of a value may be from those of a decimal.
const maxNear = 1 << 24

// near finds the decimal with k digits behind the point next to a value, and
// how far the value's bits are from the decimal's.
func near(b uint64, k int) (m, off int64, ok bool) {
	x := math.Float64frombits(b) * pow10[k]
	if !(x > -maxScaled && x < maxScaled) {
		return 0, 0, false
	}
	m = int64(math.RoundToEven(x))
	off = int64(b - math.Float64bits(float64(m)/pow10[k]))
	return m, off, off > -maxNear && off < maxNear
}

// nearOf finds digits under which all values are near decimals.
func (p *packer) nearOf(s *packState, vs []uint64) (k int, ok bool) {
	last := vs[len(vs)-1]
	for k = 1; k <= maxScale; k++ {
		if _, off, ok := near(last, k); ok && off > -1<<14 && off < 1<<14 {
			break
		}
	}
	if k > maxScale {
		return 0, false
	}
	before, _, ok := near(s.v, k)
	if !ok {
		before = 0
	}
	for i, v := range vs {
		m, off, ok := near(v, k)
		if !ok {
			return 0, false
		}
		p.steps[i], p.near[i] = m-before, off
		before = m
	}
	return k, true
}

// mantissas appends values in the smallest of the forms that any float has, and
// sets the codec in the block's first byte.
func (p *packer) mantissas(b []byte, s *packState, vs []uint64) []byte {
	n := len(vs)
	codec, size := valRaw, 8*n
	better := func(c, z int) bool {
		if z < size {
			codec, size = c, z
			return true
		}
		return false
	}
	steps, levels, off := p.steps[:n], p.levels[:n], p.near[:n]
	k, ok := p.nearOf(s, vs)
	if ok {
		lo, w := frame(bounds(steps))
		lo2, w2 := frame(bounds(off))
		size := 1 + frameSize(n, lo, w) + frameSize(n, lo2, w2)
		if better(valNear, size) && size < 5*n {
			b[0] |= valNear
			b = append(b, byte(k))
			b = putPacked(b, steps, lo, w)
			return putPacked(b, off, lo2, w2)
		}
	}
	last, same := s.v, 0
	var window uint64
	for i, v := range vs {
		p.ms[i], levels[i] = int64(v-last), int64(v-s.v)
		window |= v ^ last
		if v == last {
			same++
		}
		last = v
	}
	bitSteps := p.ms[:n]
	better(valWindow, windowSize(window, n, same))
	lo, w := frame(bounds(bitSteps))
	better(valBitSteps, frameSize(n, lo, w))
	lo2, w2 := frame(bounds(levels))
	better(valBitLevels, frameSize(n, lo2, w2))
	if 4*same >= n { // its strength
		at := len(b)
		if b = appendXOR(b, s.v, vs); better(valXOR, len(b)-at) {
			b[0] |= valXOR
			return b
		}
		b = b[:at]
	}
	b[0] |= byte(codec)
	switch codec {
	case valNear:
		lo, w := frame(bounds(steps))
		lo2, w2 := frame(bounds(off))
		b = putPacked(append(b, byte(k)), steps, lo, w)
		return putPacked(b, off, lo2, w2)
	case valWindow:
		return appendWindow(b, s.v, vs)
	case valBitSteps:
		return putPacked(b, bitSteps, lo, w)
	case valBitLevels:
		return putPacked(b, levels, lo2, w2)
	}
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func bounds(c []int64) (lo, hi int64) { return slices.Min(c), slices.Max(c) }
