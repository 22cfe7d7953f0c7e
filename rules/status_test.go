package rules

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/chironhq/chiron/rules/lang"
)

// A scrape, the API and the saver must not wait for a rule's query, which may
// take as long as the engine allows.
func TestStatusDoesNotWaitForAQuery(t *testing.T) {
	file, problems := lang.Load("a.yaml", []byte("groups: [{name: g, rules: [{anomaly: A, expr: 'rate(x[1m])', model: zscore, direction: both}]}]"))
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	r, err := newAnomalyRule("g", file.Groups[0].Expand()[0].Anomaly, lookups{metrics: newMetrics(nil, nil)})
	if err != nil {
		t.Fatal(err)
	}
	asked := false
	query := func(context.Context, string, time.Time) (promql.Vector, error) {
		asked = true
		if !r.mu.TryLock() {
			t.Error("locked while its query runs")
		} else {
			r.mu.Unlock()
		}
		return promql.Vector{{F: 1}}, nil
	}
	if _, err := r.Eval(t.Context(), 0, time.Unix(1000, 0), query, nil, 0); err != nil || !asked {
		t.Fatalf("asked %v, %v", asked, err)
	}
}

// A manager that never had good files must leave what an earlier one saved.
func TestModelsAreNotSavedOverBeforeTheFirstUpdate(t *testing.T) {
	w := newWorld(t)
	m, err := NewManager(Options{Engine: w.engine, Queryable: w.db, Appendable: w.db, StateDir: filepath.Join(w.dir, "state"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Update(w.files("groups: nonsense"), Settings{}); err == nil {
		t.Fatal("nonsense was loaded")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.stateFile()); !os.IsNotExist(err) {
		t.Errorf("an empty file of models was written: %v", err)
	}
	if _, err := m.Update(w.files(), Settings{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.stateFile()); err != nil {
		t.Error(err)
	}
}

// What auto has chosen is told by series, and why.
func TestStatusTellsWhatAutoChose(t *testing.T) {
	file, problems := lang.Load("a.yaml", []byte("groups: [{name: g, rules: [{anomaly: A, expr: 'x', model: auto, direction: both}, {anomaly: B, expr: 'x', model: mad, direction: both}]}]"))
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	for i, want := range []string{`{job="a"} zscore: `, ""} {
		r, err := newAnomalyRule("g", file.Groups[0].Expand()[i].Anomaly, lookups{metrics: newMetrics(nil, nil)})
		if err != nil {
			t.Fatal(err)
		}
		for k := range 50 {
			query := func(context.Context, string, time.Time) (promql.Vector, error) {
				return promql.Vector{{Metric: labels.FromStrings("__name__", "x", "job", "a"), F: float64(k * k % 17)}}, nil
			}
			if _, err := r.Eval(t.Context(), 0, time.Unix(int64(1000+k*15), 0), query, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		for _, c := range r.choices() {
			got += c.Labels.String() + " " + c.Text
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
