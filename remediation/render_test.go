package remediation

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestARunOfAStormIsShownInOneScreen(t *testing.T) {
	r := &Run{ID: 7, Policy: "restart", Action: "evictPod"}
	for i := range 5000 {
		r.Alerts = append(r.Alerts, AlertRef{Labels: map[string]string{"alertname": "Down", "pod": fmt.Sprint(i)}, StartsAt: time.Unix(1_700_000_000, 0)})
	}
	var b strings.Builder
	if err := RenderRun(&b, r); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n > 40 {
		t.Errorf("%d lines", n)
	}
	for _, want := range []string{`"pod"="0"`, "and 4980 more"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
