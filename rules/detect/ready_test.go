package detect

import (
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"
)

// traffic draws what people do: a day, with a weekend where there is one, and
// noise in proportion.
func traffic(weekend, sigma float64) func(*rand.Rand, float64) func() float64 {
	return func(r *rand.Rand, step float64) func() float64 {
		t, at := 0.0, 86400*r.Float64()
		return func() float64 {
			t += step
			v := (500 + 400*math.Sin(2*math.Pi*(t+at)/86400)) * (1 + sigma*r.NormFloat64())
			if int((t+at)/86400)%7 >= 5 {
				v *= weekend
			}
			return v
		}
	}
}

// unknownYet is noise of which a model that has just become ready has seen
// little: stationary, and the day of a service.
var unknownYet = append(append([]noise{}, stationary...),
	noise{"traffic", traffic(1, 0.03)}, noise{"quiet traffic", traffic(1, 0.005)})

const day = 24 * time.Hour

// readies are models that judge by a budget, with seasons and windows, and for
// how long each learns before it is ready.
var readies = []struct {
	name  string
	make  func() Model
	learn time.Duration
}{
	{"zscore", func() Model { return inDefault("zscore", usualBudget) }, 0},
	{"mad", func() Model { return inDefault("mad", usualBudget) }, 0},
	{"seasonal", func() Model { return inDefault("seasonal", usualBudget) }, day},
	{"seasonal of a day", func() Model {
		return must(NewSeasonal(SeasonalConfig{Periods: []time.Duration{day}, Alerts: usualBudget}))
	}, day},
	{"seasonal of a week", func() Model {
		return must(NewSeasonal(SeasonalConfig{Periods: []time.Duration{7 * day}, Alerts: usualBudget}))
	}, 7 * day},
	{"holtwinters", func() Model { return inDefault("holtwinters", usualBudget) }, day + day/10},
	{"holtwinters of a week", func() Model { return must(NewHoltWinters(HoltWintersConfig{Season: 7 * day, Alerts: usualBudget})) }, 8 * day},
	{"prophet", func() Model { return inDefault("prophet", usualBudget) }, day},
	{"prophet of a day", func() Model {
		return must(NewProphet(ProphetConfig{Seasons: []time.Duration{day}, Alerts: usualBudget}))
	}, day},
	{"quantile", func() Model { return inDefault("quantile", usualBudget) }, 0},
	{"quantile of a day", func() Model {
		return must(NewQuantile(QuantileConfig{Margin: DefaultMargin, Season: day, Alerts: usualBudget}))
	}, day},
}

// TestNobodyIsToldOfAModelThatHasJustBecomeReady counts the false alerts of the
// first six hours after each model can judge. Of a hundred series the budget
// allows less than one; up to seven may be told of, since tails are not known yet:
// half of those that are have a power law.
func TestNobodyIsToldOfAModelThatHasJustBecomeReady(t *testing.T) {
	arithmetic(t)
	const seeds, after = 6, 6 * time.Hour
	for _, m := range readies {
		t.Run(m.name, func(t *testing.T) {
			series, told := 0, map[string]int{}
			total := 0
			for _, step := range []int{15, 60, 300, 3600} {
				if step == 15 && m.learn > 2*day {
					continue // a week of them takes long
				}
				for k, n := range unknownYet {
					for seed := range seeds {
						s := NewScorer(m.make(), ScorerConfig{})
						value := n.make(rand.New(rand.NewSource(int64(10000*step+100*k+seed))), float64(step))
						series++
						for at, ready := int64(0), int64(-1); ready < 0 || at < ready+after.Milliseconds(); at += int64(step) * 1000 {
							v := s.Step(Point{at, value()})
							if ready < 0 && v.State == Ready {
								ready = at
							}
							if v.Onset > 1 {
								told[fmt.Sprintf("%s at %d s", n.name, step)]++
								total++
								break
							}
						}
					}
				}
			}
			allowed := float64(series) * after.Hours() / 24 * usualBudget
			t.Logf("%d of %d series are told of, the budget allows %.1f: %v", total, series, allowed, told)
			if 15*total > series {
				t.Errorf("%d of %d series are told of in the first %v: %v", total, series, after, told)
			}
		})
	}
}

// TestNobodyIsToldOfTheEndOfAGap lets noise that stays as it is come back after
// hours and days: one value says as little after a gap as at any time.
func TestNobodyIsToldOfTheEndOfAGap(t *testing.T) {
	arithmetic(t)
	const seeds, after = 3, 6 * time.Hour
	for _, m := range readies {
		t.Run(m.name, func(t *testing.T) {
			for _, gap := range []time.Duration{2 * time.Hour, 2*day + 7*time.Hour, 10 * day} {
				series, total, told := 0, 0, map[string]int{}
				for _, step := range []int64{300, 3600} {
					for k, n := range stationary {
						for seed := range seeds {
							s := NewScorer(m.make(), ScorerConfig{})
							value := n.make(rand.New(rand.NewSource(100*step+int64(10*k+seed))), float64(step))
							at := int64(0)
							for ; at < (m.learn + 3*day).Milliseconds(); at += step * 1000 {
								s.Step(Point{at, value()})
							}
							series++
							for back := at + gap.Milliseconds(); at < back+after.Milliseconds(); at += step * 1000 {
								if v := value(); at >= back && s.Step(Point{at, v}).Onset > 1 {
									told[n.name]++
									total++
									break
								}
							}
						}
					}
				}
				t.Logf("%v: %d of %d series are told of: %v", gap, total, series, told)
				if total > 4 {
					t.Errorf("%d of %d series are told of in %v after a gap of %v: %v", total, series, after, gap, told)
				}
			}
		})
	}
}
