package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
)

// What models learn of the past is what they would have been given live, slot
// by slot, where the expression fails at some slots, where it looks at the
// query's end, and where the engine's limit of samples allows a few slots only.
func TestASpanIsTheFramesOfItsSlots(t *testing.T) {
	f := func(expr string, maxSamples int, fails bool) {
		t.Helper()
		t.Run(fmt.Sprint(expr, " of ", maxSamples), func(t *testing.T) {
			synctestWorld(t, func(w *world) {
				t := w.t
				from := time.Now()
				for i := range 600 {
					w.add("hum", hum(time.Now()))
					w.add("k", 1)
					if i%300 > 200 && i%300 < 220 {
						w.add(`k{a="b"}`, 1)
					}
					w.add([]string{`old_total{x="1"}`, `new_total{x="1"}`}[i/300], float64(i))
					time.Sleep(5 * time.Second)
				}
				engine, err := upstream.NewEngine(upstream.EngineOptions{Parser: lang.PromQL(), MaxSamples: maxSamples})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = engine.Close() }()
				file, problems := lang.Load("f", fmt.Appendf(nil, "groups: [{name: g, rules: [{anomaly: A, expr: '%s', model: mad, direction: both}]}]", expr))
				if problems.HasErrors() {
					t.Fatal(problems)
				}
				s := newSource(file.Groups[0].Rules[0].Anomaly, Options{Engine: engine, Queryable: w.db}, newMetrics(nil, nil))
				vector := func(v []eval.Sample) string {
					slices.SortFunc(v, func(a, b eval.Sample) int { return labels.Compare(a.Labels, b.Labels) })
					return fmt.Sprint(v)
				}
				got := map[int64]string{}
				failed := 0
				to := time.Now()
				err = s.span(t.Context(), from.UnixMilli(), to.UnixMilli(), 10_000, func(at int64, frame eval.Frame) error {
					got[at] = vector(frame.Vectors[0])
					return nil
				}, func(at int64, _ error) { failed++; got[at] = "failed" })
				if err != nil {
					t.Fatal(err)
				}
				slots := 0
				for at := from; !at.After(to); at = at.Add(10 * time.Second) {
					slots++
					q, err := engine.NewInstantQuery(t.Context(), w.db, nil, expr, at)
					if err != nil {
						t.Fatal(err)
					}
					want := "failed"
					if v, err := q.Exec(t.Context()).Vector(); err == nil {
						var samples []eval.Sample
						for _, x := range v {
							samples = append(samples, eval.Sample{Labels: x.Metric, V: x.F})
						}
						want = vector(samples)
					}
					q.Close()
					if got[at.UnixMilli()] != want {
						t.Fatalf("%s after the beginning: %s, want %s", at.Sub(from), got[at.UnixMilli()], want)
					}
				}
				if len(got) != slots || fails != (failed > 0 && failed < slots) {
					t.Errorf("%d slots of %d, %d failed", len(got), slots, failed)
				}
			})
		})
	}
	f("hum", 0, false)
	f("hum", 3, false)
	f("hum", 1, false)
	f("max_over_time(hum[2m])", 30, false)
	f("hum - avg_over_time(hum[10m] @ end())", 0, false)
	f("max_over_time(hum[10m:1m] @ end())", 0, false)
	f("hum * on () k", 0, true)
	f(`rate({__name__=~"old_total|new_total"}[2m])`, 0, true)
}

// A query that cannot be answered at all ends a span.
func TestASpanEndsWithTheRing(t *testing.T) {
	synctestWorld(t, func(w *world) {
		file, _ := lang.Load("f", []byte("groups: [{name: g, rules: [{anomaly: A, expr: hum, model: mad}]}]"))
		s := newSource(file.Groups[0].Rules[0].Anomaly, Options{Engine: w.engine, Queryable: w.view}, newMetrics(nil, nil))
		ctx, cancel := context.WithCancel(w.t.Context())
		cancel()
		err := s.span(ctx, 0, 1e12, 10, func(int64, eval.Frame) error { return errors.New("called") }, func(int64, error) { w.t.Error("failed at a slot") })
		if err == nil || ctx.Err() == nil {
			t.Error("no error")
		}
	})
}
