package rules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/rules/eval"
)

// slowEngine takes its time for instant queries of one expression, and for all
// range queries, by which models learn.
type slowEngine struct {
	promql.QueryEngine
	expr   string
	takes  time.Duration
	learns time.Duration
}

func (e *slowEngine) NewInstantQuery(ctx context.Context, q storage.Queryable, o promql.QueryOpts, text string, at time.Time) (promql.Query, error) {
	if text == e.expr {
		time.Sleep(e.takes)
	}
	return e.QueryEngine.NewInstantQuery(ctx, q, o, text, at)
}

func (e *slowEngine) NewRangeQuery(ctx context.Context, q storage.Queryable, o promql.QueryOpts, text string, from, to time.Time, step time.Duration) (promql.Query, error) {
	time.Sleep(e.learns)
	return e.QueryEngine.NewRangeQuery(ctx, q, o, text, from, to, step)
}

// records of a rule's models, to compare.
func records(t *testing.T, r *eval.Rule) (out []string) {
	t.Helper()
	for _, s := range r.Series(nil) {
		b, ok, err := r.AppendRecord(nil, s)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		out = append(out, fmt.Sprintf("%x", b))
	}
	slices.Sort(out)
	return out
}

// What is learned beside a slot that is being evaluated is not what the group's
// rules wrote at the one before: a rule that reads another one of its group
// knows in the end what the ring says, however long evaluations and learning
// take. After a while in which the process stood still, evaluations that take
// most of the interval follow each other without a break, in which models could
// learn the newest slot; when they do depends on where in the interval the
// group's slots lie, and so on its name.
func TestASlotIsLearnedOnceItIsWritten(t *testing.T) {
	for _, takes := range []time.Duration{0, 2 * time.Second, 8 * time.Second} {
		for _, learns := range []time.Duration{0, time.Millisecond, 3 * time.Second, 13 * time.Second} {
			for _, group := range []string{"a", "b", "c", "d"} {
				t.Run(fmt.Sprintf("%v/%v/%s", takes, learns, group), func(t *testing.T) {
					t.Chdir(t.TempDir()) // a group's slots depend on the name of its file, too
					synctestWorld(t, func(w *world) {
						w.dir = "."
						slotsAreLearnedOnce(w, group, takes, learns)
					})
				})
			}
		}
	}
}

