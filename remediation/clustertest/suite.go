// Package clustertest is what every action.Cluster must do, as a test. It runs
// over the cluster in memory and over a real API server, so that the engine's
// stories, which use the former, stay true of the latter.
package clustertest

import (
	"errors"
	"testing"
	"time"

	"github.com/chironhq/chiron/remediation/action"
)

// Lab makes objects in one namespace and plays the controllers.
type Lab interface {
	Cluster() action.Cluster
	Namespace() string
	Workload(kind, name string, replicas int)
	HPA(kind, name string, least, most int)
	Budget(kind, name string, ready int)
	// Pod is the name of one pod of the workload.
	Pod(kind, name string) string
	// Touch changes something of the object that does not matter here.
	Touch(o action.Object)
	// Settle returns when the workload is as it is wanted.
	Settle(kind, name string)
}

// Run tests the cluster of a fresh lab in each subtest.
func Run(t *testing.T, lab func(t *testing.T) Lab) {
	for name, f := range map[string]func(*testing.T, Lab){
		"evict": evict, "budget": budget, "restart": restart, "scale": scale, "autoscaler": autoscaler, "stale": stale, "missing": missing, "dry run": dryRun,
	} {
		t.Run(name, func(t *testing.T) { f(t, lab(t)) })
	}
}

