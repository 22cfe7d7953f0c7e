package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/chironhq/chiron/remediation/action"
)

// Reason is the stable word for why something was not done, the same in runs,
// metrics, logs and docs/remediation.md.
type Reason string

// The guards' reasons.
const (
	KillSwitch         Reason = "kill_switch"
	NamespaceDenied    Reason = "namespace_denied"
	ActionForbidden    Reason = "action_forbidden"
	BudgetActions      Reason = "budget_actions"
	BudgetPerTarget    Reason = "budget_per_target"
	BudgetPerNamespace Reason = "budget_per_namespace"
	BudgetConcurrent   Reason = "budget_concurrent"
	BlastRadius        Reason = "blast_radius"
	StormReason        Reason = "storm"
	DenyWindow         Reason = "deny_window"
	Cooldown           Reason = "cooldown"
	RateReason         Reason = "rate"
	Concurrent         Reason = "concurrent"
	OfWorkload         Reason = "blast_radius_of_workload"
	TargetBusy         Reason = "target_busy"
	Circuit            Reason = "circuit_open"
	Require            Reason = "require"
)

// Verdict is one guard's no.
type Verdict struct {
	Reason Reason `json:"reason"`
	Text   string `json:"text"`
}

// Past is one earlier action.
type Past struct {
	Policy    string
	Target    string // action.Target.Key of it
	Namespace string
	Action    action.Name
	At        time.Time
	Active    bool // not final yet
	Holding   bool // done and verified, waiting to be given back
	Failed    bool
}

// Evidence is the answer to one query.
type Evidence struct {
	Expr    string   `json:"expr"`
	Samples []Sample `json:"samples"`
	Error   string   `json:"error,omitempty"`
}

// Sample is one element of an instant vector.
type Sample struct {
	Labels map[string]string `json:"labels"`
	Value  Value             `json:"value"`
}

// Holds reports whether the query was answered with something.
func (e Evidence) Holds() bool { return e.Error == "" && len(e.Samples) > 0 }

// Facts are everything that guards look at.
type Facts struct {
	Now        time.Time
	Guardrails *Guardrails
	Policy     *Policy
	Target     *action.Target
	Change     *action.Change
	Past       []Past // in the order of time
	Storm      bool
	Evidence   []Evidence // of Policy.Require, in its order
}

// Guard looks at the facts and returns nil or why not.
type Guard struct {
	Reason Reason
	Help   string
	check  func(*Facts) string
}

// Guards is every guard. Their order does not matter.
var Guards = []Guard{
	{KillSwitch, "`guardrails.kill_switch` is on", func(f *Facts) string {
		return when(f.Guardrails.KillSwitch, "the kill switch is on")
	}},
	{NamespaceDenied, "the target's namespace is in `namespaces.deny` or not in `namespaces.allow`", namespaceDenied},
	{ActionForbidden, "the action, or scaling to zero, is listed in `guardrails.never`", forbidden},
	{BudgetActions, "`budget.actions` is used up", func(f *Facts) string {
		return used(f, f.Guardrails.Actions, "of all actions", func(Past) bool { return true })
	}},
	{BudgetPerTarget, "`budget.per_target` is used up for the workload", func(f *Facts) string {
		return used(f, f.Guardrails.PerTarget, "on "+f.Target.Key(), func(p Past) bool { return p.Target == f.Target.Key() })
	}},
	{BudgetPerNamespace, "`budget.per_namespace` is used up", func(f *Facts) string {
		ns := f.Target.Object.Namespace
		return used(f, f.Guardrails.PerNamespace, "in namespace "+ns, func(p Past) bool { return p.Namespace == ns })
	}},
	{BudgetConcurrent, "`budget.concurrent` other actions are not verified yet", func(f *Facts) string {
		return atOnce(f, f.Guardrails.Concurrent, "", func(Past) bool { return true })
	}},
	{BlastRadius, "the action takes away more pods than `blast_radius.max_pods`", func(f *Facts) string {
		return radius(f, f.Guardrails.MaxPods, "the guardrails allow")
	}},
	{StormReason, "more new alerts than `storm.alerts`; nothing is done for `storm.cooldown`", func(f *Facts) string {
		return when(f.Storm, "%s", StormText(f.Guardrails))
	}},
	{DenyWindow, "the time is in one of `windows.deny`", denyWindow},
	{Cooldown, "`limits.cooldown` since the policy's last action on the workload is not over", cooldown},
	{RateReason, "the policy's `limits.rate` is used up", func(f *Facts) string {
		if f.Policy.Limits.Rate.N == 0 {
			return ""
		}
		return used(f, f.Policy.Limits.Rate, "by policy "+f.Policy.Name, func(p Past) bool { return p.Policy == f.Policy.Name })
	}},
	{Concurrent, "the policy's `limits.concurrent` other actions are not verified yet", func(f *Facts) string {
		if f.Policy.Limits.Concurrent == 0 {
			return ""
		}
		return atOnce(f, f.Policy.Limits.Concurrent, " of policy "+f.Policy.Name, func(p Past) bool { return p.Policy == f.Policy.Name })
	}},
	{OfWorkload, "the action takes away more pods than the policy's `limits.blast_radius.of_workload`", func(f *Facts) string {
		return radius(f, f.Policy.Limits.OfWorkload, "the policy allows")
	}},
	{TargetBusy, "another run is acting on the same workload, or holds its scale", busy},
	{Circuit, "the policy's last three actions of 6 h have failed", circuit},
	{Require, "an expression of `require` returned nothing, or could not be asked", require},
}

