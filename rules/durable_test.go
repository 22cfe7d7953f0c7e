package rules

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chironhq/chiron/rules/lang"
)

// logged is what a manager has said.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// watched is a world whose manager's log and metrics are read.
type watched struct {
	*world
	log logged
	reg *prometheus.Registry
}

func newWatched(t *testing.T, change func(*Options)) *watched {
	t.Helper()
	w := &watched{world: newWorld(t)}
	w.change = func(o *Options) {
		w.reg = prometheus.NewRegistry()
		o.Registerer, o.Logger = w.reg, slog.New(slog.NewTextHandler(&w.log, nil))
		if change != nil {
			change(o)
		}
	}
	return w
}

// metric is the sum of a metric's values.
func (w *watched) metric(name string, of ...string) (sum float64) {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(of) == 0 || strings.Contains(m.String(), of[0]) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// compare holds what is saved after an orderly end against the ring.
func (w *watched) compare() {
	w.t.Helper()
	files, problems, err := LoadFiles([]string{filepath.Join(w.dir, "*.yaml")}, lang.Options{})
	if err != nil {
		w.t.Fatal(err, problems)
	}
	compareModels(w.t, w.db, w.engine, filepath.Join(w.dir, "state", "models.db"), files, 10*time.Second, true)
}

// An orderly stop saves everything, a start goes on without learning what was
// learned, and what was missed between the two is learned once.
func TestAnOrderlyStopSavesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, nil)
		kinds := `
groups:
  - name: g
    rules:
      - { anomaly: Plain, expr: hum, model: auto, direction: both }
      - { anomaly: Cohort, expr: hum, model: zscore(window=30m), direction: both, cohort: [job] }
      - { anomaly: Inputs, inputs: {a: hum, b: 'abs(hum - 10)'}, join: [pod] }
      - { anomaly: Group, expr: hum, model: presence(learn=1m) }
`
		pods := []string{`hum{pod="a", job="x"}`, `hum{pod="b", job="x"}`, `hum{pod="c", job="y"}`}
		w.begin(kinds)
		w.live(15*time.Minute, hum, pods...)
		for down := range 4 {
			w.halt()
			w.compare()
			w.live(time.Duration(down)*time.Minute, hum, pods...)
			w.begin(kinds)
			w.live(3*time.Minute, hum, pods...)
			if got, want := w.metric("chiron_rules_state_caught_up_evaluations_total"), float64(4*6*down); got < want || got > want+4 {
				t.Errorf("down for %d minutes: %v evaluations were learned from the ring, want %v", down, got, want)
			} else if down == 0 && got != 0 {
				t.Errorf("%v evaluations were learned twice", got)
			}
			if got := w.metric("chiron_rules_catching_up"); got != 0 {
				t.Errorf("%v rules still learn", got)
			}
		}
		w.halt()
		w.compare()
	})
}