func slotsAreLearnedOnce(w *world, group string, takes, learns time.Duration) {
	clock := &frozen{}
	w.change = func(o *Options) {
		o.Clock, o.Engine = clock, &slowEngine{w.engine, "hum * 2", takes, learns}
	}
	w.begin(fmt.Sprintf(`
groups:
  - name: %s
    rules:
      - { record: twice, expr: hum * 2 }
      - { anomaly: A, expr: twice, model: zscore(window=30m), direction: both }
`, group))
	began := time.Now()
	w.live(10*time.Minute, hum, "hum")
	clock.until.Store(time.Now().Add(35 * time.Second).UnixNano())
	w.live(3*time.Minute, hum, "hum")
	if w.m.Groups()[0].Rules[1].CatchingUp {
		w.t.Fatal("still catching up")
	}
	g := w.m.groups[0]
	w.halt()
	a := g.anomalies[0]
	want, err := eval.New(a.spec)
	if err != nil {
		w.t.Fatal(err)
	}
	s := newSource(a.spec, Options{Engine: w.engine, Queryable: w.db}, newMetrics(nil, nil))
	first := a.models.Oldest()
	err = s.span(w.t.Context(), first, a.models.Now(), 10_000, func(at int64, f eval.Frame) error {
		_, err := want.Learn(at, f)
		return err
	}, func(_ int64, err error) { w.t.Error(err) })
	if err != nil {
		w.t.Fatal(err)
	}
	if n := (a.models.Now() - began.UnixMilli()) / 10_000; n < 60 {
		w.t.Fatalf("%d slots", n)
	}
	if got, want := records(w.t, a.models), records(w.t, want); !slices.Equal(got, want) {
		w.t.Errorf("learned %s, the ring says %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

// A group that evaluates nearly all the time, or longer, does not keep its own
// models and those of all other rules from learning.
func TestASlowGroupHoldsNobodyUp(t *testing.T) {
	for _, takes := range []time.Duration{9 * time.Second, 10 * time.Second, 14 * time.Second, 27 * time.Second} {
		t.Run(takes.String(), func(t *testing.T) {
			synctestWorld(t, func(w *world) {
				w.live(30*time.Minute, hum, "hum")
				w.change = func(o *Options) { o.Engine = &slowEngine{w.engine, "hum * 2", takes, time.Second} }
				var text strings.Builder
				text.WriteString("groups:\n")
				for i := range 6 {
					fmt.Fprintf(&text, "  - {name: slow%d, rules: [{record: slow, expr: hum * 2, labels: {i: '%d'}}, {anomaly: A%d, expr: hum, model: mad}]}\n", i, i, i)
					fmt.Fprintf(&text, "  - {name: quick%d, rules: [{anomaly: B%d, expr: hum, model: mad}]}\n", i, i)
				}
				w.begin(text.String())
				w.live(20*time.Minute, hum, "hum")
				for _, g := range w.m.Groups() {
					if r := g.Rules[len(g.Rules)-1]; r.CatchingUp || r.Models["ready"] != 1 {
						t.Errorf("%s: catching up %v, %v", r.Name, r.CatchingUp, r.Models)
					}
				}
			})
		})
	}
}

// Reloads faster than any evaluation, some of which remove the rule, while its
// models catch up: in the end they know what was saved and what was missed, and
// nothing is left behind.
func TestReloadsWhileModelsCatchUp(t *testing.T) {
	synctestWorld(t, func(w *world) {
		update := func(text string) {
			if _, err := w.m.Update(w.files(text), Settings{Interval: 10 * time.Second}); err != nil {
				w.t.Error(err)
			}
		}
		metrics := []string{`hum{pod="a"}`, `hum{pod="b"}`}
		w.begin(kept)
		w.live(20*time.Minute, hum, metrics...)
		w.halt()
		w.view.forget(time.Now())
		w.live(5*time.Minute, hum, metrics...)
		w.begin(kept)
		for i := range 300 {
			if i%15 == 0 {
				w.add(metrics[0], hum(time.Now()))
				w.add(metrics[1], hum(time.Now()))
			}
			if i%7 == 3 {
				update("groups: []")
			} else {
				update(strings.Replace(kept, "warmup: 10m", fmt.Sprintf("warmup: 10m\n        labels: {n: '%d'}", i), 1))
			}
			time.Sleep(230 * time.Millisecond)
		}
		update(kept)
		w.live(time.Minute, hum, metrics...)
		if s := w.m.Groups()[0].Rules[0]; s.Models["ready"] != 2 || s.CatchingUp {
			w.t.Errorf("models %v, catching up %v", s.Models, s.CatchingUp)
		}
		w.m.mu.Lock()
		defer w.m.mu.Unlock()
		var held int64
		for _, a := range w.m.groups[0].anomalies {
			held += a.models.Charged()
		}
		if got := w.m.budget.charged.Load(); got != held || len(w.m.buried) > 0 {
			w.t.Errorf("models are charged for %d bytes and hold %d; %d groups are buried", got, held, len(w.m.buried))
		}
	})
}

// A group whose interval becomes shorter has missed none of the slots that it
// would have had with the new one.
func TestAShorterIntervalMissesNothing(t *testing.T) {
	synctestWorld(t, func(w *world) {
		reg := prometheus.NewRegistry()
		w.change = func(o *Options) { o.Registerer = reg }
		w.begin(strings.Replace(kept, "name: g\n", "name: g\n    interval: 5m\n", 1))
		w.live(14*time.Minute, hum, "hum")
		if _, err := w.m.Update(w.files(kept), Settings{Interval: 10 * time.Second}); err != nil {
			w.t.Fatal(err)
		}
		w.live(time.Minute, hum, "hum")
		if n := gathered(w.t, reg, "prometheus_rule_group_iterations_missed_total"); n != 0 {
			w.t.Errorf("%v missed", n)
		}
	})
}
