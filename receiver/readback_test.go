package receiver

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/promql"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

const stale = 0x7ff0000000000002

// TestFloatsReadBack: clauses 4.3, 7.1. Every value kind comes back with its
// bits, late samples included, and start timestamps by 2.0.
func TestFloatsReadBack(t *testing.T) {
	values := []float64{
		1, 0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, math.MaxFloat64, math.Pi, math.Inf(1), math.Inf(-1),
		math.Float64frombits(0x7ff8000000000001), math.Float64frombits(0x7ff8000000000000), math.Float64frombits(0xfff8dead0000beef), math.Float64frombits(stale), 1,
	}
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		s := remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "odd name.with ünïcode", "text", "a\n\"b\"\\")}
		var want []string
		for i, v := range values {
			s.Samples = append(s.Samples, remotewrite.Sample{T: base + int64(i)*1000, V: v})
			want = append(want, fmt.Sprintf(`%s %d %s`, s.Labels, i*1000, showFloat(v)))
		}
		e.want(e.post(p, s), p, 204, len(values), 0, 0)
		if diff := cmp.Diff(want, e.dump()); diff != "" {
			t.Errorf("%s (-sent +stored):\n%s", p, diff)
		}
	}
}

// TestStartTimestamps: clause 4.3. Kept by 2.0, ignored when not before the
// sample.
func TestStartTimestamps(t *testing.T) {
	e := newEnv(t, tsdbcache.Options{}, Limits{})
	e.want(e.post(remotewrite.V2,
		remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "a_total"), Samples: []remotewrite.Sample{
			{T: base, ST: base - 60_000, V: 1}, {T: base + 1000, ST: base - 60_000, V: 2}, {T: base + 2000, ST: base + 2500, V: 3}, {T: base + 3000, V: 4},
		}},
		remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "h"), Histograms: []remotewrite.Histogram{
			{T: base, ST: base - 5000, Int: &histogram.Histogram{Count: 1, ZeroCount: 1, Sum: 1}},
		}}), remotewrite.V2, 204, 4, 1, 0)
	want := []string{
		`{__name__="a_total"} 0 since -60000 1`,
		`{__name__="a_total"} 1000 since -60000 2`,
		`{__name__="a_total"} 2000 3`,
		`{__name__="a_total"} 3000 4`,
	}
	got := e.dump()
	if diff := cmp.Diff(want, got[:min(4, len(got))]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(got) != 5 || !strings.HasPrefix(got[4], `{__name__="h"} 0 since -5000 int`) {
		t.Errorf("histogram: %q", got[4:])
	}
}

// histograms are series of every shape: integer, float, custom buckets, stale,
// gauge, fine schema, a series that switches between kinds.
func histograms() []remotewrite.BatchSeries {
	integer := func(n int64) *histogram.Histogram {
		return &histogram.Histogram{
			Schema: 2, ZeroThreshold: 1e-3, ZeroCount: 1, Count: uint64(4*n + 1), Sum: float64(n) + 0.5,
			PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}, {Offset: 3, Length: 1}}, PositiveBuckets: []int64{n, 0, 0},
			NegativeSpans: []histogram.Span{{Offset: 7, Length: 1}}, NegativeBuckets: []int64{n},
		}
	}
	custom := &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: 6, Sum: 3, CustomValues: []float64{0.1, 1, 10},
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}}, PositiveBuckets: []int64{1, 1, 1},
	}
	gauge := integer(2).ToFloat(nil)
	gauge.CounterResetHint = histogram.GaugeType
	fine := integer(3)
	fine.Schema, fine.NegativeSpans, fine.NegativeBuckets, fine.Count = 11, nil, nil, 10
	one := func(name string, hs ...remotewrite.Histogram) remotewrite.BatchSeries {
		for i := range hs {
			hs[i].T = base + int64(i)*1000
		}
		return remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", name), Histograms: hs}
	}
	i, f := func(h *histogram.Histogram) remotewrite.Histogram { return remotewrite.Histogram{Int: h} }, func(h *histogram.FloatHistogram) remotewrite.Histogram {
		return remotewrite.Histogram{Float: h}
	}
	return []remotewrite.BatchSeries{
		one("h_int", i(integer(1)), i(integer(5)), i(integer(2)), i(&histogram.Histogram{Sum: math.Float64frombits(stale)})),
		one("h_float", f(integer(1).ToFloat(nil)), f(integer(2).ToFloat(nil)), f(&histogram.FloatHistogram{Sum: math.Float64frombits(stale)})),
		one("h_custom", i(custom), i(custom)),
		one("h_custom_float", f(custom.ToFloat(nil))),
		one("h_gauge", f(gauge), f(gauge)),
		one("h_fine", i(fine)),
		one("h_switch", i(integer(1)), f(integer(3).ToFloat(nil))),
	}
}

