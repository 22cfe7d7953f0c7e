package lang

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// Forecast is what a rule predicts of its series.
type Forecast struct {
	Horizons   []time.Duration // ascending, at least one
	Confidence float64         // probability that the value lies between lower and upper
	// Limit is a scalar, or an instant vector with the labels of the rule's
	// expression. nil: none.
	Limit parser.Expr

	limitPos Pos
}

const (
	defaultConfidence = 0.95
	mostHorizons      = 8
)

// String holds everything that makes two forecasts the same.
func (f *Forecast) String() string {
	if f == nil {
		return "none"
	}
	s := fmt.Sprintf("%v %v", f.Horizons, f.Confidence)
	if f.Limit != nil {
		s += " " + f.Limit.String()
	}
	return s
}

// HorizonLabel is a horizon as the label horizon has it.
func HorizonLabel(d time.Duration) string { return model.Duration(d).String() }

// forecast is the check rule/forecast.
func (l *loader) forecast(n *yaml.Node) *Forecast {
	f := &Forecast{Confidence: defaultConfidence}
	ok := l.clean(func() {
		l.doc.Object(l.merged(n), "forecast", map[string]diag.Field{
			"horizons":   func(_, v *yaml.Node) { f.Horizons = l.horizons(v) },
			"confidence": func(_, v *yaml.Node) { f.Confidence = l.confidence(v) },
			"limit":      func(_, v *yaml.Node) { f.Limit, _ = l.expression(v, "limit", true); f.limitPos = pos(v) },
		})
	})
	if ok && len(f.Horizons) == 0 {
		l.doc.Errorf(n, "rule/forecast", "forecast needs horizons, a list of durations such as [1h, 6h]")
	}
	return f
}

func (l *loader) horizons(n *yaml.Node) []time.Duration {
	var out []time.Duration
	l.doc.List(n, "horizons", func(n *yaml.Node) {
		var d time.Duration
		if !l.clean(func() { d = l.doc.Duration(n, "horizons") }) {
			return
		}
		switch {
		case d <= 0:
			l.doc.Errorf(n, "rule/forecast", "a horizon must be above 0s")
		case d > 366*day:
			l.doc.Errorf(n, "rule/forecast", "a horizon must be at most 366d, not %s", HorizonLabel(d))
		case slices.Contains(out, d):
			l.doc.Errorf(n, "rule/forecast", "horizon %s is given twice", HorizonLabel(d))
		case len(out) == mostHorizons:
			l.doc.Errorf(n, "rule/forecast", "more than %d horizons", mostHorizons)
		default:
			out = append(out, d)
		}
	})
	slices.Sort(out)
	return out
}

func (l *loader) confidence(n *yaml.Node) float64 {
	c := defaultConfidence
	if l.clean(func() { c = l.doc.Percent(n, "confidence") }) && !(c > 0 && c < 1) {
		l.doc.Errorf(n, "rule/forecast", "confidence must be above 0%% and below 100%%, not %s%%", formatValue(math.Round(c*1e8)/1e6))
	}
	return c
}
