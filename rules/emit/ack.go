package emit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// position is a place in the queue: a segment and an offset in its file.
type position struct {
	segment uint64
	offset  int64
}

func (p position) before(q position) bool {
	return p.segment < q.segment || p.segment == q.segment && p.offset < q.offset
}

// ackFile keeps the position up to which the far side has everything, in two
// slots that are written in turn, so that one survives a torn write:
//
//	uint64 sequence, uint64 segment, uint64 offset, uint32 CRC-32C, 4 bytes 0
type ackFile struct {
	f   *os.File
	seq uint64
}

const ackSlot = 32

// openAck opens or makes the file and returns the newest good position, zero
// when there is none.
func openAck(path string) (*ackFile, position, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the queue's own folder
	if err != nil {
		return nil, position{}, fmt.Errorf("cannot open acknowledged offset: %w", err)
	}
	var b [2 * ackSlot]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, position{}, errors.Join(fmt.Errorf("cannot read acknowledged offset: %w", err), f.Close())
	}
	a := &ackFile{f: f}
	var p position
	for s := b[:n]; len(s) >= ackSlot; s = s[ackSlot:] {
		seq := binary.LittleEndian.Uint64(s)
		if crc32.Checksum(s[:24], castagnoli) == binary.LittleEndian.Uint32(s[24:]) && seq > a.seq {
			a.seq = seq
			p = position{binary.LittleEndian.Uint64(s[8:]), int64(binary.LittleEndian.Uint64(s[16:]))} //nolint:gosec // an offset
		}
	}
	return a, p, nil
}

func (a *ackFile) write(p position) error {
	a.seq++
	var b [ackSlot]byte
	binary.LittleEndian.PutUint64(b[:], a.seq)
	binary.LittleEndian.PutUint64(b[8:], p.segment)
	binary.LittleEndian.PutUint64(b[16:], uint64(p.offset)) //nolint:gosec // an offset
	binary.LittleEndian.PutUint32(b[24:], crc32.Checksum(b[:24], castagnoli))
	if _, err := a.f.WriteAt(b[:], int64(a.seq%2)*ackSlot); err != nil {
		return fmt.Errorf("cannot write acknowledged offset: %w", err)
	}
	return nil
}
