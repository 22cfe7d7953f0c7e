package rules

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPeersAreComparedWithinTheirGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(`
groups:
  - name: g
    rules:
      - anomaly: Unlike
        expr: latency
        model: peers(by=[app], tolerance=4)
        direction: above
        min_dev: 0.5
`)
		feed := func(d time.Duration, odd float64) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Second) {
				for app, level := range map[string]float64{"web": 1, "batch": 100} {
					for i := range 5 {
						v := level * (1 + 0.01*math.Sin(float64(time.Now().Unix()*int64(i+3))))
						if app == "web" && i == 3 {
							v += odd
						}
						w.add(fmt.Sprintf(`latency{app="%s", pod="%s-%d"}`, app, app, i), v)
					}
				}
			}
			synctest.Wait()
		}
		feed(5*time.Minute, 0)
		if got := w.query(`anomaly_score{anomaly_name="Unlike"} <= 1`); len(got) != 10 {
			t.Errorf("all alike: %v", w.query("anomaly_score"))
		}
		between(t, "expected", w.number(`anomaly_expected{pod="batch-2"}`), 98, 102)
		feed(20*time.Second, 5)
		if got := w.query(`anomaly_score > 1`); len(got) != 1 || !strings.Contains(got[0], `pod="web-3"`) {
			t.Errorf("want web-3 only: %v", got)
		}
		feed(4*time.Minute, -5)
		if got := w.query(`anomaly_score > 1`); len(got) != 0 {
			t.Errorf("below does not count, so it is over: %v", got)
		}
	})
}

const silent = `
groups:
  - name: g
    rules:
      - anomaly: Silent
        expr: beat
        model: presence(learn=5m, forget=30m)
        alert: {}
`

func TestWhoWentSilentIsReportedUntilItIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(silent)
		w.live(10*time.Minute, hum, `beat{host="a"}`, `beat{host="b"}`)
		w.live(6*time.Minute, hum, `beat{host="a"}`) // five of them are the lookback
		if got := w.query(`anomaly_score > 1`); len(got) != 1 || !strings.Contains(got[0], `host="b"`) {
			t.Errorf("want host b: %v", w.query("anomaly_score"))
		}
		if v := w.number(`anomaly_actual{host="b"}`); v != 0 {
			t.Errorf("it is absent: %v", v)
		}
		if got := w.query(`ALERTS{alertstate="firing"}`); len(got) != 1 {
			t.Errorf("alerts %v", got)
		}
		before := w.number(`anomaly_score{host="b"}`)
		w.halt()
		w.begin(silent)
		w.live(time.Minute, hum, `beat{host="a"}`)
		if after := w.number(`anomaly_score{host="b"}`); !(after > before) {
			t.Errorf("it is away for longer after a restart: %v, was %v", after, before)
		}
		w.live(30*time.Minute, hum, `beat{host="a"}`)
		if got := w.query(`anomaly_score`); len(got) != 1 || !strings.Contains(got[0], `host="a"`) {
			t.Errorf("a host that left is forgotten: %v", got)
		}
	})
}

func TestWhatHasNeverBeenThereIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rule := `
groups:
  - name: g
    rules:
      - anomaly: New
        expr: sum by (template) (lines)
        model: novelty(learn=10m, hold=5m)
`
		w.live(20*time.Minute, hum, `lines{template="a"}`, `lines{template="b"}`)
		w.begin(rule) // it has learned from the ring
		w.live(10*time.Minute, hum, `lines{template="a"}`, `lines{template="b"}`)
		w.live(20*time.Second, hum, `lines{template="a"}`, `lines{template="boom"}`)
		if got := w.query(`anomaly_score > 1`); len(got) != 1 || !strings.Contains(got[0], `template="boom"`) {
			t.Errorf("want boom: %v", w.query("anomaly_score"))
		}
		w.halt()
		w.begin(rule)
		w.live(10*time.Minute, hum, `lines{template="a"}`, `lines{template="boom"}`)
		if got := w.query(`anomaly_score > 1`); len(got) != 0 {
			t.Errorf("nothing is new any more: %v", got)
		}
		if got := w.query(`anomaly_expected`); len(got) != 0 {
			t.Errorf("there is no band: %v", got)
		}
	})
}
