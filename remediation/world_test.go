package remediation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chironhq/chiron/remediation/policy"
	"github.com/chironhq/chiron/remediation/sim"
	"github.com/chironhq/chiron/remediation/webhook"
)

// world runs the engine over a cluster in memory in virtual time: effects are
// carried out at once and in order by the functions the driver uses. What is on
// record goes through JSON, so a restart sees what a new process would see.
type world struct {
	t        testing.TB
	now      time.Time
	sim      *sim.Cluster
	r        *Remediator
	settings Settings
	policies *policy.Set
	answers  map[string]string // expression -> value, "nothing" or "error"
	runs     map[uint64][]byte
	episodes map[string][]byte
	log      []string
	crash    string // "before" or "after" the next Act
	dead     func() // what happens to the cluster before the process is back
	counts   map[string]int
}

var begin = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func newWorld(t testing.TB, policies *policy.Set) *world {
	w := &world{t: t, now: begin, sim: sim.New(), policies: policies, answers: map[string]string{},
		runs: map[uint64][]byte{}, episodes: map[string][]byte{}, counts: map[string]int{}}
	w.r = &Remediator{metrics: newMetrics(nil), o: Options{Cluster: w.sim, Query: w.query, Now: func() time.Time { return w.now }}}
	w.restart()
	return w
}

// restart throws away everything that is not on record.
func (w *world) restart() {
	st := State{Episodes: map[string]*Episode{}}
	for _, b := range w.runs {
		r := &Run{}
		w.must(json.Unmarshal(b, r))
		st.Runs = append(st.Runs, r)
	}
	slices.SortFunc(st.Runs, func(a, b *Run) int { return int(a.ID) - int(b.ID) })
	for k, b := range w.episodes {
		e := &Episode{}
		w.must(json.Unmarshal(b, e))
		st.Episodes[k] = e
	}
	w.r.engine = newEngine(w.settings, w.policies, st)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) query(_ context.Context, expr string, _ time.Time) ([]Sample, error) {
	switch a := w.answers[expr]; a {
	case "nothing", "":
		return nil, nil
	case "error":
		return nil, errors.New("query timed out")
	default:
		var v float64
		if _, err := fmt.Sscan(a, &v); err != nil {
			w.t.Fatal(err)
		}
		return []Sample{{Value: policy.Value(v)}}, nil
	}
}

// step leads on until nothing is outstanding.
func (w *world) step(ev Event) {
	pending := []Event{ev}
	for len(pending) > 0 {
		effects := slices.Clone(w.r.engine.Step(w.now, pending[0]))
		pending = pending[1:]
		w.checkOrder(effects)
		for _, f := range effects {
			w.record(f)
		}
		for _, f := range effects {
			answer, crashed := w.carryOut(f)
			if crashed {
				w.log = append(w.log, "crash")
				if w.dead != nil {
					w.dead()
				}
				w.restart()
				pending = []Event{Tick{}}
				break
			}
			if answer != nil {
				pending = append(pending, answer)
			}
		}
	}
}

// checkOrder holds the contract that a write is on record before it begins.
func (w *world) checkOrder(effects []Effect) {
	saved := map[uint64]Phase{}
	for _, f := range effects {
		switch f := f.(type) {
		case SaveRun:
			saved[f.Run.ID] = f.Run.Phase
		case Act:
			if saved[f.Run.ID] != Acting {
				w.t.Errorf("run %d acts without being recorded as acting in the same step", f.Run.ID)
			}
		}
	}
}

func (w *world) record(f Effect) {
	switch f := f.(type) {
	case SaveRun:
		b, err := json.Marshal(f.Run)
		w.must(err)
		var before Run
		if old := w.runs[f.Run.ID]; old != nil {
			w.must(json.Unmarshal(old, &before))
		}
		w.checkTransition(before.Phase, f.Run.Phase)
		w.runs[f.Run.ID] = b
		for _, e := range f.Run.Timeline[len(before.Timeline):] {
			w.log = append(w.log, fmt.Sprintf("%s run %d %s%s: %s", e.At.Format("15:04:05"), f.Run.ID, e.Phase, reasonText(f.Run, e), e.Text))
		}
		if f.Run.DryRun != before.DryRun {
			w.log = append(w.log, "dry run: "+f.Run.DryRun)
		}
	case SaveEpisode:
		b, err := json.Marshal(f.Episode)
		w.must(err)
		w.episodes[f.Key] = b
	case DropRun:
		delete(w.runs, f.ID)
	case DropEpisode:
		delete(w.episodes, f.Key)
	}
}

func reasonText(r *Run, e Entry) string {
	if r.Reason == "" || e.Phase != r.Phase {
		return ""
	}
	return " (" + string(r.Reason) + ")"
}

func (w *world) checkTransition(from, to Phase) {
	if from == to {
		return
	}
	for _, t := range transitions {
		if t.From == from && t.To == to {
			return
		}
	}
	w.t.Errorf("phase %q leads to %q, which is not in the table", from, to)
}

func (w *world) carryOut(f Effect) (answer Event, crashed bool) {
	ctx := w.t.Context()
	before := len(w.sim.Writes())
	defer func() {
		for _, op := range w.sim.Writes()[before:] {
			w.log = append(w.log, fmt.Sprintf("write %s %s %s", op.Verb, op.Object, op.Patch))
		}
	}()
	switch f := f.(type) {
	case Count:
		w.counts[f.Seen] += f.N
	case Gather:
		return w.r.gather(ctx, f.Run, f.Policy), false
	case Act:
		crash := w.crash
		w.crash = ""
		if crash == "before" {
			return nil, true
		}
		return w.r.act(ctx, f.Run), crash == "after"
	case DryRun:
		return w.r.try(ctx, f.Run), false
	case Look:
		return w.r.look(ctx, f.Run), false
	case Verify:
		return w.r.verify(ctx, f.Run), false
	case GiveBack:
		return w.r.giveBack(ctx, f.Run), false
	}
	return nil, false
}

// advance lets time go on, from wake to wake.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for {
		next := w.r.engine.NextWake()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(w.now) {
			w.now = next
		}
		w.step(Tick{})
	}
	w.now = end
	w.step(Tick{})
}

func (w *world) deliver(truncated uint64, alerts ...webhook.Alert) {
	w.step(Delivered{&webhook.Delivery{ReceivedAt: w.now, Truncated: truncated, Alerts: alerts}})
}

func (w *world) flush() string {
	out := strings.Join(w.log, "\n")
	w.log = nil
	if out == "" {
		return "nothing\n"
	}
	return out + "\n"
}
