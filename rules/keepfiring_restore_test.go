package rules

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/chironhq/chiron/internal/upstream"
)

var (
	loud  = map[string]float64{"a": 200}
	quiet = map[string]float64{"a": 10}
)

// fires says whether the alert of pod a fires after each of a number of
// evaluations: an x where it does.
func (w *keptWorld) fires(load map[string]float64, evaluations int) string {
	w.t.Helper()
	var out strings.Builder
	for range evaluations {
		w.pass(load)
		if w.firing()["a"] != nil {
			out.WriteByte('x')
		} else {
			out.WriteByte('.')
		}
	}
	return out.String()
}

func (w *keptWorld) want(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// What a restart cannot carry over it leaves alone.
func TestKeepFiringForAcrossARestart(t *testing.T) {
	// The condition holds for three evaluations and not for two. Then the
	// process is away, and five more evaluations find it as load says. The alert
	// is kept for 40s, four evaluations.
	f := func(name string, slots int, change func(rules string) string, load map[string]float64, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newKeptWorld(t, keptPlain)
				w.want("before", w.fires(loud, 3)+w.fires(quiet, 2), "xxxxx")
				end := func() { w.end(); w.file = change(w.file) }
				w.away(end, slots)
				w.want("after", w.fires(load, 5), want)
			})
		})
	}
	same := func(s string) string { return s }
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	f("at once", 0, same, quiet, "xx...")
	f("a slot missed", 1, same, quiet, "x....")
	f("its end missed", 3, same, quiet, ".....")
	f("the condition is back", 1, same, loud, "xxxxx")
	f("the condition is back, its end missed", 3, same, loud, "xxxxx")
	f("longer", 1, replace("40s", "60s"), quiet, "xxx..")
	f("shorter", 0, replace("40s", "30s"), quiet, "x....")
	f("another threshold", 0, replace("> 100", "> 150"), quiet, "xx...")
	f("no keep_firing_for any more", 0, replace("keep_firing_for: 40s, ", ""), quiet, ".....")
	f("other labels", 0, replace("team", "squad"), quiet, ".....")
	f("another name", 0, replace("Loud", "Noisy"), quiet, ".....")
	f("another group", 0, replace("name: g", "name: h"), quiet, ".....")
	f("more than an hour", 400, same, loud, "xxxxx")
}

// An alert whose condition held when the process ended is kept from the first
// evaluation that finds it otherwise; but not when it would have ended
// meanwhile if that evaluation had come in time.
func TestKeepFiringForOfAConditionThatEndedMeanwhile(t *testing.T) {
	f := func(slots int, load map[string]float64, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newKeptWorld(t, keptPlain)
			w.fires(loud, 3)
			w.away(w.kill, slots)
			w.want(fmt.Sprint(slots, " slots missed"), w.fires(load, 6), want)
		})
	}
	f(0, quiet, "xxxx..")
	f(3, quiet, "xxxx..")
	f(4, quiet, "......")
	f(3, loud, "xxxxxx")
	f(4, loud, "xxxxxx")
}

// `for` is not waited for again by an alert that fires already, and begins anew
// for one that has ended, at every evaluation around that behind which upstream
// restores it.
func TestKeepFiringForAndForAcrossARestart(t *testing.T) {
	rules := strings.Replace(keptPlain, "keep_firing_for: 40s", "for: 20s, keep_firing_for: 20s", 1)
	f := func(missed int, want string, loads ...map[string]float64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newKeptWorld(t, rules)
			w.want("before", w.fires(loud, 3)+w.fires(quiet, 1), "..xx")
			w.away(w.kill, missed)
			got := ""
			for _, load := range loads {
				got += w.fires(load, 1)
			}
			w.want("after", got, want)
			var fire []string
			if strings.HasSuffix(want, "x") {
				fire = []string{"a"}
			}
			if shown := w.pods(`ALERTS{alertstate="firing"}`); !slices.Equal(shown, fire) {
				t.Errorf("%s: ALERTS shows %v", want, shown)
			}
		})
	}
	f(0, "xxxx", loud, loud, loud, loud)
	f(0, "xxxx", quiet, loud, loud, loud)
	f(0, "xxx.", loud, quiet, quiet, quiet)
	f(0, "x....", quiet, quiet, loud, loud, quiet)
	f(0, "x...x", quiet, quiet, loud, loud, loud)
	f(0, "x....xx", quiet, quiet, quiet, loud, loud, loud, loud)
	f(1, "...x", quiet, loud, loud, loud)
	f(1, "xxxx", loud, loud, quiet, loud)
}

