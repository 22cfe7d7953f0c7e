package rules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/tsdbcache"
)

// world is a real ring and a real engine under virtual time.
type world struct {
	t      *testing.T
	db     *tsdbcache.DB
	engine *promql.Engine
	view   *view  // of the ring, as the manager has it
	dir    string // rule files and saved models
	alerts []string
	change func(*Options) // of the manager; nil: none

	m    *Manager
	stop func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := tsdbcache.Open(tsdbcache.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := upstream.NewEngine(upstream.EngineOptions{Parser: lang.PromQL()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, engine: engine, view: &view{Queryable: db}, dir: t.TempDir()}
	t.Cleanup(func() {
		w.halt()
		_ = engine.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// files writes rule files and returns the pattern for all of them.
func (w *world) files(texts ...string) []string {
	w.t.Helper()
	old, _ := filepath.Glob(filepath.Join(w.dir, "*.yaml"))
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			w.t.Fatal(err)
		}
	}
	for i, text := range texts {
		if err := os.WriteFile(filepath.Join(w.dir, fmt.Sprintf("%d.yaml", i)), []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	return []string{filepath.Join(w.dir, "*.yaml")}
}

// begin makes and runs a manager over the files.
func (w *world) begin(texts ...string) {
	w.t.Helper()
	o := Options{
		Engine: w.engine, Queryable: w.view, Appendable: w.db, DB: w.db, StateDir: filepath.Join(w.dir, "state"), ForGracePeriod: time.Second,
		Notify: func(_ context.Context, _ string, alerts ...*upstream.RuleAlert) {
			for _, a := range alerts {
				w.alerts = append(w.alerts, a.State.String()+" "+a.Labels.String())
			}
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	if w.change != nil {
		w.change(&o)
	}
	var err error
	if w.m, err = NewManager(o); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.m.Update(w.files(texts...), Settings{Interval: 10 * time.Second}); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.m.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := errors.Join(<-done, w.m.Close()); err != nil {
			w.t.Error(err)
		}
	}
}

// halt stops the manager as an orderly end of the process does.
func (w *world) halt() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// add stores one sample now: a text like `m{a="b"}`.
func (w *world) add(metric string, v float64) {
	w.t.Helper()
	w.addAt(metric, v, time.Now())
}

// addAt stores one sample of a time.
func (w *world) addAt(metric string, v float64, at time.Time) {
	w.t.Helper()
	store(w.t, w.db, metric, v, at)
}

// store puts one sample into a ring.
func store(t *testing.T, db *tsdbcache.DB, metric string, v float64, at time.Time) {
	t.Helper()
	ls, err := lang.PromQL().ParseMetric(metric)
	if err != nil {
		t.Fatal(err)
	}
	app := db.AppenderV2(context.Background())
	if _, err := app.Append(0, ls, 0, at.UnixMilli(), v, nil, nil, storage.AppendV2Options{}); err != nil {
		t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

// live stores a sample of each metric every five seconds for d.
func (w *world) live(d time.Duration, value func(at time.Time) float64, metrics ...string) {
	w.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Second) {
		for _, m := range metrics {
			w.add(m, value(time.Now()))
		}
	}
	synctest.Wait()
}

// query returns the vector now, a line a series, sorted.
func (w *world) query(expr string) []string {
	w.t.Helper()
	q, err := w.engine.NewInstantQuery(context.Background(), w.db, nil, expr, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, s := range v {
		out = append(out, fmt.Sprintf("%s %v", s.Metric, s.F))
	}
	slices.Sort(out)
	return out
}

// history returns every sample of a series ever stored, as bits.
func (w *world) history(matchers ...*labels.Matcher) (times []int64, values []uint64) {
	w.t.Helper()
	q, err := w.db.Querier(0, math.MaxInt64)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	set := q.Select(context.Background(), true, nil, matchers...)
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			t, v := it.At()
			times, values = append(times, t), append(values, math.Float64bits(v))
		}
	}
	if err := set.Err(); err != nil {
		w.t.Fatal(err)
	}
	return times, values
}

func hum(at time.Time) float64 { return 10 + math.Sin(float64(at.Unix())/7) }

const one = `
groups:
  - name: g
    rules:
      - anomaly: Hum
        expr: hum
        model: zscore(window=30m)
        direction: both
        output: [all]
        alert: { labels: { severity: page } }
      - record: hum:anomalous
        expr: anomaly_score{anomaly_name="Hum"} > bool 1
`

func TestAnAnomalyIsScoredRecordedAndAlerted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(one)
		w.live(10*time.Minute, hum, `hum{pod="a"}`, `hum{pod="b"}`)
		if got := w.query(`max(anomaly_score{anomaly_name="Hum"}) < 1`); len(got) != 1 {
			t.Fatalf("quiet series: %v", w.query("anomaly_score"))
		}
		for range 6 {
			w.live(5*time.Second, hum, `hum{pod="a"}`)
			w.add(`hum{pod="b"}`, 50)
		}
		synctest.Wait()
		got := strings.Join(w.query(`{anomaly_name="Hum", __name__!="anomaly_expected", __name__!="anomaly_lower", __name__!="anomaly_upper", pod="b"} or hum:anomalous`), "\n")
		for _, want := range []string{
			`anomaly_actual", anomaly_name="Hum", pod="b"} 50`, `anomaly_model_state", anomaly_name="Hum", pod="b"} 2`,
			// The rule behind reads the score of the same evaluation.
			`{__name__="hum:anomalous", anomaly_name="Hum", pod="b"} 1`, `{__name__="hum:anomalous", anomaly_name="Hum", pod="a"} 0`,
			`alertstate="firing"`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
		if !slices.ContainsFunc(w.alerts, func(a string) bool {
			return strings.Contains(a, "firing") && strings.Contains(a, `pod="b"`) && strings.Contains(a, `severity="page"`)
		}) {
			t.Errorf("alerts %v", w.alerts)
		}
	})
}

func TestASeriesThatEndsAndAGroupThatGoesAreMarkedStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(one)
		w.live(3*time.Minute, hum, `hum{pod="a"}`, `hum{pod="b"}`)
		w.add(`hum{pod="b"}`, math.Float64frombits(value.StaleNaN))
		w.live(20*time.Second, hum, `hum{pod="a"}`)
		if got := w.query(`anomaly_score{pod="b"}`); len(got) != 0 {
			t.Errorf("the series has ended: %v", got)
		}
		if got := w.query(`anomaly_score{pod="a"}`); len(got) != 1 {
			t.Errorf("the other one has not: %v", got)
		}
		if _, err := w.m.Update(w.files(), Settings{}); err != nil {
			t.Fatal(err)
		}
		w.live(40*time.Second, hum, `hum{pod="a"}`)
		if got := w.query(`{anomaly_name="Hum"}`); len(got) != 0 {
			t.Errorf("the group has gone: %v", got)
		}
	})
}

// A change that is reverted before the series have ended leaves no trace but
// the evaluations that were left out.
func TestAGroupThatComesBackGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rules := one + `
      - alert: Loud
        expr: hum > 100
        for: 4m
`
		w.begin(rules)
		loud := func(time.Time) float64 { return 200 }
		w.live(3*time.Minute, loud, `hum`)
		if _, err := w.m.Update(w.files(), Settings{Interval: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		w.live(10*time.Second, loud, `hum`)
		if _, err := w.m.Update(w.files(rules), Settings{Interval: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		w.live(time.Minute+20*time.Second, loud, `hum`)
		_, values := w.history(labels.MustNewMatcher(labels.MatchEqual, "__name__", "anomaly_score"))
		for _, v := range values {
			if value.IsStaleNaN(math.Float64frombits(v)) {
				t.Error("marked stale though it came back")
			}
		}
		if got := w.query(`ALERTS{alertname="Loud", alertstate="firing"}`); len(got) != 1 {
			t.Errorf("the three minutes before are forgotten: %v", w.query("ALERTS"))
		}
	})
}

func TestABadFileChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(one)
		w.live(3*time.Minute, hum, `hum`)
		problems, err := w.m.Update(w.files(one, "groups: [{name: x, rules: [{anomaly: A, expr: up, model: zscor, direction: both}]}]"), Settings{})
		if err == nil || !strings.Contains(problems.String(), `did you mean "zscore"?`) {
			t.Fatalf("%v\n%v", err, problems)
		}
		before, _ := w.history(labels.MustNewMatcher(labels.MatchEqual, "__name__", "anomaly_score"))
		w.live(time.Minute, hum, `hum`)
		after, _ := w.history(labels.MustNewMatcher(labels.MatchEqual, "__name__", "anomaly_score"))
		if len(after) != len(before)+6 {
			t.Errorf("%d samples, then %d", len(before), len(after))
		}
	})
}

func TestTheLimitKeepsWhatThereIsAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(strings.Replace(one, "direction: both", "direction: both\n        limit: 2", 1))
		w.live(time.Minute, hum, `hum{pod="a"}`, `hum{pod="b"}`)
		w.live(time.Minute, hum, `hum{pod="a"}`, `hum{pod="b"}`, `hum{pod="0"}`)
		if got := w.query(`count by (pod) (anomaly_score)`); strings.Join(got, " ") != `{pod="a"} 1 {pod="b"} 1` {
			t.Errorf("scored: %v", got)
		}
		s := w.m.Groups()[0].Rules[0]
		if s.Health != "err" || !strings.Contains(s.LastError, "1 series are over the limit of 2") {
			t.Errorf("health %s: %s", s.Health, s.LastError)
		}
	})
}

// What counts against the memory of models is a metric: it is full when rules
// take no new series, while the models may still hold less.
func TestTheMemoryOfModelsIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		reg := prometheus.NewRegistry()
		w.change = func(o *Options) { o.Registerer, o.ModelMemory = reg, 30_000 }
		w.begin(strings.Replace(one, "zscore(window=30m)", "auto", 1))
		var pods []string
		f := func(want int) {
			t.Helper()
			pods = append(pods, fmt.Sprintf("hum{pod=%q}", strconv.Itoa(len(pods))))
			w.live(time.Minute, hum, pods...)
			held, counted, limit := gathered(t, reg, "chiron_rules_models_bytes"), gathered(t, reg, "chiron_rules_models_counted_bytes"), gathered(t, reg, "chiron_rules_models_limit_bytes")
			each := counted / float64(want)
			if got := len(w.query("anomaly_score")); got != want {
				t.Errorf("%d of %d series have a model, want %d", got, len(pods), want)
			}
			if full := len(pods) > want; held > counted || counted > limit || full && counted+each <= limit {
				t.Errorf("%d series: %v bytes are held, %v count, of %v; rules take no new series: %v", len(pods), held, counted, limit, full)
			}
		}
		f(1)
		f(2)
		f(3)
		f(3)
	})
}

