package remotewrite

import (
	"math"
	"slices"
)

//	message Request {
//	  reserved 1 to 3;
//	  repeated string symbols = 4;
//	  repeated TimeSeries timeseries = 5;
//	}
//
//	message TimeSeries {
//	  repeated uint32 labels_refs = 1;
//	  repeated Sample samples = 2;
//	  repeated Histogram histograms = 3;
//	  repeated Exemplar exemplars = 4;
//	  Metadata metadata = 5;
//	  reserved 6; // created_timestamp of old senders
//	}
//
// message Metadata { MetricType type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
const (
	v2Symbols    = 4
	v2Timeseries = 5
	v2LabelsRefs = 1
	v2Histograms = 3
	v2Exemplars  = 4
	v2Metadata   = 5
)

// MetadataRefs is the metadata of a 2.0 series, its strings as references,
// unchecked.
type MetadataRefs struct {
	Type             uint32
	HelpRef, UnitRef uint32
}

// readSymbols walks the top level once. Four bytes are kept for a symbol,
// which takes at least two on the wire.
func (d *Decoder) readSymbols() error {
	limit := d.MaxSymbols
	if limit == 0 {
		limit = math.MaxInt
	}
	for i := 0; i < len(d.b); {
		at := i
		if next, ok := shortField(d.b, i, v2Timeseries<<3|wireBytes); ok {
			i = next
			continue
		}
		if len(d.symbols) > limit {
			return d.fail(at, "request", errSymbols)
		}
		if next, ok := shortField(d.b, i, v2Symbols<<3|wireBytes); ok {
			d.symbols = append(d.symbols, uint32(i+1)) //nolint:gosec // Reset bounds it
			i = next
			continue
		}
		field, wire, j, err := tagAt(d.b, i)
		if err == nil {
			switch field {
			case v2Symbols:
				if _, i, err = message(d.b, j, wire); err == nil {
					d.symbols = append(d.symbols, uint32(j)) //nolint:gosec // Reset bounds it
				}
			case v2Timeseries:
				_, i, err = message(d.b, j, wire)
			default:
				i, err = skip(d.b, j, wire)
			}
		}
		if err != nil {
			return d.fail(at, "request", err)
		}
	}
	return nil
}

// Symbols is how many symbols the request has.
func (d *Decoder) Symbols() int { return len(d.symbols) }

// Symbol returns symbol i of a 2.0 request, false when there is none. The
// bytes are those of the request.
func (d *Decoder) Symbol(ref uint32) ([]byte, bool) {
	if uint64(ref) >= uint64(len(d.symbols)) {
		return nil, false
	}
	start, end, err := bytesAt(d.b, int(d.symbols[ref]))
	return d.b[start:end], err == nil
}

func (d *Decoder) next2() bool {
	for d.i < len(d.b) {
		at := d.i
		field, wire, i, err := tagAt(d.b, at)
		if err == nil && field == v2Timeseries {
			var start, end int
			if start, end, err = message(d.b, i, wire); err == nil {
				d.i = end
				return d.series2(start, end)
			}
		}
		if err == nil {
			d.i, err = skip(d.b, i, wire)
		}
		if err != nil {
			d.fail(at, "request", err) //nolint:errcheck // kept in d.err
			return false
		}
	}
	return false
}

func (d *Decoder) series2(start, end int) bool {
	d.start(start, end)
	s, b := &d.s, d.s.body
	d.refs = d.refs[:0]
	for i := 0; i < len(b); {
		at := i
		if i+1 < len(b) && b[i+1] < 0x80 && i+2+int(b[i+1]) <= len(b) { // short and all there, as nearly always
			end, err := i+2+int(b[i+1]), error(nil)
			switch b[i] {
			case v2LabelsRefs<<3 | wireBytes:
				d.refs, err = readPacked(d.refs, b[:end], i+2)
				i = end
			case fieldSamples<<3 | wireBytes:
				if s.Samples++; s.Samples == 1 {
					d.atSample = at
				}
				i = end
			case v2Metadata<<3 | wireBytes:
				err = s.Metadata.read(b[:end], i+2)
				i = end
			}
			if err != nil {
				d.fail(start+at, "timeseries", err) //nolint:errcheck // kept in d.err
				return false
			}
			if i != at {
				continue
			}
		}
		field, wire, j, err := tagAt(b, i)
		if err == nil {
			switch field {
			case v2LabelsRefs:
				d.refs, i, err = readRefs(d.refs, b, j, wire)
			case fieldSamples:
				if s.Samples++; s.Samples == 1 {
					d.atSample = at
				}
				_, i, err = message(b, j, wire)
			case v2Histograms:
				if s.Histograms++; s.Histograms == 1 {
					d.atHistogram = at
				}
				_, i, err = message(b, j, wire)
			case v2Exemplars:
				if s.Exemplars++; s.Exemplars == 1 {
					d.atExemplar = at
				}
				_, i, err = message(b, j, wire)
			case v2Metadata:
				if j, i, err = message(b, j, wire); err == nil {
					err = s.Metadata.read(b[:i], j)
				}
			default:
				i, err = skip(b, j, wire)
			}
		}
		if err != nil {
			d.fail(start+at, "timeseries", err) //nolint:errcheck // kept in d.err
			return false
		}
	}
	s.Refs = d.refs
	return true
}

// readRefs appends one number, or a packed run of them.
func readRefs(refs []uint32, b []byte, i int, wire uint8) ([]uint32, int, error) {
	if wire == wireVarint {
		v, i, err := uvarint(b, i)
		return append(refs, uint32(v)), i, err //nolint:gosec // cut as generated decoders do
	}
	i, end, err := message(b, i, wire)
	if err != nil {
		return refs, i, err
	}
	refs, err = readPacked(refs, b[:end], i)
	return refs, end, err
}

// readPacked appends the numbers of b[i:]. A number takes at least a byte, so
// the room made is enough, and at most four times the input.
func readPacked(refs []uint32, b []byte, i int) ([]uint32, error) {
	n := len(refs)
	refs = slices.Grow(refs, len(b)-i)[:n+len(b)-i]
	for ; i < len(b); n++ {
		c := uint32(b[i])
		if c < 0x80 {
			refs[n], i = c, i+1
			continue
		}
		if i+1 < len(b) && b[i+1] < 0x80 {
			refs[n], i = c&0x7f|uint32(b[i+1])<<7, i+2
			continue
		}
		v, next, err := uvarint(b, i)
		if err != nil {
			return refs[:n], errPackedTail
		}
		refs[n], i = uint32(v), next //nolint:gosec // cut as generated decoders do
	}
	return refs[:n], nil
}

// read merges a metadata message into m; a repeated message does so too.
func (m *MetadataRefs) read(b []byte, i int) error {
	for i < len(b) {
		field, wire, j := int32(b[i]>>3), b[i]&7, i+1
		if b[i] >= 0x80 || field == 0 || wire == wireEnd {
			var err error
			if field, wire, j, err = tagAt(b, i); err != nil {
				return err
			}
		}
		var err error
		switch field {
		case 1, 3, 4:
			var v uint64
			if v, i, err = uint64At(b, j, wire); err != nil {
				return err
			}
			switch field {
			case 1:
				m.Type = uint32(v) //nolint:gosec // enums are 32 bits
			case 3:
				m.HelpRef = uint32(v) //nolint:gosec // cut as generated decoders do
			case 4:
				m.UnitRef = uint32(v) //nolint:gosec // cut as generated decoders do
			}
		default:
			if i, err = skip(b, j, wire); err != nil {
				return err
			}
		}
	}
	return nil
}