// An alert keeps the time since when it fires however long that is, so that
// Alertmanager and the runs behind it see the same alert.
func TestAnAlertThatFiresForLongKeepsItsBeginning(t *testing.T) {
	for _, hold := range []string{"", "for: 20s, "} {
		synctest.Test(t, func(t *testing.T) {
			w := newKeptWorld(t, strings.Replace(keptPlain, "keep_firing_for", hold+"keep_firing_for", 1))
			w.fires(loud, 3)
			first := w.firing()["a"].FiredAt
			w.fires(loud, 600)
			for range 2 {
				w.away(w.kill, 0)
				w.fires(loud, 2)
				if got := w.firing()["a"].FiredAt; got.UnixMilli() != first.UnixMilli() {
					t.Errorf("%sfiring since %v, want %v", hold, got, first)
				}
			}
		})
	}
}

// Rules of one name, and of one name and the same labels, have alerts of their own.
func TestKeepFiringForTellsRulesApart(t *testing.T) {
	const rules = `
groups:
  - name: g
    rules:
      - { alert: Loud, expr: load > 100, keep_firing_for: 40s }
      - { alert: Loud, expr: load > 100, keep_firing_for: 20s, labels: { severity: page } }
      - { alert: Twin, expr: load > 100, keep_firing_for: 40s }
      - { alert: Twin, expr: load > 300, keep_firing_for: 40s }
      - { alert: Loud, expr: 'label_replace(load > 300, "severity", "page", "", "")', keep_firing_for: 40s }
`
	synctest.Test(t, func(t *testing.T) {
		w := newKeptWorld(t, rules)
		var out strings.Builder
		show := func() {
			for _, r := range w.m.Groups()[0].Rules {
				fmt.Fprint(&out, len(slices.DeleteFunc(r.Alerts, func(a *upstream.RuleAlert) bool { return a.State.String() != "firing" })))
			}
			out.WriteByte(' ')
		}
		w.pass(loud)
		show()
		for range 5 {
			w.away(w.end, 0)
			w.pass(quiet)
			show()
		}
		w.want("alerts of each rule", out.String(), "11100 11100 11100 10100 10100 00000 ")
	})
}

// What templates made of the value and of other series, when the condition held
// last, stays what it was.
func TestKeepFiringForWithTemplates(t *testing.T) {
	f := func(label, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newKeptWorld(t, strings.NewReplacer("of {{ $labels.pod }}", label,
				"load {{ $value }}", `load {{ $value }}{{ range query "load" | sortByLabel "pod" }}, {{ .Labels.pod }}={{ .Value }}{{ end }}`).Replace(keptPlain))
			w.fires(map[string]float64{"a": 217, "b": 317}, 2)
			w.want(label, w.fires(map[string]float64{"a": 218, "b": 10}, 1), "x") // b is kept for longer
			w.want(label, w.fires(quiet, 1), "x")
			before := w.firing()
			w.away(w.end, 0)
			w.want(label, w.fires(quiet, 1)+w.fires(loud, 1), want)
			w.away(w.end, 0)
			synctest.Wait()
			for pod, a := range w.firing() {
				if b := before[pod]; pod == "b" && (b == nil || !labels.Equal(b.Annotations, a.Annotations)) {
					t.Errorf("%s, pod %s: %v, want those of %v", label, pod, a.Annotations, b)
				}
			}
			if want == "xx" && w.firing()["b"] == nil {
				t.Errorf("%s: b is not kept", label)
			}
		})
	}
	f(`{{ $labels.pod }}`, "xx")
	f(`{{ $value }}`, "xx")
	f(`{{ if gt $value 210.0 }}high{{ else }}low{{ end }}`, "xx")
	f(`{{ $labels.pod }} of {{ query "1" | first | value }}`, "xx")
	f(`{{ range query "load" | sortByLabel "pod" }}{{ .Value }} {{ end }}`, "xx")
	f(`{{ with $labels.team }}again {{ . }}{{ else }}first{{ end }}`, ".x") // reads what it replaces
}

