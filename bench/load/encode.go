package load

import (
	"encoding/binary"
	"math"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// encoder builds messages of one protocol version by hand: what does not
// change is encoded once a series, so that a sample costs a copy and a few
// varints and the generator stays cheap beside the server.
type encoder struct {
	v2  bool
	n   int // samples in the message
	buf []byte
	msg []byte // the series being encoded
	sub []byte // a message inside of it

	ids     map[string]uint32 // every symbol ever seen
	symbols []string
	local   []uint32 // symbol to its number in this message
	epoch   []uint32 // message for which local holds
	current uint32
	used    []uint32 // symbols of this message, in order
}

// identity is the encoded form of one series' labels.
type identity struct {
	v1   []byte
	refs []uint32
	typ  byte
	help uint32
}

func newEncoder(p remotewrite.Protocol) *encoder {
	return &encoder{v2: p == remotewrite.V2, ids: map[string]uint32{}, current: 1}
}

// identify prepares a label set.
func (e *encoder) identify(ls [][2]string, m *metric) identity {
	var s identity
	if e.v2 {
		for _, l := range ls {
			s.refs = append(s.refs, e.symbol(l[0]), e.symbol(l[1]))
		}
		s.typ, s.help = m.typ, e.symbol(m.help)
		return s
	}
	for _, l := range ls {
		e.sub = appendBytes(appendBytes(e.sub[:0], 0x0a, l[0]), 0x12, l[1])
		s.v1 = appendBytes(s.v1, 0x0a, e.sub)
	}
	return s
}

func (e *encoder) symbol(s string) uint32 {
	id, ok := e.ids[s]
	if !ok {
		id = uint32(len(e.symbols)) //nolint:gosec // far below 4 billion
		e.ids[s] = id
		e.symbols, e.local, e.epoch = append(e.symbols, s), append(e.local, 0), append(e.epoch, 0)
	}
	return id
}

// use numbers a symbol in the current message.
func (e *encoder) use(id uint32) uint64 {
	if e.epoch[id] != e.current {
		e.epoch[id] = e.current
		e.used = append(e.used, id)
		e.local[id] = uint32(len(e.used)) //nolint:gosec // number 0 is the empty string
	}
	return uint64(e.local[id])
}

// add appends one sample.
func (e *encoder) add(s *identity, t int64, v float64) {
	e.n++
	msg := e.msg[:0]
	if e.v2 {
		sub := e.sub[:0]
		for _, id := range s.refs {
			sub = binary.AppendUvarint(sub, e.use(id))
		}
		msg, e.sub = appendBytes(msg, 0x0a, sub), sub
	} else {
		msg = append(msg, s.v1...)
	}
	sub := e.sub[:0]
	if bits := math.Float64bits(v); bits != 0 { // proto3 leaves out zeros
		sub = binary.LittleEndian.AppendUint64(append(sub, 0x09), bits)
	}
	sub = binary.AppendUvarint(append(sub, 0x10), uint64(t)) //nolint:gosec // a time of our days
	msg = appendBytes(msg, 0x12, sub)
	tag := byte(0x0a) // timeseries of 1.0
	if e.v2 {
		sub = binary.AppendUvarint(append(sub[:0], 0x08, s.typ, 0x18), e.use(s.help))
		msg, tag = appendBytes(msg, 0x2a, sub), 0x2a
	}
	e.msg, e.sub = msg, sub
	e.buf = appendBytes(e.buf, tag, msg)
}

// finish appends the message to dst and begins the next.
func (e *encoder) finish(dst []byte) []byte {
	if e.v2 {
		dst = append(dst, 0x22, 0)
		for _, id := range e.used {
			dst = appendBytes(dst, 0x22, e.symbols[id])
		}
		e.used = e.used[:0]
		e.current++
	}
	dst = append(dst, e.buf...)
	e.buf, e.n = e.buf[:0], 0
	return dst
}

// appendBytes appends a field of bytes.
func appendBytes[T string | []byte](b []byte, tag byte, v T) []byte {
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}
