package tsdbcache

import (
	"encoding/binary"
	"math"
)

// points are the decoded samples of one page or chunk, column by column. hs is
// empty for floats.
type points struct {
	t  []int64
	st []int64
	v  []uint64
	hs []histRecord
}

func (p *points) reset() { p.t, p.st, p.v, p.hs = p.t[:0], p.st[:0], p.v[:0], p.hs[:0] }

// decodePacked appends the samples of a packed page. It trusts nothing: bad
// bytes give errCorrupt and what was decoded before them.
func decodePacked(pg page, out *points) (packState, error) {
	n, used := pg.published()
	if used > pagePayload {
		return packState{}, errCorrupt
	}
	b, s, ok := readStart(pg, pg[pageHeader:pageHeader+used])
	if !ok {
		return s, errCorrupt
	}
	for n > 0 {
		var err error
		count := len(out.t)
		if b, err = decodeBlock(b, n, &s, out); err != nil {
			return s, err
		}
		n -= len(out.t) - count
	}
	return s, nil
}

// readStart reads what a packed page has before its first block.
func readStart(pg page, b []byte) ([]byte, packState, bool) {
	var s packState
	if len(b) < 2 {
		return nil, s, false
	}
	scale := b[0]
	b = b[1:]
	switch {
	case scale <= maxScale:
		z, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, s, false
		}
		s.v, s.scale = math.Float64bits(float64(unzigzag(z))/pow10[scale]), scale
		b = b[k:]
	case scale == firstRaw && len(b) >= 8:
		s.v = binary.LittleEndian.Uint64(b)
		b = b[8:]
	default:
		return nil, s, false
	}
	dt, k := binary.Uvarint(b)
	if k <= 0 {
		return nil, s, false
	}
	s.dt = int64(dt)
	s.t = pg.minT() - s.dt
	return b[k:], s, true
}

// decodeBlock decodes one block of at most limit samples and returns what
// follows it.
func decodeBlock(b []byte, limit int, s *packState, out *points) ([]byte, error) {
	if len(b) == 0 {
		return nil, errCorrupt
	}
	head, n := b[0], rawSamples
	b = b[1:]
	if head&flagFull == 0 {
		if len(b) == 0 {
			return nil, errCorrupt
		}
		n = int(b[0]) + 1
		b = b[1:]
	}
	if n > limit || n > maxBlock {
		return nil, errCorrupt
	}
	if head&flagSTMask != 0 {
		d, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errCorrupt
		}
		s.st += unzigzag(d)
		b = b[k:]
	}
	at := len(out.t)
	var col [maxBlock]int64
	c := col[:n]
	b, ok := readColumn(b, int(head>>4)&3, c)
	if !ok {
		return nil, errCorrupt
	}
	t, dt := s.t, s.dt
	for _, dod := range c {
		dt += dod
		t += dt
		out.t = append(out.t, t)
		out.st = append(out.st, s.st)
	}
	s.t, s.dt = t, dt
	out.v = grow(out.v, n)
	vs := out.v[at : at+n]
	if b, ok = readValues(b, int(head&codecMask), s, vs, c); !ok {
		out.t, out.st, out.v = out.t[:at], out.st[:at], out.v[:at]
		return nil, errCorrupt
	}
	s.v = vs[n-1]
	return b, nil
}

func grow[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s[:len(s)+n]
	}
	return append(s, make([]T, n)...)
}

// readColumn decodes an integer column into c.
func readColumn(b []byte, form int, c []int64) ([]byte, bool) {
	switch form {
	case colZero:
		clear(c)
		return b, true
	case colPacked:
		lo, width, b, ok := readFrame(b)
		if !ok {
			return nil, false
		}
		return readFields(b, lo, width, c)
	case colSparse:
		if len(b) < 1 {
			return nil, false
		}
		clear(c)
		count := int(b[0])
		b = b[1:]
		for range count {
			if len(b) < 2 || int(b[0]) >= len(c) {
				return nil, false
			}
			z, k := binary.Uvarint(b[1:])
			if k <= 0 {
				return nil, false
			}
			c[b[0]] = unzigzag(z)
			b = b[1+k:]
		}
		return b, true
	}
	return nil, false
}

