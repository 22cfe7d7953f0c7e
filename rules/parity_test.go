package rules

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/rules/lang"
)

const parity = `
groups:
  - name: all
    interval: 15s
    query_offset: 5s
    limit: 3
    labels: { team: web, tier: group }
    rules:
      - record: job:load:sum
        expr: sum by (job) (load)
        labels: { tier: rule }
      - record: load:twice
        expr: job:load:sum * 2
      - record: too:many
        expr: load
      - alert: High
        expr: job:load:sum > 10
        for: 30s
        keep_firing_for: 30s
        labels: { severity: '{{ if gt $value 15.0 }}page{{ else }}ticket{{ end }}', tier: rule }
        annotations: { summary: '{{ $labels.job }} has {{ $value | humanize }} in {{ $externalLabels.zone }}' }
  - name: plain
    rules:
      - alert: Now
        expr: load{job="a"} > 8
      - record: gone
        expr: load < 3
`

// everything is what the ring holds, a line a sample.
func (w *world) everything() (out []string) {
	w.t.Helper()
	names := labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "load")
	q, err := w.db.Querier(0, math.MaxInt64)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	set := q.Select(w.t.Context(), true, nil, names)
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() != 0 {
			t, v := it.At()
			out = append(out, fmt.Sprintf("%s %d %x", set.At().Labels(), t, math.Float64bits(v)))
		}
	}
	if err := set.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// The same file over the same data at the same times leaves the same samples
// and sends the same alerts, loaded by Prometheus and loaded by us.
func TestRecordAndAlertRulesMeanWhatTheyMeanInPrometheus(t *testing.T) {
	external := labels.FromStrings("zone", "north")
	base := time.Now().Truncate(time.Minute).Add(-5 * time.Minute)
	run := func(load func(w *world, files []string, notify rules.NotifyFunc) []*rules.Group) (samples, alerts, health []string) {
		w := newWorld(t)
		groups := load(w, w.files(parity), func(_ context.Context, expr string, as ...*rules.Alert) {
			for _, a := range as {
				alerts = append(alerts, fmt.Sprint(expr, a.State, a.Labels, a.Annotations, a.Value, a.ActiveAt.Unix(), a.FiredAt.Unix(), a.ResolvedAt.Unix(), a.KeepFiringSince.Unix()))
			}
		})
		for i := range 20 {
			ts := base.Add(time.Duration(i) * 15 * time.Second)
			app := w.db.AppenderV2(t.Context())
			for s, v := range map[string]float64{"a1": float64(i % 10), "a2": 9 * float64(i/7%2), "b1": float64(i), "b2": 1} {
				ls := labels.FromStrings("__name__", "load", "job", s[:1], "instance", s)
				if _, err := app.Append(0, ls, 0, ts.Add(-5*time.Second).UnixMilli(), v, nil, nil, storage.AppendV2Options{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := app.Commit(); err != nil {
				t.Fatal(err)
			}
			for _, g := range groups {
				g.Eval(t.Context(), ts)
				if i == 1 { // as both loops do: until then no alert fires
					g.RestoreForState(ts)
				}
			}
		}
		for _, g := range groups {
			for _, r := range g.Rules() {
				health = append(health, fmt.Sprint(g.Name(), g.Interval(), r, r.Health(), r.LastError()))
			}
		}
		slices.Sort(alerts)
		return w.everything(), alerts, health
	}
	log := slog.New(slog.DiscardHandler)
	wantSamples, wantAlerts, wantHealth := run(func(w *world, files []string, notify rules.NotifyFunc) []*rules.Group {
		m := rules.NewManager(&rules.ManagerOptions{
			NameValidationScheme: model.UTF8Validation, ExternalURL: &url.URL{}, QueryFunc: rules.EngineQueryFunc(w.engine, w.db), NotifyFunc: notify,
			Context: t.Context(), AppendableV2: w.db, Queryable: w.db, Logger: log, ResendDelay: time.Minute, Parser: lang.PromQL(),
		})
		files, err := filepath.Glob(files[0])
		if err != nil {
			t.Fatal(err)
		}
		byKey, errs := m.LoadGroups(20*time.Second, external, "", nil, false, files...)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		return []*rules.Group{byKey[rules.GroupKey(files[0], "all")], byKey[rules.GroupKey(files[0], "plain")]}
	})
	gotSamples, gotAlerts, gotHealth := run(func(w *world, files []string, notify rules.NotifyFunc) []*rules.Group {
		m, err := NewManager(Options{Engine: w.engine, Queryable: w.db, Appendable: w.db, DB: w.db, Notify: notify, Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Update(files, Settings{Interval: 20 * time.Second, ExternalLabels: external}); err != nil {
			t.Fatal(err)
		}
		var out []*rules.Group
		for _, g := range m.groups {
			out = append(out, g.RuleGroup)
		}
		return out
	})
	if len(wantSamples) < 50 || len(wantAlerts) < 5 {
		t.Fatalf("nothing to compare: %d samples, %d alerts", len(wantSamples), len(wantAlerts))
	}
	for _, d := range []string{cmp.Diff(wantSamples, gotSamples), cmp.Diff(wantAlerts, gotAlerts), cmp.Diff(wantHealth, gotHealth)} {
		if d != "" {
			t.Error(d)
		}
	}
}