// A record that says what cannot be is none.
func TestKeepFiringForReadsNoNonsense(t *testing.T) {
	f := func(what string, v float64, later time.Duration, logged string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newKeptWorld(t, keptPlain)
			w.fires(loud, 3)
			w.fires(quiet, 1)
			series := w.query(metricKeepState)
			if len(series) != 1 {
				t.Fatal(series)
			}
			w.halt()
			name, _, _ := strings.Cut(series[0], "} ")
			w.addAt(name+"}", v, time.Now().Add(later))
			var log bytes.Buffer
			w.change = func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
			w.begin(w.file)
			w.want(what, w.fires(quiet, 2), "..")
			if !strings.Contains(log.String(), logged) {
				t.Errorf("%s: no %q in\n%s", what, logged, &log)
			}
		})
	}
	f("no number", math.NaN(), 0, "cannot be kept since NaN seconds")
	f("before time began", -5, 0, "cannot be kept since -5 seconds")
	f("never", math.Inf(1), 0, "cannot be kept since +Inf seconds")
	f("for years to come", 3e9, 0, "cannot be kept since 3e+09 seconds")
	f("the clock was ahead", 0, 8*time.Minute, "the clock was ahead")
	f("it has ended", math.Float64frombits(value.StaleNaN), 0, "")
}

// A reload ends the series of what has gone, and what has yet to be read from
// the ring is read by the successor.
func TestKeepFiringForAndReloads(t *testing.T) {
	reload := func(w *keptWorld, rules ...string) {
		w.t.Helper()
		if _, err := w.m.Update(w.files(rules...), Settings{Interval: 10 * time.Second}); err != nil {
			w.t.Fatal(err)
		}
	}
	more := strings.Replace(keptPlain, " }] }]", " }, { record: x, expr: vector(1) }] }]", 1)
	f := func(what, rules, want string, shown ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newKeptWorld(t, keptPlain)
			w.fires(loud, 3)
			w.want(what, w.fires(quiet, 1), "x")
			reload(w, rules)
			w.want(what, w.fires(quiet, 3), want)
			if got := w.pods(`ALERTS_KEEP_FIRING_STATE or ALERTS_KEEP_FIRING_VALUE`); !slices.Equal(got, shown) {
				t.Errorf("%s: on record: %v, want %v", what, got, shown)
			}
		})
	}
	f("another rule", more, "xxx", "a")
	f("another name", strings.Replace(keptPlain, "Loud", "Noisy", 1), "...")
	f("no keep_firing_for", strings.Replace(keptPlain, "keep_firing_for: 40s, ", "", 1), "...")
	f("no group", `groups: []`, "...")
	synctest.Test(t, func(t *testing.T) {
		w := newKeptWorld(t, keptPlain)
		w.fires(loud, 3)
		w.fires(quiet, 1)
		w.away(w.end, 0)
		synctest.Wait()
		reload(w, more)
		w.want("before the first evaluation", w.fires(quiet, 4), "xxx.")
	})
}

// FuzzKeepFiringState reads any value of a record: the alert ends in time.
func FuzzKeepFiringState(f *testing.F) {
	f.Add(0.0, int64(0), int64(time.Minute), int64(time.Minute))
	f.Add(946684800.25, int64(time.Hour), int64(time.Second), int64(time.Millisecond))
	f.Fuzz(func(t *testing.T, v float64, away, interval, keep int64) {
		if away < 0 || interval <= 0 || keep <= 0 || max(away, interval, keep) > int64(1000*time.Hour) {
			return
		}
		slot := time.Unix(946684800, 0)
		since, err := keptSince(v, slot.Add(-time.Duration(away)), slot, time.Duration(interval), time.Duration(keep))
		if err == nil && !since.IsZero() && since.After(slot.Add(time.Duration(interval))) {
			t.Errorf("kept since %v, which is yet to come", since)
		}
	})
}

// addAt stores one sample.
func (w *keptWorld) addAt(metric string, v float64, at time.Time) {
	w.t.Helper()
	store(w.t, w.db, metric, v, at)
}
