package eval

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// limitReach is how many times the largest horizon the time to a limit looks
// ahead; what is crossed later counts as not crossed.
const limitReach = 8

// bounds are the values of the label bound, in the order of Forecast's results.
var bounds = [...]string{"mid", "lower", "upper"}

// limits is a forecast's limit by the key of the series it is for.
type limits struct {
	all    float64 // of a scalar, for every series
	scalar bool
	byKey  map[string]float64
}

// limitsOf reads a frame's limit; nil when there is none.
func (r *Rule) limitsOf(st *stepping, f Frame) (*limits, error) {
	switch {
	case r.spec.Forecast == nil || r.spec.Forecast.Limit == nil || f.Limit == nil:
		return nil, nil
	case r.spec.Forecast.Limit.Type() == parser.ValueTypeScalar:
		if len(f.Limit) != 1 {
			return nil, fmt.Errorf("limit: %d values of a scalar", len(f.Limit))
		}
		return &limits{all: f.Limit[0].V, scalar: true}, nil
	}
	l := &limits{byKey: make(map[string]float64, len(f.Limit))}
	for i := range f.Limit {
		s := &f.Limit[i]
		if st.skip(s) {
			continue // no limit for that series
		}
		r.buf = s.Labels.BytesWithoutLabels(r.buf, labels.MetricName)
		if _, twice := l.byKey[string(r.buf)]; twice {
			return nil, fmt.Errorf("limit: two series differ only in their metric name: %s; aggregate or rename them", s.Labels.DropReserved(isName))
		}
		l.byKey[string(r.buf)] = s.V
	}
	return l, nil
}

func (l *limits) of(s *Series) (float64, bool) {
	if l.scalar {
		return l.all, true
	}
	v, ok := l.byKey[s.key]
	return v, ok
}

// forecastNames are a series' output labels of its forecasts.
type forecastNames struct {
	bounds [][len(bounds)]labels.Labels // by horizon
	limit  labels.Labels
}

// forecastNames makes them from the labels in the builder.
func (r *Rule) forecastNames() forecastNames {
	var out forecastNames
	out.limit = r.b.Set(labels.MetricName, lang.MetricTimeToLimit).Labels()
	r.b.Set(labels.MetricName, lang.MetricForecast)
	for _, h := range r.spec.Forecast.Horizons {
		r.b.Set(lang.LabelHorizon, lang.HorizonLabel(h))
		var of [len(bounds)]labels.Labels
		for i, bound := range bounds {
			of[i] = r.b.Set(lang.LabelBound, bound).Labels()
		}
		out.bounds = append(out.bounds, of)
	}
	r.b.Del(lang.LabelHorizon, lang.LabelBound)
	return out
}

// predict appends the forecasts of a series and its time to the limit.
func (r *Rule) predict(s *Series, p detect.Point, l *limits) {
	f := r.spec.Forecast
	if !s.out.made {
		r.name(s)
	}
	for i, h := range f.Horizons {
		mid, lower, upper := s.scorer.Forecast(p.T+h.Milliseconds(), f.Confidence)
		for k, v := range [...]float64{mid, lower, upper} {
			r.scratch.outputs = append(r.scratch.outputs, Output{s.out.forecasts.bounds[i][k], v})
		}
	}
	if l == nil {
		return
	}
	if limit, ok := l.of(s); ok {
		r.scratch.outputs = append(r.scratch.outputs, Output{s.out.forecasts.limit, r.timeTo(s, p, limit)})
	}
}

// timeTo is the seconds until the forecast crosses the limit, from the side
// that the direction names; with both, from the side on which the value is.
func (r *Rule) timeTo(s *Series, p detect.Point, limit float64) float64 {
	if math.IsNaN(p.V) || math.IsNaN(limit) {
		return math.NaN()
	}
	fromAbove := r.spec.Direction == lang.Below || r.spec.Direction == lang.Both && p.V > limit
	within := limitReach * r.spec.Forecast.Horizons[len(r.spec.Forecast.Horizons)-1].Milliseconds()
	return s.scorer.TimeTo(limit, p.V, fromAbove, p.T, within) / 1000
}