// Judge asks every guard. No verdict means that the change may be made.
func Judge(f *Facts) []Verdict {
	var out []Verdict
	for _, g := range Guards {
		if text := g.check(f); text != "" {
			out = append(out, Verdict{g.Reason, text})
		}
	}
	return out
}

// StormText says why a storm blocks.
func StormText(g *Guardrails) string {
	return fmt.Sprintf("more than %s new alerts: look for the common cause", g.Storm)
}

func when(c bool, format string, args ...any) string {
	if !c {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func namespaceDenied(f *Facts) string {
	ns := f.Target.Object.Namespace
	if g, ok := matchesAny(f.Guardrails.Deny, ns); ok {
		return fmt.Sprintf("namespace %s is denied by %q", ns, g)
	}
	_, ok := matchesAny(f.Guardrails.Allow, ns)
	return when(!ok, "namespace %s is not allowed", ns)
}

func forbidden(f *Facts) string {
	name := f.Policy.Action.Spec.Name
	if slices.Contains(f.Guardrails.Never, name) {
		return fmt.Sprintf("%s is forbidden", name)
	}
	return when(f.Change.Zero && slices.Contains(f.Guardrails.Never, action.ScaleToZero), "scaling to zero is forbidden")
}

func used(f *Facts, r Rate, what string, counts func(Past) bool) string {
	n := 0
	for _, p := range f.Past {
		if f.Now.Sub(p.At) < r.Per && counts(p) {
			n++
		}
	}
	return when(n >= r.N, "%d of %s %s are used", n, r, what)
}

func atOnce(f *Facts, limit int, what string, counts func(Past) bool) string {
	n := 0
	for _, p := range f.Past {
		if p.Active && !p.Holding && counts(p) {
			n++
		}
	}
	return when(n >= limit, "%d of %d concurrent actions%s", n, limit, what)
}

func radius(f *Facts, a action.Amount, who string) string {
	if a.IsZero() || f.Change.Pods <= 0 {
		return ""
	}
	if f.Target.Workload == nil {
		return "the workload is not known"
	}
	all := f.Target.Workload.Replicas
	return when(!a.Allows(f.Change.Pods, all), "%d of %d pods at once, %s %s", f.Change.Pods, all, who, a)
}

func denyWindow(f *Facts) string {
	for _, w := range f.Guardrails.Windows {
		if w.Interval.ContainsTime(f.Now.UTC()) {
			return fmt.Sprintf("now is in the window %s", w.Name)
		}
	}
	return ""
}

func cooldown(f *Facts) string {
	for _, p := range slices.Backward(f.Past) {
		if p.Policy == f.Policy.Name && p.Target == f.Target.Key() && f.Now.Sub(p.At) < f.Policy.Limits.Cooldown {
			return fmt.Sprintf("the last action on %s was %s ago, the cooldown is %s", p.Target, f.Now.Sub(p.At).Round(time.Second), short(f.Policy.Limits.Cooldown))
		}
	}
	return ""
}

func busy(f *Facts) string {
	for _, p := range f.Past {
		if p.Active && p.Target == f.Target.Key() && (!p.Holding || f.Policy.Action.Spec.Name == action.Scale) {
			return fmt.Sprintf("policy %s is not done with %s", p.Policy, p.Target)
		}
	}
	return ""
}

func circuit(f *Facts) string {
	failed := 0
	for _, p := range f.Past {
		if p.Policy != f.Policy.Name || p.Active {
			continue
		}
		if !p.Failed || f.Now.Sub(p.At) >= 6*time.Hour {
			failed = 0
			continue
		}
		failed++
	}
	return when(failed >= 3, "the last %d actions of policy %s have failed", failed, f.Policy.Name)
}

func require(f *Facts) string {
	if len(f.Evidence) != len(f.Policy.Require) {
		return "the requirements were not asked"
	}
	for _, e := range f.Evidence {
		switch {
		case e.Error != "":
			return fmt.Sprintf("cannot ask %s: %s", e.Expr, e.Error)
		case !e.Holds():
			return fmt.Sprintf("%s returned nothing", e.Expr)
		}
	}
	return ""
}
