package rules

import (
	"fmt"
	"math/rand"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnAlertWaitsForWhatLasts: for works with the default condition, whatever
// the model, though single values lie within the band meanwhile; what is over
// sooner fires no alert that waits, and the one that does not goes on for 5m.
func TestAnAlertWaitsForWhatLasts(t *testing.T) {
	for _, model := range []string{"zscore(window=1h)", "mad(window=1h)", "quantile(window=1h)", "zscore + mad", "zscore & mad"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.begin(fmt.Sprintf(`
groups:
  - name: g
    rules:
      - { anomaly: Waits, expr: hum, model: "%[1]s", direction: above, alert: { for: 5m } }
      - { anomaly: Now, expr: hum, model: "%[1]s", direction: above, alert: {} }
`, model))
			rnd, n := rand.New(rand.NewSource(1)), 0
			live := func(d time.Duration, by float64) {
				w.live(d, func(time.Time) float64 {
					if n++; n%9 == 0 { // one of nine values is as ever
						return 100 + rnd.Float64()
					}
					return 100 + by + rnd.Float64()
				}, "hum")
			}
			firing := func(alert string) int {
				return len(w.query(fmt.Sprintf(`ALERTS{alertname=%q, alertstate="firing"}`, alert)))
			}
			live(time.Hour, 0)
			if len(w.query("ALERTS")) != 0 {
				t.Fatalf("%s: at first %v", model, w.query("ALERTS"))
			}
			live(30*time.Second, 10)
			live(4*time.Minute+20*time.Second, 0)
			if firing("Waits") != 0 || firing("Now") != 1 {
				t.Errorf("%s: after half a minute of something: %v", model, w.query("ALERTS"))
			}
			live(15*time.Minute, 0)
			if len(w.query("ALERTS")) != 0 {
				t.Errorf("%s: a quarter of an hour later: %v", model, w.query("ALERTS"))
			}
			live(6*time.Minute, 10)
			if firing("Waits") != 1 || firing("Now") != 1 {
				t.Errorf("%s: after six minutes of something: %v", model, w.query("ALERTS"))
			}
			if got := len(w.query(`count_over_time((anomaly_onset{anomaly_name="Now"} > 1)[10m:10s]) == 1`)); got != 1 {
				t.Errorf("%s: onsets %v", model, w.query(`count_over_time((anomaly_onset > 1)[10m:10s])`))
			}
		})
	}
}
