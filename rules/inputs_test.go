package rules

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// load is a pod whose three inputs move together: the second with the first,
// the third by itself.
func pods(w *world, d time.Duration, odd func(at time.Time, pod, input string, v float64) float64) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Second) {
		at := time.Now()
		x := float64(at.Unix())
		for k, pod := range []string{"a", "b"} {
			work := 100 + 40*math.Sin(x/97+float64(k)) + 20*math.Sin(x/31)
			for input, v := range map[string]float64{
				"requests": work + math.Sin(x*1.7), "cpu": work/50 + 0.05*math.Sin(x*2.3), "memory": 1000 + 10*math.Sin(x/11),
			} {
				if v = odd(at, pod, input, v); !math.IsNaN(v) {
					w.add(input+`{pod="`+pod+`", instance="i-`+pod+`"}`, v)
				}
			}
		}
	}
	synctest.Wait()
}

func usual(_ time.Time, _, _ string, v float64) float64 { return v }

const joined = `
groups:
  - name: g
    rules:
      - anomaly: Pod
        inputs: {requests: requests, cpu: cpu, memory: sum by (pod) (memory)}
        join: [pod]
        model: MODEL
        explain: 2
        output: [all]
`

func TestInputsAreJoinedAndExplained(t *testing.T) {
	for _, model := range []string{"auto", "iforest(trees=50, window=1h)", "mad(1h, threshold=6) + auto"} {
		t.Run(model, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				rule := strings.Replace(joined, "MODEL", model, 1)
				w.begin(rule)
				pods(w, 40*time.Minute, usual)
				if got := w.query(`max_over_time(anomaly_score[2m]) > 1`); len(got) != 0 {
					t.Errorf("quiet pods: %v", got)
				}
				if got := w.query(`count by (pod) (anomaly_contribution)`); strings.Join(got, " ") != `{pod="a"} 2 {pod="b"} 2` {
					t.Errorf("contributions %v", got)
				}
				w.halt()
				w.begin(rule)
				// Busy without requests: each value alone has been seen often.
				pods(w, 3*time.Minute, func(_ time.Time, pod, input string, v float64) float64 {
					if pod == "b" && input == "cpu" {
						return 9
					}
					if pod == "b" && input == "requests" {
						return math.NaN()
					}
					return v
				})
				if v := w.number(`max_over_time(anomaly_score{pod="b"}[2m])`); !(v > 1) {
					t.Errorf("pod b scores %v", v)
				}
				if v := w.number(`anomaly_score{pod="a"}`); !(v < 1) {
					t.Errorf("pod a scores %v", v)
				}
				if v := w.number(`anomaly_contribution{pod="b", input="cpu"}`); !(v > 0.5 && v <= 1) {
					t.Errorf("cpu has a share of %v: %v", v, w.query("anomaly_contribution"))
				}
				if got := w.query(`anomaly_actual or anomaly_expected`); len(got) != 0 {
					t.Errorf("a band: %v", got)
				}
				if got := w.query(`anomaly_model_state{instance=""}`); len(got) != 2 {
					t.Errorf("want two models of the join labels: %v", got)
				}
			})
		})
	}
}

func TestSharesOfAllInputsAddToOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		pods(w, 40*time.Minute, usual) // learned from the ring
		w.begin(strings.NewReplacer("MODEL", "auto", "explain: 2", "explain: 3").Replace(joined))
		pods(w, time.Minute, usual)
		for _, pod := range []string{"a", "b"} {
			between(t, "all shares", w.number(`sum(anomaly_contribution{pod="`+pod+`"})`), 1-1e-9, 1+1e-9)
		}
	})
}

func TestInputsThatCannotBeJoinedAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(strings.NewReplacer("MODEL", "auto", "sum by (pod) (memory)", "memory", "[pod]", "[]").Replace(joined))
		pods(w, time.Minute, usual)
		s := w.m.Groups()[0].Rules[0]
		if want := `input requests: {__name__="requests", instance="i-a", pod="a"} and {__name__="requests", instance="i-b", pod="b"} have the same join labels {}`; !strings.Contains(s.LastError, want) {
			t.Errorf("error %q, want %q", s.LastError, want)
		}
	})
}

func TestARatioCountsByItsTotal(t *testing.T) {
	for _, model := range []string{"ratio", "ratio & mad(1h)"} {
		t.Run(model, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				rule := `
groups:
  - name: g
    rules:
      - anomaly: Errors
        ratio: {errors: 'failed{kind="a"}', total: sum without (kind) (requests)}
        model: ` + model + `
        direction: above
`
				w.begin(strings.ReplaceAll(rule, `failed{kind="a"}`, "sum by (svc) (failed)"))
				feed := func(d time.Duration, big, small func(i int) (errs, total float64)) {
					i := 0
					for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Second) {
						for svc, of := range map[string]func(int) (float64, float64){"big": big, "small": small} {
							errs, total := of(i)
							if errs > 0 {
								w.add(`failed{svc="`+svc+`"}`, errs)
							} else {
								w.add(`failed{svc="`+svc+`"}`, math.NaN())
							}
							w.add(`requests{svc="`+svc+`"}`, total)
						}
						i++
					}
					synctest.Wait()
				}
				big := func(i int) (float64, float64) { return 10 + float64(i%5), 1000 }
				small := func(i int) (float64, float64) { return float64(1 + i%2), 100 }
				feed(30*time.Minute, big, small)
				between(t, "actual", w.number(`anomaly_actual{svc="big"}`), 0.01, 0.014)
				feed(20*time.Second, func(int) (float64, float64) { return 60, 1000 }, func(int) (float64, float64) { return 1, 3 })
				if v := w.number(`anomaly_score{svc="big"}`); !(v > 1) {
					t.Errorf("60 of 1000 score %v", v)
				}
				if v := w.number(`anomaly_score{svc="small"}`); model == "ratio" && v != 0 {
					t.Errorf("1 of 3 scores %v", v)
				}
				if v := w.number(`anomaly_actual{svc="small"}`); v < 0.33 || v > 0.34 {
					t.Errorf("1 of 3 is %v", v)
				}
				feed(20*time.Second, big, func(int) (float64, float64) { return 1, 0 })
				if v := w.number(`anomaly_actual{svc="small"}`); !math.IsNaN(v) {
					t.Errorf("of none: %v", v)
				}
			})
		})
	}
}
