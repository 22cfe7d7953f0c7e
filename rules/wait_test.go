package rules

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// stuckEngine answers no range query until it is let go: a catch-up that takes
// for ever.
type stuckEngine struct {
	promql.QueryEngine
	release chan struct{}
}

func (e *stuckEngine) NewRangeQuery(ctx context.Context, q storage.Queryable, o promql.QueryOpts, text string, from, to time.Time, step time.Duration) (promql.Query, error) {
	select {
	case <-e.release:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return e.QueryEngine.NewRangeQuery(ctx, q, o, text, from, to, step)
}

const waits = `
groups:
  - name: g
    rules:
      - anomaly: Hum
        expr: hum
        model: zscore(window=30m, threshold=3)
        direction: both
        output: [all]
        alert: {}
      - { record: hum:twice, expr: hum * 2 }
      - { alert: Loud, expr: hum > 40 }
`

// While models learn what the ring holds, however long that takes, all rules
// of the group are evaluated at the first slot; models that were saved score
// with what they know, others write NaN.
func TestNothingWaitsForModels(t *testing.T) {
	for _, saved := range []bool{false, true} {
		t.Run(fmt.Sprintf("saved models %v", saved), func(t *testing.T) {
			synctestWorld(t, func(w *world) {
				if saved {
					w.begin(waits)
					w.live(20*time.Minute, hum, "hum")
					w.halt()
				}
				w.live(10*time.Minute, hum, "hum") // what is missed
				engine := &stuckEngine{QueryEngine: w.engine, release: make(chan struct{})}
				w.change = func(o *Options) { o.Engine = engine }
				w.alerts = nil
				w.add("hum", 50)
				w.begin(waits)
				w.live(12*time.Second, func(time.Time) float64 { return 50 }, "hum")
				if got := w.query("hum:twice == 100"); len(got) != 1 {
					w.t.Errorf("the record rule waits: %v", got)
				}
				if !slices.ContainsFunc(w.alerts, func(a string) bool { return strings.Contains(a, `firing`) && strings.Contains(a, `"Loud"`) }) {
					w.t.Errorf("the alert rule waits: %v", w.alerts)
				}
				score := w.number("anomaly_score")
				if saved && !(score > 1) || !saved && !math.IsNaN(score) {
					w.t.Errorf("score %v", score)
				}
				anomalous := func(a string) bool { return strings.Contains(a, "firing") && strings.Contains(a, `"Hum"`) }
				if got := slices.ContainsFunc(w.alerts, anomalous); got != saved {
					w.t.Errorf("the alert of the anomaly is sent: %v", got)
				}
				if s := w.m.Groups()[0].Rules[0]; !s.CatchingUp {
					w.t.Error("nobody says that models catch up")
				}
				close(engine.release)
				w.live(25*time.Second, hum, "hum")
				if s := w.m.Groups()[0].Rules[0]; s.CatchingUp || s.Models["ready"] != 1 {
					w.t.Errorf("afterwards: %+v", s)
				}
			})
		})
	}
}

// valuesAfter is every value of a series after a time, with its time, stale
// markers left out, in the form of scoresOf.
func (w *world) valuesAfter(metric string, after time.Time) (out []string) {
	w.t.Helper()
	times, values := w.history(labels.MustNewMatcher(labels.MatchEqual, "__name__", metric))
	for i, at := range times {
		if at > after.UnixMilli() && !value.IsStaleNaN(math.Float64frombits(values[i])) {
			out = append(out, fmt.Sprintf("%d %x", at, values[i]))
		}
	}
	return out
}

// gathered is the one value of a metric.
func gathered(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// frozen is the clock of a process that stands still for a while: nothing wakes
// up before that is over.
type frozen struct{ until atomic.Int64 } // nanoseconds

func (c *frozen) Now() time.Time { return time.Now() }

func (c *frozen) Timer(d time.Duration) (<-chan time.Time, func()) {
	wake, ended := make(chan time.Time, 1), make(chan struct{})
	go func() {
		for left := d; left > 0; left = time.Until(time.Unix(0, c.until.Load())) {
			select {
			case <-time.After(left):
			case <-ended:
				return
			}
		}
		wake <- time.Now()
	}()
	return wake, sync.OnceFunc(func() { close(ended) })
}

// A process that stood still evaluates every rule at the first slot after that,
// counts the slots that it has missed, and its models learn them: they are what
// they would have been.
func TestMissedSlotsAreCountedAndLearned(t *testing.T) {
	const still = 30 * time.Minute
	run := func(stands bool) (scores []string, missed float64, first time.Duration) {
		t.Chdir(t.TempDir())
		synctestWorld(t, func(w *world) {
			w.dir = "."
			clock, reg := &frozen{}, prometheus.NewRegistry()
			w.change = func(o *Options) { o.Clock, o.Registerer = clock, reg }
			w.begin(strings.Replace(waits, "zscore(window=30m, threshold=3)", "auto", 1))
			w.live(20*time.Minute, hum, "hum")
			end := time.Now().Add(still)
			if stands {
				clock.until.Store(end.UnixNano())
			}
			w.live(still, hum, "hum")
			w.live(10*time.Minute, hum, "hum")
			if got := w.valuesAfter("hum:twice", end.Add(-time.Second)); len(got) > 0 {
				ms, err := strconv.ParseInt(strings.Fields(got[0])[0], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				first = time.UnixMilli(ms).Sub(end)
			}
			missed = gathered(t, reg, "prometheus_rule_group_iterations_missed_total")
			scores = w.valuesAfter("anomaly_score", time.Unix(0, 0))
		})
		return scores, missed, first
	}
	want, none, _ := run(false)
	got, missed, first := run(true)
	if none != 0 || missed < still.Seconds()/10-2 || missed > still.Seconds()/10 {
		t.Errorf("%v missed, standing still %v", none, missed)
	}
	if first > 11*time.Second {
		t.Errorf("the first evaluation came %s late", first)
	}
	// The first two evaluations after that may be of models that catch up.
	if d := difference(got, want); len(d) > 2 || len(got) < len(want)-int(still.Seconds()/10)-3 {
		t.Errorf("%d scores of %d, %d others: %v", len(got), len(want), len(d), d)
	}
}

// Rules that wait for their slot do not hold up those that have yet to learn:
// all of a group take their places at one slot, however many they are.
func TestManyRulesCatchUpTogether(t *testing.T) {
	synctestWorld(t, func(w *world) {
		reg := prometheus.NewRegistry()
		w.change = func(o *Options) { o.Registerer = reg }
		text := "groups:\n  - name: g\n    rules:\n"
		for i := range 20 {
			text += fmt.Sprintf("      - { anomaly: Hum%d, expr: hum, model: zscore(window=30m), direction: both, output: [all] }\n", i)
		}
		f := func(what string, restored float64) {
			t.Helper()
			w.begin(text)
			w.live(25*time.Second, hum, "hum")
			for _, r := range w.m.Groups()[0].Rules {
				if r.CatchingUp || r.Models["ready"] != 1 {
					w.t.Errorf("%s: %s: %v, catching up %v", what, r.Name, r.Models, r.CatchingUp)
				}
			}
			if got := gathered(w.t, reg, "chiron_rules_state_restored_models_total"); got != restored {
				w.t.Errorf("%s: %v models were restored, want %v", what, got, restored)
			}
			w.halt()
			reg = prometheus.NewRegistry()
		}
		w.live(20*time.Minute, hum, "hum")
		f("new rules", 0)
		w.live(5*time.Minute, hum, "hum")
		f("restart", 20)
	})
}
