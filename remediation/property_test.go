package remediation

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/policy"
	"github.com/chironhq/chiron/remediation/sim"
	"github.com/chironhq/chiron/remediation/webhook"
)

const propertyPolicies = `
guardrails: { budget: { actions: 5/1h, per_target: 2/1h, per_namespace: 4/1h, concurrent: 3 } }
policies:
  - name: evict
    match: ['alertname=~"Leak|Both"']
    target: { kind: Pod, namespace: shop, name: '{{ .Labels.pod }}' }
    mode: auto
    actions: [{ evictPod: {} }]
    limits: { cooldown: 1m }
    verify: { within: 5m, all: [{ ready: owner }] }
  - name: scale
    match: ['alertname=~"Spike|Both"']
    target: { kind: Deployment, namespace: shop, name: '{{ .Labels.service }}' }
    mode: auto
    actions: [{ scale: { replicas: '5', max: 9, hold: 3m } }]
    verify: { within: 2m, all: [{ ready: target }, { alerts_resolved: match }] }
    undo: { when: [hold_over, verify_failed], action: restore }
`

func propertySet(t testing.TB) *policy.Set {
	set, problems := policy.Load("p.yaml", []byte(propertyPolicies))
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	return set
}

func drawAlert(rt *rapid.T, now time.Time) webhook.Alert {
	a := webhook.Alert{
		Status: rapid.SampledFrom([]string{"firing", "firing", "resolved"}).Draw(rt, "status"),
		Labels: map[string]string{
			"alertname": rapid.SampledFrom([]string{"Leak", "Spike", "Both", "Other"}).Draw(rt, "name"),
			"pod":       fmt.Sprintf("%s-%d", rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "workload"), rapid.IntRange(0, 2).Draw(rt, "pod")),
			"service":   rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "service"),
		},
		StartsAt: now.Add(-time.Duration(rapid.IntRange(0, 70).Draw(rt, "age")) * time.Minute),
	}
	if a.Status == "resolved" {
		a.EndsAt = a.StartsAt.Add(time.Duration(rapid.IntRange(0, 70).Draw(rt, "length")) * time.Minute)
	}
	return a
}

func propertyWorld(t testing.TB) *world {
	w := newWorld(t, propertySet(t))
	w.sim.AddWorkload("Deployment", "shop", "a", 4)
	w.sim.AddWorkload("Deployment", "shop", "b", 4)
	return w
}

// TestShuffledDeliveriesHaveEqualEffects: the order of a message's alerts, and
// a second copy of the message, change nothing.
func TestShuffledDeliveriesHaveEqualEffects(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		one, two := propertyWorld(t), propertyWorld(t)
		for range rapid.IntRange(1, 5).Draw(rt, "messages") {
			n := rapid.IntRange(1, 6).Draw(rt, "alerts")
			var alerts []webhook.Alert
			for range n {
				alerts = append(alerts, drawAlert(rt, one.now))
			}
			shuffled := rapid.Permutation(alerts).Draw(rt, "order")
			one.deliver(0, alerts...)
			two.deliver(0, shuffled...)
			two.deliver(0, alerts...)
			by := time.Duration(rapid.IntRange(0, 300).Draw(rt, "advance")) * time.Second
			one.advance(by)
			two.advance(by)
			one.sim.Settle()
			two.sim.Settle()
		}
		if !slices.Equal(one.log, two.log) {
			rt.Fatalf("effects differ:\n%v\n%v", one.log, two.log)
		}
	})
}

// TestCrashesAndFaultsWriteAtMostOnce: whatever answers are lost and wherever
// the process dies, no run's change is made twice and every write has its
// preconditions.
func TestCrashesAndFaultsWriteAtMostOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := propertyWorld(t)
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				w.deliver(0, drawAlert(rt, w.now))
			case 1:
				w.advance(time.Duration(rapid.IntRange(0, 400).Draw(rt, "seconds")) * time.Second)
			case 2:
				w.crash = rapid.SampledFrom([]string{"before", "after"}).Draw(rt, "crash")
			case 3:
				w.sim.Fail(rapid.SampledFrom([]sim.Fault{sim.Conflict, sim.Refuse, sim.Lost, sim.Timeout, sim.Down}).Draw(rt, "fault"))
			case 4:
				w.restart()
				w.step(Tick{})
			}
			w.sim.Settle()
		}
		if b := w.sim.Broken(); len(b) > 0 {
			rt.Fatalf("writes without preconditions: %v", b)
		}
		acted := 0
		for _, r := range w.r.engine.runs {
			if !r.ActedAt.IsZero() {
				acted++
			}
			if r.Change != nil && r.Change.Undo != nil && !r.ActedAt.IsZero() {
				acted++
			}
		}
		if n := len(w.sim.Writes()); n > acted {
			rt.Fatalf("%d writes of runs that allow %d:\n%v", n, acted, w.log)
		}
		seen := map[string]bool{}
		for _, op := range w.sim.Writes() {
			key := op.Object.UID + "@" + op.Object.ResourceVersion
			if seen[key] {
				rt.Fatalf("two writes to %s in version %s", op.Object, op.Object.ResourceVersion)
			}
			seen[key] = true
		}
	})
}

