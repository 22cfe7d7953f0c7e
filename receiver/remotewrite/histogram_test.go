package remotewrite

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// reread sends a histogram through the wire: what is checked is what came in.
func reread(t *testing.T, h Histogram) Histogram {
	t.Helper()
	var e Encoder
	d := new(Decoder)
	body := e.Encode(nil, V2, &Batch{Series: []BatchSeries{{Labels: labels.FromStrings("__name__", "h"), Histograms: []Histogram{h}}}})
	if err := d.Reset(V2, body); err != nil || !d.Next() {
		t.Fatal(err, d.Err())
	}
	got, err := d.NextHistogram()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Clauses 4.4, one line a rule.
func TestCheckHistogram(t *testing.T) {
	good := func() *histogram.Histogram {
		return &histogram.Histogram{
			Schema: 2, Count: 6, Sum: 1, ZeroCount: 1, ZeroThreshold: 0.1,
			PositiveSpans: []histogram.Span{{Offset: -2, Length: 2}}, PositiveBuckets: []int64{1, 1},
			NegativeSpans: []histogram.Span{{Offset: 0, Length: 1}, {Offset: 1, Length: 1}}, NegativeBuckets: []int64{1, 0},
		}
	}
	nhcb := func() *histogram.FloatHistogram {
		return &histogram.FloatHistogram{
			Schema: histogram.CustomBucketsSchema, Count: 2, Sum: 1, CustomValues: []float64{-1, 0, 2.5},
			PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}, {Offset: 1, Length: 1}}, PositiveBuckets: []float64{1, 1},
		}
	}
	i := func(ok bool, name string, change func(*histogram.Histogram)) {
		t.Helper()
		h := good()
		change(h)
		if err := CheckHistogram(reread(t, Histogram{T: 1, Int: h})); (err == nil) != ok {
			t.Errorf("integer, %s: %v", name, err)
		}
		switch name {
		case "count mismatch", "sum NaN, count too small": // float counts are rounded, so no store compares them
			return
		case "custom values with an exponential schema": // ToFloat drops them
			return
		}
		if err := CheckHistogram(reread(t, Histogram{T: 1, Float: h.ToFloat(nil)})); (err == nil) != ok {
			t.Errorf("float, %s: %v", name, err)
		}
	}
	f := func(ok bool, name string, change func(*histogram.FloatHistogram)) {
		t.Helper()
		h := nhcb()
		change(h)
		if err := CheckHistogram(reread(t, Histogram{T: 1, Float: h})); (err == nil) != ok {
			t.Errorf("custom, %s: %v", name, err)
		}
	}
	i(true, "as it is", func(*histogram.Histogram) {})
	i(true, "empty", func(h *histogram.Histogram) { *h = histogram.Histogram{} })
	i(true, "stale", func(h *histogram.Histogram) { *h = histogram.Histogram{Sum: math.Float64frombits(0x7ff0000000000002)} })
	i(true, "schema -4", func(h *histogram.Histogram) { h.Schema = -4 })
	i(true, "schema 8", func(h *histogram.Histogram) { h.Schema = 8 })
	i(true, "schema 9, reduced", func(h *histogram.Histogram) { h.Schema = 9 })
	i(true, "schema 52, reduced", func(h *histogram.Histogram) { h.Schema = 52 })
	i(true, "sum NaN, count larger", func(h *histogram.Histogram) { h.Sum, h.Count = math.NaN(), 9 })
	i(false, "sum NaN, count too small", func(h *histogram.Histogram) { h.Sum, h.Count = math.NaN(), 1 })
	i(false, "schema -5", func(h *histogram.Histogram) { h.Schema = -5 })
	i(false, "schema 53", func(h *histogram.Histogram) { h.Schema = 53 })
	i(false, "count mismatch", func(h *histogram.Histogram) { h.Count = 7 })
	i(false, "too few buckets", func(h *histogram.Histogram) { h.PositiveBuckets = h.PositiveBuckets[:1] })
	i(false, "too many buckets", func(h *histogram.Histogram) { h.NegativeBuckets = append(h.NegativeBuckets, 0) })
	i(false, "second span goes back", func(h *histogram.Histogram) { h.NegativeSpans[1].Offset = -1 })
	i(false, "negative bucket count", func(h *histogram.Histogram) { h.PositiveBuckets[1] = -5 })
	i(false, "custom values with an exponential schema", func(h *histogram.Histogram) { h.CustomValues = []float64{1} })
	f(true, "as it is", func(*histogram.FloatHistogram) {})
	f(true, "no bounds", func(h *histogram.FloatHistogram) {
		h.CustomValues, h.PositiveSpans, h.PositiveBuckets = nil, []histogram.Span{{Length: 1}}, []float64{2}
	})
	f(false, "bound -Inf", func(h *histogram.FloatHistogram) { h.CustomValues[0] = math.Inf(-1) })
	f(false, "bound +Inf", func(h *histogram.FloatHistogram) { h.CustomValues[2] = math.Inf(1) })
	f(false, "bound NaN", func(h *histogram.FloatHistogram) { h.CustomValues[1] = math.NaN() })
	f(false, "bounds equal", func(h *histogram.FloatHistogram) { h.CustomValues[1] = -1 })
	f(false, "zero bucket", func(h *histogram.FloatHistogram) { h.ZeroCount = 1 })
	f(false, "zero threshold", func(h *histogram.FloatHistogram) { h.ZeroThreshold = 1 })
	f(false, "negative side", func(h *histogram.FloatHistogram) {
		h.NegativeSpans, h.NegativeBuckets = []histogram.Span{{Length: 1}}, []float64{1}
	})
	f(false, "spans beyond the bounds", func(h *histogram.FloatHistogram) { h.PositiveSpans[1].Offset = 2 })
	f(false, "negative offset", func(h *histogram.FloatHistogram) { h.PositiveSpans[0].Offset = -1 })
}

func TestSchemaIsReducedTo8(t *testing.T) {
	h := reread(t, Histogram{T: 1, Int: &histogram.Histogram{
		Schema: 10, Count: 4, PositiveSpans: []histogram.Span{{Offset: 1, Length: 4}}, PositiveBuckets: []int64{1, 0, 0, 0},
	}})
	if err := CheckHistogram(h); err != nil {
		t.Fatal(err)
	}
	if h.Int.Schema != 8 || len(h.Int.PositiveBuckets) != 1 || h.Int.PositiveBuckets[0] != 4 {
		t.Errorf("reduced to %+v", h.Int)
	}
}
