package remotewrite

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
)

// Histogram is one native histogram sample: either Int or Float is set. Both
// belong to the Decoder and are valid until its next Reset, so that a
// transaction may hold them until it commits.
type Histogram struct {
	T, ST int64 // milliseconds; ST 0 when unset
	Int   *histogram.Histogram
	Float *histogram.FloatHistogram
}

// histogramArena keeps the histograms of one request and their slices.
type histogramArena struct {
	cells []*histogramCell
	used  int
	raw   rawHistogram
}

type histogramCell struct {
	i histogram.Histogram
	f histogram.FloatHistogram

	// The capacity for custom bounds, which the histogram itself must not
	// show when there are none.
	custom []float64
}

func (a *histogramArena) reset() { a.used = 0 }

func (a *histogramArena) release(max int) {
	size := 0
	for _, c := range a.cells {
		size += 400 + 8*(cap(c.i.PositiveSpans)+cap(c.i.NegativeSpans)+cap(c.f.PositiveSpans)+cap(c.f.NegativeSpans)+
			cap(c.i.PositiveBuckets)+cap(c.i.NegativeBuckets)+cap(c.f.PositiveBuckets)+cap(c.f.NegativeBuckets)+cap(c.custom))
	}
	if size > max {
		a.cells = nil
	}
	a.raw = rawHistogram{}
}

func (a *histogramArena) next() *histogramCell {
	if a.used == len(a.cells) {
		a.cells = append(a.cells, new(histogramCell))
	}
	a.used++
	return a.cells[a.used-1]
}

// rawHistogram is what the two kinds of histogram have in common on the wire.
type rawHistogram struct {
	countInt, zeroInt     uint64
	countFloat, zeroFloat float64
	isFloat, zeroIsFloat  bool
	sum, zeroThreshold    float64
	schema                int32
	hint                  histogram.CounterResetHint
	t, st                 int64
}

// NextHistogram yields the next native histogram of the series. Errors end the
// request; what the histogram says is left to CheckHistogram.
//
//	message Histogram {
//	  oneof count { uint64 count_int = 1; double count_float = 2; }
//	  double sum = 3;
//	  sint32 schema = 4;
//	  double zero_threshold = 5;
//	  oneof zero_count { uint64 zero_count_int = 6; double zero_count_float = 7; }
//	  repeated BucketSpan negative_spans = 8;
//	  repeated sint64 negative_deltas = 9;
//	  repeated double negative_counts = 10;
//	  repeated BucketSpan positive_spans = 11;
//	  repeated sint64 positive_deltas = 12;
//	  repeated double positive_counts = 13;
//	  ResetHint reset_hint = 14;
//	  int64 timestamp = 15;
//	  repeated double custom_values = 16;
//	  int64 start_timestamp = 17; // 2.0 only
//	}
//	message BucketSpan { sint32 offset = 1; uint32 length = 2; }
func (d *Decoder) NextHistogram() (Histogram, error) {
	want := int32(v1Histograms)
	if d.proto == V2 {
		want = v2Histograms
	}
	start, end, next := d.find(d.atHistogram, want)
	d.atHistogram = next
	c := d.histograms.next()
	r := &d.histograms.raw
	*r = rawHistogram{}
	if err := r.read(c, d.s.body[:end], start, d.proto == V2); err != nil {
		return Histogram{}, d.fail(d.s.base+start, "histogram", err)
	}
	if r.isFloat {
		return Histogram{T: r.t, ST: r.st, Float: r.float(c)}, nil
	}
	return Histogram{T: r.t, ST: r.st, Int: r.int(c)}, nil
}