// TestHistogramsReadBack: clauses 4.4, 7.1, 7.6. Shapes come back as sent, a
// schema above 8 as 8, and the reset hints as PromQL needs them.
func TestHistogramsReadBack(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		sent := histograms()
		n := 0
		for _, s := range sent {
			n += len(s.Histograms)
		}
		e.want(e.post(p, sent...), p, 204, 0, n, 0)
		const (
			unknown  = int(histogram.UnknownCounterReset)
			reset    = int(histogram.CounterReset)
			notReset = int(histogram.NotCounterReset)
			gauge    = int(histogram.GaugeType)
		)
		intText := func(n, hint int) string {
			return fmt.Sprintf("int schema=2 hint=%d zt=0.001 zc=1 count=%d sum=%v pos=[{-1 2} {3 1}] [%d 0 0] neg=[{7 1}] [%d] custom=[]", hint, 4*n+1, float64(n)+0.5, n, n)
		}
		floatText := func(n, hint int) string {
			return fmt.Sprintf("float schema=2 hint=%d zt=0.001 zc=1 count=%d sum=%v pos=[{-1 2} {3 1}] [%d %d %d] neg=[{7 1}] [%d] custom=[]", hint, 4*n+1, float64(n)+0.5, n, n, n, n)
		}
		customText := func(kind, buckets string, hint int) string {
			return fmt.Sprintf("%s schema=-53 hint=%d zt=0 zc=0 count=6 sum=3 pos=[{0 2} {1 1}] [%s] neg=[] [] custom=[0.1 1 10]", kind, hint, buckets)
		}
		want := []string{
			`{__name__="h_custom"} 0 ` + customText("int", "1 1 1", unknown),
			`{__name__="h_custom"} 1000 ` + customText("int", "1 1 1", notReset),
			`{__name__="h_custom_float"} 0 ` + customText("float", "1 2 3", unknown),
			`{__name__="h_fine"} 0 int schema=8 hint=0 zt=0.001 zc=1 count=10 sum=3.5 pos=[{0 2}] [6 -3] neg=[] [] custom=[]`,
			`{__name__="h_float"} 0 ` + floatText(1, unknown),
			`{__name__="h_float"} 1000 ` + floatText(2, notReset),
			`{__name__="h_float"} 2000 float count=0 sum=NaN(7ff0000000000002)`,
			`{__name__="h_gauge"} 0 ` + floatText(2, gauge),
			`{__name__="h_gauge"} 1000 ` + floatText(2, gauge),
			`{__name__="h_int"} 0 ` + intText(1, unknown),
			`{__name__="h_int"} 1000 ` + intText(5, notReset),
			`{__name__="h_int"} 2000 ` + intText(2, reset),
			`{__name__="h_int"} 3000 int count=0 sum=NaN(7ff0000000000002)`,
			`{__name__="h_switch"} 0 ` + intText(1, unknown),
			`{__name__="h_switch"} 1000 ` + floatText(3, unknown),
		}
		got := e.dump()
		for i, line := range got { // what a store may also say: unknown instead of reset, and not reset across a change of kind
			if strings.HasPrefix(line, `{__name__="h_int"} 2000`) {
				got[i] = strings.Replace(line, fmt.Sprintf("hint=%d", unknown), fmt.Sprintf("hint=%d", reset), 1)
			}
			if strings.HasPrefix(line, `{__name__="h_switch"} 1000`) {
				got[i] = strings.Replace(line, fmt.Sprintf("hint=%d", notReset), fmt.Sprintf("hint=%d", unknown), 1)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p, diff)
		}
	}
}

