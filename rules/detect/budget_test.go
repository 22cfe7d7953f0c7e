package detect

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// budgeted are the models that judge by a budget, quick ones.
var budgeted = map[string]func(alerts float64) Model{
	"zscore": func(a float64) Model { return must(NewZScore(ZScoreConfig{Window: time.Hour, Alerts: a})) },
	"mad":    func(a float64) Model { return must(NewMAD(MADConfig{Window: time.Hour, Alerts: a})) },
	"seasonal": func(a float64) Model {
		return must(NewSeasonal(SeasonalConfig{Periods: []time.Duration{time.Hour}, Alerts: a}))
	},
	"holtwinters": func(a float64) Model {
		return must(NewHoltWinters(HoltWintersConfig{Season: time.Hour, Alerts: a}))
	},
	"prophet": func(a float64) Model {
		return must(NewProphet(ProphetConfig{Seasons: []time.Duration{time.Hour}, Alerts: a}))
	},
	"quantile": func(a float64) Model {
		return must(NewQuantile(QuantileConfig{Margin: DefaultMargin, Window: time.Hour, Alerts: a}))
	},
}

// budgets makes, for each argument that is a budget, the model under one of two.
var budgets = map[string]func(alerts float64) Model{
	"auto.alerts": func(a float64) Model { return must(NewAuto(AutoConfig{Alerts: a})) },
}

const usualBudget = 1.0 / 30

// Every property of models holds under a budget, too.
func init() {
	for name, model := range budgeted {
		budgets[name+".alerts"] = model
		fresh := func() Model { return model(usualBudget) }
		kinds[name+" by budget"], defaults[name+" by budget"] = fresh, fresh
	}
}

// TestAStateGoesOnUnderAnotherBudget loads what a model learned under one budget
// into a model of another one: its band is at once about what it would be had it
// been of that budget all the time, and what it expects is that to the bit.
func TestAStateGoesOnUnderAnotherBudget(t *testing.T) {
	for name, model := range budgets {
		t.Run(name, func(t *testing.T) {
			for _, b := range [][2]float64{{usualBudget, 4}, {4, usualBudget}, {1, 1.0 / 7}} {
				one, other, loaded := model(b[0]), model(b[1]), model(b[1])
				rnd := rand.New(rand.NewPCG(1, 2))
				point := func(i int) Point { return Point{int64(i) * minute, 100 + math.Exp(rnd.NormFloat64())} }
				for i := range 4000 {
					p := point(i)
					one.Learn(p, 1)
					other.Learn(p, 1)
				}
				if err := loaded.UnmarshalBinary(must2(one.AppendBinary(nil))); err != nil {
					t.Fatal(err)
				}
				p := point(4000)
				was, want, got := one.Score(p), other.Score(p), loaded.Score(p)
				if got.Expected != want.Expected {
					t.Errorf("%v: %v is expected, want %v", b, got.Expected, want.Expected)
				}
				width := func(v Verdict) float64 { return v.Upper - v.Expected }
				if math.Abs(width(got)-width(want)) > 0.05*width(want) || math.Abs(width(was)-width(want)) < 0.1*width(want) {
					t.Errorf("%v: the band reaches %v up, want %v, and %v before", b, width(got), width(want), width(was))
				}
			}
		})
	}
}

// TestAStateGoesOnUnderABudgetOrAThreshold loads what a model learned under a
// threshold into one under a budget, and the other way round.
func TestAStateGoesOnUnderABudgetOrAThreshold(t *testing.T) {
	for name, model := range budgeted {
		t.Run(name, func(t *testing.T) {
			models := []Model{model(0), model(usualBudget)}
			past := roughly(rand.New(rand.NewPCG(3, 2)), 900)
			for _, m := range models {
				for _, p := range past {
					m.Learn(Point{p.t, p.v[0]}, 1)
				}
			}
			at := past[len(past)-1].t + 10*24*3600_000
			for i, from := range models {
				to := []Model{model(usualBudget), model(0)}[i]
				if err := to.UnmarshalBinary(must2(from.AppendBinary(nil))); err != nil {
					t.Fatal(err)
				}
				if got, want := to.Score(Point{at, 100}).Expected, from.Score(Point{at, 100}).Expected; got != want {
					t.Errorf("%v is expected, want %v", got, want)
				}
			}
			if plain := models[0].Score(Point{at, 1e6}); plain.Score < 2 {
				t.Errorf("under a threshold a million scores %v", plain.Score)
			}
		})
	}
}

// TestABudgetIsKept counts the false alerts of stationary noise, and finds an
// incident among it.
func TestABudgetIsKept(t *testing.T) {
	arithmetic(t)
	noises := map[string]func(rnd *rand.Rand) float64{
		"normal":    func(rnd *rand.Rand) float64 { return 100 + rnd.NormFloat64() },
		"lognormal": func(rnd *rand.Rand) float64 { return math.Exp(rnd.NormFloat64()) },
		"uniform":   func(rnd *rand.Rand) float64 { return rnd.Float64() },
	}
	const series, days, perDay = 12, 20, 288
	for name := range budgeted {
		t.Run(name, func(t *testing.T) {
			for noise, value := range noises {
				const alerts = 1.0
				total := 0
				for i := range uint64(series) {
					s, rnd := NewScorer(inDefault(name, alerts), ScorerConfig{}), rand.New(rand.NewPCG(i, 7))
					for k := range days * perDay {
						if v := s.Step(Point{int64(k) * 5 * minute, value(rnd)}); v.Onset > 1 && k >= 2*perDay {
							total++
						}
					}
					told := false
					for range 12 {
						told = s.Step(Point{s.last + 5*minute, 30 * value(rnd)}).Score > 1 || told
					}
					if !told {
						t.Errorf("%s: thirtyfold for an hour is not told of", noise)
					}
				}
				rate := float64(total) / series / (days - 2)
				t.Logf("%s: %.2f false alerts a day, of %v", noise, rate, alerts)
				if rate > 3*alerts {
					t.Errorf("%s: %.2f false alerts a day, of %v allowed", noise, rate, alerts)
				}
			}
		})
	}
}

// inDefault is a model with the windows and seasons that it has by default.
func inDefault(name string, alerts float64) Model {
	switch name {
	case "zscore":
		return must(NewZScore(ZScoreConfig{Alerts: alerts}))
	case "mad":
		return must(NewMAD(MADConfig{Alerts: alerts}))
	case "seasonal":
		return must(NewSeasonal(SeasonalConfig{Alerts: alerts}))
	case "holtwinters":
		return must(NewHoltWinters(HoltWintersConfig{Alerts: alerts}))
	case "prophet":
		return must(NewProphet(ProphetConfig{Alerts: alerts}))
	}
	return must(NewQuantile(QuantileConfig{Margin: DefaultMargin, Alerts: alerts}))
}
