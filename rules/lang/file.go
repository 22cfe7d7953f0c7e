package lang

import (
	"time"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// Pos is a place in a file, both from 1; the column counts characters.
type Pos struct{ Line, Column int }

// File is a rule file, fully checked.
type File struct {
	Name   string
	Groups []Group

	promQL  parser.Parser // what its expressions were read with
	silence silence
}

// Group is a list of rules that are evaluated in order.
type Group struct {
	Name        string
	Interval    time.Duration  // 0: the global evaluation interval
	QueryOffset *time.Duration // nil: the global one
	Limit       int            // most series or alerts of a record or alert rule; 0: no limit
	Labels      map[string]string
	Rules       []Rule
	Pos         Pos
}

// Rule is one rule: a Prometheus rule, or an anomaly rule when Anomaly is set.
type Rule struct {
	Prometheus rulefmt.Rule // Record or Alert is set when Anomaly is nil
	Anomaly    *Anomaly
	Written    *Texts // of the alert rule that a shorthand stands for; nil: others
	Pos        Pos
}

// Direction tells which side of the expectation can be anomalous.
type Direction uint8

const (
	// Both sides.
	Both Direction = iota
	// Above the expectation.
	Above
	// Below the expectation.
	Below
)

// String returns the word of the rule file.
func (d Direction) String() string { return [...]string{"both", "above", "below"}[d] }

// Output tells which series an anomaly rule writes; a bit set.
type Output uint8

const (
	// OutputScore is anomaly_score and anomaly_onset.
	OutputScore Output = 1 << iota
	// OutputBand is anomaly_actual, anomaly_expected, anomaly_lower and anomaly_upper.
	OutputBand
	// OutputState is anomaly_model_state.
	OutputState

	// OutputAll is everything.
	OutputAll = OutputScore | OutputBand | OutputState
	// OutputDefault is what a rule writes that does not say.
	OutputDefault = OutputScore | OutputBand
)

// DefaultAccept is after how long a rule that does not say accepts a level.
const DefaultAccept = day

// DefaultLimit is the most series an anomaly rule models when neither it nor
// its group sets a limit.
const DefaultLimit = 10000

// Anomaly is a checked anomaly rule.
type Anomaly struct {
	Name      string      // label anomaly_name
	Expr      parser.Expr // an instant vector; of ratio and inputs, what stands for them
	Query     string      // the text of Expr as written
	Ratio     *Ratio      // nil: none
	Inputs    []Source    // nil: none; else at least one, with different names
	Join      []string    // labels that join the inputs
	Explain   int         // most inputs to name for a score
	Model     ModelExpr
	Direction Direction
	MinDev    [2]float64        // below, above: smaller absolute deviations score 0
	MinRelDev [2]float64        // below, above: smaller deviations relative to the expectation score 0; 0.2 is 20%
	Range     [2]float64        // outside it the score is above 1; [-Inf, +Inf] when not given
	Width     [2]float64        // below, above: scale the band around the expectation
	Warmup    time.Duration     // no score before this much history; 0: the model's own
	Accept    time.Duration     // after how long a level that holds is what is expected
	Output    Output            // series to write
	Limit     int               // most series to model
	Labels    map[string]string // labels of the group and the rule, added to the output series
	Cohort    []string          // labels of series whose learned state a new one starts from; empty: none
	Exclude   []Exclusion       // times in which nothing is learned and the score is 0
	Forecast  *Forecast         // nil: none
	Alert     *AlertClause      // nil: none
	Pos       Pos

	exprPos Pos
}

// AlertClause is the shorthand for an alert rule on the score.
type AlertClause struct {
	Name          string // alertname; the anomaly's name unless given
	When          string // one or more comparisons with numbers, such as "> 1"
	For           time.Duration
	KeepFiringFor time.Duration
	Labels        map[string]string
	Annotations   map[string]string
	Pos           Pos
}

// Labels that the engine puts on the output series.
const (
	LabelAnomalyName  = "anomaly_name"
	LabelAnomalyModel = "anomaly_model"
	LabelHorizon      = "horizon"
	LabelBound        = "bound"
	LabelInput        = "input"
)

// Names of the output series.
const (
	MetricScore    = "anomaly_score"
	MetricOnset    = "anomaly_onset"
	MetricActual   = "anomaly_actual"
	MetricExpected = "anomaly_expected"
	MetricLower    = "anomaly_lower"
	MetricUpper    = "anomaly_upper"
	MetricState    = "anomaly_model_state"

	MetricForecast     = "anomaly_forecast"
	MetricTimeToLimit  = "anomaly_time_to_limit_seconds"
	MetricContribution = "anomaly_contribution"
	MetricInfo         = "anomaly_model_info"
)

// Metrics returns the names of the series that the set stands for.
func (o Output) Metrics() []string {
	var out []string
	if o&OutputScore != 0 {
		out = append(out, MetricScore, MetricOnset)
	}
	if o&OutputBand != 0 {
		out = append(out, MetricActual, MetricExpected, MetricLower, MetricUpper)
	}
	if o&OutputState != 0 {
		out = append(out, MetricState)
	}
	return out
}