// However the number of series over the limit changes, the log tells of it once,
// and once that it is over.
func TestAComplaintIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var log strings.Builder
		w.change = func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		w.begin(strings.Replace(one, "direction: both", "direction: both\n        limit: 2", 1))
		f := func(d time.Duration, pods, complaints, over int) {
			t.Helper()
			var metrics []string
			for i := range pods {
				metrics = append(metrics, fmt.Sprintf("hum{pod=%q}", strconv.Itoa(i)))
			}
			w.live(d, hum, metrics...)
			if got := strings.Count(log.String(), "cannot do all"); got != complaints {
				t.Errorf("after %d pods %d complaints, want %d\n%s", pods, got, complaints, &log)
			}
			if got := strings.Count(log.String(), "all that it should again"); got != over {
				t.Errorf("after %d pods the log says %d times that it is over, want %d\n%s", pods, got, over, &log)
			}
		}
		f(time.Minute, 2, 0, 0)
		f(time.Minute, 3, 1, 0)
		f(time.Minute, 5, 1, 0)
		f(8*time.Minute, 2, 1, 0) // the others are seen for five of these
		f(time.Minute, 3, 1, 0)
		f(20*time.Minute, 2, 1, 1)
		f(time.Minute, 3, 2, 1)
	})
}

// scores runs the same input with something happening in the middle and
// returns every score, stale markers left out.
func scores(t *testing.T, middle func(w *world)) (out []string) {
	t.Helper()
	return scoresOf(t, strings.Replace(one, "zscore(window=30m)", "auto", 1), middle)
}

func scoresOf(t *testing.T, rule string, middle func(w *world)) (out []string) {
	t.Helper()
	t.Chdir(t.TempDir()) // a group's slots depend on the name of its file
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dir = "."
		w.begin(rule)
		w.live(20*time.Minute, hum, `hum`)
		middle(w)
		w.live(10*time.Minute, hum, `hum`)
		times, values := w.history(labels.MustNewMatcher(labels.MatchEqual, "__name__", "anomaly_score"))
		for i, at := range times {
			if !value.IsStaleNaN(math.Float64frombits(values[i])) {
				out = append(out, fmt.Sprintf("%d %x", at, values[i]))
			}
		}
	})
	return out
}

