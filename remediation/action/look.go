package action

import (
	"context"
	"errors"
	"fmt"
)

// Applied looks whether the cluster has done op already: after a crash between
// record and act, and after an answer that never came. subject is what the run
// acts on.
func Applied(ctx context.Context, c Cluster, subject Object, op Op) (bool, error) {
	t, err := c.Resolve(ctx, subject)
	if op.Verb == Evict {
		if errors.Is(err, ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		return t.Pod == nil || t.Pod.UID != op.Object.UID || t.Pod.Deleting, nil
	}
	if err != nil {
		return false, err
	}
	p, err := op.Read()
	if err != nil {
		return false, err
	}
	o, n, err := number(t, op.Object.Kind)
	if err != nil {
		return false, err
	}
	if o.UID != op.Object.UID {
		return false, fmt.Errorf("%s was made anew: %w", o, ErrChanged)
	}
	switch {
	case p.RestartedAt() != "":
		return t.Workload.RestartedAt == p.RestartedAt(), nil
	case p.Spec.MinReplicas != nil:
		return n == *p.Spec.MinReplicas, nil
	case p.Spec.Replicas != nil:
		return n == *p.Spec.Replicas, nil
	}
	return false, fmt.Errorf("the patch of %s says nothing known", op.Object)
}

// number is the object of that kind in the target's chain and its replica count.
func number(t *Target, kind string) (Object, int, error) {
	w := t.Workload
	switch {
	case w == nil:
		return Object{}, 0, fmt.Errorf("%s has no workload: %w", t.Object, ErrNotFound)
	case kind == "HorizontalPodAutoscaler" && w.ScaledBy == nil:
		return Object{}, 0, fmt.Errorf("the autoscaler of %s: %w", w.Object, ErrNotFound)
	case kind == "HorizontalPodAutoscaler":
		return w.ScaledBy.Object, w.ScaledBy.Min, nil
	}
	return w.Object, w.Replicas, nil
}

// Give reads the cluster and returns the write that gives r back. A nil op means
// that it is so already; ErrChanged that somebody else has changed the number.
func Give(ctx context.Context, c Cluster, subject Object, r Restore) (*Op, error) {
	t, err := c.Resolve(ctx, subject)
	if err != nil {
		return nil, err
	}
	o, n, err := number(t, r.Object.Kind)
	if err != nil {
		return nil, err
	}
	switch {
	case o.UID != r.Object.UID:
		return nil, fmt.Errorf("%s was made anew: %w", o, ErrChanged)
	case n == r.To:
		return nil, nil
	case n != r.From:
		return nil, fmt.Errorf("%s of %s is %d, not %d as set: %w", r.Field, o, n, r.From, ErrChanged)
	}
	return &Op{Verb: Patch, Object: o, Patch: numberPatch(o, r.Field, r.To)}, nil
}
