package promql_test

import (
	"context"
	"errors"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	upstreampromql "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/chironhq/chiron/internal/promql"
	"github.com/chironhq/chiron/internal/upstream"
)

// TestWays: each query is counted once by the way it was evaluated; with the
// short way off that is the engine for all, with the same answers.
func TestWays(t *testing.T) {
	store := promqltest.LoadedStorage(t, `
load 15s
	up{i="a"} 0+1x40
	up{i="b"} 3x40
	latency {{schema:0 count:3 sum:4 buckets:[1 2]}}x40
`)
	f := func(alone bool, query, want string) {
		t.Helper()
		reg := prometheus.NewRegistry()
		e, err := upstream.NewQueryEngine(upstream.EngineOptions{EngineAlone: alone, Registerer: reg})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		expected := text(t, e.Engine, store, query)
		if got := ways(t, reg); len(got) != 0 {
			t.Errorf("%s of the engine itself is counted: %v", query, got)
		}
		if diff := gocmp.Diff(expected, text(t, e, store, query)); diff != "" || expected == "" {
			t.Errorf("%s, engine alone %t (-engine +this):\n%s", query, alone, diff)
		}
		if diff := gocmp.Diff(map[string]float64{want: 1}, ways(t, reg)); diff != "" {
			t.Errorf("%s, engine alone %t (-want +got):\n%s", query, alone, diff)
		}
	}
	for _, query := range []string{`up`, `rate(up[1m])`, `sum by (i) (up)`, `up or latency_sum`, `max_over_time(up{i="b"}[5m] offset 1m)`} {
		f(false, query, "short")
		f(true, query, "engine")
	}
	for _, query := range []string{`-up`, `up @ end()`, `quantile(0.5, up)`, `1`} {
		f(false, query, "engine")
		f(true, query, "engine")
	}
	f(false, `latency`, "both")
	f(true, `latency`, "engine")
}

func text(t *testing.T, e upstreampromql.QueryEngine, store *teststorage.TestStorage, query string) string {
	t.Helper()
	q, err := e.NewRangeQuery(t.Context(), store, nil, query, time.Unix(0, 0), time.Unix(600, 0), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	res := q.Exec(t.Context())
	if res.Err != nil {
		t.Fatalf("%s: %v", query, res.Err)
	}
	return res.String()
}

// ways returns how many queries took which way, without the zeros.
func ways(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if n := m.GetCounter().GetValue(); f.GetName() == "chiron_query_range_total" && n > 0 {
				out[m.GetLabel()[0].GetValue()] = n
			}
		}
	}
	return out
}

// TestSink: only a matrix of the short way goes to the sink, and the result is
// empty then; under another context everything is as without a sink.
func TestSink(t *testing.T) {
	store := promqltest.LoadedStorage(t, "load 15s\n\tup 1x40\n")
	f := func(alone bool, query string, wantSink, wantResult int) {
		t.Helper()
		e, err := upstream.NewQueryEngine(upstream.EngineOptions{EngineAlone: alone})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		sunk := 0
		ctx := promql.WithSink(t.Context(), func(m upstreampromql.Matrix) { sunk += len(m) })
		for _, c := range []struct {
			ctx          context.Context
			sink, result int
		}{{ctx, wantSink, wantResult}, {t.Context(), 0, wantSink + wantResult}} {
			sunk = 0
			q, err := e.NewRangeQuery(c.ctx, store, nil, query, time.Unix(0, 0), time.Unix(600, 0), 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			m, err := q.Exec(c.ctx).Matrix()
			if err != nil || sunk != c.sink || len(m) != c.result {
				t.Errorf("%s: %d series in the sink and %d in the result (%v), want %d and %d", query, sunk, len(m), err, c.sink, c.result)
			}
			q.Close()
		}
	}
	f(false, "up", 1, 0)
	f(false, "none", 0, 0)
	f(false, "-up", 0, 1)
	f(true, "up", 0, 1)
}

func TestOptionsAreChecked(t *testing.T) {
	reg := prometheus.NewRegistry()
	if _, err := promql.New(nil, promql.Options{Registerer: reg}); err == nil {
		t.Error("an engine without a limit of samples is built")
	}
	if _, err := promql.New(nil, promql.Options{MaxSamples: 1, Registerer: reg}); err != nil {
		t.Error(err)
	}
	var already prometheus.AlreadyRegisteredError
	if _, err := promql.New(nil, promql.Options{MaxSamples: 1, Registerer: reg}); !errors.As(err, &already) {
		t.Errorf("a second engine on the same registry: %v", err)
	}
}
