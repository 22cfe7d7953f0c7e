package rules

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/chironhq/chiron/rules/lang"
)

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
	if owners, err := m.store.Owners(); err != nil || len(owners) != 0 {
		t.Errorf("owners %v, %v", owners, err)
	}
}

// What auto has chosen is told by series, and why.
func TestStatusTellsWhatAutoChose(t *testing.T) {
	file, problems := lang.Load("a.yaml", []byte("groups: [{name: g, rules: [{anomaly: A, expr: 'x', model: auto, direction: both}, {anomaly: B, expr: 'x', model: mad, direction: both}]}]"))
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	for i, want := range []string{`{job="a"} zscore: `, ""} {
		file.Groups[0].Rules = file.Groups[0].Rules[i:]
		r := ruleOf(t, file)
		for k := range 50 {
			query := func(context.Context, string, time.Time) (promql.Vector, error) {
				return promql.Vector{{Metric: labels.FromStrings("__name__", "x", "job", "a"), F: float64(k * k % 17)}}, nil
			}
			if _, err := r.Eval(t.Context(), 0, time.Unix(int64(1000+k*15), 0), query, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		for _, c := range r.report.Load().choices {
			got += c.Labels.String() + " " + c.Text
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Where rules are shown, the texts of the shorthand are what the user wrote, not
// what Prometheus expands.
func TestStatusShowsTextsAsTheyAreWritten(t *testing.T) {
	synctestWorld(t, func(w *world) {
		w.begin(`
groups:
  - name: g
    labels: { team: a }
    rules:
      - anomaly: Hum
        expr: hum
        model: zscore
        direction: both
        alert: { labels: { severity: '{{ if gt $score 2.0 }}page{{ end }}' }, annotations: { description: '{{ $actual }} of {{ $expected }}' } }
`)
		s := w.m.Groups()[0].Rules[1]
		if got := s.Annotations.Get("description"); got != "{{ $actual }} of {{ $expected }}" {
			t.Errorf("description %q", got)
		}
		if got := s.Annotations.Get("summary"); got == "" || strings.Contains(got, "query") {
			t.Errorf("summary %q", got)
		}
		if got := s.Labels.String(); got != `{severity="{{ if gt $score 2.0 }}page{{ end }}", team="a"}` {
			t.Errorf("labels %s", got)
		}
	})
}
