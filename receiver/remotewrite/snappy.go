package remotewrite

import (
	"fmt"

	"github.com/golang/snappy"
)

// SizeError says that a body claims to decompress to more than the limit.
type SizeError struct {
	Size, Limit int64 // bytes
}

// Error names both sizes.
func (e *SizeError) Error() string {
	return fmt.Sprintf("body decompresses to %d bytes, limit is %d", e.Size, e.Limit)
}

// Decompress decodes a Snappy block into dst, growing it when needed, and
// returns the decoded bytes, which share memory with dst or not. The claimed
// size is compared with the limit (bytes) before anything is allocated. It is
// also compared with what the input can hold at most, so that a short body
// with a huge claim costs nothing.
func Decompress(dst, src []byte, limit int64) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return dst, fmt.Errorf("cannot read snappy length: %w", err)
	}
	if int64(n) > limit {
		return dst, &SizeError{Size: int64(n), Limit: limit}
	}
	// The densest element is a copy: 64 bytes out of 3 bytes (2 with a short
	// offset, but those yield at most 11).
	if int64(n) > int64(len(src))*64 {
		return dst, fmt.Errorf("cannot decompress: %d bytes claim to hold %d: %w", len(src), n, snappy.ErrCorrupt)
	}
	out, err := snappy.Decode(dst[:cap(dst)], src)
	if err != nil {
		return dst, fmt.Errorf("cannot decompress: %w", err)
	}
	return out, nil
}

// Compress encodes src as a Snappy block into dst, growing it when needed.
func Compress(dst, src []byte) []byte {
	return snappy.Encode(dst[:cap(dst)], src)
}
