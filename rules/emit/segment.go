package emit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A segment file of the queue:
//
//	"CHIRFWD1"
//	{ uint32 length, uint32 CRC-32C of the payload, payload }
//
//	payload = uvarint samples, uvarint time queued (ms), Snappy(2.0 request)
//
// Numbers are little endian. A segment is only ever appended to. It ends where
// the first record is incomplete or does not match its sum.
const (
	segmentMagic   = "CHIRFWD1"
	recordHeader   = 8
	maxRecordBytes = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errTorn    = errors.New("record is incomplete")
	errDamaged = errors.New("record does not match its checksum")
)

// record is what one commit left in the queue.
type record struct {
	samples int
	queued  int64  // milliseconds
	body    []byte // Snappy-compressed 2.0 request, a part of what was read
}

// appendRecord appends r with its header.
func appendRecord(b []byte, r record) []byte {
	start := len(b)
	b = append(b, make([]byte, recordHeader)...)
	b = binary.AppendUvarint(b, uint64(r.samples)) //nolint:gosec // a count
	b = binary.AppendUvarint(b, uint64(r.queued))  //nolint:gosec // milliseconds since 1970
	b = append(b, r.body...)
	payload := b[start+recordHeader:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload))) //nolint:gosec // below maxRecordBytes
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(payload, castagnoli))
	return b
}

// readRecord reads the record at the start of b and returns its length with
// the header. The body is a part of b.
func readRecord(b []byte) (r record, n int, err error) {
	if len(b) < recordHeader {
		return r, 0, errTorn
	}
	size := binary.LittleEndian.Uint32(b)
	if size > maxRecordBytes {
		return r, 0, fmt.Errorf("%w: length %d", errDamaged, size)
	}
	if uint64(size) > uint64(len(b)-recordHeader) {
		return r, 0, errTorn
	}
	n = recordHeader + int(size)
	payload := b[recordHeader:n]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return r, 0, errDamaged
	}
	samples, k := binary.Uvarint(payload)
	if k <= 0 || samples > maxRecordBytes {
		return r, 0, errDamaged
	}
	queued, m := binary.Uvarint(payload[k:])
	if m <= 0 {
		return r, 0, errDamaged
	}
	return record{int(samples), int64(queued), payload[k+m:]}, n, nil //nolint:gosec // bounded above, milliseconds
}

// scanSegment walks a whole segment and returns how far it is good, the
// samples up to there, and why it ends before its end, if it does.
func scanSegment(b []byte, each func(at int, r record)) (good int, err error) {
	if len(b) < len(segmentMagic) || string(b[:len(segmentMagic)]) != segmentMagic {
		return 0, fmt.Errorf("%w: no segment of this queue", errDamaged)
	}
	good = len(segmentMagic)
	for good < len(b) {
		r, n, err := readRecord(b[good:])
		if err != nil {
			return good, err
		}
		each(good, r)
		good += n
	}
	return good, nil
}