// TestExemplars: clause 4.5. Sorted by time, exact duplicates are silent, an
// older one is refused and the samples stay, disabled storage is no failure.
func TestExemplars(t *testing.T) {
	ex := func(t int64, id string) exemplar.Exemplar {
		return exemplar.Exemplar{Labels: labels.FromStrings("trace_id", id), Value: float64(t), Ts: base + t, HasTs: true}
	}
	traced := func(at int64, es ...exemplar.Exemplar) remotewrite.BatchSeries {
		s := float(base+at, 1, "__name__", "traced")
		s.Exemplars = es
		return s
	}
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		e.want(e.post(p, traced(0, ex(2, "b"), ex(1, "a"))), p, 204, 1, 0, 2)
		e.want(e.post(p, traced(1, ex(2, "b"))), p, 204, 1, 0, 1)
		a := e.post(p, traced(2, ex(0, "old"), ex(3, "c")))
		e.want(a, p, 400, 1, 0, 1)
		if !strings.Contains(a.text, "exemplar_out_of_order 1") {
			t.Errorf("%s: %q", p, a.text)
		}
		a = e.post(p, traced(3, ex(4, strings.Repeat("x", 200))))
		e.want(a, p, 400, 1, 0, 0)
		if !strings.Contains(a.text, "exemplar_invalid 1") {
			t.Errorf("%s: %q", p, a.text)
		}
		a = e.post(p, traced(4, exemplar.Exemplar{Value: 1}))
		e.want(a, p, 400, 1, 0, 0)
		alone := remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "traced"), Exemplars: []exemplar.Exemplar{ex(9, "z")}}
		e.want(e.post(p, alone), p, 204, 0, 0, 1)

		q, err := e.db.ExemplarQuerier(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got, err := q.Select(0, math.MaxInt64, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "traced")})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range got {
			for _, x := range r.Exemplars {
				ids = append(ids, fmt.Sprint(x.Labels.Get("trace_id"), x.Ts-base, x.Value))
			}
		}
		if want := "[a1 1 b2 2 c3 3 z9 9]"; fmt.Sprint(ids) != want {
			t.Errorf("%s: exemplars %v, want %s", p, ids, want)
		}

		off := newEnv(t, tsdbcache.Options{MaxExemplars: -1}, Limits{})
		off.want(off.post(p, traced(0, ex(1, "a"))), p, 204, 1, 0, 1)
	}
}

// TestMetadata: clauses 3 and 4.6. 1.0 may send metadata alone; 2.0 says it
// with series, and the family's name is found by the type.
func TestMetadata(t *testing.T) {
	help := "Lines\nand \"quotes\" in ünïcode."
	e := newEnv(t, tsdbcache.Options{}, Limits{})
	b := remotewrite.Batch{Metadata: []remotewrite.FamilyMetadata{
		{Family: "a_total", Metadata: metadata.Metadata{Type: model.MetricTypeCounter, Help: help, Unit: "s"}},
		{Family: "", Metadata: metadata.Metadata{Help: "of nothing"}},
	}}
	e.want(e.do(post(t, remotewrite.V1, encode(remotewrite.V1, &b))), remotewrite.V1, 204)
	if got, _ := e.db.Metadata("a_total"); got != b.Metadata[0].Metadata {
		t.Errorf("1.0: %+v", got)
	}

	e = newEnv(t, tsdbcache.Options{}, Limits{})
	f := func(metric, family string, typ model.MetricType) {
		t.Helper()
		s := float(base, 1, "__name__", metric)
		s.Metadata = metadata.Metadata{Type: typ, Help: help, Unit: metric}
		e.want(e.post(remotewrite.V2, s), remotewrite.V2, 204, 1, 0, 0)
		if got, _ := e.db.Metadata(family); got != s.Metadata {
			t.Errorf("2.0: %s: metadata of %s is %+v", metric, family, got)
		}
	}
	f("c_total", "c", model.MetricTypeCounter)
	f("c_created", "c", model.MetricTypeCounter)
	f("c_bucket", "c_bucket", model.MetricTypeCounter)
	f("g_total", "g_total", model.MetricTypeGauge)
	f("h_bucket", "h", model.MetricTypeHistogram)
	f("h_sum", "h", model.MetricTypeHistogram)
	f("h_count", "h", model.MetricTypeHistogram)
	f("s_count", "s", model.MetricTypeSummary)
	f("s_bucket", "s_bucket", model.MetricTypeSummary)
	f("build_info", "build", model.MetricTypeInfo)
	f("u_total", "u_total", model.MetricTypeUnknown)
	f("_total", "_total", model.MetricTypeCounter)

	// The last word counts, also when it is an earlier one.
	say := func(p remotewrite.Protocol, help string) {
		t.Helper()
		s := float(base, 1, "__name__", "x")
		s.Metadata = metadata.Metadata{Type: model.MetricTypeGauge, Help: help}
		b := remotewrite.Batch{Series: []remotewrite.BatchSeries{s}, Metadata: []remotewrite.FamilyMetadata{{Family: "x", Metadata: s.Metadata}}}
		e.do(post(t, p, encode(p, &b)))
		if got, _ := e.db.Metadata("x"); got.Help != help {
			t.Errorf("%s: help is %q, last said %q", p, got.Help, help)
		}
	}
	say(remotewrite.V1, "one")
	say(remotewrite.V2, "two")
	say(remotewrite.V1, "one")

	s := float(base, 1, "__name__", "long")
	s.Metadata = metadata.Metadata{Type: model.MetricTypeGauge, Help: strings.Repeat("ü", 5000)}
	e.want(e.post(remotewrite.V2, s), remotewrite.V2, 204, 1, 0, 0)
	if got, _ := e.db.Metadata("long"); got.Help != strings.Repeat("ü", maxMetadataText/2) {
		t.Errorf("long help kept as %d bytes", len(got.Help))
	}
}

