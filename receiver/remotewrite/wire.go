package remotewrite

import (
	"errors"
	"fmt"
)

// Protobuf wire format, as far as it is read here:
//
//	message = { tag value }
//	tag     = varint: field number << 3 | wire type
//	value   = varint                 wire type 0
//	        | 8 bytes little endian  wire type 1
//	        | varint length, bytes   wire type 2
//	        | 4 bytes little endian  wire type 5
//	group   = tag(3) { tag value } tag(4), obsolete, only skipped
const (
	wireVarint = 0
	wireI64    = 1
	wireBytes  = 2
	wireStart  = 3
	wireEnd    = 4
	wireI32    = 5
)

var (
	errTruncated  = errors.New("unexpected end of message")
	errVarint     = errors.New("varint longer than 10 bytes")
	errTag        = errors.New("illegal field number")
	errWireType   = errors.New("illegal wire type")
	errGroup      = errors.New("unexpected end of group")
	errPackedTail = errors.New("packed numbers end inside a number")
	errSymbols    = errors.New("too many symbols")
	errTooLarge   = errors.New("message larger than 2 GiB")
)

// MalformedError says where a message stops being one.
type MalformedError struct {
	Offset int    // byte of the decompressed body
	What   string // the message or field being read
	Err    error
}

// Error names the field, the offset and the cause.
func (e *MalformedError) Error() string {
	return fmt.Sprintf("malformed protobuf: %s at byte %d: %v", e.What, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *MalformedError) Unwrap() error { return e.Err }

// uvarint reads a varint at b[i:] and returns the offset after it. Bits above
// 64 are dropped, as generated decoders do.
func uvarint(b []byte, i int) (uint64, int, error) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1, nil
	}
	return uvarintSlow(b, i)
}

func uvarintSlow(b []byte, i int) (v uint64, _ int, _ error) {
	for shift := uint(0); shift < 70; shift += 7 {
		if i >= len(b) {
			return 0, i, errTruncated
		}
		c := b[i]
		i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i, nil
		}
	}
	return 0, i, errVarint
}

// tagAt reads a tag. Field numbers are cut to 32 bits as generated decoders do.
func tagAt(b []byte, i int) (field int32, wire uint8, next int, err error) {
	v, next, err := uvarint(b, i)
	if err != nil {
		return 0, 0, next, err
	}
	field, wire = int32(v>>3), uint8(v&7) //nolint:gosec // cut on purpose
	if wire == wireEnd {
		return 0, 0, next, errGroup
	}
	if field <= 0 {
		return 0, 0, next, errTag
	}
	return field, wire, next, nil
}

// bytesAt reads a length and returns where the bytes start and end.
func bytesAt(b []byte, i int) (start, end int, err error) {
	n, start, err := uvarint(b, i)
	if err != nil {
		return start, start, err
	}
	if n > uint64(len(b)-start) {
		return start, start, errTruncated
	}
	return start, start + int(n), nil //nolint:gosec // at most len(b)
}

// shortField returns where the field at b[i:] ends, if it has this one-byte tag
// and a length below 128 and is all there. It is the fast path of fields that
// are nearly always so; anything else is left to tagAt and bytesAt.
func shortField(b []byte, i int, tag byte) (end int, ok bool) {
	if i+1 >= len(b) || b[i] != tag || b[i+1] >= 0x80 {
		return i, false
	}
	end = i + 2 + int(b[i+1])
	return end, end <= len(b)
}

// shortFields returns where a run of such fields at the start of b ends.
func shortFields(b []byte, tag byte) (i int) {
	for {
		end, ok := shortField(b, i, tag)
		if !ok {
			return i
		}
		i = end
	}
}

// skip passes over the value of a field whose tag was read.
func skip(b []byte, i int, wire uint8) (int, error) {
	for depth := 0; ; {
		var err error
		switch wire {
		case wireVarint:
			_, i, err = uvarint(b, i)
		case wireI64:
			i += 8
		case wireBytes:
			_, i, err = bytesAt(b, i)
		case wireStart:
			depth++
		case wireEnd:
			if depth == 0 {
				return i, errGroup
			}
			depth--
		case wireI32:
			i += 4
		default:
			return i, errWireType
		}
		if err != nil {
			return i, err
		}
		if i > len(b) {
			return i, errTruncated
		}
		if depth == 0 {
			return i, nil
		}
		var tag uint64
		if tag, i, err = uvarint(b, i); err != nil {
			return i, err
		}
		wire = uint8(tag & 7)
	}
}
