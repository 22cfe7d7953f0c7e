package rules

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// shifted is a clock that is set to another time; what waits, waits for as
// long as it meant to.
type shifted struct{ by atomic.Int64 } // nanoseconds

func (c *shifted) Now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

func (c *shifted) Timer(d time.Duration) (<-chan time.Time, func()) { return wallClock{}.Timer(d) }

// countedEngine counts the instant queries of one expression.
type countedEngine struct {
	promql.QueryEngine
	expr string
	n    atomic.Int64
}

func (e *countedEngine) NewInstantQuery(ctx context.Context, q storage.Queryable, o promql.QueryOpts, text string, at time.Time) (promql.Query, error) {
	if text == e.expr {
		e.n.Add(1)
	}
	return e.QueryEngine.NewInstantQuery(ctx, q, o, text, at)
}

// A clock that is set back, however far, leaves no group standing still until
// the old time comes again: rules are evaluated as often as before, alerts that
// fire are sent again and those that are pending fire.
func TestGroupsGoOnWhenTheClockIsSetBack(t *testing.T) {
	rules := waits + "      - { alert: Waits, expr: vector(1), for: 25m }\n      - { alert: Fires, expr: vector(1) }\n"
	for _, back := range []time.Duration{7 * time.Second, 40 * time.Second, 40 * time.Minute, 3 * time.Hour, 365 * 24 * time.Hour} {
		t.Run(back.String(), func(t *testing.T) {
			synctestWorld(t, func(w *world) {
				clock, engine := &shifted{}, &countedEngine{QueryEngine: w.engine, expr: "hum * 2"}
				w.change = func(o *Options) { o.Clock, o.Engine = clock, engine }
				w.begin(rules)
				w.live(20*time.Minute, hum, "hum")
				clock.by.Store(-int64(back))
				engine.n.Store(0)
				w.alerts = nil
				w.live(2*time.Minute, hum, "hum")
				if n := engine.n.Load(); n < 10 || n > 13 {
					t.Errorf("%d evaluations within 2m", n)
				}
				w.live(24*time.Minute, hum, "hum")
				for _, alert := range []string{"Fires", "Waits"} {
					if !slices.ContainsFunc(w.alerts, func(a string) bool { return strings.Contains(a, `firing {alertname="`+alert) }) {
						t.Errorf("%s is not sent: %d alerts", alert, len(w.alerts))
					}
				}
			})
		})
	}
}

// A clock that was ahead for a moment makes models start over; what the ring
// holds they know again afterwards.
func TestModelsLearnAgainWhatTheRingHoldsWhenTheClockWasAhead(t *testing.T) {
	for _, ahead := range []time.Duration{90 * time.Minute, 5 * time.Hour, 365 * 24 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctestWorld(t, func(w *world) {
				clock := &shifted{}
				w.change = func(o *Options) { o.Clock = clock }
				w.begin(kept)
				w.live(20*time.Minute, hum, "hum")
				for _, by := range []time.Duration{ahead, 0} {
					clock.by.Store(int64(by))
					w.live(15*time.Second, hum, "hum")
				}
				w.live(time.Minute, hum, "hum")
				if s := w.m.Groups()[0].Rules[0]; s.Models["ready"] != 1 || s.CatchingUp {
					t.Errorf("models %v, catching up %v", s.Models, s.CatchingUp)
				}
			})
		})
	}
}
