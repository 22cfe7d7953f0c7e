package remotewrite

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"pgregory.net/rapid"
)

var anyFloat = rapid.OneOf(
	rapid.Float64(),
	rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, math.NaN(), math.Inf(1), math.Inf(-1), math.Float64frombits(0x7ff0000000000002), math.Float64frombits(0x7ff8dead0000beef)}),
)

var anyText = rapid.OneOf(rapid.SampledFrom([]string{"a", "job", "instance", "le", "0.5", "ü", "with space", "x\ny"}), rapid.String())

func anyLabels(t *rapid.T, name string) labels.Labels {
	m := rapid.MapOfN(rapid.StringN(1, 8, 40), rapid.StringN(1, 8, 40), 0, 6).Draw(t, "labels")
	if name != "" {
		m[labels.MetricName] = name
	}
	return labels.FromMap(m)
}

func anySpans(t *rapid.T) ([]histogram.Span, int) {
	var spans []histogram.Span
	n := 0
	for i := range rapid.IntRange(0, 4).Draw(t, "spans") {
		s := histogram.Span{Offset: rapid.Int32Range(0, 5).Draw(t, "offset"), Length: rapid.Uint32Range(0, 4).Draw(t, "length")}
		if i == 0 {
			s.Offset -= 3
		}
		spans, n = append(spans, s), n+int(s.Length)
	}
	return spans, n
}

func anyHistogram(t *rapid.T) Histogram {
	h := Histogram{T: rapid.Int64().Draw(t, "t"), ST: rapid.Int64().Draw(t, "st")}
	pos, np := anySpans(t)
	neg, nn := anySpans(t)
	hint := histogram.CounterResetHint(rapid.IntRange(0, 3).Draw(t, "hint"))
	schema := rapid.Int32Range(-4, 52).Draw(t, "schema")
	var custom []float64
	if rapid.Bool().Draw(t, "custom") {
		schema, neg, nn = histogram.CustomBucketsSchema, nil, 0
		custom = rapid.SliceOfN(anyFloat, 1, 5).Draw(t, "bounds")
	}
	if rapid.Bool().Draw(t, "float") {
		h.Float = &histogram.FloatHistogram{
			CounterResetHint: hint, Schema: schema, ZeroThreshold: anyFloat.Draw(t, "zt"), ZeroCount: anyFloat.Draw(t, "zc"),
			Count: anyFloat.Draw(t, "count"), Sum: anyFloat.Draw(t, "sum"), PositiveSpans: pos, NegativeSpans: neg,
			PositiveBuckets: rapid.SliceOfN(anyFloat, np, np).Draw(t, "pb"), NegativeBuckets: rapid.SliceOfN(anyFloat, nn, nn).Draw(t, "nb"), CustomValues: custom,
		}
		return h
	}
	h.Int = &histogram.Histogram{
		CounterResetHint: hint, Schema: schema, ZeroThreshold: anyFloat.Draw(t, "zt"), ZeroCount: rapid.Uint64().Draw(t, "zc"),
		Count: rapid.Uint64().Draw(t, "count"), Sum: anyFloat.Draw(t, "sum"), PositiveSpans: pos, NegativeSpans: neg,
		PositiveBuckets: rapid.SliceOfN(rapid.Int64(), np, np).Draw(t, "pb"), NegativeBuckets: rapid.SliceOfN(rapid.Int64(), nn, nn).Draw(t, "nb"), CustomValues: custom,
	}
	return h
}

