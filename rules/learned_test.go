package rules

import (
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// view is a ring that may have forgotten what lies before a time.
type view struct {
	storage.Queryable
	from atomic.Int64
}

func (v *view) forget(before time.Time) { v.from.Store(before.UnixMilli()) }

// Querier sees nothing of what was forgotten.
func (v *view) Querier(mint, maxt int64) (storage.Querier, error) {
	return v.Queryable.Querier(max(mint, v.from.Load()), maxt)
}

// synctestWorld runs f under virtual time.
func synctestWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

// ready tells whether the one model was ready at every evaluation of the last
// half minute: whether it has kept what it had learned.
func (w *world) ready() bool {
	w.t.Helper()
	return len(w.query(`min_over_time(anomaly_model_state[29s]) == 2`)) == 1
}

const kept = `
groups:
  - name: g
    rules:
      - anomaly: Hum
        expr: hum
        model: zscore(window=30m)
        direction: both
        output: [all]
        warmup: 10m
`

// What does not change what is learned keeps it, over a reload and over a
// restart; what does begins anew. The ring is of no help: it has forgotten.
func TestWhatIsLearnedStaysWhenARuleChanges(t *testing.T) {
	f := func(name string, keeps bool, change ...string) {
		t.Run(name, func(t *testing.T) {
			changed := strings.NewReplacer(change...).Replace(kept)
			if changed == kept {
				t.Fatal("nothing has changed")
			}
			for _, restart := range []bool{false, true} {
				synctestWorld(t, func(w *world) {
					w.begin(kept)
					w.live(20*time.Minute, hum, `hum{pod="a"}`)
					if !w.ready() {
						w.t.Fatalf("not ready before: %v", w.query("anomaly_model_state"))
					}
					w.view.forget(time.Now())
					if restart {
						w.halt()
						w.begin(changed)
					} else if _, err := w.m.Update(w.files(changed), Settings{Interval: 10 * time.Second}); err != nil {
						w.t.Fatal(err)
					}
					w.live(time.Minute, hum, `hum{pod="a"}`)
					if got := w.ready(); got != keeps {
						w.t.Errorf("restart %v: kept %v, want %v: %v", restart, got, keeps, w.query("anomaly_model_state"))
					}
				})
			}
		})
	}
	f("alert", true, "        warmup", "        alert: {for: 1m, labels: {severity: page}}\n        warmup")
	f("labels", true, "        warmup", "        labels: {team: a}\n        warmup")
	f("limit", true, "        warmup", "        limit: 7\n        warmup")
	f("direction", true, "direction: both", "direction: above")
	f("min_dev", true, "        warmup", "        min_dev: 3\n        min_rel_dev: 10%\n        warmup")
	f("width", true, "        warmup", "        width: 2\n        warmup")
	f("range", true, "        warmup", "        range: [0, 1000]\n        warmup")
	f("exclude", true, "        warmup", "        exclude: [{from: 2031-01-01T00:00:00Z, to: 2031-01-02T00:00:00Z}]\n        warmup")
	f("accept", true, "        warmup", "        accept: 2h\n        warmup")
	f("warmup", true, "warmup: 10m", "warmup: 11m")
	f("cohort", true, "        warmup", "        cohort: [job]\n        warmup")
	f("forecast", true, "        warmup", "        forecast: {horizons: [1h]}\n        warmup")
	f("threshold", true, "window=30m", "window=30m, threshold=4")
	f("the model written otherwise", true, "window=30m", "threshold=3, window=1800s")
	f("the expression written otherwise", true, "expr: hum", "expr: ' hum{ } '")
	f("the group's name", true, "name: g", "name: other")
	f("the interval", true, "name: g\n", "name: g\n    interval: 7s\n")
	f("another rule before it", true, "    rules:\n", "    rules:\n      - { record: x, expr: vector(1) }\n")
	f("the window", false, "window=30m", "window=40m")
	f("the model", false, "zscore(window=30m)", "mad")
	f("the expression", false, "expr: hum", "expr: hum * 1")
	f("the name", false, "anomaly: Hum", "anomaly: Hmm")
}

// A file that is renamed takes what was learned along, and the update says what
// has become of the rules.
func TestAnUpdateSaysWhatHasBecomeOfTheRules(t *testing.T) {
	synctestWorld(t, func(w *world) {
		w.begin(kept)
		w.live(20*time.Minute, hum, `hum{pod="a"}`)
		w.view.forget(time.Now())
		if _, err := w.m.Update(w.files("groups: []", kept+"      - { record: x, expr: vector(1) }\n      - { alert: Hum, expr: hum > 50 }\n"), Settings{Interval: 10 * time.Second}); err != nil {
			w.t.Fatal(err)
		}
		w.live(time.Minute, hum, `hum{pod="a"}`)
		if !w.ready() {
			w.t.Errorf("learned anew: %v", w.query("anomaly_model_state"))
		}
		changes := w.m.Changes()
		if len(changes) != 2 || strings.Join(changes[0].Removed, " ") != "g/Hum" || strings.Join(changes[1].Added, ", ") != "g/Hum, g/x, g/Hum (alert)" || len(changes[1].Anew) != 0 || changes[1].Heirs != 1 {
			w.t.Errorf("changes %+v", changes)
		}
		// The same rule twice elsewhere: whose it is cannot be told.
		twice := strings.Replace(kept, "name: g", "name: h", 1) + strings.TrimPrefix(strings.Replace(kept, "name: g", "name: i", 1), "\ngroups:\n")
		twice = strings.Replace(twice, "warmup: 10m", "warmup: 10m\n        labels: {n: '1'}", 1)
		if _, err := w.m.Update(w.files(twice), Settings{Interval: 10 * time.Second}); err != nil {
			w.t.Fatal(err)
		}
		changes = w.m.Changes()
		if len(changes) != 2 || len(changes[0].Anew) != 2 || !strings.Contains(changes[0].Anew[0], "not clear which") || changes[0].Heirs != 0 {
			w.t.Errorf("changes %+v", changes)
		}
		// A label of the rule leaves the others as they were.
		if _, err := w.m.Update(w.files(strings.Replace(twice, "n: '1'", "n: '2'", 1)), Settings{Interval: 10 * time.Second}); err != nil {
			w.t.Fatal(err)
		}
		changes = w.m.Changes()
		if len(changes) != 1 || changes[0].Kept != 1 || strings.Join(changes[0].Changed, " ") != "h/Hum" || len(changes[0].Anew) != 0 {
			w.t.Errorf("changes %+v", changes)
		}
	})
}

// Rules that come back before the series of their group have ended go on with
// what their models knew when they went, be it saved or not, and be it in a
// group of another name.
func TestRulesThatComeBackGoOn(t *testing.T) {
	for _, name := range []string{"name: g", "name: other"} {
		t.Run(name, func(t *testing.T) {
			synctestWorld(t, func(w *world) {
				w.change = func(o *Options) { o.StateDir = "" }
				w.begin(kept)
				w.live(20*time.Minute, hum, `hum{pod="a"}`)
				w.view.forget(time.Now())
				for _, text := range []string{"groups: []", strings.Replace(kept, "name: g", name, 1)} {
					if _, err := w.m.Update(w.files(text), Settings{Interval: 10 * time.Second}); err != nil {
						w.t.Fatal(err)
					}
					w.live(10*time.Second, hum, `hum{pod="a"}`)
				}
				w.live(time.Minute, hum, `hum{pod="a"}`)
				if !w.ready() {
					w.t.Errorf("forgotten: %v", w.query("anomaly_model_state"))
				}
			})
		})
	}
}

// A file of models that was damaged while rules ran is replaced by an empty one,
// which says nothing of how far models had learned before: killed then, they
// learn all of the ring.
func TestAReplacedFileOfModelsKnowsNoMark(t *testing.T) {
	synctestWorld(t, func(w *world) {
		w.begin(kept)
		w.live(20*time.Minute, hum, `hum{pod="a"}`)
		w.halt()
		w.begin(kept) // its models go on from their mark
		w.live(30*time.Second, hum, `hum{pod="a"}`)
		if err := w.m.store.Reset(); err != nil {
			w.t.Fatal(err)
		}
		w.m.disown()
		w.m.adopt(w.m.snapshotGroups())
		state, err := os.ReadFile(w.m.stateFile())
		if err != nil {
			w.t.Fatal(err)
		}
		w.halt()
		if err := os.WriteFile(w.m.stateFile(), state, 0o600); err != nil {
			w.t.Fatal(err)
		}
		w.begin(kept)
		w.live(time.Minute, hum, `hum{pod="a"}`)
		if !w.ready() {
			w.t.Errorf("learned a part only: %v", w.query("anomaly_model_state"))
		}
	})
}

// External labels and the query offset of the configuration reach groups whose
// files have not changed, which go on otherwise.
func TestSettingsReachUnchangedGroups(t *testing.T) {
	synctestWorld(t, func(w *world) {
		rules := kept + `
      - { record: hum:twice, expr: hum * 2 }
      - { alert: Hums, expr: hum > 0, labels: { where: '{{ $externalLabels.zone }}' } }
`
		w.begin(rules)
		w.live(15*time.Minute, hum, `hum`)
		before, _ := w.history(labels.MustNewMatcher(labels.MatchEqual, "__name__", "hum:twice"))
		w.alerts = nil
		w.view.forget(time.Now())
		changed := Settings{Interval: 10 * time.Second, QueryOffset: 3 * time.Second, ExternalLabels: labels.FromStrings("zone", "b")}
		if _, err := w.m.Update(w.files(rules), changed); err != nil {
			t.Fatal(err)
		}
		w.live(time.Minute, hum, `hum`)
		after, _ := w.history(labels.MustNewMatcher(labels.MatchEqual, "__name__", "hum:twice"))
		if d := (after[len(after)-1] - before[len(before)-1]) % 10_000; d != 7_000 {
			t.Errorf("evaluated %d ms after a slot without offset, want 7000", d)
		}
		if !slices.ContainsFunc(w.alerts, func(a string) bool { return strings.Contains(a, `where="b"`) }) {
			t.Errorf("alerts %v", w.alerts)
		}
		if !w.ready() {
			t.Errorf("models learn anew: %v", w.query("anomaly_model_state"))
		}
		if c := w.m.Changes(); len(c) != 1 || c[0].Kept != 3 {
			t.Errorf("changes %+v", c)
		}
	})
}