// read fills r and the slices of c. Spans go to the integer histogram, also
// for a float one, until the kind is known: count may stand anywhere.
func (r *rawHistogram) read(c *histogramCell, b []byte, i int, withStart bool) (err error) {
	h, f := &c.i, &c.f
	h.PositiveSpans, h.NegativeSpans = h.PositiveSpans[:0], h.NegativeSpans[:0]
	h.PositiveBuckets, h.NegativeBuckets = h.PositiveBuckets[:0], h.NegativeBuckets[:0]
	f.PositiveBuckets, f.NegativeBuckets = f.PositiveBuckets[:0], f.NegativeBuckets[:0]
	c.custom = c.custom[:0]
	for i < len(b) {
		field, wire, j, err := tagAt(b, i)
		if err != nil {
			return err
		}
		var v uint64
		switch field {
		case 1:
			r.countInt, i, err = uint64At(b, j, wire)
			r.isFloat = false
		case 2:
			r.countFloat, i, err = double(b, j, wire)
			r.isFloat = true
		case 3:
			r.sum, i, err = double(b, j, wire)
		case 4:
			v, i, err = uint64At(b, j, wire)
			r.schema = zigzag32(v)
		case 5:
			r.zeroThreshold, i, err = double(b, j, wire)
		case 6:
			r.zeroInt, i, err = uint64At(b, j, wire)
			r.zeroIsFloat = false
		case 7:
			r.zeroFloat, i, err = double(b, j, wire)
			r.zeroIsFloat = true
		case 8:
			h.NegativeSpans, i, err = readSpan(h.NegativeSpans, b, j, wire)
		case 9:
			h.NegativeBuckets, i, err = readDeltas(h.NegativeBuckets, b, j, wire)
		case 10:
			f.NegativeBuckets, i, err = readDoubles(f.NegativeBuckets, b, j, wire)
		case 11:
			h.PositiveSpans, i, err = readSpan(h.PositiveSpans, b, j, wire)
		case 12:
			h.PositiveBuckets, i, err = readDeltas(h.PositiveBuckets, b, j, wire)
		case 13:
			f.PositiveBuckets, i, err = readDoubles(f.PositiveBuckets, b, j, wire)
		case 14:
			v, i, err = uint64At(b, j, wire)
			r.hint = histogram.CounterResetHint(v) //nolint:gosec // one byte, as in the model
		case 15:
			r.t, i, err = int64At(b, j, wire)
		case 16:
			c.custom, i, err = readDoubles(c.custom, b, j, wire)
		case 17:
			if withStart {
				r.st, i, err = int64At(b, j, wire)
				break
			}
			fallthrough
		default:
			i, err = skip(b, j, wire)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *rawHistogram) int(c *histogramCell) *histogram.Histogram {
	h := &c.i
	h.CounterResetHint, h.Schema, h.ZeroThreshold, h.Sum, h.Count = r.hint, r.schema, r.zeroThreshold, r.sum, r.countInt
	h.ZeroCount = 0
	if !r.zeroIsFloat {
		h.ZeroCount = r.zeroInt
	}
	h.CustomValues = customValues(c.custom, r.schema)
	return h
}

func (r *rawHistogram) float(c *histogramCell) *histogram.FloatHistogram {
	h := &c.f
	h.CounterResetHint, h.Schema, h.ZeroThreshold, h.Sum, h.Count = r.hint, r.schema, r.zeroThreshold, r.sum, r.countFloat
	h.ZeroCount = 0
	if r.zeroIsFloat {
		h.ZeroCount = r.zeroFloat
	}
	h.PositiveSpans = append(h.PositiveSpans[:0], c.i.PositiveSpans...)
	h.NegativeSpans = append(h.NegativeSpans[:0], c.i.NegativeSpans...)
	h.CustomValues = customValues(c.custom, r.schema)
	return h
}

func customValues(v []float64, schema int32) []float64 {
	if len(v) == 0 && !histogram.IsCustomBucketsSchema(schema) {
		return nil // the model takes non-nil for "has bounds"
	}
	return v
}

func zigzag32(v uint64) int32 {
	u := uint32(v)                   //nolint:gosec // sint32 is 32 bits
	return int32(u>>1) ^ -int32(u&1) //nolint:gosec // zig-zag
}

func zigzag64(v uint64) int64 {
	return int64(v>>1) ^ -int64(v&1) //nolint:gosec // zig-zag
}

func readSpan(spans []histogram.Span, b []byte, i int, wire uint8) ([]histogram.Span, int, error) {
	i, end, err := message(b, i, wire)
	if err != nil {
		return spans, i, err
	}
	var s histogram.Span
	for b = b[:end]; i < end; {
		field, wire, j, err := tagAt(b, i)
		if err != nil {
			return spans, i, err
		}
		var v uint64
		switch field {
		case 1:
			v, i, err = uint64At(b, j, wire)
			s.Offset = zigzag32(v)
		case 2:
			v, i, err = uint64At(b, j, wire)
			s.Length = uint32(v) //nolint:gosec // cut as generated decoders do
		default:
			i, err = skip(b, j, wire)
		}
		if err != nil {
			return spans, i, err
		}
	}
	return append(spans, s), end, nil
}

func readDeltas(ds []int64, b []byte, i int, wire uint8) ([]int64, int, error) {
	if wire == wireVarint {
		v, i, err := uvarint(b, i)
		return append(ds, zigzag64(v)), i, err
	}
	i, end, err := message(b, i, wire)
	if err != nil {
		return ds, i, err
	}
	for b = b[:end]; i < end; {
		var v uint64
		if v, i, err = uvarint(b, i); err != nil {
			return ds, i, errPackedTail
		}
		ds = append(ds, zigzag64(v))
	}
	return ds, end, nil
}

func readDoubles(fs []float64, b []byte, i int, wire uint8) ([]float64, int, error) {
	if wire == wireI64 {
		v, i, err := double(b, i, wire)
		return append(fs, v), i, err
	}
	i, end, err := message(b, i, wire)
	if err != nil {
		return fs, i, err
	}
	for ; end-i >= 8; i += 8 {
		fs = append(fs, math.Float64frombits(le64(b[i:])))
	}
	if i != end {
		return fs, i, errPackedTail
	}
	return fs, end, nil
}

var errBoundNotFinite = errors.New("custom bounds must be finite")

// CheckHistogram validates a histogram and reduces schemas 9 to 52, which are
// legal and finer than a store keeps, to 8.
func CheckHistogram(h Histogram) error {
	if h.Float != nil {
		return checkHistogram(h.Float, h.Float.Schema, h.Float.CustomValues)
	}
	return checkHistogram(h.Int, h.Int.Schema, h.Int.CustomValues)
}

func checkHistogram(h interface {
	Validate() error
	ReduceResolution(targetSchema int32) error
}, schema int32, custom []float64,
) error {
	if schema > histogram.ExponentialSchemaMax && histogram.IsExponentialSchemaReserved(schema) {
		if err := h.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
			return fmt.Errorf("cannot reduce schema %d to %d: %w", schema, histogram.ExponentialSchemaMax, err)
		}
	}
	if len(custom) > 0 && math.IsInf(custom[0], -1) {
		return errBoundNotFinite
	}
	return h.Validate()
}
