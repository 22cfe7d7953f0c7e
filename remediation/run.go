package remediation

import (
	"slices"
	"time"

	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/policy"
)

// Phase is where a run stands. The table transitions says what follows what.
type Phase string

// The phases.
const (
	Received  Phase = "received"  // waits for the rest of its group, then for facts
	Blocked   Phase = "blocked"   // final: a guard said no, or there is no plan
	Observed  Phase = "observed"  // final: the decision is recorded, as the mode says
	Suggested Phase = "suggested" // final: the plan is published, as the mode says
	Acting    Phase = "acting"    // the write is on record and may have happened
	Settling  Phase = "settling"  // it has happened; too early to look
	Verifying Phase = "verifying" // looking whether it has helped
	Holding   Phase = "holding"   // it has helped; is given back later
	Undoing   Phase = "undoing"   // taking back is on record and may have happened
	Succeeded Phase = "succeeded" // final
	Undone    Phase = "undone"    // final: taken back
	Failed    Phase = "failed"    // final: was not done, or has not helped
	Expired   Phase = "expired"   // final: the alert was too old when it was first seen
	Cancelled Phase = "cancelled" // final: the alert ended or the policy went before anything was done
)

// transitions lists from, why, to.
var transitions = []struct {
	From  Phase
	Event string
	To    Phase
}{
	{"", "alert", Received},
	{"", "alert without target", Blocked},
	{"", "stale alert", Expired},
	{Received, "alerts resolved", Cancelled},
	{Received, "policy gone", Cancelled},
	{Received, "no plan", Blocked},
	{Received, "guard", Blocked},
	{Received, "mode observe", Observed},
	{Received, "mode suggest", Suggested},
	{Received, "mode auto", Acting},
	{Acting, "done", Settling},
	{Acting, "refused", Failed},
	{Acting, "not done, after a restart", Acting},
	{Acting, "guard after a restart", Cancelled},
	{Settling, "settled", Verifying},
	{Verifying, "better", Succeeded},
	{Verifying, "better, with hold", Holding},
	{Verifying, "not better", Failed},
	{Verifying, "not better, with undo", Undoing},
	{Holding, "hold over", Undoing},
	{Undoing, "given back", Undone},
	{Undoing, "somebody changed it", Succeeded},
	{Undoing, "refused", Failed},
}

// Final reports whether nothing follows.
func (p Phase) Final() bool {
	for _, t := range transitions {
		if t.From == p {
			return false
		}
	}
	return true
}

// Reasons beside those of the guards (package policy).
const (
	ReasonMode             policy.Reason = "mode"
	ReasonStale            policy.Reason = "stale"
	ReasonTargetUnresolved policy.Reason = "target_unresolved"
	ReasonTargetMissing    policy.Reason = "target_missing"
	ReasonUnsuitable       policy.Reason = "unsuitable"
	ReasonNothing          policy.Reason = "nothing_to_do"
	ReasonUnknown          policy.Reason = "unknown"
	ReasonPolicyGone       policy.Reason = "policy_gone"
	ReasonResolved         policy.Reason = "alerts_resolved"
	ReasonChanged          policy.Reason = "changed"
	ReasonRefused          policy.Reason = "refused"
	ReasonVerified         policy.Reason = "verified"
	ReasonVerifyFailed     policy.Reason = "verify_failed"
	ReasonHoldOver         policy.Reason = "hold_over"
	ReasonUndoFailed       policy.Reason = "undo_failed"
)

