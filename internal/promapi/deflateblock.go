package promapi

import (
	"encoding/binary"
	"math/bits"
)

// Lengths and distances of matches, RFC 1951 section 3.2.5: the code of a
// length, and where the lengths of a code begin.
var (
	lengthCode [maxMatch + 1]uint16
	lengthBase [29]uint16
	lengthBits = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase   [numDist]uint16
)

func init() {
	next := uint16(3)
	for c, extra := range lengthBits {
		lengthBase[c] = next
		for range 1 << extra {
			if next <= maxMatch {
				lengthCode[next] = uint16(c)
			}
			next++
		}
	}
	lengthBase[28], lengthCode[maxMatch] = maxMatch, 28
	for c := range distBase {
		if c < 4 {
			distBase[c] = uint16(c + 1)
		} else {
			distBase[c] = uint16((2+c&1)<<distBits(c) + 1)
		}
	}
}

// distBits is how many extra bits a distance code has.
func distBits(c int) uint { return uint(max(c/2-1, 0)) }

// distCode returns the code of a distance.
func distCode(d int) int {
	if d < 5 {
		return d - 1
	}
	l := bits.Len(uint(d - 1))
	return 2*(l-1) + (d-1)>>(l-2)&1
}

// block writes g.ops over text with codes made for them.
func (g *gzipper) block(text []byte) {
	g.count(text)
	g.litLen.build(g.counts[:numLitLen], maxCodeBits)
	g.dist.build(g.counts[numLitLen:], maxCodeBits)
	g.fillPairs()
	g.header()
	pos := 0
	for i := range g.ops {
		o := &g.ops[i]
		g.literals(text[pos : pos+int(o.literals)])
		pos += int(o.literals) + int(o.length)
		if o.length > 0 {
			c := lengthCode[o.length]
			s := endOfBlock + 1 + c
			g.put(uint64(g.litLen.codes[s])|uint64(o.length-lengthBase[c])<<g.litLen.lens[s], uint(g.litLen.lens[s]+lengthBits[c]))
			d := distCode(int(o.dist))
			g.put(uint64(g.dist.codes[d])|uint64(o.dist-distBase[d])<<g.dist.lens[d], uint(g.dist.lens[d])+distBits(d))
		}
	}
	g.put(uint64(g.litLen.codes[endOfBlock]), uint(g.litLen.lens[endOfBlock]))
}

// count makes the statistics for the codes: of all matches, and of every fourth
// run of literals, which is enough where all points look the same.
func (g *gzipper) count(text []byte) {
	clear(g.counts[:])
	pos := 0
	for i := range g.ops {
		o := &g.ops[i]
		if i&6 == 0 || o.literals > maxPoint {
			weight := uint32(4)
			if o.literals > maxPoint {
				weight = 1
			}
			for _, b := range text[pos : pos+int(o.literals)] {
				g.counts[b] += weight
			}
		}
		pos += int(o.literals) + int(o.length)
		if o.length > 0 {
			g.counts[endOfBlock+1+lengthCode[o.length]]++
			g.counts[numLitLen+distCode(int(o.dist))]++
		}
	}
}

// fillPairs joins the codes of the ASCII bytes that were counted.
func (g *gzipper) fillPairs() {
	clear(g.pairs[:])
	var used []byte
	for b := range byte(128) {
		if g.counts[b] > 0 {
			used = append(used, b)
		}
	}
	h := &g.litLen
	for _, a := range used {
		for _, b := range used {
			code := uint32(h.codes[a]) | uint32(h.codes[b])<<h.lens[a]
			g.pairs[int(a)|int(b)<<7] = code<<5 | uint32(h.lens[a]+h.lens[b])
		}
	}
}

// literals writes bytes that are part of no match.
func (g *gzipper) literals(b []byte) {
	h := &g.litLen
	acc, n, out := g.acc, g.n, g.out
	for len(b) >= 2 {
		if n >= 32 {
			out = binary.LittleEndian.AppendUint32(out, uint32(acc))
			acc >>= 32
			n -= 32
		}
		x, y := b[0], b[1]
		if x|y < 128 {
			if e := g.pairs[int(x)|int(y)<<7]; e != 0 {
				acc |= uint64(e>>5) << n
				n += uint(e & 31)
				b = b[2:]
				continue
			}
		}
		acc |= uint64(h.codes[x]) << n
		n += uint(h.lens[x])
		b = b[1:]
	}
	g.acc, g.n, g.out = acc, n, out
	if len(b) > 0 {
		g.put(uint64(h.codes[b[0]]), uint(h.lens[b[0]]))
	}
}

// put writes the low bits of v, at most 32 of them.
func (g *gzipper) put(v uint64, width uint) {
	if g.n >= 32 {
		g.out = binary.LittleEndian.AppendUint32(g.out, uint32(g.acc))
		g.acc >>= 32
		g.n -= 32
	}
	g.acc |= v << g.n
	g.n += width
}

// codeOrder is in which order the lengths of the codes of lengths come.
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// header begins a block with codes of its own, section 3.2.7. Every symbol has
// a code, so there are no runs of zeros to abbreviate.
func (g *gzipper) header() {
	var counts [19]uint32
	for _, l := range g.litLen.lens[:numLitLen] {
		counts[l]++
	}
	for _, l := range g.dist.lens[:numDist] {
		counts[l]++
	}
	var h huffman
	h.build(counts[:], 7)
	g.put(0b100, 3) // not the last one, dynamic codes
	g.put(numLitLen-257, 5)
	g.put(numDist-1, 5)
	g.put(19-4, 4)
	for _, s := range codeOrder {
		g.put(uint64(h.lens[s]), 3)
	}
	for _, l := range g.litLen.lens[:numLitLen] {
		g.put(uint64(h.codes[l]), uint(h.lens[l]))
	}
	for _, l := range g.dist.lens[:numDist] {
		g.put(uint64(h.codes[l]), uint(h.lens[l]))
	}
}
