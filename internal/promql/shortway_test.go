package promql_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"pgregory.net/rapid"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/tsdbcache"
)

// TestShortWay: over random samples (resets, gaps, staleness markers, special
// values, late samples, now and then a histogram) every query that the short
// way may take has the engine's answer to the bit, its annotations, its counts
// of samples and, with few samples allowed, its refusal.
func TestShortWay(t *testing.T) {
	taken := map[string]float64{}
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.SampledFrom([]int{0, 0, 0, 5, 60, 300}).Draw(rt, "limit")
		reg := prometheus.NewRegistry()
		e, err := upstream.NewQueryEngine(upstream.EngineOptions{MaxSamples: limit, Concurrency: -1, Registerer: reg})
		if err != nil {
			rt.Fatal(err)
		}
		defer e.Close()
		store, err := tsdbcache.Open(tsdbcache.Options{Memory: 2 << 20, OutOfOrderWindow: -1, MaxFuture: -1})
		if err != nil {
			rt.Fatal(err)
		}
		defer store.Close()
		drawSamples(rt, store)
		for range 4 {
			text := drawQuery(rt)
			start := time.UnixMilli(rapid.Int64Range(-200_000, 900_000).Draw(rt, "start"))
			end := start.Add(time.Duration(rapid.IntRange(0, 900_000).Draw(rt, "length")) * time.Millisecond)
			step := time.Duration(rapid.SampledFrom([]int{1000, 7001, 15_000, 60_000, 400_000}).Draw(rt, "step")) * time.Millisecond
			want := ask(rt, e.Engine, store, text, start, end, step)
			got := ask(rt, e, store, text, start, end, step)
			if diff := gocmp.Diff(want, got); diff != "" {
				rt.Fatalf("%s from %d to %d, step %s, limit %d (-engine +short way):\n%s", text, start.UnixMilli(), end.UnixMilli(), step, limit, diff)
			}
		}
		for way, n := range ways(t, reg) {
			taken[way] += n
		}
	})
	if taken["short"] == 0 || taken["both"] == 0 || taken["engine"] != 0 {
		t.Errorf("the ways that were taken, %v, are not those that this test is about", taken)
	}
}

// asked is an answer with everything that can be told of it.
type asked struct {
	Lines       []string
	Err         string
	Annotations []string
	Total, Read int64
}

func ask(t *rapid.T, e promql.QueryEngine, store storage.Queryable, text string, start, end time.Time, step time.Duration) asked {
	q, err := e.NewRangeQuery(context.Background(), store, nil, text, start, end, step)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	res := q.Exec(context.Background())
	if res.Err != nil {
		return asked{Err: res.Err.Error()}
	}
	var a asked
	for _, s := range res.Value.(promql.Matrix) {
		for _, p := range s.Floats {
			a.Lines = append(a.Lines, fmt.Sprintf("%s %d %x", s.Metric, p.T, math.Float64bits(p.F)))
		}
		for _, p := range s.Histograms {
			a.Lines = append(a.Lines, fmt.Sprintf("%s %d %s", s.Metric, p.T, p.H))
		}
	}
	warnings, infos := res.Warnings.AsStrings(text, 0, 0)
	a.Annotations = append(warnings, infos...)
	a.Total, a.Read = q.Stats().Samples.TotalSamples, q.Stats().Samples.SamplesRead
	return a
}

var functions = []string{
	"rate", "increase", "irate", "delta", "idelta", "deriv", "changes", "resets", "avg_over_time", "min_over_time", "max_over_time",
	"sum_over_time", "count_over_time", "stddev_over_time", "last_over_time", "present_over_time", "rate", "increase",
}

func drawQuery(t *rapid.T) string {
	one := func(i int) string {
		draw := func(what string, from ...string) string { return rapid.SampledFrom(from).Draw(t, what+strconv.Itoa(i)) }
		text := draw("selector", `a_total`, `a_total{i=~"[0-2]"}`, `b`, `{__name__=~".+"}`, `{i="1"}`, `none`)
		offset := draw("offset", "", "", "", " offset 1m", " offset -31s")
		if draw("form", "plain", "call", "call") == "call" {
			text = draw("function", functions...) + "(" + text + draw("range", "[1m]", "[5m]", "[3s]", "[61s]") + offset + ")"
		} else {
			text += offset
		}
		if op := draw("aggregation", "", "sum", "avg", "min", "max", "count", "group", "sum"); op != "" {
			text = op + draw("grouping", "", " by (g)", " by (g, i)", " without (i)", " by (__name__)") + " (" + text + ")"
		}
		return text
	}
	text := one(0)
	if rapid.IntRange(0, 4).Draw(t, "or") == 0 {
		text += " or " + one(1)
	}
	return text
}

func drawSamples(t *rapid.T, store *tsdbcache.DB) {
	special := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.MaxFloat64, math.Float64frombits(value.StaleNaN), 0.1}
	n := rapid.IntRange(1, 8).Draw(t, "series")
	for i := range n {
		name := rapid.SampledFrom([]string{"a_total", "a_total", "b"}).Draw(t, "name")
		ls := labels.FromStrings("__name__", name, "i", strconv.Itoa(i), "g", strconv.Itoa(i%3))
		app := store.AppenderV2(context.Background())
		at, v := rapid.Int64Range(0, 100_000).Draw(t, "first"), 0.0
		count := rapid.IntRange(0, 120).Draw(t, "count")
		seed := rapid.Uint64().Draw(t, "seed")
		odd := rapid.IntRange(0, 3).Draw(t, "odd") // how odd this series is
		for range count {
			seed = seed*6364136223846793005 + 1442695040888963407
			r := seed >> 33
			at += []int64{15_000, 15_000, 14_990 + int64(r%20), 1 + int64(r%90_000)}[odd]
			v += float64(r%1000) / 7
			put := v
			if odd > 0 {
				switch r % 23 {
				case 0:
					v = 0
				case 1:
					put = special[r/23%uint64(len(special))]
				case 2:
					put = special[5]
				}
			}
			var err error
			if odd == 3 && r%97 == 0 {
				_, err = app.Append(0, ls, 0, at, 0, tsdbutil.GenerateTestHistogram(int64(r%9)), nil, storage.AppendV2Options{})
			} else {
				_, err = app.Append(0, ls, 0, at, put, nil, nil, storage.AppendV2Options{})
			}
			if err != nil {
				t.Fatal(err)
			}
			if odd == 2 && r%31 == 0 { // a late one
				_, _ = app.Append(0, ls, 0, at-7_000, put, nil, nil, storage.AppendV2Options{})
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}
