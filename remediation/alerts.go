package remediation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/policy"
	"github.com/chironhq/chiron/remediation/webhook"
)

// OriginLabel marks alerts that remediation itself has caused; they start nothing.
const OriginLabel = "remediation_origin"

// delivered leads every alert of a message through its state machine and opens
// runs for the periods that begin. Alerts are taken in the order of their labels
// and times, so the order of the message does not matter.
func (e *engine) delivered(now time.Time, d *webhook.Delivery) {
	alerts := make([]keyed, len(d.Alerts))
	for i, a := range d.Alerts {
		alerts[i] = keyed{alertKey(a.Labels), a}
	}
	slices.SortStableFunc(alerts, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(a.key, b.key), a.alert.StartsAt.Compare(b.alert.StartsAt),
			cmp.Compare(a.alert.Status, b.alert.Status), a.alert.EndsAt.Compare(b.alert.EndsAt))
	})
	if d.Truncated > 0 {
		e.out = append(e.out, Count{"truncated", int(min(d.Truncated, 1<<30))})
	}
	changed := map[string]bool{}
	joined := joins{}
	for _, a := range alerts {
		if a.alert.Labels[OriginLabel] != "" {
			e.out = append(e.out, Count{string(seenSelf), 1})
			continue
		}
		ep, what := e.episodes[a.key].observe(now, a.alert)
		e.out = append(e.out, Count{string(what), 1})
		e.episodes[a.key] = ep
		changed[a.key] = true
		if what == seenNew {
			e.remember(now)
			e.decide(now, ep, a, joined)
		}
	}
	e.record(now, joined)
	for i, a := range alerts {
		if changed[a.key] && (i == 0 || alerts[i-1].key != a.key) {
			e.out = append(e.out, SaveEpisode{a.key, e.episodes[a.key]})
		}
	}
}

// keyed is an alert with the identity of its labels.
type keyed struct {
	key   string
	alert webhook.Alert
}

// joins are the alerts of one message by the open run that they have joined.
type joins map[uint64][]string

// record puts each run that was joined on record once, however many alerts the
// message had for it.
func (e *engine) record(now time.Time, joined joins) {
	for _, id := range slices.Sorted(maps.Keys(joined)) {
		r, keys := e.runs[id], joined[id]
		text := "joined by " + keys[0]
		if n := len(keys) - 1; n > 0 {
			text += fmt.Sprintf(" and %d more", n)
		}
		r.UpdatedAt = now
		r.Timeline = append(r.Timeline, Entry{now, r.Phase, text})
		e.save(r)
	}
}

// remember notes a new period for the storm guard.
func (e *engine) remember(now time.Time) {
	e.recent = append(e.recent, now)
	e.storm(now, e.recent)
	if n := e.policies.Guardrails.Storm.N + 1; len(e.recent) > n {
		e.recent = slices.Clone(e.recent[len(e.recent)-n:])
	}
}

func (e *engine) storm(now time.Time, recent []time.Time) {
	g := e.policies.Guardrails
	if i := len(recent) - g.Storm.N - 1; g.Storm.Per > 0 && i >= 0 && now.Sub(recent[i]) < g.Storm.Per {
		e.stormUntil = now.Add(g.StormPause)
	}
}

// decide opens or joins one run for each policy that the alert matches.
func (e *engine) decide(now time.Time, ep *Episode, a keyed, joined joins) {
	ep.Decided = true
	for _, p := range e.policies.Policies {
		if !p.Matches(a.alert.Labels) {
			continue
		}
		if ep.Runs == nil {
			ep.Runs = map[string]uint64{}
		}
		ep.Runs[p.Name] = e.open(now, p, a, joined).ID
	}
}

func (e *engine) open(now time.Time, p *policy.Policy, k keyed, joined joins) *Run {
	a := k.alert
	ns, name, err := p.Target.Expand(policy.Values{Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt})
	ref := AlertRef{a.Labels, a.StartsAt}
	object := action.Object{Kind: p.Target.Kind, Namespace: ns, Name: name}
	stale := now.Sub(a.StartsAt) > e.settings.MaxAge
	if err == nil && !stale {
		if r := e.joinable(p, object); r != nil {
			r.Alerts = append(r.Alerts, ref)
			joined[r.ID] = append(joined[r.ID], k.key)
			return r
		}
	}
	e.last++
	r := &Run{
		ID: e.last, Policy: p.Name, Mode: min(p.Mode, e.policies.Guardrails.ModeMax).String(), Action: p.Action.Spec.Name,
		Alerts: []AlertRef{ref}, Annotations: a.Annotations, Object: object, CreatedAt: now, Due: now.Add(e.settings.Coalesce),
	}
	e.runs[r.ID] = r
	e.order = append(e.order, r.ID)
	switch {
	case stale:
		e.move(now, r, Expired, ReasonStale, fmt.Sprintf("the alert began %s ago and is seen for the first time", now.Sub(a.StartsAt).Round(time.Second)))
	case err != nil:
		e.move(now, r, Blocked, ReasonTargetUnresolved, err.Error())
	default:
		e.move(now, r, Received, "", "alert "+k.key)
	}
	return r
}

// joinable is the open run of the same policy on the same object.
func (e *engine) joinable(p *policy.Policy, o action.Object) *Run {
	for _, id := range slices.Backward(e.order) {
		if r := e.runs[id]; !r.Phase.Final() && r.Policy == p.Name && r.Object.Key() == o.Key() {
			return r
		}
	}
	return nil
}

// resolved reports whether every alert of the run has ended.
func (e *engine) resolved(r *Run) (bool, string) {
	open := 0
	for _, a := range r.Alerts {
		if ep := e.episodes[alertKey(a.Labels)]; ep == nil || !ep.Resolved || ep.StartsAt.Before(a.StartsAt) {
			open++
		}
	}
	return open == 0, fmt.Sprintf("%d of %d alerts have ended", len(r.Alerts)-open, len(r.Alerts))
}
