package remotewrite

import "math"

// Sample is one float sample. Times are milliseconds since the epoch;
// ST is the start timestamp, 0 when unset.
type Sample struct {
	T, ST int64
	V     float64
}

// Series is one TimeSeries message. Everything in it is valid until the next
// call of Next or Reset.
type Series struct {
	// Labels are the label fields of a 1.0 series as they came, tags included,
	// one after the other: equal bytes mean equal labels. Nil for 2.0.
	Labels []byte
	// Refs are the label references of a 2.0 series, unchecked. Nil for 1.0.
	Refs []uint32

	// What follows in the series; NextSample, NextHistogram and NextExemplar
	// yield exactly so many.
	Samples, Histograms, Exemplars int

	// Metadata of a 2.0 series; zero when absent.
	Metadata MetadataRefs

	body   []byte // the whole TimeSeries message
	base   int    // offset of body in the request
	labels int    // labels end here if they all came first
}

// Decoder reads one decompressed request after the other. The zero value is
// ready for Reset. It holds on to the input until the next Reset and is not
// for concurrent use.
//
//	d.Reset(V2, body)
//	for d.Next() {
//		s := d.Series()
//		for range s.Samples { sample, err := d.NextSample() ... }
//	}
//	err := d.Err()
type Decoder struct {
	// MaxSymbols and MaxLabels bound what is made of a request: more symbols
	// end it, a series or exemplar with more labels is refused. 0: no limit.
	MaxSymbols, MaxLabels int

	proto Protocol
	b     []byte
	i     int // next top-level field
	err   error

	s                                 Series
	atSample, atHistogram, atExemplar int // offsets in s.body of the next of each
	refs                              []uint32
	scratch                           []byte // label fields that were not contiguous

	symbols []uint32 // 2.0: offset of each symbol's length in b

	firstMetadata int // 1.0: offset of the first metadata field, -1 without
	atMetadata    int

	histograms histogramArena
}

// Reset starts on the decompressed request b. It reads the symbol table of a
// 2.0 request, which may stand anywhere in it; the error then is that of Err.
func (d *Decoder) Reset(p Protocol, b []byte) error {
	d.proto, d.b, d.i, d.err = p, b, 0, nil
	d.s = Series{}
	d.firstMetadata, d.atMetadata = -1, 0
	d.symbols = d.symbols[:0]
	d.histograms.reset()
	if len(b) > math.MaxInt32 {
		return d.fail(0, "request", errTooLarge)
	}
	if p == V2 {
		return d.readSymbols()
	}
	return nil
}

// Release forgets the input, and buffers that grew beyond max bytes each, so
// that one huge request does not hold memory for ever.
func (d *Decoder) Release(max int) {
	d.b, d.s = nil, Series{}
	if cap(d.refs)*4 > max {
		d.refs = nil
	}
	if cap(d.scratch) > max {
		d.scratch = nil
	}
	if cap(d.symbols)*4 > max {
		d.symbols = nil
	}
	d.histograms.release(max)
}

// Err is the reason why Next returned false before the end: always a
// *MalformedError, nil at the end.
func (d *Decoder) Err() error { return d.err }

func (d *Decoder) fail(offset int, what string, err error) error {
	if d.err == nil {
		d.err = &MalformedError{Offset: offset, What: what, Err: err}
	}
	return d.err
}

// Next moves to the next series. It returns false at the end and on malformed
// input, see Err.
func (d *Decoder) Next() bool {
	if d.err != nil {
		return false
	}
	if d.proto == V2 {
		return d.next2()
	}
	return d.next1()
}

// Series is where Next stopped.
func (d *Decoder) Series() *Series { return &d.s }

// start makes b[start:end] the current series.
func (d *Decoder) start(start, end int) {
	s := &d.s
	*s = Series{body: d.b[start:end], base: start}
	d.atSample, d.atHistogram, d.atExemplar = 0, 0, 0
}

// find returns the next field of the current series with this number at or
// after i. The series was walked before, so it is there and well formed.
func (d *Decoder) find(i int, want int32) (start, end, next int) {
	b := d.s.body
	for i < len(b) {
		field, wire, j, err := tagAt(b, i)
		if err != nil {
			break
		}
		if field == want && wire == wireBytes {
			if start, end, err = bytesAt(b, j); err == nil {
				return start, end, end
			}
			break
		}
		if i, err = skip(b, j, wire); err != nil {
			break
		}
	}
	return len(b), len(b), len(b)
}

// NextSample yields the next float sample of the series.
func (d *Decoder) NextSample() (Sample, error) {
	// message Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
	// Both versions carry it as field 2 of TimeSeries; 1.0 has no field 3.
	start, end, ok := 0, 0, false
	if end, ok = shortField(d.s.body, d.atSample, fieldSamples<<3|wireBytes); ok {
		start, d.atSample = d.atSample+2, end
	} else {
		start, end, d.atSample = d.find(d.atSample, fieldSamples)
	}
	b := d.s.body[:end]
	if s, ok := usualSample(b[start:]); ok {
		return s, nil
	}
	s, err := readSample(b, start, d.proto == V2)
	if err != nil {
		return s, d.fail(d.s.base+start, "sample", err)
	}
	return s, nil
}

const fieldSamples = 2

// usualSample reads a sample as encoders write it: value, then timestamp, each
// there and nothing else. False leaves it to readSample.
func usualSample(b []byte) (Sample, bool) {
	if len(b) < 11 || b[0] != 1<<3|wireI64 || b[9] != 2<<3|wireVarint {
		return Sample{}, false
	}
	var t uint64
	for i, c := range b[10:] {
		if i == 9 {
			break
		}
		t |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return Sample{V: math.Float64frombits(le64(b[1:])), T: int64(t)}, 11+i == len(b) //nolint:gosec // below 2^63
		}
	}
	return Sample{}, false
}

func readSample(b []byte, i int, withStart bool) (s Sample, err error) {
	for i < len(b) {
		var field int32
		var wire uint8
		if field, wire, i, err = tagAt(b, i); err != nil {
			return s, err
		}
		switch {
		case field == 1:
			s.V, i, err = double(b, i, wire)
		case field == 2:
			s.T, i, err = int64At(b, i, wire)
		case field == 3 && withStart:
			s.ST, i, err = int64At(b, i, wire)
		default:
			i, err = skip(b, i, wire)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

func double(b []byte, i int, wire uint8) (float64, int, error) {
	if wire != wireI64 {
		return 0, i, errWireType
	}
	if len(b)-i < 8 {
		return 0, i, errTruncated
	}
	return math.Float64frombits(le64(b[i:])), i + 8, nil
}

func int64At(b []byte, i int, wire uint8) (int64, int, error) {
	v, i, err := uint64At(b, i, wire)
	return int64(v), i, err //nolint:gosec // two's complement on the wire
}

func uint64At(b []byte, i int, wire uint8) (uint64, int, error) {
	if wire != wireVarint {
		return 0, i, errWireType
	}
	return uvarint(b, i)
}

func le64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// message returns the bounds of a length-delimited value.
func message(b []byte, i int, wire uint8) (start, end int, err error) {
	if wire != wireBytes {
		return i, i, errWireType
	}
	return bytesAt(b, i)
}
