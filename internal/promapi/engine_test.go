package promapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/chironhq/chiron/internal/upstream"
)

// TestAnswersEqualEngine asks every expression of Prometheus's own PromQL
// scripts through HTTP and of the engine directly, over one data set that has
// series for their selectors: what arrives is what the engine said.
func TestAnswersEqualEngine(t *testing.T) {
	exprs, err := promqltest.GetBuiltInExprs()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(exprs)
	exprs = slices.Compact(exprs)
	p := parser.NewParser(promqltest.TestParserOpts)
	short, err := upstream.NewQueryEngine(upstream.EngineOptions{Parser: p})
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	engine := short.Engine // without the short way
	b := newBed(t, func(o *Options) { o.Parser, o.Engine = p, short })
	loadFor(t, p, b.store, exprs)

	if testing.Short() { // every tenth, over the same data
		for i := range len(exprs) / 10 {
			exprs[i] = exprs[10*i]
		}
		exprs = exprs[:len(exprs)/10]
	}

	nonEmpty, refused := 0, 0
	for _, expr := range exprs {
		at := time.Unix(50*60, 0)
		q, err := engine.NewInstantQuery(t.Context(), b.store, nil, expr, at)
		got := answered(t, b.get(t, "/query", "query", expr, "time", "3000"))
		want := direct(t, q, err)
		compare(t, "at 50m: "+expr, want, got)

		q, err = engine.NewRangeQuery(t.Context(), b.store, nil, expr, at.Add(-10*time.Minute), at, 150*time.Second)
		got = answered(t, b.get(t, "/query_range", "query", expr, "start", "2400", "end", "3000", "step", "2m30s"))
		want = direct(t, q, err)
		compare(t, "40m to 50m: "+expr, want, got)

		switch {
		case want.err != "":
			refused++
		case len(want.lines) > 0:
			nonEmpty++
		}
	}
	t.Logf("%d expressions, %d with results, %d refused", len(exprs), nonEmpty, refused)
	if nonEmpty < len(exprs)/2 {
		t.Errorf("only %d of %d expressions have results: the data set does not fit them", nonEmpty, len(exprs))
	}
}

// outcome is a result in a form that knows neither JSON nor the engine: a line
// a sample in hexadecimal, sorted, or an error.
type outcome struct {
	lines []string
	err   string
}

func compare(t *testing.T, what string, want, got outcome) {
	t.Helper()
	if want.err != "" || got.err != "" {
		// JSON has no bytes beyond UTF-8.
		if want.err == "" || got.err == "" || !strings.Contains(got.err, strings.ToValidUTF8(want.err, "\uFFFD")) {
			t.Errorf("%s: engine says %q, HTTP %q", what, want.err, got.err)
		}
		return
	}
	if diff := gocmp.Diff(want.lines, got.lines); diff != "" {
		t.Errorf("%s (-engine +http):\n%s", what, diff)
	}
}

func direct(t *testing.T, q promql.Query, err error) outcome {
	t.Helper()
	if err != nil {
		return outcome{err: err.Error()}
	}
	defer q.Close()
	res := q.Exec(context.Background())
	if res.Err != nil {
		return outcome{err: res.Err.Error()}
	}
	var lines []string
	add := func(ls labels.Labels, ts int64, f float64, h *histogram.FloatHistogram) {
		pairs := []string{}
		ls.Range(func(l labels.Label) { pairs = append(pairs, l.Name+"="+l.Value) })
		if h == nil {
			lines = append(lines, line(pairs, ts, hexFloat(f)))
			return
		}
		value := hexFloat(h.Count) + " " + hexFloat(h.Sum)
		for it := h.AllBucketIterator(); it.Next(); {
			b := it.At()
			if b.Count == 0 {
				continue
			}
			value += " " + hexFloat(float64(boundaries(b))) + " " + hexFloat(b.Lower) + " " + hexFloat(b.Upper) + " " + hexFloat(b.Count)
		}
		lines = append(lines, line(pairs, ts, value))
	}
	switch v := res.Value.(type) {
	case promql.Scalar:
		add(labels.EmptyLabels(), v.T, v.V, nil)
	case promql.String:
		lines = append(lines, line(nil, v.T, v.V))
	case promql.Vector:
		for _, s := range v {
			add(s.Metric, s.T, s.F, s.H)
		}
	case promql.Matrix:
		for _, s := range v {
			for _, f := range s.Floats {
				add(s.Metric, f.T, f.F, nil)
			}
			for _, h := range s.Histograms {
				add(s.Metric, h.T, 0, h.H)
			}
		}
	default:
		t.Fatalf("unknown value %T", v)
	}
	slices.Sort(lines)
	return outcome{lines: lines}
}

// boundaries is the rule of a bucket on the wire: which ends belong to it.
func boundaries(b histogram.Bucket[float64]) int {
	switch {
	case b.LowerInclusive && b.UpperInclusive:
		return 3
	case b.LowerInclusive:
		return 1
	case b.UpperInclusive:
		return 0
	}
	return 2
}

