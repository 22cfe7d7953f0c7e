package tsdbcache

import "encoding/binary"

// labelStore holds the labels of all series: the symbols of name, value,
// name, value, ... as uvarints, about 40 bytes a series. A run of bytes is
// named by its offset in words of four bytes. It is under DB.mu, but bytes of
// a series do not change until a sweep gives the series up, so that a querier
// may read on without the lock.
type labelStore struct {
	mem    *offHeap
	chunks [][]byte
	room   int                 // words left in the last chunk
	freed  map[uint32][]uint32 // words -> offsets
}

const (
	labelChunkWords = 64 << 10
	maxLabelBytes   = 1<<16 - 1 // of one series
)

func newLabelStore(mem *offHeap) *labelStore {
	return &labelStore{mem: mem, freed: map[uint32][]uint32{}}
}

func labelWords(n int) uint32 { return uint32(n+3) / 4 }

// put keeps a copy of b, at most maxLabelBytes long.
func (s *labelStore) put(b []byte) uint32 {
	words := labelWords(len(b))
	if f := s.freed[words]; len(f) > 0 {
		at := f[len(f)-1]
		s.freed[words] = f[:len(f)-1]
		copy(s.at(at, len(b)), b)
		return at
	}
	if s.room < int(words) {
		if s.room > 0 {
			rest := uint32(s.room)
			s.freed[rest] = append(s.freed[rest], uint32(len(s.chunks)*labelChunkWords-s.room))
		}
		s.chunks = append(s.chunks, s.mem.bytes(4*labelChunkWords))
		s.room = labelChunkWords
	}
	at := uint32(len(s.chunks)*labelChunkWords - s.room)
	s.room -= int(words)
	copy(s.at(at, len(b)), b)
	return at
}

// at is n bytes at an offset.
func (s *labelStore) at(at uint32, n int) []byte {
	o := 4 * int(at%labelChunkWords)
	return s.chunks[at/labelChunkWords][o : o+n : o+n]
}

// drop lets the bytes be used again.
func (s *labelStore) drop(at uint32, n int) {
	w := labelWords(n)
	s.freed[w] = append(s.freed[w], at)
}

// encodeRefs appends symbols as they are stored.
func encodeRefs(b []byte, refs []uint32) []byte {
	for _, r := range refs {
		b = binary.AppendUvarint(b, uint64(r))
	}
	return b
}

// nextRef takes the first symbol off an encoded label set.
func nextRef(b []byte) (uint32, []byte) {
	if b[0] < 0x80 {
		return uint32(b[0]), b[1:]
	}
	if len(b) > 1 && b[1] < 0x80 {
		return uint32(b[0]&0x7f) | uint32(b[1])<<7, b[2:]
	}
	v, n := binary.Uvarint(b)
	return uint32(v), b[n:]
}

// decodeRefs appends the symbols of an encoded label set.
func decodeRefs(refs []uint32, b []byte) []uint32 {
	for len(b) > 0 {
		var r uint32
		r, b = nextRef(b)
		refs = append(refs, r)
	}
	return refs
}
