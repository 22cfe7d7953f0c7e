package remediation

import (
	"time"

	"github.com/chironhq/chiron/remediation/policy"
)

// acted: the write was answered, or not.
func (e *engine) acted(now time.Time, r *Run, a Acted) {
	switch a.Result {
	case Done:
		e.settle(now, r, "done: "+r.Change.Note)
	case NotAsked:
		r.ActedAt = time.Time{} // it does not count in budgets and cooldowns
		e.move(now, r, Cancelled, policy.KillSwitch, a.Text)
	case Unclear:
		r.Timeline = append(r.Timeline, Entry{now, Acting, "no clear answer: " + a.Text + "; looking at the cluster"})
		e.save(r)
		e.ask(r, Look{r.clone()})
	default:
		e.move(now, r, Failed, reasonOf(a.Result), a.Text)
	}
}

func reasonOf(r Result) policy.Reason {
	switch r {
	case Missing:
		return ReasonTargetMissing
	case Changed:
		return ReasonChanged
	case Refused:
		return ReasonRefused
	}
	return ReasonUnknown
}

func (e *engine) settle(now time.Time, r *Run, text string) {
	delete(e.recovered, r.ID)
	r.Due = r.VerifyFrom
	e.move(now, r, Settling, "", text)
}

// looked: whether a write of unknown outcome has happened. A write is sent again
// only when a new process finds that the old one has not come to it; its
// preconditions are still those of the first plan, so the two cannot both happen.
func (e *engine) looked(now time.Time, r *Run, l Looked) {
	switch {
	case l.Result == Done && l.Applied:
		e.settle(now, r, "found done: "+r.Change.Note)
	case l.Result == Done && e.recovered[r.ID]:
		p := e.current(r)
		switch {
		case p == nil:
			e.move(now, r, Cancelled, ReasonPolicyGone, "policy "+r.Policy+" is gone, or means another alert or target now")
		case now.Sub(r.Alerts[0].StartsAt) > e.settings.MaxAge || now.Sub(r.ActedAt) > e.settings.LookFor:
			e.move(now, r, Cancelled, ReasonStale, "planned at "+r.ActedAt.UTC().Format(time.RFC3339)+", not done, and too old by now")
		default:
			r.Timeline = append(r.Timeline, Entry{now, Acting, "planned before a restart and not done; deciding again"})
			e.save(r)
			e.ask(r, Gather{r.clone(), p})
		}
	case l.Result == Done && now.Sub(r.ActedAt) < e.settings.LookUnanswered:
		r.Due = now.Add(e.settings.CheckEvery) // it may still be on its way
	case l.Result == Done:
		e.move(now, r, Failed, ReasonUnknown, "the write got no answer and is not to be seen; it is not repeated")
	case l.Result == Changed || l.Result == Missing:
		e.move(now, r, Failed, reasonOf(l.Result), l.Text)
	case now.Sub(r.ActedAt) > e.settings.LookFor && !e.recovered[r.ID]:
		e.move(now, r, Failed, ReasonUnknown, "nobody knows whether it was done: "+l.Text)
	default:
		r.Due = now.Add(e.settings.CheckEvery)
	}
}

// checked: what the checks of verify said.
func (e *engine) checked(now time.Time, r *Run, c Checked) {
	ok, text := len(c.Checks) == len(r.Checks), "the checks were not asked"
	for i := range min(len(c.Checks), len(r.Checks)) {
		check := c.Checks[i]
		if check.AlertsResolved {
			check.OK, check.Text = e.resolved(r)
		}
		r.Checks[i] = check
		if !check.OK && (ok || i == 0) {
			ok, text = false, check.Text
		}
	}
	r.UpdatedAt = now
	switch {
	case ok && !r.HoldUntil.IsZero():
		r.Due = r.HoldUntil
		e.move(now, r, Holding, ReasonVerified, "it has helped; held until "+r.HoldUntil.UTC().Format(time.RFC3339))
	case ok:
		e.move(now, r, Succeeded, ReasonVerified, "it has helped")
	case now.Before(r.VerifyUntil):
		r.Due = now.Add(e.settings.CheckEvery)
		if r.Due.After(r.VerifyUntil) {
			r.Due = r.VerifyUntil
		}
		e.save(r)
	case r.UndoOnFail:
		r.Due = now
		e.move(now, r, Undoing, ReasonVerifyFailed, "it has not helped ("+text+"): "+undoText(r))
		if !e.halted(now, r) {
			e.ask(r, GiveBack{r.clone()})
		}
	case !r.HoldUntil.IsZero(): // what was held is given back in any case
		r.Due = r.HoldUntil
		e.move(now, r, Holding, ReasonVerifyFailed, "it has not helped ("+text+"); held until "+r.HoldUntil.UTC().Format(time.RFC3339))
	default:
		e.move(now, r, Failed, ReasonVerifyFailed, text)
	}
}

// gaveBack: the undo was answered. It looks at the value before it writes, so it
// may be asked again.
func (e *engine) gaveBack(now time.Time, r *Run, g GaveBack) {
	why := r.Reason // hold_over or verify_failed
	switch {
	case g.Result == Done:
		e.move(now, r, Undone, why, "given back")
	case g.Result == Changed && why == ReasonHoldOver:
		e.move(now, r, Succeeded, ReasonChanged, "left as it is: "+g.Text)
	case g.Result == NotAsked:
		r.Due = now.Add(killedWait)
	case g.Result == Unclear && now.Sub(r.UpdatedAt) < time.Hour:
		r.Due = now.Add(e.settings.CheckEvery)
	default:
		e.move(now, r, Failed, ReasonUndoFailed, g.Text)
	}
}
