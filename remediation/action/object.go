// Package action turns a target and the action of a policy into a planned
// change: the exact write, what takes it back, and how many pods it takes away.
//
// It plans and it reads what a plan has become; the only thing that writes is
// Cluster.Write, and every write names the uid and the resourceVersion of what
// was read. It knows neither policies nor alerts nor Kubernetes' client.
package action

import (
	"context"
	"errors"
	"fmt"
)

// Object names one object of the cluster as it was read.
type Object struct {
	Kind            string `json:"kind"`
	Namespace       string `json:"namespace"`
	Name            string `json:"name"`
	UID             string `json:"uid,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// String renders "Pod shop/cart-a".
func (o Object) String() string { return fmt.Sprintf("%s %s/%s", o.Kind, o.Namespace, o.Name) }

// Key is equal for equal kind, namespace and name, whatever the version.
func (o Object) Key() string { return o.Kind + "/" + o.Namespace + "/" + o.Name }

// Pod is what matters of a pod here.
type Pod struct {
	Object
	Ready    bool `json:"ready"`
	Deleting bool `json:"deleting,omitempty"`
}

// Workload is a Deployment, StatefulSet, DaemonSet or bare ReplicaSet.
type Workload struct {
	Object
	Replicas    int    `json:"replicas"` // wanted
	Ready       int    `json:"ready"`
	Updated     int    `json:"updated"`
	Current     int    `json:"current"` // existing, old and new
	Generation  int64  `json:"generation"`
	Observed    int64  `json:"observed"`
	AtOnce      int    `json:"atOnce"`                // pods that a rollout takes away at once
	RestartedAt string `json:"restartedAt,omitempty"` // of the pod template
	NoRollout   string `json:"noRollout,omitempty"`   // why a changed template replaces no pod
	ScaledBy    *HPA   `json:"scaledBy,omitempty"`
}

// HPA is the HorizontalPodAutoscaler that scales a workload.
type HPA struct {
	Object
	Min       int    `json:"min"`
	Max       int    `json:"max"`
	ManagedBy string `json:"managedBy,omitempty"` // the controller that would take a change back
}

// Settled reports whether the workload is as it is wanted, and if not, why.
func (w *Workload) Settled() (bool, string) {
	switch {
	case w.Observed < w.Generation:
		return false, fmt.Sprintf("%s: its controller has not seen the last change", w.Object)
	case w.ScaledBy != nil && w.Replicas > 0 && w.Replicas < w.ScaledBy.Min:
		return false, fmt.Sprintf("%s: its autoscaler has not raised it to %d yet", w.Object, w.ScaledBy.Min)
	case w.Updated < w.Replicas:
		return false, fmt.Sprintf("%s: %d of %d pods are updated", w.Object, w.Updated, w.Replicas)
	case w.Current > w.Replicas:
		return false, fmt.Sprintf("%s: %d pods too many", w.Object, w.Current-w.Replicas)
	case w.Ready < w.Replicas:
		return false, fmt.Sprintf("%s: %d of %d pods are ready", w.Object, w.Ready, w.Replicas)
	}
	return true, fmt.Sprintf("%s: %d of %d pods are ready", w.Object, w.Ready, w.Replicas)
}

// Target is an object with its owner chain.
type Target struct {
	Object   Object    `json:"object"`
	Pod      *Pod      `json:"pod,omitempty"`
	Chain    []Object  `json:"chain,omitempty"`    // controllers from the object upwards, without itself
	Workload *Workload `json:"workload,omitempty"` // end of the chain; nil: nothing brings the pod back
}

// Key names what actions are counted by: the workload, because a replaced pod
// has a new name, and only without one the object itself.
func (t *Target) Key() string {
	if t.Workload != nil {
		return t.Workload.Key()
	}
	return t.Object.Key()
}

// Cluster is what the planner reads and the driver writes. There are two: the
// API server (package kube) and one in memory (package sim).
type Cluster interface {
	// Resolve reads the object that kind, namespace and name of o say, and its owners.
	Resolve(ctx context.Context, o Object) (*Target, error)
	// Write does one op. Its error wraps ErrNotFound, ErrChanged or ErrRefused when
	// the cluster certainly has not done it; after any other error nobody knows.
	Write(ctx context.Context, op Op) error
}

var (
	// ErrNotFound means that the object is not there.
	ErrNotFound = errors.New("not found")
	// ErrChanged means that the object is not the one, or not in the version, that was read.
	ErrChanged = errors.New("changed meanwhile")
	// ErrRefused means that the cluster said no: a disruption budget, missing rights, admission.
	ErrRefused = errors.New("refused by the cluster")
	// ErrNothing means that what is wanted is already so.
	ErrNothing = errors.New("nothing to do")
	// ErrUnsuitable means that the action cannot be done to this target.
	ErrUnsuitable = errors.New("not possible")
)