func resolve(t *testing.T, l Lab, kind, name string) *action.Target {
	t.Helper()
	target, err := l.Cluster().Resolve(t.Context(), action.Object{Kind: kind, Namespace: l.Namespace(), Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func plan(t *testing.T, target *action.Target, spec action.Spec) *action.Change {
	t.Helper()
	c, err := action.Plan(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), target, spec)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func applied(t *testing.T, l Lab, target *action.Target, op action.Op, want bool) {
	t.Helper()
	got, err := action.Applied(t.Context(), l.Cluster(), target.Object, op)
	if err != nil || got != want {
		t.Errorf("applied = %v, %v; want %v", got, err, want)
	}
}

func write(t *testing.T, l Lab, op action.Op, want error) {
	t.Helper()
	if err := l.Cluster().Write(t.Context(), op); !errors.Is(err, want) {
		t.Fatalf("write: %v, want %v", err, want)
	}
}

func evict(t *testing.T, l Lab) {
	for _, kind := range []string{"Deployment", "StatefulSet"} {
		l.Workload(kind, "cart", 2)
		l.Settle(kind, "cart")
		target := resolve(t, l, "Pod", l.Pod(kind, "cart"))
		if target.Workload == nil || target.Workload.Kind != kind || target.Workload.Replicas != 2 || !target.Pod.Ready {
			t.Fatalf("target %+v", target)
		}
		c := plan(t, target, action.Spec{Name: action.EvictPod})
		applied(t, l, target, c.Do, false)
		write(t, l, c.Do, nil)
		applied(t, l, target, c.Do, true)
		l.Settle(kind, "cart")
		applied(t, l, target, c.Do, true)
		if err := l.Cluster().Write(t.Context(), c.Do); !errors.Is(err, action.ErrNotFound) && !errors.Is(err, action.ErrChanged) {
			t.Errorf("the same write again: %v", err)
		}
	}
}

func budget(t *testing.T, l Lab) {
	l.Workload("Deployment", "cart", 2)
	l.Settle("Deployment", "cart")
	l.Budget("Deployment", "cart", 2)
	target := resolve(t, l, "Pod", l.Pod("Deployment", "cart"))
	c := plan(t, target, action.Spec{Name: action.EvictPod})
	write(t, l, c.Do, action.ErrRefused)
	applied(t, l, target, c.Do, false)
}

func restart(t *testing.T, l Lab) {
	for _, kind := range []string{"Deployment", "StatefulSet"} {
		l.Workload(kind, "web", 2)
		l.Settle(kind, "web")
		target := resolve(t, l, kind, "web")
		c := plan(t, target, action.Spec{Name: action.Restart})
		applied(t, l, target, c.Do, false)
		write(t, l, c.Do, nil)
		applied(t, l, target, c.Do, true)
		write(t, l, c.Do, action.ErrChanged)
		l.Settle(kind, "web")
		if w := resolve(t, l, kind, "web").Workload; w.RestartedAt != "2026-11-23T10:00:00Z" {
			t.Errorf("restarted at %q", w.RestartedAt)
		}
	}
}

func scale(t *testing.T, l Lab) {
	l.Workload("Deployment", "cart", 2)
	l.Settle("Deployment", "cart")
	target := resolve(t, l, "Deployment", "cart")
	c := plan(t, target, action.Spec{Name: action.Scale, Replicas: 9, Max: 4})
	write(t, l, c.Do, nil)
	applied(t, l, target, c.Do, true)
	l.Settle("Deployment", "cart")
	giveBack(t, l, target, c)
	if n := resolve(t, l, "Deployment", "cart").Workload.Replicas; n != 2 {
		t.Errorf("%d replicas after giving back", n)
	}
}

func giveBack(t *testing.T, l Lab, target *action.Target, c *action.Change) {
	t.Helper()
	untilUnchanged(t, func() error {
		op, err := action.Give(t.Context(), l.Cluster(), target.Object, *c.Undo)
		if err != nil || op == nil {
			t.Fatalf("give back: %v, %v", op, err)
		}
		return l.Cluster().Write(t.Context(), *op)
	})
	if op, err := action.Give(t.Context(), l.Cluster(), target.Object, *c.Undo); op != nil || err != nil {
		t.Errorf("give back again: %v, %v", op, err)
	}
}

// untilUnchanged reads and writes again while a controller, which writes the
// status of its objects when it likes, comes in between.
func untilUnchanged(t *testing.T, readAndWrite func() error) {
	t.Helper()
	for range 20 {
		err := readAndWrite()
		if err == nil {
			return
		}
		if !errors.Is(err, action.ErrChanged) {
			t.Fatal(err)
		}
	}
	t.Fatal("something else is written again and again")
}

func autoscaler(t *testing.T, l Lab) {
	l.Workload("Deployment", "cart", 2)
	l.HPA("Deployment", "cart", 2, 5)
	l.Settle("Deployment", "cart")
	var target *action.Target
	var c *action.Change
	untilUnchanged(t, func() error {
		target = resolve(t, l, "Deployment", "cart")
		c = plan(t, target, action.Spec{Name: action.Scale, Replicas: 9, Max: 40})
		if c.Do.Object.Kind != "HorizontalPodAutoscaler" || c.Undo.From != 5 || c.Undo.To != 2 {
			t.Fatalf("plan %+v", c)
		}
		return l.Cluster().Write(t.Context(), c.Do)
	})
	applied(t, l, target, c.Do, true)
	if h := resolve(t, l, "Deployment", "cart").Workload.ScaledBy; h.Min != 5 {
		t.Errorf("minReplicas %d", h.Min)
	}
	giveBack(t, l, target, c)
}

// stale: a write with an old version or another uid is refused as changed.
func stale(t *testing.T, l Lab) {
	l.Workload("Deployment", "cart", 2)
	l.Settle("Deployment", "cart")
	for _, c := range []struct {
		target *action.Target
		spec   action.Spec
	}{
		{resolve(t, l, "Pod", l.Pod("Deployment", "cart")), action.Spec{Name: action.EvictPod}},
		{resolve(t, l, "Deployment", "cart"), action.Spec{Name: action.Restart}},
		{resolve(t, l, "Deployment", "cart"), action.Spec{Name: action.Scale, Replicas: 3, Max: 4}},
	} {
		do := plan(t, c.target, c.spec).Do
		l.Touch(do.Object)
		write(t, l, do, action.ErrChanged)
		applied(t, l, c.target, do, false)
		fresh := resolve(t, l, c.target.Object.Kind, c.target.Object.Name)
		if fresh.Pod != nil {
			fresh.Pod.UID = "00000000-0000-0000-0000-000000000000"
		}
		fresh.Workload.UID = "00000000-0000-0000-0000-000000000000"
		write(t, l, plan(t, fresh, c.spec).Do, action.ErrChanged)
	}
}

func missing(t *testing.T, l Lab) {
	for _, kind := range []string{"Pod", "Deployment", "StatefulSet", "DaemonSet"} {
		_, err := l.Cluster().Resolve(t.Context(), action.Object{Kind: kind, Namespace: l.Namespace(), Name: "nothing"})
		if !errors.Is(err, action.ErrNotFound) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	op := action.Op{Verb: action.Patch, Object: action.Object{Kind: "Deployment", Namespace: l.Namespace(), Name: "nothing"}, Patch: []byte("{}")}
	write(t, l, op, action.ErrRefused) // no preconditions
	op.Object.UID, op.Object.ResourceVersion = "u", "1"
	write(t, l, op, action.ErrNotFound)
}

func dryRun(t *testing.T, l Lab) {
	l.Workload("Deployment", "cart", 2)
	l.Settle("Deployment", "cart")
	for _, c := range []struct {
		target *action.Target
		spec   action.Spec
	}{
		{resolve(t, l, "Pod", l.Pod("Deployment", "cart")), action.Spec{Name: action.EvictPod}},
		{resolve(t, l, "Deployment", "cart"), action.Spec{Name: action.Restart}},
	} {
		do := plan(t, c.target, c.spec).Do
		do.DryRun = true
		write(t, l, do, nil)
		applied(t, l, c.target, do, false)
	}
}