// anyBatch draws a batch of shapes that need not be valid samples.
func anyBatch(t *rapid.T) *Batch {
	var b Batch
	for range rapid.IntRange(0, 6).Draw(t, "series") {
		s := BatchSeries{Labels: anyLabels(t, rapid.StringN(1, 10, 50).Draw(t, "name"))}
		for range rapid.IntRange(0, 3).Draw(t, "samples") {
			s.Samples = append(s.Samples, Sample{T: rapid.Int64().Draw(t, "t"), ST: rapid.Int64().Draw(t, "st"), V: anyFloat.Draw(t, "v")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "histograms") {
			s.Histograms = append(s.Histograms, anyHistogram(t))
		}
		for range rapid.IntRange(0, 2).Draw(t, "exemplars") {
			s.Exemplars = append(s.Exemplars, exemplar.Exemplar{Labels: anyLabels(t, ""), Value: anyFloat.Draw(t, "v"), Ts: rapid.Int64().Draw(t, "t")})
		}
		if rapid.Bool().Draw(t, "described") {
			s.Metadata = metadata.Metadata{Type: rapid.SampledFrom(metricTypes[1:]).Draw(t, "type"), Help: anyText.Draw(t, "help"), Unit: anyText.Draw(t, "unit")}
		}
		b.Series = append(b.Series, s)
	}
	for range rapid.IntRange(0, 2).Draw(t, "metadata") {
		b.Metadata = append(b.Metadata, FamilyMetadata{anyText.Draw(t, "family"), metadata.Metadata{
			Type: rapid.SampledFrom(metricTypes[:]).Draw(t, "type"), Help: anyText.Draw(t, "help"), Unit: anyText.Draw(t, "unit"),
		}})
	}
	return &b
}

// plainBatch is what a decoder must read back from the encoded batch.
func plainBatch(b *Batch, p Protocol) plain {
	var out plain
	numbers := map[string]uint32{}
	number := func(s string) uint32 {
		n, ok := numbers[s]
		if !ok {
			n = uint32(len(numbers))
			numbers[s] = n
			out.Symbols = append(out.Symbols, s)
		}
		return n
	}
	refs := func(ls labels.Labels) (rs []uint32) {
		ls.Range(func(l labels.Label) { rs = append(rs, number(l.Name), number(l.Value)) })
		return rs
	}
	if p == V2 {
		number("")
	}
	for i := range b.Series {
		s := &b.Series[i]
		var ps plainSeries
		if p == V2 {
			ps.Refs = refs(s.Labels)
		} else {
			s.Labels.Range(func(l labels.Label) { ps.Labels = append(ps.Labels, l.Name, l.Value) })
		}
		keep := int64(0) // 1.0 has no start timestamps
		if p == V2 {
			keep = 1
		}
		for _, x := range s.Samples {
			ps.Samples = append(ps.Samples, plainSample{x.T, keep * x.ST, math.Float64bits(x.V)})
		}
		for _, x := range s.Histograms {
			ps.Histograms = append(ps.Histograms, showHistogram(x.T, keep*x.ST, x.Int, x.Float))
		}
		for _, x := range s.Exemplars {
			text := fmt.Sprintf("t=%d v=%x", x.Ts, math.Float64bits(x.Value))
			if p == V2 {
				text += fmt.Sprint(" refs=", refs(x.Labels))
			} else {
				x.Labels.Range(func(l labels.Label) { text += fmt.Sprintf(" %q=%q", l.Name, l.Value) })
			}
			ps.Exemplars = append(ps.Exemplars, text)
		}
		if m := s.Metadata; p == V2 && !m.IsEmpty() {
			ps.Metadata = [3]uint32{uint32(metricTypeNumber(m.Type)), number(m.Help), number(m.Unit)}
		}
		out.Series = append(out.Series, ps)
	}
	if p == V1 {
		for _, m := range b.Metadata {
			typ := m.Type
			if typ == "" {
				typ = model.MetricTypeUnknown
			}
			out.Metadata = append(out.Metadata, fmt.Sprintf("%s %q %q %q", typ, m.Family, m.Help, m.Unit))
		}
	}
	return out
}

// TestRoundTrip: decode(encode(b)) is b, with our scanner and with the
// generated decoders, for both versions.
func TestRoundTrip(t *testing.T) {
	var d Decoder
	var e Encoder
	rapid.Check(t, func(t *rapid.T) {
		b := anyBatch(t)
		for _, p := range []Protocol{V1, V2} {
			body := e.Encode(nil, p, b)
			want := normal(plainBatch(b, p))
			got, err := scan(&d, p, body)
			if err != nil || normal(got) != want {
				t.Fatalf("%s: %v\nwant %s\ngot  %s", p, err, want, normal(got))
			}
			generated := generated1
			if p == V2 {
				generated = generated2
			}
			if got, err = generated(body); err != nil || normal(got) != want {
				t.Fatalf("%s, generated decoder: %v\nwant %s\ngot  %s", p, err, want, normal(got))
			}
		}
	})
}

// seeds are the committed starting points of the fuzz targets: real shapes, as
// the generated encoders write them.
func seeds(p Protocol) [][]byte {
	h := histogram.Histogram{
		Schema: 1, Count: 9, Sum: 3.5, ZeroThreshold: 0.001, ZeroCount: 1, CounterResetHint: histogram.GaugeType,
		PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}, {Offset: 3, Length: 1}}, PositiveBuckets: []int64{1, 1, 0},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 1}}, NegativeBuckets: []int64{3},
	}
	nhcb := histogram.FloatHistogram{
		Schema: histogram.CustomBucketsSchema, Count: 3, Sum: 1, CustomValues: []float64{0.1, 1},
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 3}}, PositiveBuckets: []float64{1, 1, 1},
	}
	marshal := func(m interface{ Marshal() ([]byte, error) }) []byte {
		b, err := m.Marshal()
		if err != nil {
			panic(err)
		}
		return b
	}
	if p == V1 {
		ls := []prompb.Label{{Name: "__name__", Value: "up"}, {Name: "job", Value: "a"}}
		return [][]byte{
			nil,
			marshal(&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{Labels: ls, Samples: []prompb.Sample{{Value: 1, Timestamp: 1700000000000}, {Value: math.NaN(), Timestamp: -1}}}}}),
			marshal(&prompb.WriteRequest{
				Timeseries: []prompb.TimeSeries{
					{Labels: ls, Histograms: []prompb.Histogram{prompb.FromIntHistogram(5, &h), prompb.FromFloatHistogram(6, &nhcb)}},
					{Labels: ls, Exemplars: []prompb.Exemplar{{Labels: ls[1:], Value: 2, Timestamp: 7}}},
				},
				Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "up", Help: "h\n", Unit: "s"}},
			}),
			{0x0a, 0x0d, 0x12, 0x02, 0x10, 0x01, 0x0a, 0x03, 0x0a, 0x01, 'a', 0x38, 0x05, 0x3b, 0x3c}, // labels last, unknown fields, a group
		}
	}
	return [][]byte{
		nil,
		marshal(&writev2.Request{Symbols: []string{"", "__name__", "up"}, Timeseries: []writev2.TimeSeries{{
			LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Value: 1, Timestamp: 1700000000000, StartTimestamp: 3}},
			Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: 2, UnitRef: 300},
		}}}),
		marshal(&writev2.Request{Symbols: []string{"x"}, Timeseries: []writev2.TimeSeries{{
			LabelsRefs: []uint32{1, 200000, 4}, Histograms: []writev2.Histogram{writev2.FromIntHistogram(1, 5, &h), writev2.FromFloatHistogram(2, 6, &nhcb)},
			Exemplars: []writev2.Exemplar{{LabelsRefs: []uint32{0, 9}, Value: 1, Timestamp: 8}},
		}}}),
		{0x2a, 0x06, 0x08, 0x01, 0x08, 0x80, 0x01, 0x30, 0x05, 0x22, 0x01, 'a'}, // unpacked references, field 6, symbols last
	}
}

// TestMemoryIsBoundedByTheInput: what a message claims to hold allocates nothing.
func TestMemoryIsBoundedByTheInput(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    Protocol
		b    []byte
	}{
		{"packed run claims 4 GiB", V2, []byte{0x2a, 0x06, 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}},
		{"symbol claims 4 GiB", V2, []byte{0x22, 0xff, 0xff, 0xff, 0xff, 0x0f}},
		{"series claims 2^63", V1, []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
		{"bounds claim 1 GiB", V1, []byte{0x0a, 0x08, 0x22, 0x06, 0x82, 0x01, 0x80, 0x80, 0x80, 0x04}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var d Decoder
			const rounds = 100
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range rounds {
				if _, err := scan(&d, tc.p, tc.b); err == nil {
					t.Fatal("accepted")
				}
			}
			runtime.ReadMemStats(&after)
			bytes := (after.TotalAlloc - before.TotalAlloc) / rounds
			if bytes > 4096 {
				t.Errorf("%d bytes allocated for %d bytes of input", bytes, len(tc.b))
			}
		})
	}
}
