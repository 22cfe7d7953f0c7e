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
	b := pg[pageHeader : pageHeader+used]
	if len(b) < 9 {
		return packState{}, errCorrupt
	}
	s := packState{v: binary.LittleEndian.Uint64(b)}
	dt, k := binary.Uvarint(b[8:])
	if k <= 0 {
		return s, errCorrupt
	}
	s.dt = int64(dt)
	s.t = pg.minT() - s.dt
	b = b[8+k:]
	for n > 0 {
		if len(b) < 2 || int(b[1])+1 > n || int(b[1]) >= maxBlock {
			return s, errCorrupt
		}
		var err error
		count := int(b[1]) + 1
		if b, err = decodeBlock(b, count, &s, out); err != nil {
			return s, err
		}
		n -= count
	}
	return s, nil
}

// decodeBlock decodes one block of n samples and returns what follows it.
func decodeBlock(b []byte, n int, s *packState, out *points) ([]byte, error) {
	head := b[0]
	b = b[2:]
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
	b, ok := readColumn(b, int(head>>3)&3, c)
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
	if b, ok = readValues(b, int(head&7), s.v, vs, c); !ok {
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
		z, k := binary.Uvarint(b)
		if k <= 0 || len(b) <= k || b[k] > 64 {
			return nil, false
		}
		lo, width := unzigzag(z), uint(b[k])
		b = b[k+1:]
		size := bytesFor(len(c), width)
		if len(b) < size {
			return nil, false
		}
		r := bitReader{b: b[:size]}
		for i := range c {
			c[i] = lo + int64(r.get(width))
		}
		return b[size:], true
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

// readValues decodes the value part of a block into vs; c is scratch space.
func readValues(b []byte, codec int, prev uint64, vs []uint64, c []int64) ([]byte, bool) {
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
		n, ok := readXOR(b, prev, vs)
		if !ok {
			return nil, false
		}
		return b[n:], true
	case valWindow:
		n, ok := readWindow(b, prev, vs)
		if !ok {
			return nil, false
		}
		return b[n:], true
	case valSteps, valSparse, valLevels:
		if len(b) < 1 || b[0]&15 > maxScale {
			return nil, false
		}
		k, shift := int(b[0]&15), b[0]>>4
		form := colPacked
		if codec == valSparse {
			form = colSparse
		}
		b, ok := readColumn(b[1:], form, c)
		if !ok {
			return nil, false
		}
		m, ok := scaled(prev, k)
		if !ok {
			m = 0
		}
		div := pow10[k]
		for i := range vs {
			x := m + c[i]<<shift
			if codec != valLevels {
				m = x
			}
			if k == 0 {
				vs[i] = math.Float64bits(float64(x))
			} else {
				vs[i] = math.Float64bits(float64(x) / div)
			}
		}
		return b, true
	}
	return nil, false
}
