package rules

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/rules/stream"
)

// limitReach is how many times the largest horizon the time to a limit looks
// ahead; what is crossed later counts as not crossed.
const limitReach = 8

// bounds are the values of the label bound, in the order of Forecast's results.
var bounds = [...]string{"mid", "lower", "upper"}

// limits is a forecast's limit by the labels of the series it is for.
type limits struct {
	all     float64 // of a scalar, for every series
	scalar  bool
	byKey   map[string]float64
	scratch []byte
}

// limitsOf reads a frame's limit; nil when there is none.
func (r *anomalyRule) limitsOf(f frame) (*limits, error) {
	switch {
	case r.limit == nil:
		return nil, nil
	case r.limit.expr.Type() == parser.ValueTypeScalar:
		if len(f.limit) != 1 { // only while models learn from the ring
			return nil, nil
		}
		return &limits{all: f.limit[0].V, scalar: true}, nil
	}
	l := &limits{byKey: make(map[string]float64, len(f.limit))}
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, s := range f.limit {
		ls := withoutName(b, s)
		key := string(ls.Bytes(nil))
		if _, twice := l.byKey[key]; twice {
			return nil, fmt.Errorf("limit: two series differ only in their metric name: %s; aggregate or rename them", ls)
		}
		l.byKey[key] = s.V
	}
	return l, nil
}

func (l *limits) of(ls labels.Labels) (float64, bool) {
	if l.scalar {
		return l.all, true
	}
	l.scratch = ls.Bytes(l.scratch[:0])
	v, ok := l.byKey[string(l.scratch)]
	return v, ok
}

// forecastLabels are a series' output labels of its forecasts.
type forecastLabels struct {
	bounds [][len(bounds)]labels.Labels // by horizon
	limit  labels.Labels
}

func (r *anomalyRule) forecastLabels(b *labels.Builder) forecastLabels {
	var out forecastLabels
	f := r.spec.Forecast
	out.limit = b.Set(labels.MetricName, lang.MetricTimeToLimit).Labels()
	b.Set(labels.MetricName, lang.MetricForecast)
	for _, h := range f.Horizons {
		b.Set(lang.LabelHorizon, lang.HorizonLabel(h))
		var of [len(bounds)]labels.Labels
		for i, bound := range bounds {
			of[i] = b.Set(lang.LabelBound, bound).Labels()
		}
		out.bounds = append(out.bounds, of)
	}
	b.Del(lang.LabelHorizon, lang.LabelBound)
	return out
}

// predict appends the forecasts of a series and its time to the limit.
func (r *anomalyRule) predict(out promql.Vector, tr *tracked, p detect.Point, l *limits) promql.Vector {
	f := r.spec.Forecast
	for i, h := range f.Horizons {
		mid, lower, upper := tr.scorer.Forecast(p.T+h.Milliseconds(), f.Confidence)
		for k, v := range [...]float64{mid, lower, upper} {
			out = append(out, promql.Sample{T: p.T, F: v, Metric: tr.forecasts.bounds[i][k]})
		}
	}
	if l == nil {
		return out
	}
	limit, ok := l.of(tr.labels)
	if !ok {
		return out
	}
	return append(out, promql.Sample{T: p.T, F: r.timeTo(tr, p, limit), Metric: tr.forecasts.limit})
}

// timeTo is the seconds until the forecast crosses the limit, from the side
// that the direction names; with both, from the side on which the value is.
func (r *anomalyRule) timeTo(tr *tracked, p detect.Point, limit float64) float64 {
	if math.IsNaN(p.V) || math.IsNaN(limit) {
		return math.NaN()
	}
	fromAbove := r.spec.Direction == lang.Below || r.spec.Direction == lang.Both && p.V > limit
	within := limitReach * r.spec.Forecast.Horizons[len(r.spec.Forecast.Horizons)-1].Milliseconds()
	return tr.scorer.TimeTo(limit, p.V, fromAbove, p.T, within) / 1000
}

// withoutName is a sample's labels without the metric name.
func withoutName(b *labels.Builder, s stream.Sample) labels.Labels {
	b.Reset(s.Labels)
	return b.Del(labels.MetricName).Labels()
}

// hasAuto tells whether auto is the model or a part of it.
func hasAuto(e lang.ModelExpr) bool {
	for _, c := range lang.Calls(e) {
		if c.Name == "auto" {
			return true
		}
	}
	return false
}
