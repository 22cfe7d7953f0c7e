package remediation

import (
	"context"
	"testing"

	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/policy"
	"github.com/chironhq/chiron/remediation/webhook"
)

// TestKillSwitchComesBeforeTheWrite: a write that is decided and recorded and
// only waits for its turn is not sent once the switch is given; the run says
// so, and does not count as an action.
func TestKillSwitchComesBeforeTheWrite(t *testing.T) {
	w := propertyWorld(t)
	a := webhook.Alert{Status: "firing", StartsAt: begin, Labels: map[string]string{"alertname": "Leak", "pod": "a-0"}}
	w.r.engine.Step(begin, Delivered{&webhook.Delivery{Alerts: []webhook.Alert{a}}})
	now := w.r.engine.NextWake()
	var act *Run
	for _, f := range w.r.engine.Step(now, Tick{}) {
		g, ok := f.(Gather)
		if !ok {
			continue
		}
		for _, f := range w.r.engine.Step(now, w.r.gather(t.Context(), g.Run, g.Policy)) {
			if f, ok := f.(Act); ok {
				act = f.Run
			}
		}
	}
	if act == nil || act.Phase != Acting || act.ActedAt.IsZero() {
		t.Fatalf("the run does not want to act: %+v", act)
	}
	killed := *w.policies
	killed.Guardrails.KillSwitch = true
	w.r.SetPolicies(&killed)
	w.r.engine.Step(now, w.r.act(t.Context(), act))
	r := w.r.engine.runs[act.ID]
	if n := len(w.sim.Writes()); n > 0 || r.Phase != Cancelled || r.Reason != policy.KillSwitch || !r.ActedAt.IsZero() {
		t.Errorf("%d writes; the run is %s (%s), acted at %v", n, r.Phase, r.Reason, r.ActedAt)
	}
	if g, ok := w.r.giveBack(t.Context(), act).(GaveBack); !ok || g.Result != NotAsked {
		t.Errorf("taking back goes on: %+v", g)
	}
}

// deaf takes writes and does nothing.
type deaf struct{ action.Cluster }

func (deaf) Write(context.Context, action.Op) error { return nil }

// TestUndoIsLookedAt: that the cluster has taken the write is no proof that
// the old value is back.
func TestUndoIsLookedAt(t *testing.T) {
	for _, lost := range []bool{false, true} {
		w := propertyWorld(t)
		o := action.Object{Kind: "Deployment", Namespace: "shop", Name: "a"}
		target, err := w.sim.Resolve(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		change, err := action.Plan(begin, target, action.Spec{Name: action.Scale, Replicas: 6, Max: 9})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.sim.Write(t.Context(), change.Do); err != nil {
			t.Fatal(err)
		}
		want := Done
		if lost {
			w.r.o.Cluster, want = deaf{w.sim}, Unclear
		}
		g, ok := w.r.giveBack(t.Context(), &Run{ID: 1, Action: action.Scale, Object: o, Target: target, Change: change}).(GaveBack)
		if !ok || g.Result != want {
			t.Errorf("lost %v: %+v", lost, g)
		}
	}
}
