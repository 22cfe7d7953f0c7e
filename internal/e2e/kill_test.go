package e2e

import (
	"cmp"
	"slices"
	"testing"
)

// TestKilledInTheMiddle kills Chiron, as the kernel does, at each point of a
// run at which it owes something: nothing that was answered is lost, and
// nothing is done twice or not at all.
func TestKilledInTheMiddle(t *testing.T) {
	const eviction, webhook = "/eviction", "/api/v1/alertmanager/webhook"
	for _, at := range []struct {
		point                  string
		toKubernetes, toChiron *wire
		phases                 []string // without a wire: killed in one of these
	}{
		// Alertmanager was told 2xx and does not come again.
		{point: "webhook answered", toChiron: newWire(webhook, false)},
		// The action is on record, and the request for it never arrives.
		{point: "action recorded", toKubernetes: newWire(eviction, true)},
		// The pod is evicted, and Chiron does not live to hear of it.
		{point: "action done", toKubernetes: newWire(eviction, false)},
		{point: "verification waits", phases: []string{"settling"}},
	} {
		t.Run(at.point, func(t *testing.T) {
			l := newLoop(t, loopOptions{
				protocol: "io.prometheus.write.v2.Request", settle: "5s",
				toKubernetes: at.toKubernetes, toChiron: at.toChiron,
			})
			l.awaitReady()
			before := l.pods()
			faulty := before[0]
			l.leak(faulty)
			switch w := cmp.Or(at.toKubernetes, at.toChiron); w {
			case nil:
				l.awaitRun(at.phases...)
				l.chiron.Kill()
			default:
				w.await(t)
				l.chiron.Kill()
				w.release()
			}
			l.chiron.Restart()
			l.awaitHealthy()

			l.awaitRun("succeeded")
			l.awaitReplaced(before, faulty)
			l.awaitOneEviction(faulty)
			l.awaitAllStored()
			if runs := l.runs(); len(runs) != 1 {
				t.Errorf("one fault, %d runs: %+v", len(runs), runs)
			}
			if now := l.pods(); !slices.Contains(now, before[1]) || !slices.Contains(now, before[2]) {
				t.Errorf("pods before %v, now %v: more than %s has gone", before, now, faulty)
			}
		})
	}
}
