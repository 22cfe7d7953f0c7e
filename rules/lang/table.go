package lang

import (
	"math"
	"time"
)

// Type is what a parameter takes.
type Type uint8

const (
	// Number is any finite number.
	Number Type = iota
	// Integer is a whole number.
	Integer
	// Duration is a Prometheus duration: 90s, 1h30m, 1d.
	Duration
	// Fraction is a part of one: 0.05 or 5%.
	Fraction
	// Text is a name or a quoted string.
	Text
	// Choice is one of the parameter's words.
	Choice
	// Timezone is a name of the IANA time zone database.
	Timezone
	// Rate is a count over a duration: 1/30d.
	Rate
	// Date is a day in quotes: "2026-12-25", or "12-25" of every year.
	Date
)

// Bounds is the range of a number, fraction, duration (in seconds) or rate (in
// times a day). An open end does not belong to it.
type Bounds struct {
	Min, Max         float64
	MinOpen, MaxOpen bool
}

// ParamSpec describes one parameter of a model.
type ParamSpec struct {
	Name     string
	Type     Type
	List     bool     // takes a list of Type
	MaxItems int      // of a list; 0: no limit
	Variadic bool     // a list whose items may be given as positional arguments; comes first
	Default  any      // as in Args; nil: absent unless given
	Bounds   *Bounds  // nil: no limits
	Choices  []string // of a Choice
	// Border arguments say who is judged and where the border of normal lies.
	// What a model learns of its points does not depend on them, so that a
	// state goes on under other ones.
	Border bool
	// Replaces are the arguments that say the same in another way. With one of
	// them given this one has no default, and giving both is an error.
	Replaces []string
	Help     string
}

// ModelSpec describes one model.
type ModelSpec struct {
	Name   string
	For    string // what series it is for
	Method string // how it works
	Params []ParamSpec
}

// FindModel returns the model's row of the table, nil when there is none.
func FindModel(name string) *ModelSpec {
	for i := range Models {
		if Models[i].Name == name {
			return &Models[i]
		}
	}
	return nil
}

func (m *ModelSpec) param(name string) *ParamSpec {
	for i := range m.Params {
		if m.Params[i].Name == name {
			return &m.Params[i]
		}
	}
	return nil
}

const day = 24 * time.Hour

func between(from, to time.Duration) *Bounds {
	return &Bounds{Min: from.Seconds(), Max: to.Seconds()}
}

var (
	windowBounds    = between(time.Minute, 366*day)
	seasonBounds    = between(time.Minute, 366*day)
	thresholdBounds = &Bounds{Max: math.Inf(1), MinOpen: true, MaxOpen: true}
	smoothingBounds = &Bounds{Max: 1, MinOpen: true}
	alertsBounds    = &Bounds{Min: 1.0 / 366, Max: 24}
)

const argAlerts = "alerts"

// alerts is the budget of false alerts, in place of arguments that say where
// the border of normal lies.
func alerts(instead ...string) ParamSpec {
	help := "false alerts that are allowed for each series; it sets the border of normal"
	if len(instead) > 0 {
		help += ", in place of " + enumerate(instead)
	}
	return ParamSpec{
		Name: argAlerts, Type: Rate, Default: Frequency{1, 30 * day}, Bounds: alertsBounds, Border: true, Replaces: instead, Help: help,
	}
}