// Reasons lists those with what they mean; docs/remediation.md shows it.
var Reasons = []struct {
	Reason policy.Reason
	Help   string
}{
	{ReasonMode, "the policy's mode, or `mode_max`, ends here"},
	{ReasonStale, "the alert began long before it was first seen"},
	{ReasonTargetUnresolved, "the alert lacks a label that the target needs, or its value is no Kubernetes name"},
	{ReasonTargetMissing, "the target is not in the cluster"},
	{ReasonUnsuitable, "the action does not fit the target"},
	{ReasonNothing, "what is wanted is already so"},
	{ReasonUnknown, "the cluster, or a query, could not be asked"},
	{ReasonPolicyGone, "the policy is not there any more, or does not match any more"},
	{ReasonResolved, "the alerts ended before anything was done"},
	{ReasonChanged, "the object changed between plan and write; nothing was written"},
	{ReasonRefused, "the cluster said no: a disruption budget, missing rights, admission"},
	{ReasonVerified, "every check of `verify` holds"},
	{ReasonVerifyFailed, "the checks of `verify` did not hold in time"},
	{ReasonHoldOver, "`hold` is over; the old value is back"},
	{ReasonUndoFailed, "the change could not be taken back"},
}

// AlertRef is one episode of an alert.
type AlertRef struct {
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"`
}

// Check is one condition of a run's verification and its last answer.
type Check struct {
	Ready          string           `json:"ready,omitempty"` // "owner" or "target"
	AlertsResolved bool             `json:"alertsResolved,omitempty"`
	PromQL         string           `json:"promql,omitempty"`
	OK             bool             `json:"ok"`
	Text           string           `json:"text,omitempty"`
	Evidence       *policy.Evidence `json:"evidence,omitempty"`
}

// Entry is one line of a run's timeline.
type Entry struct {
	At    time.Time `json:"at"`
	Phase Phase     `json:"phase"`
	Text  string    `json:"text"`
}

// Run is one decision, from the alert to its end: the audit trail. What is
// needed to finish an action stands in it, so that a change of policies does
// not reach an action that has begun.
type Run struct {
	ID          uint64            `json:"id"`
	Policy      string            `json:"policy"`
	Mode        string            `json:"mode"`
	Action      action.Name       `json:"action"`
	Alerts      []AlertRef        `json:"alerts"`
	Annotations map[string]string `json:"annotations,omitempty"` // of the first alert
	Object      action.Object     `json:"object"`                // as the policy names it
	Target      *action.Target    `json:"target,omitempty"`      // as it was read: uid, resourceVersion, owners
	Change      *action.Change    `json:"change,omitempty"`      // the exact write
	DryRun      string            `json:"dryRun,omitempty"`      // what the cluster says of a suggested change
	Verdicts    []policy.Verdict  `json:"verdicts,omitempty"`
	Evidence    []policy.Evidence `json:"evidence,omitempty"`
	Checks      []Check           `json:"checks,omitempty"`
	Phase       Phase             `json:"phase"`
	Reason      policy.Reason     `json:"reason,omitempty"`
	Text        string            `json:"text,omitempty"`
	Timeline    []Entry           `json:"timeline"`
	CreatedAt   time.Time         `json:"createdAt"`
	UpdatedAt   time.Time         `json:"updatedAt"`
	ActedAt     time.Time         `json:"actedAt,omitzero"`
	VerifyFrom  time.Time         `json:"verifyFrom,omitzero"`
	VerifyUntil time.Time         `json:"verifyUntil,omitzero"`
	HoldUntil   time.Time         `json:"holdUntil,omitzero"`
	UndoOnFail  bool              `json:"undoOnFail,omitempty"`
	Due         time.Time         `json:"due,omitzero"` // when it wants to be looked at
}

// clone returns a copy that later steps of the engine do not change.
func (r *Run) clone() *Run {
	c := *r
	c.Alerts, c.Timeline = slices.Clone(r.Alerts), slices.Clone(r.Timeline)
	c.Verdicts, c.Checks = slices.Clone(r.Verdicts), slices.Clone(r.Checks)
	return &c
}

func (r *Run) targetKey() string {
	if r.Target != nil {
		return r.Target.Key()
	}
	return r.Object.Key()
}

// subject is what the run is resolved by.
func (r *Run) subject() action.Object {
	return action.Object{Kind: r.Object.Kind, Namespace: r.Object.Namespace, Name: r.Object.Name}
}
