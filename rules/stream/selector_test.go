package stream

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/tsdbcache"
)

const lookback = 60_000 // milliseconds

func parse(t testing.TB, text string) parser.Expr {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestExplain(t *testing.T) {
	f := func(text string, streamed bool, reason string) {
		t.Helper()
		if s, r := Explain(parse(t, text)); s != streamed || r != reason {
			t.Errorf("Explain(%s) = %v, %s", text, s, r)
		}
	}
	f(`up`, true, ReasonSelector)
	f(`(up{job="a"} offset 5m)`, true, ReasonSelector)
	f(`up @ 10`, false, ReasonAt)
	f(`up @ end()`, false, ReasonAt)
	f(`rate(up[5m])`, false, ReasonFunction)
	f(`sum(up)`, false, ReasonAggregation)
	f(`up + 1`, false, ReasonBinary)
	f(`-up`, false, ReasonOther)
}

func open(t testing.TB) *tsdbcache.DB {
	t.Helper()
	db, err := tsdbcache.Open(tsdbcache.Options{Memory: 4 << 20, OutOfOrderWindow: -1, MaxFuture: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func render(in []eval.Sample) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = fmt.Sprintf("%s %x %v", s.Labels, math.Float64bits(s.V), s.Histogram)
	}
	slices.Sort(out)
	return out
}

// query is what the engine returns at t.
func query(t testing.TB, engine *promql.Engine, db storage.Queryable, expr parser.Expr, at int64) []string {
	t.Helper()
	q, err := engine.NewInstantQuery(context.Background(), db, nil, expr.String(), time.UnixMilli(at))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	var in []eval.Sample
	for _, s := range v {
		in = append(in, eval.Sample{Labels: s.Metric, V: s.F, Histogram: s.H != nil})
	}
	return render(in)
}

func TestAnOverflowIsMadeGoodByTheRing(t *testing.T) {
	db := open(t)
	s, err := NewSelector(db, parse(t, "m"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Vector(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	app := db.AppenderV2(t.Context())
	ls := labels.FromStrings("__name__", "m")
	for i := range int64(tapCapacity + 10) {
		if _, err := app.Append(0, ls, 0, 2000+i, float64(i), nil, nil, storage.AppendV2Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	got, err := s.Vector(t.Context(), 2000+tapCapacity+100)
	if err != nil || len(got) != 1 || got[0].V != tapCapacity+9 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAHistogramIsNoNumber(t *testing.T) {
	db := open(t)
	s, err := NewSelector(db, parse(t, `{__name__=~"m|n"}`), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(name string, at int64, h *histogram.Histogram) {
		t.Helper()
		app := db.AppenderV2(t.Context())
		if _, err := app.Append(0, labels.FromStrings("__name__", name), 0, at, 1, h, nil, storage.AppendV2Options{}); err != nil {
			t.Fatal(err)
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	put("m", 1000, tsdbutil.GenerateTestHistogram(1))
	put("n", 1000, nil)
	if got, err := s.Vector(t.Context(), 2000); err != nil || !slices.Equal(render(got), []string{`{__name__="m"} 0 true`, `{__name__="n"} 3ff0000000000000 false`}) {
		t.Errorf("a number beside a histogram: %v, %v", got, err)
	}
	put("m", 3000, &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)})
	if got, err := s.Vector(t.Context(), 4000); err != nil || len(got) != 1 {
		t.Errorf("after its stale marker: %v, %v", got, err)
	}
	put("m", 5000, nil)
	if got, err := s.Vector(t.Context(), 6000); err != nil || len(got) != 2 {
		t.Errorf("a number again: %v, %v", got, err)
	}
}