// Models is the one table of all models. The parser, `chiron models`, the docs
// page and the nearest-word search read it. It must not be changed.
var Models = []ModelSpec{
	{
		Name: "zscore", For: "stationary gauges", Method: "exponentially weighted mean and variance",
		Params: []ParamSpec{
			{Name: "window", Type: Duration, Default: 6 * time.Hour, Bounds: windowBounds, Help: "how far back the mean and the variance look"},
			{Name: "threshold", Type: Number, Bounds: thresholdBounds, Border: true, Help: "standard deviations from the mean to the border of normal"},
			alerts("threshold"),
		},
	},
	{
		Name: "mad", For: "stationary gauges with outliers in the history", Method: "streaming median and median absolute deviation",
		Params: []ParamSpec{
			{Name: "window", Type: Duration, Default: 6 * time.Hour, Bounds: windowBounds, Help: "how far back the median and the deviation look"},
			{Name: "threshold", Type: Number, Bounds: thresholdBounds, Border: true, Help: "robust standard deviations from the median to the border of normal"},
			alerts("threshold"),
		},
	},
	{
		Name: "seasonal", For: "daily and weekly shapes", Method: "robust seasonal profile, level and trend",
		Params: []ParamSpec{
			{Name: "periods", Type: Duration, List: true, MaxItems: 4, Variadic: true, Default: []time.Duration{day, 7 * day}, Bounds: seasonBounds, Help: "lengths of the seasons"},
			{Name: "tz", Type: Timezone, Default: "UTC", Help: "time zone in which days and weeks begin"},
			{Name: "threshold", Type: Number, Bounds: thresholdBounds, Border: true, Help: "robust standard deviations from the profile to the border of normal"},
			alerts("threshold"),
		},
	},
	{
		Name: "holtwinters", For: "daily and weekly shapes, the classic way", Method: "triple exponential smoothing",
		Params: []ParamSpec{
			{Name: "season", Type: Duration, Default: day, Bounds: seasonBounds, Help: "length of the season"},
			{Name: "alpha", Type: Fraction, Default: 0.2, Bounds: smoothingBounds, Help: "weight of the newest step, a 48th of the season, in the level"},
			{Name: "beta", Type: Fraction, Default: 0.02, Bounds: smoothingBounds, Help: "weight of the newest step in the trend"},
			{Name: "gamma", Type: Fraction, Default: 0.3, Bounds: smoothingBounds, Help: "weight of the newest step in the shape of the season"},
			{Name: "mode", Type: Choice, Choices: []string{"additive", "multiplicative"}, Default: "additive", Help: "whether the season is added to the level or scales with it"},
			{Name: "threshold", Type: Number, Bounds: thresholdBounds, Border: true, Help: "standard deviations of the error to the border of normal"},
			alerts("threshold"),
		},
	},
	{
		Name: "iforest", For: "several inputs, or odd pairs of value and change", Method: "an isolation forest that is grown anew as its sample changes",
		Params: []ParamSpec{
			{Name: "trees", Type: Integer, Default: 100.0, Bounds: &Bounds{Min: 1, Max: 1000}, Help: "how many trees vote; more are smoother and slower"},
			{Name: "window", Type: Duration, Default: day, Bounds: windowBounds, Help: "how far back the sample reaches that the trees are grown from"},
		},
	},
	{
		Name: "trend", For: "leaks and fill-ups", Method: "robust slope of the window, forecast with an interval",
		Params: []ParamSpec{
			{Name: "window", Type: Duration, Default: 6 * time.Hour, Bounds: windowBounds, Help: "how far back the line looks"},
			{Name: "threshold", Type: Number, Default: 3.5, Bounds: thresholdBounds, Border: true, Help: "standard deviations from the line to the border of normal, at least"},
		},
	},
	{
		Name: "discord", For: "shapes that have not been seen before, whatever their level and size", Method: "the left matrix profile, slid along point by point",
		Params: []ParamSpec{
			{Name: "m", Type: Integer, Default: 50.0, Bounds: &Bounds{Min: 4, Max: 4096}, Help: "points of a shape, about as many as the shortest pattern that repeats"},
			{Name: "history", Type: Integer, Default: 1024.0, Bounds: &Bounds{Min: 16, Max: 65536}, Help: "points back in which earlier shapes are looked for; four times m when that is more"},
		},
	},
	{
		Name: "lstm", For: "complex shapes in time, of one series or several inputs", Method: "a small recurrent network that is trained on the stream",
		Params: []ParamSpec{
			{Name: "lookback", Type: Integer, Default: 64.0, Bounds: &Bounds{Min: 8, Max: 1024}, Help: "through how many points errors are followed back"},
			{Name: "hidden", Type: Integer, Default: 16.0, Bounds: &Bounds{Min: 1, Max: 128}, Help: "how many cells the network has; time and state grow with its square"},
		},
	},
	{
		Name: "quantile", For: "skewed data", Method: "band between two streaming quantiles",
		Params: []ParamSpec{
			{Name: "lower", Type: Fraction, Bounds: &Bounds{Max: 0.5, MaxOpen: true}, Border: true, Help: "quantile below the median"},
			{Name: "upper", Type: Fraction, Bounds: &Bounds{Min: 0.5, Max: 1, MinOpen: true}, Border: true, Help: "quantile above the median"},
			{Name: "window", Type: Duration, Default: 6 * time.Hour, Bounds: windowBounds, Help: "how far back the quantiles look, with a season at least 8 of them"},
			{Name: "margin", Type: Number, Bounds: &Bounds{Max: math.Inf(1), MaxOpen: true}, Border: true, Help: "how far the border of normal lies beyond a quantile, in its distances from the median"},
			{Name: "season", Type: Duration, Default: time.Duration(0), Bounds: between(0, 366*day), Help: "length of a season, 0s for none, whose 24 parts have quantiles of their own"},
			alerts("lower", "upper", "margin"),
		},
	},
	{
		Name: "changepoint", For: "level shifts and changes of the noise, small ones that stay", Method: "Bayesian online changepoint detection",
		Params: []ParamSpec{
			{Name: "every", Type: Duration, Default: day, Bounds: windowBounds, Help: "expected time between two changes"},
		},
	},
	{
		Name: "prophet", For: "a trend that changes, smooth seasons and holidays", Method: "trend and Fourier terms in a Kalman filter",
		Params: []ParamSpec{
			{Name: "seasons", Type: Duration, List: true, MaxItems: 4, Variadic: true, Default: []time.Duration{day, 7 * day}, Bounds: seasonBounds, Help: "lengths of the seasons"},
			{Name: "holidays", Type: Date, List: true, MaxItems: 100, Help: "days on which the seasons do not hold"},
			{Name: "order", Type: Integer, Default: 4.0, Bounds: &Bounds{Min: 1, Max: 10}, Help: "how many sine waves make the shape of a season"},
			{Name: "tz", Type: Timezone, Default: "UTC", Help: "time zone in which days and weeks begin"},
			{Name: "threshold", Type: Number, Bounds: thresholdBounds, Border: true, Help: "standard deviations of the forecast to the border of normal, at least"},
			alerts("threshold"),
		},
	},
	{
		Name: "peers", For: "one member unlike its peers, at one time", Method: "robust distance from the group",
		Params: []ParamSpec{
			{Name: "by", Type: Text, List: true, MaxItems: 16, Help: "labels that make a group; without it all series of the rule are one"},
			{Name: "method", Type: Choice, Choices: []string{"mad", "zscore"}, Default: "mad", Border: true, Help: "median and its deviation, or mean and deviation of the others"},
			{Name: "tolerance", Type: Number, Default: 3.0, Bounds: thresholdBounds, Border: true, Help: "deviations from the group to the border of normal"},
			{Name: "min_members", Type: Integer, Default: 4.0, Bounds: &Bounds{Min: 3, Max: 1e6}, Border: true, Help: "smallest group that is judged"},
		},
	},
	{
		Name: "presence", For: "something that went silent", Method: "learned membership and cadence",
		Params: []ParamSpec{
			{Name: "learn", Type: Duration, Default: day, Bounds: between(0, 366*day), Border: true, Help: "how long a member must have been known before it is missed"},
			{Name: "forget", Type: Duration, Default: 7 * day, Bounds: between(time.Minute, 366*day), Help: "how long an absent member is reported before it is forgotten"},
		},
	},
	{
		Name: "novelty", For: "what has never been there, such as a log template", Method: "first-seen memory, and how often new things come",
		Params: []ParamSpec{
			{Name: "learn", Type: Duration, Default: day, Bounds: between(0, 366*day), Help: "how long everything new is taken as usual"},
			{Name: "hold", Type: Duration, Default: 10 * time.Minute, Bounds: between(0, day), Border: true, Help: "how long something new keeps its score, so that an alert can wait for it"},
			{Name: "capacity", Type: Integer, Default: 50000.0, Bounds: &Bounds{Min: 1, Max: 1e7}, Help: "series that are remembered at least"},
		},
	},
	{
		Name: "count", For: "restarts, errors and rare events, counted in equal spans", Method: "tail of a negative binomial distribution",
		Params: []ParamSpec{
			{Name: "window", Type: Duration, Default: day, Bounds: windowBounds, Help: "how far back mean and variance look"},
			{Name: "rarity", Type: Fraction, Default: 0.001, Bounds: &Bounds{Max: 0.5, MinOpen: true, MaxOpen: true}, Border: true, Help: "probability of the border of normal, both sides together"},
		},
	},
	{
		Name: "ratio", For: "error ratios, with the field ratio", Method: "tail of a beta-binomial distribution, so a small total proves little",
		Params: []ParamSpec{
			{Name: "min_total", Type: Number, Default: 20.0, Bounds: &Bounds{Min: 1, Max: math.Inf(1), MaxOpen: true}, Border: true, Help: "smallest total that is judged; a smaller one scores 0"},
			{Name: "window", Type: Duration, Default: day, Bounds: windowBounds, Help: "how far back the evidence reaches"},
			{Name: "tail", Type: Fraction, Default: 0.0001, Bounds: &Bounds{Max: 0.5, MinOpen: true, MaxOpen: true}, Border: true, Help: "probability of a count at the border of normal"},
		},
	},
	{
		Name: "spectral", For: "sharp jumps and spikes that do not go with the rest", Method: "spectral residual of a sliding window",
		Params: []ParamSpec{
			{Name: "points", Type: Integer, Default: 64.0, Bounds: &Bounds{Min: 16, Max: 512}, Help: "steps of the window; powers of two are fast"},
		},
	},
	{
		Name: "auto", For: "everything else", Method: "six expectations that compete, from the newest values to the same time in other weeks; deviations over minutes, hours and a day against their own past",
		Params: []ParamSpec{
			alerts(),
			{Name: "tz", Type: Timezone, Default: "UTC", Help: "time zone in which days and weeks begin"},
		},
	},
}