func hexFloat(f float64) string { return strconv.FormatFloat(f, 'x', -1, 64) }

func line(pairs []string, ts int64, value string) string {
	slices.Sort(pairs)
	return fmt.Sprintf("%q %d %s", pairs, ts, value)
}

type wireHistogram struct {
	Count, Sum string
	Buckets    [][4]any
}

// answered reads the wire format as its description has it.
func answered(t *testing.T, a answer) outcome {
	t.Helper()
	var e struct {
		Error string
		Data  struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	decode(t, []byte(a.body), &e)
	if e.Error != "" {
		return outcome{err: e.Error}
	}
	if e.Data.ResultType == "scalar" || e.Data.ResultType == "string" {
		var point [2]any
		decode(t, e.Data.Result, &point)
		value := point[1].(string)
		if e.Data.ResultType == "scalar" {
			value = reread(t, value)
		}
		return outcome{lines: []string{line(nil, millis(point[0]), value)}}
	}
	var series []struct {
		Metric     map[string]string
		Value      *[2]any
		Values     [][2]any
		Histogram  *[2]json.RawMessage
		Histograms [][2]json.RawMessage
	}
	decode(t, e.Data.Result, &series)
	var lines []string
	for _, s := range series {
		pairs := []string{}
		for name, value := range s.Metric {
			pairs = append(pairs, name+"="+value)
		}
		if s.Value != nil {
			s.Values = append(s.Values, *s.Value)
		}
		if s.Histogram != nil {
			s.Histograms = append(s.Histograms, *s.Histogram)
		}
		for _, p := range s.Values {
			lines = append(lines, line(pairs, millis(p[0]), reread(t, p[1].(string))))
		}
		for _, p := range s.Histograms {
			var ts float64
			var h wireHistogram
			decode(t, p[0], &ts)
			decode(t, p[1], &h)
			value := reread(t, h.Count) + " " + reread(t, h.Sum)
			for _, b := range h.Buckets {
				value += " " + hexFloat(b[0].(float64)) + " " + reread(t, b[1].(string)) + " " + reread(t, b[2].(string)) + " " + reread(t, b[3].(string))
			}
			lines = append(lines, line(pairs, millis(ts), value))
		}
	}
	slices.Sort(lines)
	return outcome{lines: lines}
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("cannot read %s: %v", data, err)
	}
}

func millis(seconds any) int64 { return int64(math.Round(seconds.(float64) * 1000)) }

func reread(t *testing.T, s string) string {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return hexFloat(f)
}

// loadFor stores an hour of two series for each selector in the expressions:
// floats, or histograms where the name's hash or the name says so.
func loadFor(t *testing.T, p parser.Parser, store storage.AppendableV2, exprs []string) {
	t.Helper()
	wanted := map[string]labels.Labels{}
	for _, text := range exprs {
		expr, err := p.ParseExpr(text)
		if err != nil {
			continue
		}
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			if s, ok := n.(*parser.VectorSelector); ok {
				for _, variant := range []string{"x", "y"} {
					ls := fitting(s.LabelMatchers, variant)
					wanted[ls.String()] = ls
				}
			}
			return nil
		})
	}
	keys := make([]string, 0, len(wanted))
	for key := range wanted {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, cmp.Compare)
	app := store.AppenderV2(t.Context())
	for _, key := range keys {
		ls := wanted[key]
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(ls.Get(labels.MetricName)))
		kind := hash.Sum32() % 4
		for minute := range int64(61) {
			var h *histogram.Histogram
			switch {
			case kind == 0 || strings.Contains(ls.Get(labels.MetricName), "histogram"):
				h = tsdbutil.GenerateTestHistogram(minute)
			case kind == 1:
				h = tsdbutil.GenerateTestCustomBucketsHistogram(minute)
			}
			v := float64(minute*int64(kind+1)%23) / 3
			if _, err := app.Append(0, ls, 0, minute*60_000, v, h, nil, storage.AppendV2Options{}); err != nil {
				t.Fatalf("%s: %v", ls, err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

// fitting returns labels that the matchers accept, if that is easily found.
func fitting(ms []*labels.Matcher, variant string) labels.Labels {
	b := labels.NewBuilder(labels.FromStrings(labels.MetricName, "any"))
	for _, m := range ms {
		switch m.Type {
		case labels.MatchEqual:
			b.Set(m.Name, m.Value)
		case labels.MatchRegexp:
			if set := m.SetMatches(); len(set) > 0 {
				b.Set(m.Name, set[0])
			} else if m.Matches("foo") {
				b.Set(m.Name, "foo")
			}
		case labels.MatchNotEqual, labels.MatchNotRegexp:
			if !m.Matches("") {
				b.Set(m.Name, "bar")
			}
		}
	}
	if b.Get("le") == "" {
		b.Set("le", map[string]string{"x": "1", "y": "+Inf"}[variant])
	}
	b.Set("variant", variant)
	return b.Labels()
}
