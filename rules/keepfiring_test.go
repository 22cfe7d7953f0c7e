package rules

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/tsdbcache"
)

// keptWorld is a world whose ring lies in a folder, so that the process can end
// in it.
type keptWorld struct {
	*world
	ring string
	file string // the rules
	now  int    // slots since the beginning
}

func newKeptWorld(t *testing.T, rules string, change ...func(*Options)) *keptWorld {
	t.Helper()
	engine, err := upstream.NewEngine(upstream.EngineOptions{Parser: lang.PromQL()})
	if err != nil {
		t.Fatal(err)
	}
	w := &keptWorld{world: &world{t: t, engine: engine, dir: t.TempDir()}, ring: t.TempDir(), file: rules}
	if len(change) > 0 {
		w.change = change[0]
	}
	w.open()
	t.Cleanup(func() {
		w.end()
		_ = engine.Close()
	})
	return w
}

func (w *keptWorld) open() {
	w.t.Helper()
	var err error
	if w.db, err = tsdbcache.Open(tsdbcache.Options{Dir: w.ring, Memory: 4 << 20, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		w.t.Fatal(err)
	}
	w.view = &view{Queryable: w.db}
	w.begin(w.file)
}

// end ends the process in good order.
func (w *keptWorld) end() {
	w.t.Helper()
	w.halt()
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
}

// kill ends the process and leaves the ring's files as they were before.
func (w *keptWorld) kill() {
	w.t.Helper()
	left := filepath.Join(w.t.TempDir(), "ring")
	if err := os.CopyFS(left, os.DirFS(w.ring)); err != nil {
		w.t.Fatal(err)
	}
	w.end()
	w.ring = left
}

// away is a restart during which slots are missed.
func (w *keptWorld) away(end func(), slots int) {
	w.t.Helper()
	end()
	w.miss(slots)
	w.open()
}

func (w *keptWorld) miss(slots int) {
	time.Sleep(time.Duration(slots) * 10 * time.Second)
	w.now += slots
}

// pass lets one evaluation pass, in the middle of ten seconds.
func (w *keptWorld) pass(load map[string]float64) {
	w.t.Helper()
	w.alerts = nil
	for range 2 {
		for pod, v := range load {
			w.add(fmt.Sprintf("load{pod=%q}", pod), v)
		}
		time.Sleep(5 * time.Second)
	}
	synctest.Wait()
	w.now++
}

// firing are the alerts by pod.
func (w *keptWorld) firing() map[string]*upstream.RuleAlert {
	out := map[string]*upstream.RuleAlert{}
	for _, g := range w.m.Groups() {
		for _, r := range g.Rules {
			for _, a := range r.Alerts {
				if a.State.String() == "firing" {
					out[a.Labels.Get("pod")] = a
				}
			}
		}
	}
	return out
}

// pods are those of the series that an expression returns.
func (w *keptWorld) pods(expr string) (out []string) {
	w.t.Helper()
	for _, line := range w.query("count by (pod) (" + expr + ")") {
		out = append(out, strings.Split(line, `"`)[1])
	}
	return out
}

// told is what an alert is known to have done, evaluation by evaluation: what
// Prometheus's documentation says of for and keep_firing_for, in slots.
type told struct {
	hold, keep    int
	active, since int // slots
	state         byte
}

func (a *told) step(condition bool, now int) {
	switch {
	case condition && a.state == 0:
		a.state, a.active = 'p', now
	case !condition && a.state == 'p':
		a.state = 0
	case !condition && a.state == 'f' && a.since < 0:
		a.since = now
	}
	if condition {
		a.since = -1
	}
	if a.state == 'p' && now-a.active >= a.hold {
		a.state = 'f'
	}
	if a.state == 'f' && a.since >= 0 && now-a.since >= a.keep {
		a.state = 0
	}
}

// restart is all that a restart adds to evaluations that did not happen.
func (a *told) restart(missed, last int) {
	if a.state == 'f' && a.since < 0 && missed >= a.keep {
		a.since = last + 1
	}
}

const keptPlain = `groups: [{ name: g, rules: [{ alert: Loud, expr: 'load > 100', keep_firing_for: 40s, labels: { team: 'of {{ $labels.pod }}' }, annotations: { at: 'load {{ $value }}' } }] }]`

// Whatever restarts and kills happen between evaluations, alerts fire at the
// evaluations at which they fire without, are the same alerts, and what the
// ring shows of them is true.
func TestKeepFiringForOutlivesTheProcess(t *testing.T) {
	const anomaly = `groups: [{ name: g, rules: [{ anomaly: Load, expr: load, model: zscore(window=10m), direction: above, alert: { keep_firing_for: 40s } }] }]`
	f := func(name, rules, condition string, hold, change int) {
		t.Helper()
		for _, plan := range []string{"undisturbed", "restarts"} {
			t.Run(name+"/"+plan, func(t *testing.T) {
				ended, kept := 0, 0
				for range 3 {
					seed := rand.Uint64()
					t.Logf("seed %d", seed)
					synctest.Test(t, func(t *testing.T) {
						r := rand.New(rand.NewPCG(seed, 0))
						w := newKeptWorld(t, rules)
						e, k := live(w, r, plan == "restarts", condition, hold, change)
						ended, kept = ended+e, kept+k
					})
				}
				t.Logf("%d restarts, %d kept", ended, kept)
				if plan == "restarts" && (ended < 5 || kept == 0) {
					t.Errorf("%d restarts, %d of them with a kept alert: nothing was tested", ended, kept)
				}
			})
		}
	}
	f("alert", keptPlain, "load > 100", 0, 4)
	f("with for", strings.Replace(keptPlain, "keep_firing_for", "for: 20s, keep_firing_for", 1), "load > 100", 2, 4)
	// A score stays above 1 for ten evaluations after the values are back.
	f("anomaly", anomaly, "anomaly_score > 1", 0, 16)
}

// live compares 150 evaluations with what they should come to. The load of a
// pod changes sides at one of change. It returns how many restarts there were,
// and how often an alert was kept at one.
func live(w *keptWorld, r *rand.Rand, restarts bool, condition string, hold, change int) (ended, kept int) {
	t := w.t
	want := map[string]*told{"a": {hold: hold, keep: 4}, "b": {hold: hold, keep: 4}}
	was := map[string]*upstream.RuleAlert{}
	loud := map[string]bool{}
	since := 0 // evaluations since the start
	for range 150 {
		if restarts && r.IntN(5) == 0 && want["a"].state != 'p' && want["b"].state != 'p' {
			end, slots := w.end, 0
			if r.IntN(2) == 0 {
				end = w.kill
			}
			if r.IntN(3) == 0 {
				slots = r.IntN(7)
			}
			last := w.now - 1
			w.away(end, slots)
			for _, a := range want {
				a.restart(slots, last)
				if a.state == 'f' && a.since >= 0 {
					kept++
				}
			}
			since, ended = 0, ended+1
		}
		load := map[string]float64{}
		for _, pod := range []string{"a", "b"} {
			if w.now >= 15 && r.IntN(change) == 0 { // a model has to know first what is usual
				loud[pod] = !loud[pod]
			}
			load[pod] = 10 + r.Float64()
			if loud[pod] {
				load[pod] = 200 * float64(1+w.now*w.now)
			}
		}
		w.pass(load)
		since++
		holds, firing := w.pods(condition), w.firing()
		var fire []string
		for _, pod := range slices.Sorted(maps.Keys(want)) {
			a := want[pod]
			a.step(slices.Contains(holds, pod), w.now-1)
			if a.state == 'f' {
				fire = append(fire, pod)
			}
			now, before := firing[pod], was[pod]
			if now != nil && before != nil {
				if now.FiredAt.UnixMilli() != before.FiredAt.UnixMilli() || now.ActiveAt.Unix() != before.ActiveAt.Unix() {
					t.Errorf("slot %d, pod %s: active and firing at %v and %v, before at %v and %v", w.now, pod, now.ActiveAt, now.FiredAt, before.ActiveAt, before.FiredAt)
				}
				if !strings.HasPrefix(now.Annotations.Get("at"), "load "+fmt.Sprint(now.Value)) && condition == "load > 100" {
					t.Errorf("slot %d, pod %s: %s with value %v", w.now, pod, now.Annotations, now.Value)
				}
			}
			if told := slices.ContainsFunc(w.alerts, func(s string) bool { return strings.HasPrefix(s, "firing") && strings.Contains(s, `pod="`+pod) }); since == 1 && told != (now != nil) {
				t.Errorf("slot %d, pod %s: sent at the first evaluation: %v, firing: %v", w.now, pod, told, now != nil)
			}
			if told := slices.ContainsFunc(w.alerts, func(s string) bool { return strings.HasPrefix(s, "inactive") && strings.Contains(s, `pod="`+pod) }); before != nil && now == nil && !told {
				t.Errorf("slot %d, pod %s: has ended and is not sent as resolved", w.now, pod)
			}
		}
		got := slices.Sorted(maps.Keys(firing))
		if !slices.Equal(got, fire) {
			t.Fatalf("slot %d, %d since the start: %v fire, want %v; the condition holds for %v", w.now, since, got, fire, holds)
		}
		if on := w.pods(metricKeepState); !slices.Equal(on, fire) {
			t.Errorf("slot %d: %v on record, %v fire", w.now, on, fire)
		}
		for _, pod := range w.pods(`ALERTS{alertstate="firing"}`) {
			if !slices.Contains(fire, pod) {
				t.Errorf("slot %d, %d since the start: ALERTS shows %s, which does not fire", w.now, since, pod)
			}
		}
		if shown := w.pods(`ALERTS{alertstate="firing"}`); since > 2 && !slices.Equal(shown, fire) {
			t.Errorf("slot %d: ALERTS shows %v, %v fire", w.now, shown, fire)
		}
		was = firing
	}
	return ended, kept
}
