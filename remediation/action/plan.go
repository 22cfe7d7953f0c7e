package action

import (
	"fmt"
	"math"
	"time"
)

// Name is an action's name in policies, guardrails, metrics and runs.
type Name string

// The actions of this version.
const (
	EvictPod    Name = "evictPod"
	Restart     Name = "restart"
	Scale       Name = "scale"
	ScaleToZero Name = "scaleToZero" // what guardrails may forbid; as an action it is scale with min: 0
)

// Spec is one action with its numbers filled in.
type Spec struct {
	Name        Name
	GracePeriod *time.Duration // evictPod; nil: the pod's own
	Replicas    float64        // scale: wanted
	Min, Max    int            // scale: bounds of the result
	MaxStep     Amount         // scale: bound of one change; zero: none
}

// Amount is a number of things or a part of all.
type Amount struct {
	Number  int     `json:"number,omitempty"`
	Part    float64 `json:"part,omitempty"` // 0.1 is 10 %
	Percent bool    `json:"percent,omitempty"`
}

// IsZero reports whether nothing was given.
func (a Amount) IsZero() bool { return a == Amount{} }

// String renders "10%" or "3".
func (a Amount) String() string {
	if a.Percent {
		return fmt.Sprintf("%g%%", math.Round(a.Part*1e6)/1e4)
	}
	return fmt.Sprint(a.Number)
}

// Allows reports whether n of all stay within the amount. A part of nothing allows nothing.
func (a Amount) Allows(n, all int) bool {
	if n <= 0 {
		return true
	}
	if a.Percent {
		return float64(n) <= a.Part*float64(all)+1e-9
	}
	return n <= a.Number
}

// Plan says what spec would do to t at now. It wraps ErrNothing when there is
// nothing to change and ErrUnsuitable when the action does not fit the target.
func Plan(now time.Time, t *Target, spec Spec) (*Change, error) {
	switch spec.Name {
	case EvictPod:
		return planEvict(t, spec)
	case Restart:
		return planRestart(now, t)
	case Scale:
		return planScale(t, spec)
	}
	return nil, fmt.Errorf("action %q: %w", spec.Name, ErrUnsuitable)
}

func planEvict(t *Target, spec Spec) (*Change, error) {
	switch {
	case t.Pod == nil:
		return nil, fmt.Errorf("evictPod needs a Pod, not %s: %w", t.Object, ErrUnsuitable)
	case t.Workload == nil:
		return nil, fmt.Errorf("nothing would bring %s back: %w", t.Object, ErrUnsuitable)
	case t.Pod.Deleting:
		return nil, fmt.Errorf("%s is being deleted: %w", t.Object, ErrNothing)
	}
	c := &Change{Do: Op{Verb: Evict, Object: t.Pod.Object}, Pods: 1}
	c.Note = fmt.Sprintf("evict %s, one of %d of %s", t.Object, t.Workload.Replicas, t.Workload.Object)
	if spec.GracePeriod != nil {
		s := int64(math.Ceil(spec.GracePeriod.Seconds()))
		c.Do.GracePeriod = &s
	}
	return c, nil
}

func planRestart(now time.Time, t *Target) (*Change, error) {
	w := t.Workload
	switch {
	case w == nil:
		return nil, fmt.Errorf("%s has no workload to restart: %w", t.Object, ErrUnsuitable)
	case w.Kind == "ReplicaSet":
		return nil, fmt.Errorf("%s has no rollouts: %w", w.Object, ErrUnsuitable)
	case w.NoRollout != "":
		return nil, fmt.Errorf("%s: %s: %w", w.Object, w.NoRollout, ErrUnsuitable)
	case w.RestartedAt == now.UTC().Format(time.RFC3339):
		return nil, fmt.Errorf("%s was restarted this very second: %w", w.Object, ErrNothing)
	}
	if settled, why := w.Settled(); !settled && w.Observed >= w.Generation && w.Updated < w.Replicas {
		return nil, fmt.Errorf("a rollout is under way: %s: %w", why, ErrUnsuitable)
	}
	return &Change{
		Do:   Op{Verb: Patch, Object: w.Object, Patch: restartPatch(w.Object, now)},
		Pods: w.AtOnce,
		Note: fmt.Sprintf("restart %s, %d pods, %d at once", w.Object, w.Replicas, w.AtOnce),
	}, nil
}

func planScale(t *Target, spec Spec) (*Change, error) {
	w := t.Workload
	if w == nil || w.Kind == "DaemonSet" || t.Pod != nil {
		return nil, fmt.Errorf("%s cannot be scaled: %w", t.Object, ErrUnsuitable)
	}
	if math.IsNaN(spec.Replicas) || math.IsInf(spec.Replicas, 0) || spec.Replicas < 0 || spec.Replicas > 1e6 {
		return nil, fmt.Errorf("%v is no number of replicas: %w", spec.Replicas, ErrUnsuitable)
	}
	o, field, now := w.Object, "replicas", w.Replicas
	if h := w.ScaledBy; h != nil {
		if h.ManagedBy != "" {
			return nil, fmt.Errorf("%s belongs to %s, which would take the change back: %w", h.Object, h.ManagedBy, ErrUnsuitable)
		}
		if w.Replicas == 0 {
			return nil, fmt.Errorf("%s is scaled to zero, which switches %s off: %w", w.Object, h.Object, ErrUnsuitable)
		}
		o, field, now = h.Object, "minReplicas", h.Min
	}
	want := min(max(int(math.Ceil(spec.Replicas)), spec.Min), spec.Max)
	note := ""
	if step := spec.MaxStep; !step.IsZero() {
		most := step.Number
		if step.Percent {
			most = max(int(math.Ceil(step.Part*float64(now)-1e-9)), 1)
		}
		if limited := min(max(want, now-most), now+most); limited != want {
			note, want = fmt.Sprintf(", not %d, because one step is at most %s", want, step), limited
		}
	}
	pods := max(now-want, 0)
	if h := w.ScaledBy; h != nil {
		if want > h.Max {
			note, want = fmt.Sprintf(", not %d, because that is its maxReplicas", want), h.Max
		}
		if want <= h.Min { // an HPA is only raised: below its minimum it decides by itself
			return nil, fmt.Errorf("%s keeps at least %d: %w", h.Object, h.Min, ErrNothing)
		}
		pods = 0
	}
	if want == now {
		return nil, fmt.Errorf("%s has %d replicas: %w", o, now, ErrNothing)
	}
	return &Change{
		Do:   Op{Verb: Patch, Object: o, Patch: numberPatch(o, field, want)},
		Undo: &Restore{Object: o, Field: field, From: want, To: now},
		Pods: pods,
		Zero: want == 0,
		Note: fmt.Sprintf("set %s of %s from %d to %d%s", field, o, now, want, note),
	}, nil
}