func TestScoresAreTheSameToTheBitAcrossRestarts(t *testing.T) {
	want := scores(t, func(*world) {})
	if len(want) < 100 {
		t.Fatalf("only %d scores", len(want))
	}
	auto := strings.Replace(one, "zscore(window=30m)", "auto", 1)
	t.Run("orderly", func(t *testing.T) {
		if got := scores(t, func(w *world) { w.halt(); w.begin(auto) }); !slices.Equal(got, want) {
			t.Errorf("%d scores, want %d: %v", len(got), len(want), difference(got, want))
		}
	})
	t.Run("killed, then down for a while", func(t *testing.T) {
		got := scores(t, func(w *world) {
			// The newest snapshot is up to a minute old.
			state, err := os.ReadFile(w.m.stateFile())
			if err != nil {
				w.t.Fatal(err)
			}
			w.halt()
			if err := os.WriteFile(w.m.stateFile(), state, 0o600); err != nil {
				w.t.Fatal(err)
			}
			w.live(2*time.Minute, hum, `hum`)
			w.begin(auto)
		})
		// Scores that nobody computed are missing, the others are equal.
		if d := difference(got, want); len(d) != 0 {
			t.Errorf("scores that should not be: %v", d)
		}
		if len(got) < len(want)-30 {
			t.Errorf("%d scores, want nearly %d", len(got), len(want))
		}
	})
	t.Run("reloaded", func(t *testing.T) {
		got := scores(t, func(w *world) {
			if _, err := w.m.Update(w.files(auto+"      - { record: x, expr: vector(1) }\n"), Settings{Interval: 10 * time.Second}); err != nil {
				w.t.Fatal(err)
			}
		})
		if d := difference(got, want); len(d) != 0 || len(got) < len(want)-3 {
			t.Errorf("%d scores, want %d: %v", len(got), len(want), d)
		}
	})
}

// Every kind of rule keeps what it has learned over an orderly restart and
// over a reload that adds another rule.
func TestEveryKindOfRuleGoesOn(t *testing.T) {
	for name, fields := range map[string]string{
		"forecast":       "expr: hum, model: auto, direction: both, forecast: {horizons: [1h], limit: 20}",
		"inputs":         "inputs: {a: hum, b: 'abs(hum - 10)'}, join: []",
		"inputs, models": "inputs: {a: hum, b: 'abs(hum - 10)'}, join: [], model: iforest + mad",
		"ratio":          "ratio: {errors: hum, total: hum * 20}, model: ratio, direction: both",
		"ratio, model":   "ratio: {errors: hum, total: hum * hum}, model: mad, direction: both",
		"peers":          `expr: 'hum or label_replace(hum * 1.1, "k", "b", "", "") or label_replace(hum * 1.3, "k", "c", "", "")', model: peers(min_members=3), direction: both`,
		"presence":       `expr: 'hum or label_replace(hum > 10.5, "k", "b", "", "")', model: presence(learn=1m)`,
		"novelty":        "expr: hum, model: novelty(learn=1m)",
	} {
		t.Run(name, func(t *testing.T) {
			rule := "groups: [{name: g, rules: [{anomaly: A, " + fields + "}]}]"
			want := scoresOf(t, rule, func(*world) {})
			if len(want) < 100 {
				t.Fatalf("only %d scores", len(want))
			}
			if got := scoresOf(t, rule, func(w *world) { w.halt(); w.begin(rule) }); !slices.Equal(got, want) {
				t.Errorf("restarted: %d scores, want %d: %v", len(got), len(want), difference(got, want))
			}
			got := scoresOf(t, rule, func(w *world) {
				if _, err := w.m.Update(w.files(strings.Replace(rule, "}]}]", "}, {record: x, expr: vector(1)}]}]", 1)), Settings{Interval: 10 * time.Second}); err != nil {
					w.t.Fatal(err)
				}
			})
			if d := difference(got, want); len(d) != 0 || len(got) < len(want)-3 {
				t.Errorf("reloaded: %d scores, want %d: %v", len(got), len(want), d)
			}
		})
	}
}

// difference lists what got has and want has not, up to the end of want: a run
// that was down for a while goes on for longer.
func difference(got, want []string) (out []string) {
	for _, g := range got {
		if g[:12] <= want[len(want)-1][:12] && !slices.Contains(want, g) {
			out = append(out, g)
		}
	}
	return out
}

func TestANewRuleLearnsFromTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.live(20*time.Minute, hum, `hum`)
		w.begin(one)
		w.live(15*time.Second, hum, `hum`)
		if got := w.query(`anomaly_model_state`); len(got) != 1 || !strings.HasSuffix(got[0], " 2") {
			t.Errorf("not ready at its first tick: %v", got)
		}
	})
}

func TestForStateIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rule := "groups: [{ name: g, rules: [{ alert: Loud, expr: 'hum > 100', for: 10m }] }]"
		w.begin(rule)
		loud := func(time.Time) float64 { return 200 }
		w.live(9*time.Minute, loud, `hum`)
		w.halt()
		w.begin(rule)
		w.live(2*time.Minute, loud, `hum`)
		if got := w.query(`ALERTS{alertstate="firing"}`); len(got) != 1 {
			t.Errorf("the nine minutes before the restart are forgotten: %v", w.query("ALERTS"))
		}
	})
}
