package remediation

import (
	"fmt"
	"strings"
	"time"

	"github.com/chironhq/chiron/remediation/policy"
)

// begin leads a received run to its facts.
func (e *engine) begin(now time.Time, r *Run) {
	if done, text := e.resolved(r); done {
		e.move(now, r, Cancelled, ReasonResolved, text)
		return
	}
	p := e.current(r)
	if p == nil {
		e.move(now, r, Cancelled, ReasonPolicyGone, "policy "+r.Policy+" is gone, or means another alert or target now")
		return
	}
	if now.Before(e.stormUntil) { // hundreds of runs would ask the cluster at its worst hour
		v := policy.Verdict{Reason: policy.StormReason, Text: policy.StormText(&e.policies.Guardrails)}
		r.Verdicts = []policy.Verdict{v}
		e.move(now, r, Blocked, v.Reason, v.Text)
		return
	}
	e.ask(r, Gather{r.clone(), p})
}

// current is the run's policy as it is now, nil when it does not mean this alert
// and this object any more.
func (e *engine) current(r *Run) *policy.Policy {
	p := e.policies.Lookup(r.Policy)
	if p == nil || !p.Matches(r.Alerts[0].Labels) || p.Action.Spec.Name != r.Action || p.Target.Kind != r.Object.Kind {
		return nil
	}
	ns, name, err := p.Target.Expand(values(r))
	if err != nil || ns != r.Object.Namespace || name != r.Object.Name {
		return nil
	}
	return p
}

func values(r *Run) policy.Values {
	return policy.Values{Labels: r.Alerts[0].Labels, Annotations: r.Annotations, StartsAt: r.Alerts[0].StartsAt}
}

// gathered is the decision: facts are complete, the guards are asked, and only
// then the run acts, observes or suggests.
func (e *engine) gathered(now time.Time, r *Run, g Gathered) {
	again := r.Phase == Acting // found after a restart, not done
	stop := Blocked
	if again {
		stop = Cancelled
	}
	out := func(reason policy.Reason, text string) { e.move(now, r, stop, reason, text) }
	p := e.current(r)
	if p == nil {
		stop = Cancelled
		out(ReasonPolicyGone, "policy "+r.Policy+" is gone, or means another alert or target now")
		return
	}
	if done, text := e.resolved(r); done {
		stop = Cancelled
		out(ReasonResolved, text)
		return
	}
	r.Evidence = g.Evidence
	if g.Target != nil {
		r.Target = g.Target
	}
	if g.Reason != "" || g.Target == nil || g.Change == nil {
		if g.Reason == "" {
			g.Reason, g.Text = ReasonUnknown, "there is no plan"
		}
		r.Verdicts = []policy.Verdict{{Reason: g.Reason, Text: g.Text}}
		out(g.Reason, g.Text)
		return
	}
	if !again {
		r.Change = g.Change
	} else if was, is := r.Change.Do.Object, g.Change.Do.Object; was != is {
		e.move(now, r, Failed, ReasonChanged, fmt.Sprintf("%s changed before the write that was planned; nothing was written", is))
		return
	}
	mode := min(p.Mode, e.policies.Guardrails.ModeMax)
	r.Mode = mode.String()
	r.Verdicts = policy.Judge(&policy.Facts{
		Now: now, Guardrails: &e.policies.Guardrails, Policy: p, Target: g.Target, Change: r.Change,
		Past: e.past(r), Storm: now.Before(e.stormUntil), Evidence: g.Evidence[:min(len(g.Evidence), len(p.Require))],
	})
	switch {
	case len(r.Verdicts) > 0:
		out(r.Verdicts[0].Reason, verdictText(r.Verdicts))
	case again && mode != policy.Auto:
		out(ReasonMode, "the mode is "+mode.String()+" now")
	case mode == policy.Observe:
		e.move(now, r, Observed, ReasonMode, "would "+r.Change.Note)
	case mode == policy.Suggest:
		e.move(now, r, Suggested, ReasonMode, "suggests to "+r.Change.Note)
		e.out = append(e.out, DryRun{r.clone()})
	default:
		e.commit(now, r, p, g.Checks)
	}
}

func verdictText(vs []policy.Verdict) string {
	texts := make([]string, len(vs))
	for i, v := range vs {
		texts[i] = v.Text
	}
	return strings.Join(texts, "; ")
}

// commit puts the write on record and asks for it.
func (e *engine) commit(now time.Time, r *Run, p *policy.Policy, checks []Check) {
	r.Checks = checks
	r.ActedAt = now
	r.VerifyFrom, r.VerifyUntil = now.Add(p.Verify.Settle), now.Add(p.Verify.Within)
	r.UndoOnFail = p.Undo.VerifyFailed && r.Change.Undo != nil
	if p.Undo.HoldOver && r.Change.Undo != nil {
		r.HoldUntil = now.Add(p.Action.Hold)
	}
	r.Due = now
	e.move(now, r, Acting, "", r.Change.Note)
	delete(e.recovered, r.ID)
	e.ask(r, Act{r.clone()})
}

// past lists what was done before, for the guards; without r itself.
func (e *engine) past(r *Run) []policy.Past {
	var out []policy.Past
	for _, id := range e.order {
		o := e.runs[id]
		if o.ActedAt.IsZero() || o == r {
			continue
		}
		out = append(out, policy.Past{
			Policy: o.Policy, Target: o.targetKey(), Namespace: o.Object.Namespace, Action: o.Action, At: o.ActedAt,
			Active: !o.Phase.Final(), Holding: o.Phase == Holding, Failed: o.Phase == Failed || o.Phase == Undone && o.Reason == ReasonVerifyFailed,
		})
	}
	return out
}
