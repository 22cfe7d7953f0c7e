package rules

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestANewPodOfACohortIsScoredWithinMinutes rolls a deployment out: the new
// pod has no history, is quiet at first and fails after three minutes.
func TestANewPodOfACohortIsScoredWithinMinutes(t *testing.T) {
	for _, model := range []string{"auto", "zscore(window=6h)", "seasonal(1h)", "auto of inputs"} {
		for _, cohort := range []bool{true, false} {
			if !cohort && (model == "auto" || strings.HasPrefix(model, "zscore")) {
				continue // they are ready within two minutes anyway
			}
			t.Run(fmt.Sprintf("%s, cohort %v", model, cohort), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					rule := `
groups:
  - name: g
    rules:
      - anomaly: Latency
        expr: latency
        model: ` + model + `
        cohort: [app]
`
					if model == "auto of inputs" {
						rule = strings.NewReplacer("expr: latency", "inputs: {latency: latency, work: work}\n        join: [app, pod]", model, "auto").Replace(rule)
					}
					if !cohort {
						rule = strings.Replace(rule, "        cohort: [app]\n", "", 1)
					}
					feed := func(d time.Duration, odd float64, pods ...string) {
						for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Second) {
							x := float64(time.Now().Unix())
							for k, pod := range pods {
								v := 10 + math.Sin(x*math.Pi/1800) + 0.3*math.Sin(x*float64(k+3)*1.7)
								if pod == "new" {
									v += odd
								}
								w.add(`latency{app="a", pod="`+pod+`"}`, v)
								w.add(`work{app="a", pod="`+pod+`"}`, 5+0.3*math.Cos(x*float64(k+2)))
								w.add(`latency{app="other", pod="`+pod+`"}`, 1000+v)
							}
						}
						synctest.Wait()
					}
					feed(3*time.Hour, 0, "one", "two")
					w.begin(rule)
					feed(5*time.Minute, 0, "one", "two")
					feed(2*time.Minute, 0, "two", "new") // the other one has gone
					quiet := w.query(`max_over_time(anomaly_score{app="a", pod="new"}[2m]) <= 1`)
					feed(time.Minute, 30, "two", "new")
					loud := w.query(`max_over_time(anomaly_score{app="a", pod="new"}[70s]) > 1`)
					if got := len(quiet) == 1 && len(loud) == 1; got != cohort {
						t.Errorf("quiet %v, loud %v", w.query(`max_over_time(anomaly_score{app="a", pod="new"}[2m] offset 1m)`), w.query(`anomaly_score{app="a", pod="new"}`))
					}
				})
			})
		}
	}
}

func TestNothingIsLearnedInExcludedTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		from := time.Now().Add(30 * time.Minute).UTC()
		w.begin(strings.Replace(one, "output: [all]", fmt.Sprintf("output: [all]\n        exclude: [{from: %s, to: %s}]",
			from.Format(time.RFC3339), from.Add(30*time.Minute).Format(time.RFC3339)), 1))
		w.live(29*time.Minute, hum, "hum")
		upper := w.number("anomaly_upper")
		w.live(2*time.Minute, hum, "hum")
		w.live(25*time.Minute, func(time.Time) float64 { return 500 }, "hum")
		for expr, want := range map[string]float64{"anomaly_score": 0, "anomaly_model_state": 3, "anomaly_actual": 500} {
			if v := w.number(expr); v != want {
				t.Errorf("%s is %v, want %v", expr, v, want)
			}
		}
		w.live(4*time.Minute, hum, "hum")
		between(t, "upper", w.number("anomaly_upper"), upper-0.5, upper+0.5)
		w.live(4*time.Minute, hum, "hum") // the window was empty, so the model has begun again
		w.live(15*time.Second, func(time.Time) float64 { return 500 }, "hum")
		if v := w.number("anomaly_score"); !(v > 1) {
			t.Errorf("afterwards it counts again: %v", v)
		}
	})
}
