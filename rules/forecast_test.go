package rules

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// number is the one value of a query.
func (w *world) number(expr string) float64 {
	w.t.Helper()
	v := math.NaN()
	got := w.query(expr)
	if len(got) == 1 {
		_, err := fmt.Sscanf(got[0][strings.LastIndexByte(got[0], ' ')+1:], "%g", &v)
		if err != nil {
			w.t.Fatalf("%s: %v", expr, got)
		}
		return v
	}
	w.t.Errorf("%s: want one series, got %v", expr, got)
	return v
}

func between(t *testing.T, what string, v, least, most float64) {
	t.Helper()
	if !(v >= least && v <= most) {
		t.Errorf("%s is %v, want %v to %v", what, v, least, most)
	}
}

// TestForecastsOfADiskThatFills holds forecasts against the line that the
// values are on, over a restart.
func TestForecastsOfADiskThatFills(t *testing.T) {
	for _, model := range []string{"trend(window=30m)", "auto", "trend(window=30m) & zscore"} {
		t.Run(model, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				rule := `
groups:
  - name: g
    rules:
      - anomaly: Disk
        expr: used
        model: ` + model + `
        direction: above
        range: [0, 9000]
        forecast: {horizons: [1h, 10m], limit: size * 0.9, confidence: 90%}
`
				w.begin(rule)
				start := time.Now()
				fill := func(at time.Time) float64 { return at.Sub(start).Seconds() + math.Sin(float64(at.Unix())) }
				sized := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); {
						w.add(`size{disk="a"}`, 8000)
						w.live(time.Minute, fill, `used{disk="a"}`, `used{disk="b"}`)
					}
				}
				sized(time.Hour)
				now := w.number(`anomaly_actual{disk="a"}`)
				between(t, "in 10m", w.number(`anomaly_forecast{disk="a", horizon="10m", bound="mid"}`), now+580, now+620)
				between(t, "in 1h", w.number(`anomaly_forecast{disk="a", horizon="1h", bound="mid"}`), now+3500, now+3700)
				between(t, "lower", w.number(`anomaly_forecast{disk="a", horizon="1h", bound="lower"}`), now+3000, now+3600)
				between(t, "upper", w.number(`anomaly_forecast{disk="a", horizon="1h", bound="upper"}`), now+3599, now+4200)
				between(t, "until full", w.number(`anomaly_time_to_limit_seconds{disk="a"}`), 7200-now-60, 7200-now+60)
				if got := w.query(`anomaly_time_to_limit_seconds{disk="b"}`); len(got) != 0 {
					t.Errorf("a disk without a size has a limit: %v", got)
				}
				w.halt()
				w.begin(rule)
				sized(2 * time.Minute)
				between(t, "until full", w.number(`anomaly_time_to_limit_seconds{disk="a"}`), 7200-now-180, 7200-now-60)
			})
		})
	}
}

func TestTimeToLimitFromEitherSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(`
groups:
  - name: g
    rules:
      - {anomaly: Never, expr: falls, model: trend(window=30m), direction: above, forecast: {horizons: [10m], limit: 10 * 200}}
      - {anomaly: Passed, expr: falls, model: trend(window=30m), direction: above, forecast: {horizons: [10m], limit: -3000}}
      - {anomaly: Down, expr: falls, model: trend(window=30m), direction: below, forecast: {horizons: [10m], limit: -3000}}
      - {anomaly: Both, expr: falls, model: trend(window=30m), direction: both, forecast: {horizons: [10m], limit: "-3000"}}
`)
		start := time.Now()
		w.live(30*time.Minute, func(at time.Time) float64 { return -at.Sub(start).Seconds() }, "falls")
		for rule, want := range map[string]float64{"Never": math.Inf(1), "Passed": 0, "Down": 1200, "Both": 1200} {
			got := w.number(`anomaly_time_to_limit_seconds{anomaly_name="` + rule + `"}`)
			between(t, rule, got, want-30, want+30)
		}
	})
}
