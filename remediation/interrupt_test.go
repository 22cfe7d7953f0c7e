package remediation

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/policy"
	"github.com/chironhq/chiron/remediation/sim"
)

// slow is a cluster whose answers wait until the caller gives up or go is closed.
type slow struct {
	action.Cluster
	read, write chan struct{} // nil: at once
}

func wait(ctx context.Context, c chan struct{}) error {
	if c == nil {
		return nil
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slow) Resolve(ctx context.Context, o action.Object) (*action.Target, error) {
	if err := wait(ctx, s.read); err != nil {
		return nil, err
	}
	return s.Cluster.Resolve(ctx, o)
}

func (s *slow) Write(ctx context.Context, op action.Op) error {
	if err := wait(ctx, s.write); err != nil {
		return err
	}
	return s.Cluster.Write(ctx, op)
}

func start(t *testing.T, o Options) (*Remediator, func()) {
	t.Helper()
	o.AllowUnauthenticated = true
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	return r, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestShutdownDecidesNothing: a question that the end of the process has
// interrupted is no answer; the next process asks again and acts.
func TestShutdownDecidesNothing(t *testing.T) {
	for range 20 { // which of two ready channels is taken is chance
		synctest.Test(t, func(t *testing.T) {
			c := sim.New()
			c.AddWorkload("Deployment", "shop", "a", 4)
			dir := t.TempDir()
			r, stop := start(t, Options{Dir: dir, Policies: propertySet(t), Cluster: &slow{Cluster: c, read: make(chan struct{})}})
			body := strings.Replace(leak, "STARTS", time.Now().Format(time.RFC3339Nano), 1)
			if code := post(r.Webhook(), body, ""); code != http.StatusOK {
				t.Fatal(code)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			stop()
			r, stop = start(t, Options{Dir: dir, Policies: propertySet(t), Cluster: c})
			defer stop()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if n := len(c.Writes()); n != 1 {
				run, err := r.store.run(1)
				t.Errorf("%d writes; run 1: %+v, %v", n, run, err)
			}
		})
	}
}

// TestKillSwitchStopsAWriteThatWaits: the switch counts from the moment it is
// given, for writes too that are decided and wait for their turn.
func TestKillSwitchStopsAWriteThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New()
		set := propertySet(t)
		set.Guardrails.PerNamespace, set.Guardrails.Actions = policy.Rate{N: 99, Per: time.Hour}, policy.Rate{N: 99, Per: time.Hour}
		set.Guardrails.Concurrent = 99
		stuck := &slow{Cluster: c, write: make(chan struct{})}
		r, stop := start(t, Options{Dir: t.TempDir(), Policies: set, Cluster: stuck})
		defer stop()
		for _, w := range "abcdefghijkl" { // more than are done at once
			c.AddWorkload("Deployment", "shop", string(w), 4)
			body := strings.Replace(leak, "STARTS", time.Now().Format(time.RFC3339Nano), 1)
			if code := post(r.Webhook(), strings.Replace(body, "a-0", string(w)+"-0", 1), ""); code != http.StatusOK {
				t.Fatal(code)
			}
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		killed := *set
		killed.Guardrails.KillSwitch = true
		r.SetPolicies(&killed)
		close(stuck.write) // those that were sent already come through
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(c.Writes()); n != maxAtOnce {
			t.Errorf("%d writes, %d were on their way when the switch was given", n, maxAtOnce)
		}
		var runs []*Run
		get(t, r, "/runs?phase=blocked&reason=kill_switch", &runs)
		if len(runs) != 12-maxAtOnce {
			t.Errorf("%d runs say why", len(runs))
			var all []*Run
			get(t, r, "/runs", &all)
			var b strings.Builder
			_ = RenderRuns(&b, all)
			t.Log(b.String())
		}
	})
}
