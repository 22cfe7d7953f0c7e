package promapi

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
)

// gzipper compresses answers of queries: gzip (RFC 1952) around DEFLATE (RFC
// 1951). Such an answer is nearly all points,
//
//	...32"],[1767225615,"0.021463789"],[1767225630,"0.0214...
//
// in which a general compressor searches for what is known: the start of each
// point repeats the point before it, and the digits of its value repeat
// another value or nothing. So the matches are taken where the brackets are, and
// the rest is coded by Huffman alone, two bytes at a time. Text that is no point (labels)
// goes through a small hash table. Matches do not reach over a Write; an answer
// is one Write.
type gzipper struct {
	w     io.Writer
	err   error
	crc   uint32
	size  uint32
	begun bool

	ops    []op
	table  [1 << hashBits]uint32 // 1 + where four bytes with that hash were last
	sought int                   // up to here the table knows
	values [1 << hashBits]uint32 // the same for the comma before a value, by its digits
	litLen huffman
	dist   huffman
	counts [numLitLen + numDist]uint32
	pairs  [1 << 14]uint32 // code of two ASCII bytes << 5 | bits; 0: not filled in

	out []byte
	acc uint64 // bits to come, lowest first
	n   uint
}

// op is a run of literals and the match behind it; length 0 means none.
type op struct {
	literals     uint32
	length, dist uint16
}

const (
	blockBytes = 1 << 18 // of text that share one code
	hashBits   = 12
	maxDist    = 1<<15 - 1
	minMatch   = 4
	maxMatch   = 258
	maxPoint   = 96 // bytes between the brackets of a point
	endOfBlock = 256
	numLitLen  = 286
	numDist    = 30
)

func (g *gzipper) reset(w io.Writer) {
	g.w, g.err, g.crc, g.size, g.begun = w, nil, 0, 0, false
	g.out, g.acc, g.n = g.out[:0], 0, 0
}

// Write compresses and passes on p, block by block.
func (g *gzipper) Write(p []byte) (int, error) {
	g.head()
	clear(g.table[:])
	clear(g.values[:])
	g.sought = 0
	g.crc = crc32.Update(g.crc, crc32.IEEETable, p)
	g.size += uint32(len(p))
	last := -1 // where the last point began
	for lo := 0; lo < len(p) && g.err == nil; lo += blockBytes {
		hi := min(lo+blockBytes, len(p))
		g.ops = g.ops[:0]
		last = g.parse(p[:hi], lo, last)
		g.block(p[lo:hi])
		g.flush()
	}
	if g.err != nil {
		return 0, g.err
	}
	return len(p), nil
}

func (g *gzipper) head() {
	if !g.begun {
		g.begun = true
		g.out = append(g.out, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255) // no name, no time, fastest, any system
	}
}

func (g *gzipper) flush() {
	if g.err == nil && len(g.out) > 0 {
		_, g.err = g.w.Write(g.out)
	}
	g.out = g.out[:0]
}

// Close ends the stream; it does not close what is written to.
func (g *gzipper) Close() error {
	g.head()
	g.put(0b011, 10) // a last block without content, by the fixed code
	for ; g.n > 0; g.n -= min(g.n, 8) {
		g.out = append(g.out, byte(g.acc))
		g.acc >>= 8
	}
	g.out = binary.LittleEndian.AppendUint32(g.out, g.crc)
	g.out = binary.LittleEndian.AppendUint32(g.out, g.size)
	g.flush()
	return g.err
}

// parse turns p[lo:] into ops. A point is what lies from the byte before one
// closing bracket to the byte before the next.
func (g *gzipper) parse(p []byte, lo, last int) int {
	done := lo // up to here there are ops
	for {
		i := bytes.IndexByte(p[max(done, last+2):], ']')
		if i < 0 {
			break
		}
		at := max(done, last+2) + i - 1
		back := at - last
		if last < 0 || back > maxPoint {
			if at > done {
				done = g.search(p[:at], done)
			}
			last = at
			continue
		}
		last = at
		from := max(at, done)
		if n := matchLen(p, from, from-back); n >= minMatch {
			g.op(from-done, n, back)
			done = from + n
			from = done
		}
		// Behind the digits in which the times differ.
		for end := min(from+16, len(p)); from < end; from++ {
			if p[from] == ',' {
				if n, dist := g.value(p, from, back); n >= minMatch {
					g.op(from-done, n, dist)
					done = from + n
				}
				break
			}
		}
	}
	if done < len(p) {
		if len(p)-done > maxPoint {
			done = g.search(p, done)
		}
		g.op(len(p)-done, 0, 0)
	}
	return last
}

// value finds a match for the comma at i and the value behind it: that of the
// point before, unless the same digits were seen elsewhere.
func (g *gzipper) value(p []byte, i, back int) (n, dist int) {
	n = matchLen(p, i, i-back)
	if i+10 > len(p) {
		return n, back
	}
	slot := &g.values[binary.LittleEndian.Uint64(p[i+2:])*0x9e3779b97f4a7c15>>(64-hashBits)]
	from := int(*slot) - 1
	*slot = uint32(i + 1)
	if from < 0 || from >= i || i-from > maxDist {
		return n, back
	}
	if m := matchLen(p, i, from); m >= n+4 {
		return m, i - from
	}
	return n, back
}

// search finds matches in p[done:] by a hash of four bytes, and returns how far
// it came.
func (g *gzipper) search(p []byte, done int) int {
	i := max(done, g.sought)
	for i+8 <= len(p) {
		four := binary.LittleEndian.Uint32(p[i:])
		slot := &g.table[four*2654435761>>(32-hashBits)]
		from := int(*slot) - 1
		*slot = uint32(i + 1)
		if from < 0 || i-from > maxDist || binary.LittleEndian.Uint32(p[from:]) != four {
			i += 1 + (i-done)>>5 // what does not repeat is passed over faster and faster
			continue
		}
		n := matchLen(p, i, from)
		g.op(i-done, n, i-from)
		i += n
		done = i
	}
	g.sought = i
	return done
}

func (g *gzipper) op(literals, length, dist int) {
	g.ops = append(g.ops, op{uint32(literals), uint16(length), uint16(dist)})
}

// matchLen returns how many bytes at i are those at j, which lies before it.
func matchLen(p []byte, i, j int) int {
	n, most := 0, min(maxMatch, len(p)-i)
	for n+8 <= most {
		x := binary.LittleEndian.Uint64(p[i+n:]) ^ binary.LittleEndian.Uint64(p[j+n:])
		if x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
		n += 8
	}
	for n < most && p[i+n] == p[j+n] {
		n++
	}
	return n
}
