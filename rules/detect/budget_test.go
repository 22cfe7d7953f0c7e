package detect

import (
	"time"
)

// budgeted are the models that judge by a budget, quick ones.
var budgeted = map[string]func(alerts float64) Model{
	"zscore by budget": func(a float64) Model { return must(NewZScore(ZScoreConfig{Window: time.Hour, Alerts: a})) },
	"mad by budget":    func(a float64) Model { return must(NewMAD(MADConfig{Window: time.Hour, Alerts: a})) },
	"seasonal by budget": func(a float64) Model {
		return must(NewSeasonal(SeasonalConfig{Periods: []time.Duration{time.Hour}, Alerts: a}))
	},
	"holtwinters by budget": func(a float64) Model {
		return must(NewHoltWinters(HoltWintersConfig{Season: time.Hour, Alerts: a}))
	},
	"prophet by budget": func(a float64) Model {
		return must(NewProphet(ProphetConfig{Seasons: []time.Duration{time.Hour}, Alerts: a}))
	},
	"quantile by budget": func(a float64) Model {
		return must(NewQuantile(QuantileConfig{Window: time.Hour, Alerts: a}))
	},
}

// Every property of models holds under a budget, too.
func init() {
	for name, model := range budgeted {
		fresh := func() Model { return model(usualBudget) }
		kinds[name], defaults[name] = fresh, fresh
	}
}

const usualBudget = 1.0 / 30
