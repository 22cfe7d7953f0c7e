package promapi

import (
	"cmp"
	"math/bits"
	"slices"
)

// maxCodeBits is the longest Huffman code that is used. Two of them and their
// joint length fit into 32 bits.
const maxCodeBits = 13

// huffman is a canonical prefix code of RFC 1951, section 3.2.2.
type huffman struct {
	lens  [numLitLen]uint8
	codes [numLitLen]uint16 // bits reversed, as they are written
	work  []node
}

// node is a symbol or an inner node while a code is built.
type node struct {
	count  uint32
	symbol int16 // -1: an inner node
	parent int16
	depth  uint8
}

// build makes the code for symbols that occur so often; each occurs at least
// once. Lengths come from the two-queue form of Huffman's algorithm; those over
// the limit are cut, and the shortest codes that can be are made longer for it.
func (h *huffman) build(counts []uint32, limit uint8) {
	n := len(counts)
	w := h.work[:0]
	for s, c := range counts {
		w = append(w, node{count: max(c, 1), symbol: int16(s)})
	}
	slices.SortFunc(w, func(a, b node) int { return cmp.Or(cmp.Compare(a.count, b.count), cmp.Compare(a.symbol, b.symbol)) })
	leaf, inner := 0, n
	for len(w) < 2*n-1 {
		var pair [2]int
		for k := range pair {
			if inner >= len(w) || leaf < n && w[leaf].count <= w[inner].count {
				pair[k] = leaf
				leaf++
			} else {
				pair[k] = inner
				inner++
			}
		}
		w[pair[0]].parent, w[pair[1]].parent = int16(len(w)), int16(len(w))
		w = append(w, node{count: w[pair[0]].count + w[pair[1]].count, symbol: -1})
	}
	h.work = w
	used := 0 // in units of the longest code
	for i := len(w) - 2; i >= 0; i-- {
		w[i].depth = min(w[w[i].parent].depth+1, 60)
		if w[i].symbol >= 0 {
			w[i].depth = min(w[i].depth, limit)
			used += 1 << (limit - w[i].depth)
		}
	}
	for used > 1<<limit {
		// The rarest symbol whose code may grow: it costs least.
		for i := range n {
			if w[i].depth < limit {
				w[i].depth++
				used -= 1 << (limit - w[i].depth)
				break
			}
		}
	}
	for i := n - 1; i >= 0 && used < 1<<limit; i-- {
		// What that saved too much goes to the most frequent ones it is enough for.
		for w[i].depth > 1 && used+1<<(limit-w[i].depth) <= 1<<limit {
			used += 1 << (limit - w[i].depth)
			w[i].depth--
		}
	}
	for i := range n {
		h.lens[w[i].symbol] = w[i].depth
	}
	h.assign(n)
}

// assign numbers the codes in order of length, then symbol.
func (h *huffman) assign(n int) {
	var count, next [maxCodeBits + 2]uint16
	for _, l := range h.lens[:n] {
		count[l]++
	}
	code := uint16(0)
	for l := 1; l <= maxCodeBits; l++ {
		next[l] = code
		code = (code + count[l]) << 1
	}
	for s, l := range h.lens[:n] {
		h.codes[s] = bits.Reverse16(next[l]) >> (16 - l)
		next[l]++
	}
}
