package remotewrite

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// plain is a request without any sharing: what the scanner and the generated
// decoders are compared by. Floats are bits, since NaN differs from itself.
type plain struct {
	Symbols  []string
	Series   []plainSeries
	Metadata []string
}

type plainSeries struct {
	Labels     []string // 1.0: name, value, ...
	Refs       []uint32 // 2.0
	Samples    []plainSample
	Histograms []string
	Exemplars  []string
	Metadata   [3]uint32
}

type plainSample struct {
	T, ST int64
	V     uint64
}

func showHistogram(t, st int64, i *histogram.Histogram, f *histogram.FloatHistogram) string {
	if f != nil {
		return fmt.Sprintf("float t=%d st=%d count=%x zero=%x %s neg=%v %v pos=%v %v custom=%v", t, st, math.Float64bits(f.Count), math.Float64bits(f.ZeroCount),
			showShape(f.Sum, f.Schema, f.ZeroThreshold, f.CounterResetHint), f.NegativeSpans, bits(f.NegativeBuckets), f.PositiveSpans, bits(f.PositiveBuckets), bits(f.CustomValues))
	}
	return fmt.Sprintf("int t=%d st=%d count=%d zero=%d %s neg=%v %v pos=%v %v custom=%v", t, st, i.Count, i.ZeroCount,
		showShape(i.Sum, i.Schema, i.ZeroThreshold, i.CounterResetHint), i.NegativeSpans, i.NegativeBuckets, i.PositiveSpans, i.PositiveBuckets, bits(i.CustomValues))
}

func showShape(sum float64, schema int32, zt float64, hint histogram.CounterResetHint) string {
	return fmt.Sprintf("sum=%x schema=%d zt=%x hint=%d", math.Float64bits(sum), schema, math.Float64bits(zt), hint)
}

func bits(fs []float64) []uint64 {
	var u []uint64
	for _, f := range fs {
		u = append(u, math.Float64bits(f))
	}
	return u
}

// scan reads a request with the scanner under test.
func scan(d *Decoder, p Protocol, b []byte) (plain, error) {
	var out plain
	if err := d.Reset(p, b); err != nil {
		return out, err
	}
	for i := range d.Symbols() {
		s, _ := d.Symbol(uint32(i))
		out.Symbols = append(out.Symbols, string(s))
	}
	var set LabelSet
	var ex Exemplar
	for d.Next() {
		s := d.Series()
		ps := plainSeries{Metadata: [3]uint32{s.Metadata.Type, s.Metadata.HelpRef, s.Metadata.UnitRef}}
		ps.Refs = append(ps.Refs, s.Refs...)
		if p == V1 {
			if err := d.ReadLabels(&set); err != nil {
				return out, err
			}
			for _, l := range set.Labels {
				ps.Labels = append(ps.Labels, string(l.Name), string(l.Value))
			}
		}
		for range s.Samples {
			x, err := d.NextSample()
			if err != nil {
				return out, err
			}
			ps.Samples = append(ps.Samples, plainSample{x.T, x.ST, math.Float64bits(x.V)})
		}
		for range s.Histograms {
			x, err := d.NextHistogram()
			if err != nil {
				return out, err
			}
			ps.Histograms = append(ps.Histograms, showHistogram(x.T, x.ST, x.Int, x.Float))
		}
		for range s.Exemplars {
			err := d.NextExemplar(&ex)
			if d.Err() != nil {
				return out, err
			}
			text := fmt.Sprintf("t=%d v=%x", ex.T, math.Float64bits(ex.V))
			if p == V2 {
				text += fmt.Sprint(" refs=", ex.refs)
			} else {
				for _, l := range ex.Labels {
					text += fmt.Sprintf(" %q=%q", l.Name, l.Value)
				}
			}
			ps.Exemplars = append(ps.Exemplars, text)
		}
		out.Series = append(out.Series, ps)
	}
	for {
		m, ok := d.NextMetadata()
		if !ok {
			break
		}
		out.Metadata = append(out.Metadata, fmt.Sprintf("%s %q %q %q", m.Type, m.Family, m.Help, m.Unit))
	}
	return out, d.Err()
}

