package eval

import (
	"fmt"
	"math"
	"time"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// BuildModel makes the model that a checked model string describes.
func BuildModel(e lang.ModelExpr) (detect.Model, error) {
	switch e := e.(type) {
	case lang.Any:
		parts, err := buildAll(e.Of)
		if err != nil {
			return nil, err
		}
		return detect.NewAny(parts...)
	case lang.All:
		parts, err := buildAll(e.Of)
		if err != nil {
			return nil, err
		}
		return detect.NewAll(parts...)
	case lang.Call:
		return buildCall(e)
	}
	return nil, fmt.Errorf("cannot build a model from %T", e)
}

func buildAll(of []lang.ModelExpr) ([]detect.Model, error) {
	parts := make([]detect.Model, len(of))
	for i, e := range of {
		m, err := BuildModel(e)
		if err != nil {
			return nil, err
		}
		parts[i] = m
	}
	return parts, nil
}

func buildCall(c lang.Call) (detect.Model, error) {
	a := c.Args
	switch c.Name {
	case "zscore":
		return detect.NewZScore(detect.ZScoreConfig{Window: a.Duration("window"), Threshold: a.Float("threshold"), Alerts: alertsOf(a)})
	case "mad":
		return detect.NewMAD(detect.MADConfig{Window: a.Duration("window"), Threshold: a.Float("threshold"), Alerts: alertsOf(a)})
	case "seasonal":
		zone, err := zoneOf(a)
		if err != nil {
			return nil, err
		}
		return detect.NewSeasonal(detect.SeasonalConfig{Periods: a.Durations("periods"), Location: zone, Threshold: a.Float("threshold"), Alerts: alertsOf(a)})
	case "holtwinters":
		h := detect.HoltWintersConfig{
			Season: a.Duration("season"), Threshold: a.Float("threshold"), Alerts: alertsOf(a), Multiplicative: a.String("mode") == "multiplicative",
		}
		for name, field := range map[string]*float64{"alpha": &h.Alpha, "beta": &h.Beta, "gamma": &h.Gamma} {
			if a.Has(name) {
				*field = a.Float(name)
			}
		}
		return detect.NewHoltWinters(h)
	case "iforest":
		f, err := detect.NewIForest(detect.IForestConfig{Trees: a.Int("trees"), Window: a.Duration("window"), Inputs: 2})
		if err != nil {
			return nil, err
		}
		return detect.NewAlone(f), nil
	case "trend":
		return detect.NewTrend(detect.TrendConfig{Window: a.Duration("window"), Threshold: a.Float("threshold")})
	case "discord":
		return detect.NewDiscord(detect.DiscordConfig{Length: a.Int("m"), History: a.Int("history")})
	case "lstm":
		return detect.NewLSTMAlone(detect.LSTMConfig{Lookback: a.Int("lookback"), Hidden: a.Int("hidden")})
	case "quantile":
		return detect.NewQuantile(detect.QuantileConfig{
			Lower: floatOr(a, "lower", 0.01), Upper: floatOr(a, "upper", 0.99), Margin: floatOr(a, "margin", detect.DefaultMargin),
			Window: a.Duration("window"), Season: a.Duration("season"), Alerts: alertsOf(a),
		})
	case "changepoint":
		return detect.NewChangepoint(detect.ChangepointConfig{Every: a.Duration("every")})
	case "prophet":
		zone, err := zoneOf(a)
		if err != nil {
			return nil, err
		}
		return detect.NewProphet(detect.ProphetConfig{
			Seasons: a.Durations("seasons"), Holidays: a.Strings("holidays"), Order: a.Int("order"), Location: zone, Threshold: a.Float("threshold"),
			Alerts: alertsOf(a),
		})
	case "count":
		return detect.NewCount(detect.CountConfig{Window: a.Duration("window"), Rarity: a.Float("rarity")})
	case "ratio":
		return detect.NewRatio(detect.RatioConfig{MinTotal: a.Float("min_total"), Window: a.Duration("window"), Tail: a.Float("tail")})
	case "spectral":
		return detect.NewSpectral(detect.SpectralConfig{Points: a.Int("points")})
	case "auto":
		zone, err := zoneOf(a)
		if err != nil {
			return nil, err
		}
		return detect.NewAuto(detect.AutoConfig{Location: zone, Alerts: alertsOf(a)})
	}
	if lang.TraitsOf(c.Name).Group {
		return nil, fmt.Errorf("%s judges all series of a rule together: it cannot follow one alone", c.Name)
	}
	return nil, fmt.Errorf("model %q is in the table and not in the build", c.Name)
}

// zoneOf is where days and weeks begin.
func zoneOf(a lang.Args) (*time.Location, error) {
	zone, err := time.LoadLocation(a.String("tz"))
	if err != nil {
		return nil, fmt.Errorf("cannot use time zone %q: %w", a.String("tz"), err)
	}
	return zone, nil
}

// alertsOf is the budget of false alerts, a day; 0 when the border is said otherwise.
func alertsOf(a lang.Args) float64 {
	if !a.Has("alerts") {
		return 0
	}
	return a.Frequency("alerts").PerDay()
}

func floatOr(a lang.Args, name string, absent float64) float64 {
	if a.Has(name) {
		return a.Float(name)
	}
	return absent
}

// scorerConfig maps an anomaly rule's fields.
func scorerConfig(a *lang.Anomaly) detect.ScorerConfig {
	c := detect.ScorerConfig{
		Direction: map[lang.Direction]detect.Direction{lang.Both: detect.Both, lang.Above: detect.Above, lang.Below: detect.Below}[a.Direction],
		MinDev:    a.MinDev, MinRelDev: a.MinRelDev, Range: a.Range, Width: a.Width, Warmup: a.Warmup, Accept: a.Accept,
		HasRange: !math.IsInf(a.Range[0], -1) || !math.IsInf(a.Range[1], 1),
	}
	if len(a.Exclude) > 0 {
		c.Excluded = a.Excluded
	}
	return c
}