// TestOneSeriesByBothVersions: the same labels are one series, whatever the
// version and the order of the labels.
func TestOneSeriesByBothVersions(t *testing.T) {
	e := newEnv(t, tsdbcache.Options{}, Limits{})
	shuffled := remotewrite.BatchSeries{
		Labels:  labels.New(labels.Label{Name: "job", Value: "a"}, labels.Label{Name: "__name__", Value: "up"}),
		Samples: []remotewrite.Sample{{T: base + 2000, V: 3}},
	}
	e.want(e.post(remotewrite.V1, float(base, 1, "__name__", "up", "job", "a")), remotewrite.V1, 204)
	e.want(e.post(remotewrite.V2, float(base+1000, 2, "__name__", "up", "job", "a", "empty", "")), remotewrite.V2, 204, 1, 0, 0)
	e.want(e.post(remotewrite.V2, shuffled), remotewrite.V2, 204, 1, 0, 0)
	e.want(e.post(remotewrite.V2, float(base-60_000, 0, "__name__", "up", "job", "a")), remotewrite.V2, 204, 1, 0, 0)
	want := []string{`{__name__="up", job="a"} -60000 0`, `{__name__="up", job="a"} 0 1`, `{__name__="up", job="a"} 1000 2`, `{__name__="up", job="a"} 2000 3`}
	if diff := cmp.Diff(want, e.dump()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPromQL: what was received answers queries: a rate over floats and a
// quantile over a native histogram, a stale series is gone.
func TestPromQL(t *testing.T) {
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Logger: quiet})
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		for i := range int64(5) {
			at := base - (4-i)*15_000
			e.want(e.post(p,
				float(at, float64(30*i), "__name__", "requests_total", "job", "a"),
				float(at, math.Float64frombits(stale), "__name__", "gone"),
			), p, 204, 2, 0, 0)
		}
		f := func(expr, want string) {
			t.Helper()
			q, err := engine.NewInstantQuery(context.Background(), e.db, nil, expr, time.UnixMilli(base))
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			if got := q.Exec(context.Background()).String(); got != want {
				t.Errorf("%s: %s = %s, want %s", p, expr, got, want)
			}
		}
		f(`requests_total`, fmt.Sprintf(`{__name__="requests_total", job="a"} => 120 @[%d]`, base))
		f(`increase(requests_total[1m])`, fmt.Sprintf(`{job="a"} => 120 @[%d]`, base))
		f(`gone`, ``)
	}
}