// readFrame reads least value and width of a packed column.
func readFrame(b []byte) (lo int64, width uint, rest []byte, ok bool) {
	z, k := binary.Uvarint(b)
	if k <= 0 || len(b) <= k || b[k] > 64 {
		return 0, 0, nil, false
	}
	width = uint(b[k])
	return unzigzag(z) << frameShift(width), width, b[k+1:], true
}

func readFields(b []byte, lo int64, width uint, c []int64) ([]byte, bool) {
	size := bytesFor(len(c), width)
	if len(b) < size {
		return nil, false
	}
	r := bitReader{b: b[:size]}
	for i := range c {
		c[i] = lo + int64(r.get(width))
	}
	return b[size:], true
}

// readValues decodes the value part of a block into vs; c is scratch space.
func readValues(b []byte, codec int, s *packState, vs []uint64, c []int64) ([]byte, bool) {
	prev, n, ok := s.v, 0, false
	switch codec {
	case valConst:
		for i := range vs {
			vs[i] = prev
		}
		return b, true
	case valRaw:
		if len(b) < 8*len(vs) {
			return nil, false
		}
		for i := range vs {
			vs[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
		return b[8*len(vs):], true
	case valXOR:
		if n, ok = readXOR(b, prev, vs); !ok {
			return nil, false
		}
		return b[n:], true
	case valWindow:
		if n, ok = readWindow(b, prev, vs); !ok {
			return nil, false
		}
		return b[n:], true
	case valBitSteps, valBitLevels:
		if b, ok = readColumn(b, colPacked, c); !ok {
			return nil, false
		}
		for i := range vs {
			vs[i] = prev + uint64(c[i])
			if codec == valBitSteps {
				prev = vs[i]
			}
		}
		return b, true
	case valNear:
		return readNear(b, prev, vs, c)
	case valSteps, valSparse, valLevels:
		if len(b) < 1 || b[0]&15 > maxScale {
			return nil, false
		}
		s.scale = b[0]
		b = b[1:]
	case valAgain, valStepsOn, valSparseOn:
	default:
		return nil, false
	}
	switch codec {
	case valSteps, valStepsOn:
		var lo int64
		var width uint
		if lo, width, b, ok = readFrame(b); !ok {
			return nil, false
		}
		s.lo, s.width = lo, uint8(width)
		b, ok = readFields(b, lo, width, c)
	case valAgain:
		b, ok = readFields(b, s.lo, uint(s.width), c)
	case valSparse, valSparseOn:
		b, ok = readColumn(b, colSparse, c)
	default:
		b, ok = readColumn(b, colPacked, c)
	}
	if !ok {
		return nil, false
	}
	unscale(vs, c, prev, s.scale, codec == valLevels)
	return b, true
}

// unscale turns steps between scaled values, or their levels, into values.
func unscale(vs []uint64, c []int64, prev uint64, scale byte, levels bool) {
	k, shift := int(scale&15), scale>>4
	m, ok := scaled(prev, k)
	if !ok {
		m = 0
	}
	div := pow10[k]
	for i := range vs {
		x := m + c[i]<<shift
		if !levels {
			m = x
		}
		if k == 0 {
			vs[i] = math.Float64bits(float64(x))
		} else {
			vs[i] = math.Float64bits(float64(x) / div)
		}
	}
}

func readNear(b []byte, prev uint64, vs []uint64, c []int64) ([]byte, bool) {
	if len(b) < 1 || b[0] > maxScale {
		return nil, false
	}
	k := int(b[0])
	b, ok := readColumn(b[1:], colPacked, c)
	if !ok {
		return nil, false
	}
	m, _, ok := near(prev, k)
	if !ok {
		m = 0
	}
	for i := range vs {
		m += c[i]
		vs[i] = math.Float64bits(float64(m) / pow10[k])
	}
	if b, ok = readColumn(b, colPacked, c); !ok {
		return nil, false
	}
	for i := range vs {
		vs[i] += uint64(c[i])
	}
	return b, true
}
