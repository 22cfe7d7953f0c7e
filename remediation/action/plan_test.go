package action

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func workload(kind string, replicas int) *Workload {
	return &Workload{Object: Object{Kind: kind, Namespace: "shop", Name: "cart", UID: "u", ResourceVersion: "7"},
		Replicas: replicas, Ready: replicas, Updated: replicas, Current: replicas, AtOnce: 1}
}

// TestPlanScale is a line a case: replicas now, autoscaler, what is wanted, and
// the note or the reason of none.
func TestPlanScale(t *testing.T) {
	f := func(replicas int, hpa *HPA, spec Spec, want string) {
		t.Helper()
		w := workload("Deployment", replicas)
		w.ScaledBy = hpa
		spec.Name = Scale
		c, err := Plan(now, &Target{Object: w.Object, Workload: w}, spec)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = c.Note
			if c.Undo == nil || c.Undo.To == c.Undo.From || !strings.Contains(string(c.Do.Patch), `"resourceVersion":"`) {
				t.Errorf("change %+v", c)
			}
		}
		if !strings.Contains(got, want) {
			t.Errorf("%d, %+v: %q, want %q", replicas, spec, got, want)
		}
	}
	percent := func(p float64) Amount { return Amount{Part: p / 100, Percent: true} }
	hpa := func(least, most int) *HPA {
		return &HPA{Object: Object{Kind: "HorizontalPodAutoscaler", Namespace: "shop", Name: "h", UID: "h", ResourceVersion: "8"}, Min: least, Max: most}
	}
	f(3, nil, Spec{Replicas: 5, Min: 1, Max: 9}, "from 3 to 5")
	f(3, nil, Spec{Replicas: 4.01, Min: 1, Max: 9}, "from 3 to 5")
	f(3, nil, Spec{Replicas: 50, Min: 1, Max: 9}, "from 3 to 9")
	f(3, nil, Spec{Replicas: 0, Min: 2, Max: 9}, "from 3 to 2")
	f(3, nil, Spec{Replicas: 9, Min: 1, Max: 9, MaxStep: percent(100)}, "from 3 to 6, not 9")
	f(3, nil, Spec{Replicas: 9, Min: 1, Max: 9, MaxStep: percent(10)}, "from 3 to 4, not 9")
	f(3, nil, Spec{Replicas: 9, Min: 1, Max: 9, MaxStep: Amount{Number: 2}}, "from 3 to 5, not 9")
	f(9, nil, Spec{Replicas: 1, Min: 1, Max: 9, MaxStep: percent(50)}, "from 9 to 4, not 1")
	f(3, nil, Spec{Replicas: 3, Min: 1, Max: 9}, "nothing to do")
	f(3, nil, Spec{Replicas: math.NaN(), Min: 1, Max: 9}, "no number of replicas")
	f(3, nil, Spec{Replicas: math.Inf(1), Min: 1, Max: 9}, "no number of replicas")
	f(3, nil, Spec{Replicas: -1, Min: 1, Max: 9}, "no number of replicas")
	f(3, hpa(2, 6), Spec{Replicas: 5, Min: 1, Max: 9}, "minReplicas of HorizontalPodAutoscaler shop/h from 2 to 5")
	f(3, hpa(2, 6), Spec{Replicas: 8, Min: 1, Max: 9}, "from 2 to 6, not 8")
	f(3, hpa(2, 6), Spec{Replicas: 1, Min: 1, Max: 9}, "keeps at least 2")
	f(0, hpa(2, 6), Spec{Replicas: 5, Min: 1, Max: 9}, "switches")
	f(3, &HPA{Min: 1, Max: 5, ManagedBy: "ScaledObject x"}, Spec{Replicas: 5, Min: 1, Max: 9}, "would take the change back")
}

func TestPlanRefuses(t *testing.T) {
	f := func(target *Target, name Name, want error) {
		t.Helper()
		if _, err := Plan(now, target, Spec{Name: name, Replicas: 2, Max: 9}); !errors.Is(err, want) {
			t.Errorf("%s on %s: %v, want %v", name, target.Object, err, want)
		}
	}
	pod := Object{Kind: "Pod", Namespace: "shop", Name: "p"}
	paused, rolling := workload("Deployment", 3), workload("Deployment", 3)
	paused.NoRollout, rolling.Updated = "its rollouts are paused", 1
	f(&Target{Object: pod, Pod: &Pod{Object: pod}}, EvictPod, ErrUnsuitable)
	f(&Target{Object: pod, Pod: &Pod{Object: pod, Deleting: true}, Workload: workload("Deployment", 3)}, EvictPod, ErrNothing)
	f(&Target{Object: pod, Workload: workload("Deployment", 3)}, EvictPod, ErrUnsuitable)
	f(&Target{Object: pod, Pod: &Pod{Object: pod}}, Restart, ErrUnsuitable)
	f(&Target{Workload: workload("ReplicaSet", 3)}, Restart, ErrUnsuitable)
	f(&Target{Workload: paused}, Restart, ErrUnsuitable)
	f(&Target{Workload: rolling}, Restart, ErrUnsuitable)
	f(&Target{Workload: workload("DaemonSet", 3)}, Scale, ErrUnsuitable)
	f(&Target{Workload: workload("Deployment", 3)}, "reboot", ErrUnsuitable)
}

func TestAmountAllows(t *testing.T) {
	f := func(a Amount, n, all int, want bool) {
		t.Helper()
		if got := a.Allows(n, all); got != want {
			t.Errorf("%s allows %d of %d: %v", a, n, all, got)
		}
	}
	f(Amount{Part: 0.25, Percent: true}, 1, 4, true)
	f(Amount{Part: 0.25, Percent: true}, 1, 3, false)
	f(Amount{Part: 0.1, Percent: true}, 3, 30, true)
	f(Amount{Part: 0.1, Percent: true}, 1, 0, false)
	f(Amount{Number: 2}, 2, 2, true)
	f(Amount{Number: 2}, 3, 100, false)
	f(Amount{Number: 1}, 0, 0, true)
}

func TestWritesNeedPreconditions(t *testing.T) {
	for _, o := range []Object{{Kind: "Pod"}, {Kind: "Pod", UID: "u"}, {Kind: "Pod", ResourceVersion: "1"}} {
		if err := (Op{Verb: Evict, Object: o}).Validate(); !errors.Is(err, ErrRefused) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
