package detect

import (
	"math"
	"math/rand"
	"strings"
	"testing"
	"time"
)

// forecasts tells whether a model looks ahead.
func forecasts(m Model) bool {
	if b, ok := m.(*Budgeted); ok {
		m = b.expecting
	}
	_, ok := m.(Forecaster)
	return ok
}

// TestForecastsCover asks all models that look ahead, after a long look at what
// they are made for, half a season ahead, many times: the stated part of the
// values must lie in the interval, and more of them in a wider one.
func TestForecastsCover(t *testing.T) {
	for name, fresh := range kinds {
		if !forecasts(fresh()) || name == "auto" { // which may choose a model that has none
			continue
		}
		t.Run(name, func(t *testing.T) {
			const ahead = 30
			rnd := rand.New(rand.NewSource(41))
			value := func(i int) Point {
				p := wave(rnd, i)
				switch strings.TrimSuffix(name, " by budget") {
				case "zscore", "mad", "any", "all":
					p.V = 100 + rnd.NormFloat64()
				case "trend":
					p.V = 100 + 0.1*float64(i) + rnd.NormFloat64()
				}
				return p
			}
			m := fresh()
			if _, lower, _ := m.(Forecaster).Forecast(60_000, 0.9); !math.IsNaN(lower) {
				t.Errorf("a model that has seen nothing forecasts")
			}
			points := make([]Point, 3000)
			for i := range points {
				points[i] = value(i)
			}
			var within, asked float64
			for i, p := range points[:len(points)-ahead] {
				if m.Learn(p, 1); i < 1000 {
					continue
				}
				next := points[i+ahead]
				mid, lower, upper := m.(Forecaster).Forecast(next.T, 0.9)
				_, low, high := m.(Forecaster).Forecast(next.T, 0.99)
				if !(low < lower && lower < mid && mid < upper && upper < high) {
					t.Fatalf("%v %v %v %v %v is no order", low, lower, mid, upper, high)
				}
				if asked++; next.V >= lower && next.V <= upper {
					within++
				}
			}
			t.Logf("%.3f", within/asked)
			if part := within / asked; part < 0.8 || part > 0.99 {
				t.Errorf("%.1f %% of the values lie in the interval of 90 %%", 100*part)
			}
		})
	}
}

func TestForecastsEndSomewhere(t *testing.T) {
	for name, fresh := range kinds {
		m := fresh()
		if !forecasts(m) {
			continue
		}
		f, rnd := m.(Forecaster), rand.New(rand.NewSource(42))
		for i := range 1000 {
			m.Learn(wave(rnd, i), 1)
		}
		for _, ahead := range []time.Duration{time.Minute, 24 * time.Hour, 3650 * 24 * time.Hour} {
			mid, lower, upper := f.Forecast(1000*60_000+ahead.Milliseconds(), 0.95)
			if name == "auto" && math.IsNaN(mid) { // which knows days and weeks only
				continue
			}
			if !(lower <= mid && mid <= upper) || math.IsInf(upper-lower, 0) {
				t.Errorf("%s in %v: %v, %v to %v", name, ahead, mid, lower, upper)
			}
		}
	}
}

// TestAutoForecastsTheDay: what recurs is expected again, a day ahead; of what
// does not recur nothing is said.
func TestAutoForecastsTheDay(t *testing.T) {
	rnd := rand.New(rand.NewSource(43))
	const day = 288
	daily := func(i int) float64 { return 100 + 30*math.Sin(2*math.Pi*float64(i)/day) }
	_, m, at := series(9*day, 5*time.Minute, func(i int) float64 { return daily(i) + rnd.NormFloat64() })
	for _, ahead := range []int{1, 12, 100, day, 2*day + 7} {
		mid, lower, upper := m.Forecast(at+int64(ahead-1)*300_000, 0.95)
		if want := daily(9*day + ahead - 1); math.Abs(mid-want) > 3 || !(lower < want && want < upper) || upper-lower > 24 { // of widths that are still those of the first day in part
			t.Errorf("%d steps ahead: %v, %v to %v, want %v", ahead, mid, lower, upper, want)
		}
	}
	_, m, at = series(4*day, 5*time.Minute, func(int) float64 { return rnd.NormFloat64() })
	if mid, _, _ := m.Forecast(at, 0.95); !math.IsNaN(mid) {
		t.Errorf("of noise %v is forecast", mid)
	}
}