// generated1 reads a 1.0 request with the generated decoder.
func generated1(b []byte) (plain, error) {
	var req prompb.WriteRequest
	if err := proto.Unmarshal(b, &req); err != nil {
		return plain{}, err
	}
	var out plain
	for _, ts := range req.Timeseries {
		var ps plainSeries
		for _, l := range ts.Labels {
			ps.Labels = append(ps.Labels, l.Name, l.Value)
		}
		for _, s := range ts.Samples {
			ps.Samples = append(ps.Samples, plainSample{s.Timestamp, 0, math.Float64bits(s.Value)})
		}
		for _, h := range ts.Histograms {
			if h.IsFloatHistogram() {
				ps.Histograms = append(ps.Histograms, showHistogram(h.Timestamp, 0, nil, h.ToFloatHistogram()))
			} else {
				ps.Histograms = append(ps.Histograms, showHistogram(h.Timestamp, 0, h.ToIntHistogram(), nil))
			}
		}
		for _, e := range ts.Exemplars {
			text := fmt.Sprintf("t=%d v=%x", e.Timestamp, math.Float64bits(e.Value))
			for _, l := range e.Labels {
				text += fmt.Sprintf(" %q=%q", l.Name, l.Value)
			}
			ps.Exemplars = append(ps.Exemplars, text)
		}
		out.Series = append(out.Series, ps)
	}
	for _, m := range req.Metadata {
		out.Metadata = append(out.Metadata, fmt.Sprintf("%s %q %q %q", metricType(uint64(m.Type)), m.MetricFamilyName, m.Help, m.Unit))
	}
	return out, nil
}

// generated2 reads a 2.0 request with the generated decoder.
func generated2(b []byte) (plain, error) {
	var req writev2.Request
	if err := proto.Unmarshal(b, &req); err != nil {
		return plain{}, err
	}
	out := plain{Symbols: req.Symbols}
	for _, ts := range req.Timeseries {
		ps := plainSeries{Refs: ts.LabelsRefs, Metadata: [3]uint32{uint32(ts.Metadata.Type), ts.Metadata.HelpRef, ts.Metadata.UnitRef}}
		for _, s := range ts.Samples {
			ps.Samples = append(ps.Samples, plainSample{s.Timestamp, s.StartTimestamp, math.Float64bits(s.Value)})
		}
		for _, h := range ts.Histograms {
			if h.IsFloatHistogram() {
				ps.Histograms = append(ps.Histograms, showHistogram(h.Timestamp, h.StartTimestamp, nil, h.ToFloatHistogram()))
			} else {
				ps.Histograms = append(ps.Histograms, showHistogram(h.Timestamp, h.StartTimestamp, h.ToIntHistogram(), nil))
			}
		}
		for _, e := range ts.Exemplars {
			ps.Exemplars = append(ps.Exemplars, fmt.Sprintf("t=%d v=%x refs=%v", e.Timestamp, math.Float64bits(e.Value), e.LabelsRefs))
		}
		out.Series = append(out.Series, ps)
	}
	return out, nil
}

// compareDecoders is the property of both fuzz targets: the scanner accepts
// what the generated decoder accepts, and reads the same.
func compareDecoders(t *testing.T, p Protocol, b []byte) {
	t.Helper()
	generated := generated1
	if p == V2 {
		generated = generated2
	}
	var d Decoder
	got, err := scan(&d, p, b)
	want, wantErr := generated(b)
	switch {
	case err != nil && wantErr == nil:
		if known := knownStricter(err); known == "" {
			t.Fatalf("scanner: %v; generated decoder accepts %x", err, b)
		}
	case err == nil && wantErr != nil:
		t.Fatalf("scanner accepts; generated decoder: %v: %x", wantErr, b)
	case err == nil:
		if diff := cmp.Diff(normal(want), normal(got)); diff != "" {
			t.Fatalf("scanner differs from the generated decoder (-want +got):\n%s\n%x", diff, b)
		}
	}
	if err != nil {
		var m *MalformedError
		if !errors.As(err, &m) || m.Offset < 0 || m.Offset > len(b) {
			t.Fatalf("error without a place in the input: %v", err)
		}
	}
	again, err2 := scan(&d, p, b) // the same Decoder, its buffers used
	if (err == nil) != (err2 == nil) || (err == nil && !cmp.Equal(normal(got), normal(again))) {
		t.Fatalf("second pass differs: %v %v", err, err2)
	}
}

// knownStricter names the inputs that the scanner refuses on purpose although
// generated decoders take them.
func knownStricter(err error) string {
	if errors.Is(err, errPackedTail) {
		return "a packed run whose last number reaches beyond the run"
	}
	return ""
}

func normal(p plain) string { return fmt.Sprintf("%+v", p) }

func FuzzRW1(f *testing.F) {
	for _, b := range seeds(V1) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { compareDecoders(t, V1, b) })
}

func FuzzRW2(f *testing.F) {
	for _, b := range seeds(V2) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { compareDecoders(t, V2, b) })
}