// TestTighterGuardrailsNeverAllowMore: a guard only restricts, and tightening
// one limit never takes a verdict away.
func TestTighterGuardrailsNeverAllowMore(t *testing.T) {
	set := propertySet(t)
	rapid.Check(t, func(rt *rapid.T) {
		g := policy.DefaultGuardrails()
		g.Actions.N = rapid.IntRange(0, 5).Draw(rt, "actions")
		g.PerTarget.N = rapid.IntRange(0, 3).Draw(rt, "per target")
		g.PerNamespace.N = rapid.IntRange(0, 3).Draw(rt, "per namespace")
		g.Concurrent = rapid.IntRange(0, 3).Draw(rt, "concurrent")
		g.MaxPods = action.Amount{Number: rapid.IntRange(1, 4).Draw(rt, "pods")}
		var past []policy.Past
		for range rapid.IntRange(0, 6).Draw(rt, "past") {
			past = append(past, policy.Past{
				Policy: rapid.SampledFrom([]string{"evict", "scale"}).Draw(rt, "policy"), Target: rapid.SampledFrom([]string{"Deployment/shop/a", "Deployment/shop/b"}).Draw(rt, "target"),
				Namespace: "shop", At: begin.Add(-time.Duration(rapid.IntRange(0, 120).Draw(rt, "ago")) * time.Minute),
				Active: rapid.Bool().Draw(rt, "active"), Holding: rapid.Bool().Draw(rt, "holding"), Failed: rapid.Bool().Draw(rt, "failed"),
			})
		}
		slices.SortFunc(past, func(a, b policy.Past) int { return a.At.Compare(b.At) })
		workload := &action.Workload{Object: action.Object{Kind: "Deployment", Namespace: "shop", Name: "a"}, Replicas: 4}
		facts := policy.Facts{
			Now: begin, Guardrails: &g, Policy: set.Policies[0], Past: past,
			Target: &action.Target{Object: action.Object{Kind: "Pod", Namespace: "shop", Name: "a-0"}, Workload: workload},
			Change: &action.Change{Pods: rapid.IntRange(0, 4).Draw(rt, "taken")},
		}
		before := reasons(policy.Judge(&facts))
		tight := g
		switch rapid.IntRange(0, 7).Draw(rt, "tighten") {
		case 0:
			tight.Actions.N--
		case 1:
			tight.PerTarget.N--
		case 2:
			tight.PerNamespace.N--
		case 3:
			tight.Concurrent--
		case 4:
			tight.MaxPods.Number = max(tight.MaxPods.Number-1, 1)
		case 5:
			tight.KillSwitch = true
		case 6:
			tight.Deny = append(slices.Clone(tight.Deny), "shop")
		case 7:
			tight.Never = []action.Name{action.EvictPod}
		}
		facts.Guardrails = &tight
		after := reasons(policy.Judge(&facts))
		for _, r := range before {
			if !slices.Contains(after, r) {
				rt.Fatalf("tighter guardrails take %s away: %v, before %v", r, after, before)
			}
		}
	})
}

func reasons(vs []policy.Verdict) []policy.Reason {
	var out []policy.Reason
	for _, v := range vs {
		out = append(out, v.Reason)
	}
	return out
}

// TestEveryPhaseLeadsOnOrIsFinal walks the table.
func TestEveryPhaseLeadsOnOrIsFinal(t *testing.T) {
	final := []Phase{Blocked, Observed, Suggested, Succeeded, Undone, Failed, Expired, Cancelled}
	phases := map[Phase]bool{}
	for _, tr := range transitions {
		phases[tr.To] = true
		if tr.From != "" {
			phases[tr.From] = true
		}
	}
	for p := range phases {
		if p.Final() != slices.Contains(final, p) {
			t.Errorf("phase %s: final is %v", p, p.Final())
		}
	}
	reach := map[Phase]bool{"": true}
	for range transitions {
		for _, tr := range transitions {
			if reach[tr.From] {
				reach[tr.To] = true
			}
		}
	}
	for p := range phases {
		if !reach[p] {
			t.Errorf("no way leads to phase %s", p)
		}
	}
}
