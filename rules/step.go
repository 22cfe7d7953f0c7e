package rules

import (
	"encoding"
	"fmt"
	"maps"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// tracked is one series of the rule, or one entity of several inputs.
type tracked struct {
	labels labels.Labels // of the expression, without a metric name, or those that join inputs
	scorer *detect.Scorer
	vector *detect.VectorScorer // of inputs, instead of scorer
	state  detect.State         // of a member of a group, which has no model of its own
	seen   int64                // milliseconds of the newest evaluation that returned it

	values []float64       // by input, NaN when it is missing
	from   []labels.Labels // by input, whose value it is
	has    []bool          // by input, whether this evaluation returned it

	// Output series for that model name.
	model     string
	out       []labels.Labels // in the order of outputs
	forecasts forecastLabels
	shares    []labels.Labels // of contributions, by input
}

// learner is what a tracked series runs; nil for a member of a group.
type learner interface {
	Name() string
	State() detect.State
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

func (tr *tracked) learner() learner {
	switch {
	case tr.vector != nil:
		return tr.vector
	case tr.scorer != nil:
		return tr.scorer
	}
	return nil
}

// stage tells how far its model is.
func (tr *tracked) stage() detect.State {
	if l := tr.learner(); l != nil {
		return l.State()
	}
	return tr.state
}

// stepping is one evaluation under way.
type stepping struct {
	t    int64 // milliseconds
	emit bool
	out  promql.Vector
	over int // series beyond the limit

	cohorts map[string]*tracked // whom a new series starts from; nil: not looked for yet
	b       *labels.Builder
}

// step scores and learns one frame.
func (r *anomalyRule) step(f frame, t int64, emit bool) (out promql.Vector, over int, err error) {
	st := &stepping{t: t, emit: emit, b: labels.NewBuilder(labels.EmptyLabels())}
	switch {
	case r.spec.Ratio != nil:
		err = r.stepRatios(st, f)
	case r.spec.Inputs != nil:
		err = r.stepInputs(st, f)
	case r.group != nil:
		err = r.stepGroup(st, f)
	default:
		err = r.stepSeries(st, f)
	}
	return st.out, st.over, err
}

// stepSeries gives every series its own model.
func (r *anomalyRule) stepSeries(st *stepping, f frame) error {
	l, err := r.limitsOf(f)
	if err != nil {
		return err
	}
	for _, s := range f.vectors[0] {
		tr, err := r.find(st, withoutName(st.b, s))
		if err != nil {
			return err
		}
		if tr == nil {
			continue
		}
		r.write(st, tr, s.V, tr.scorer.Step(detect.Point{T: st.t, V: s.V}), l)
	}
	return nil
}

// stepRatios gives every series of the total its own model. A part that is not
// there is 0: counters of errors often begin with the first one.
func (r *anomalyRule) stepRatios(st *stepping, f frame) error {
	l, err := r.limitsOf(f)
	if err != nil {
		return err
	}
	errs := make(map[string]float64, len(f.vectors[0]))
	for _, s := range f.vectors[0] {
		ls := withoutName(st.b, s)
		key := string(ls.Bytes(nil))
		if _, twice := errs[key]; twice {
			return fmt.Errorf("errors: two series differ only in their metric name: %s; aggregate or rename them", ls)
		}
		errs[key] = s.V
	}
	for _, s := range f.vectors[1] {
		ls := withoutName(st.b, s)
		tr, err := r.find(st, ls)
		if err != nil {
			return fmt.Errorf("total: %w", err)
		}
		if tr == nil {
			continue
		}
		ratio, v := tr.scorer.StepRatio(st.t, errs[string(ls.Bytes(nil))], s.V)
		r.write(st, tr, ratio, v, l)
	}
	return nil
}

// write appends what the rule writes for one value of a series.
func (r *anomalyRule) write(st *stepping, tr *tracked, actual float64, v detect.Verdict, l *limits) {
	if !st.emit {
		return
	}
	r.outputs(st, tr, tr.scorer.Name(), actual, v)
	if r.spec.Forecast != nil {
		st.out = r.predict(st.out, tr, detect.Point{T: st.t, V: actual}, l)
	}
}

// find returns the series with those labels, a new one if need be; nil when
// the rule has as many as it may.
func (r *anomalyRule) find(st *stepping, ls labels.Labels) (*tracked, error) {
	key := string(ls.Bytes(nil))
	tr := r.series[key]
	switch {
	case tr == nil && len(r.series) >= r.spec.Limit && !r.makeRoom(st.t):
		st.over++
		return nil, nil
	case tr == nil:
		var err error
		if tr, err = r.begin(st, ls); err != nil {
			return nil, err
		}
		r.series[key] = tr
	case tr.seen == st.t:
		return nil, fmt.Errorf("two series differ only in their metric name: %s; aggregate or rename them", ls)
	}
	tr.seen = st.t
	return tr, nil
}

func (r *anomalyRule) track(ls labels.Labels) (*tracked, error) {
	if r.group != nil {
		return &tracked{labels: ls}, nil
	}
	if n := len(r.spec.Inputs); n > 0 {
		m, err := BuildVectorModel(r.spec.Model, n)
		if err != nil {
			return nil, err
		}
		return &tracked{
			labels: ls, vector: detect.NewVectorScorer(m, scorerConfig(r.spec)),
			values: make([]float64, n), from: make([]labels.Labels, n),
		}, nil
	}
	m, err := BuildModel(r.spec.Model)
	if err != nil {
		return nil, err
	}
	s := detect.NewScorer(m, scorerConfig(r.spec))
	if r.spec.Forecast != nil && hasAuto(r.spec.Model) {
		ahead, err := detect.NewTrend(detect.TrendConfig{})
		if err != nil {
			return nil, err
		}
		s.LookAhead(ahead)
	}
	return &tracked{labels: ls, scorer: s}, nil
}

// outputs appends the series that the rule writes for one point.
func (r *anomalyRule) outputs(st *stepping, tr *tracked, model string, actual float64, v detect.Verdict) {
	names := r.spec.Output.Metrics()
	if tr.out == nil || tr.model != model {
		r.name(st.b, tr, model, names)
	}
	for i, metric := range names {
		value := v.Score
		switch metric {
		case lang.MetricActual:
			value = actual
		case lang.MetricExpected:
			value = v.Expected
		case lang.MetricLower:
			value = v.Lower
		case lang.MetricUpper:
			value = v.Upper
		case lang.MetricState:
			value = float64(v.State)
		}
		st.out = append(st.out, promql.Sample{T: st.t, F: value, Metric: tr.out[i]})
	}
}

// name makes the labels of a series' outputs.
func (r *anomalyRule) name(b *labels.Builder, tr *tracked, model string, metrics []string) {
	tr.model, tr.out = model, make([]labels.Labels, len(metrics))
	b.Reset(tr.labels)
	for k, value := range r.spec.Labels {
		b.Set(k, value)
	}
	b.Set(lang.LabelAnomalyName, r.spec.Name).Set(lang.LabelAnomalyModel, model)
	for i, metric := range metrics {
		tr.out[i] = b.Set(labels.MetricName, metric).Labels()
	}
	if r.spec.Forecast != nil {
		tr.forecasts = r.forecastLabels(b)
	}
	if r.spec.Explain > 0 {
		tr.shares = make([]labels.Labels, len(r.spec.Inputs))
		b.Set(labels.MetricName, lang.MetricContribution)
		for i, input := range r.spec.Inputs {
			tr.shares[i] = b.Set(lang.LabelInput, input.Name).Labels()
		}
	}
}

// forget drops models whose series have gone for long.
func (r *anomalyRule) forget(t int64) {
	maps.DeleteFunc(r.series, func(_ string, tr *tracked) bool { return t-tr.seen > forgetAfter.Milliseconds() })
}

// makeRoom drops the model that has gone longest, if any has gone.
func (r *anomalyRule) makeRoom(t int64) bool {
	oldest, key := t, ""
	for k, tr := range r.series {
		if tr.seen < r.lastEval && (tr.seen < oldest || tr.seen == oldest && k < key) {
			oldest, key = tr.seen, k
		}
	}
	if key == "" {
		return false
	}
	delete(r.series, key)
	return true
}
