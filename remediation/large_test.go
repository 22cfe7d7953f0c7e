package remediation

import (
	"fmt"
	"testing"

	"github.com/chironhq/chiron/remediation/webhook"
)

// TestLargeGroupIsRecordedOnce: 20,000 alerts about one object are one run,
// and the run is put on record once or twice, not once an alert.
func TestLargeGroupIsRecordedOnce(t *testing.T) {
	w := propertyWorld(t)
	alerts := make([]webhook.Alert, 20_000)
	for i := range alerts {
		alerts[i] = webhook.Alert{Status: "firing", StartsAt: begin, Labels: map[string]string{"alertname": "Leak", "pod": "a-0", "n": fmt.Sprint(i)}}
	}
	saved := 0
	for _, f := range w.r.engine.Step(begin, Delivered{&webhook.Delivery{Alerts: alerts}}) {
		if f, ok := f.(SaveRun); ok {
			saved++
			if f.Run.ID != 1 {
				t.Fatalf("run %d", f.Run.ID)
			}
		}
	}
	if r := w.r.engine.runs[1]; saved > 2 || len(r.Alerts) != len(alerts) || len(r.Timeline) > 2 {
		t.Errorf("saved %d times, %d alerts, %d lines of timeline", saved, len(r.Alerts), len(r.Timeline))
	}
}

// TestStormAsksNothing: what a storm blocks costs the cluster no question.
func TestStormAsksNothing(t *testing.T) {
	w := propertyWorld(t)
	var alerts []webhook.Alert
	for i := range 200 {
		alerts = append(alerts, webhook.Alert{Status: "firing", StartsAt: begin, Labels: map[string]string{"alertname": "Leak", "pod": fmt.Sprintf("a-%d", i)}})
	}
	w.r.engine.Step(begin, Delivered{&webhook.Delivery{Alerts: alerts}})
	blocked := 0
	for _, f := range w.r.engine.Step(w.r.engine.NextWake(), Tick{}) {
		switch f := f.(type) {
		case Gather:
			t.Fatalf("run %d asks the cluster", f.Run.ID)
		case SaveRun:
			if f.Run.Phase == Blocked && f.Run.Reason == "storm" {
				blocked++
			}
		}
	}
	if blocked != len(alerts) {
		t.Errorf("%d of %d runs are blocked", blocked, len(alerts))
	}
}
