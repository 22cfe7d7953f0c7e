package eval

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// names are the labels of a series' outputs.
type names struct {
	made      bool
	metrics   []labels.Labels // in the order of Rule.metrics
	forecasts forecastNames
	shares    []labels.Labels // of contributions, by input
	info      labels.Labels   // with the model's name
	model     string
}

// outputs appends the series that the rule writes for one point.
func (r *Rule) outputs(s *Series, actual float64, v detect.Verdict) {
	if len(r.metrics) == 0 {
		return
	}
	if !s.out.made {
		r.name(s)
	}
	for i, metric := range r.metrics {
		value := v.Score
		switch metric {
		case lang.MetricOnset:
			value = v.Onset
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
		r.scratch.outputs = append(r.scratch.outputs, Output{s.out.metrics[i], value})
	}
	if model := r.modelOf(s); s.out.model != model { // of auto it changes
		s.out.model = model
		r.base(s.labels)
		s.out.info = r.b.Set(labels.MetricName, lang.MetricInfo).Set(lang.LabelAnomalyModel, model).Labels()
	}
	r.scratch.outputs = append(r.scratch.outputs, Output{s.out.info, 1})
}

// modelOf is the name of the model that judges a series; of one that chooses
// another, that one's. Other models keep their name.
func (r *Rule) modelOf(s *Series) string {
	if s.scorer != nil {
		if c, ok := s.scorer.Model().(interface{ Chosen() string }); ok {
			return c.Chosen()
		}
	}
	switch {
	case s.out.model != "":
		return s.out.model
	case r.group != nil:
		return r.group.Name()
	}
	return s.learner().Name()
}

// base puts the labels that all outputs of a series share into the builder. A
// model's name that the series has from elsewhere is not that of this rule.
func (r *Rule) base(ls labels.Labels) {
	r.b.Reset(ls)
	r.b.Del(lang.LabelAnomalyModel)
	for k, value := range r.spec.Labels {
		r.b.Set(k, value)
	}
	r.b.Set(lang.LabelAnomalyName, r.spec.Name)
}

// name makes the labels of a series' outputs.
func (r *Rule) name(s *Series) {
	s.out = names{made: true, metrics: make([]labels.Labels, len(r.metrics))}
	r.base(s.labels)
	for i, metric := range r.metrics {
		s.out.metrics[i] = r.b.Set(labels.MetricName, metric).Labels()
	}
	if r.spec.Forecast != nil {
		s.out.forecasts = r.forecastNames()
	}
	if r.spec.Explain > 0 {
		s.out.shares = make([]labels.Labels, len(r.spec.Inputs))
		r.b.Set(labels.MetricName, lang.MetricContribution)
		for i, input := range r.spec.Inputs {
			s.out.shares[i] = r.b.Set(lang.LabelInput, input.Name).Labels()
		}
	}
}

// written are the labels that the rule writes over those of its series.
func written(spec *lang.Anomaly) []string {
	out := append(slices.Collect(maps.Keys(spec.Labels)), lang.LabelAnomalyName, lang.LabelAnomalyModel)
	if spec.Forecast != nil {
		out = append(out, lang.LabelHorizon, lang.LabelBound)
	}
	if spec.Inputs != nil && spec.Explain > 0 {
		out = append(out, lang.LabelInput)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkOutputs refuses a step after which two series would write the same
// output series: labels of the rule have replaced what told them apart. Series
// without such a label cannot be affected unless one with it is there.
func (r *Rule) checkOutputs() error {
	all := r.scratch.present
	if r.group != nil && r.replacing {
		all = r.withAbsent()
	}
	if len(r.metrics) == 0 || !slices.ContainsFunc(all, func(s *Series) bool { return s.replaced }) {
		return nil
	}
	seen := make(map[string]*Series, len(all))
	for _, s := range all {
		r.buf = s.labels.BytesWithoutLabels(r.buf, r.written...)
		other := seen[string(r.buf)]
		if other == nil {
			seen[string(r.buf)] = s
			continue
		}
		for _, name := range r.written {
			if other.labels.Get(name) != s.labels.Get(name) {
				return fmt.Errorf("label %q, which the rule writes, makes the outputs of %s and %s equal; take it out of labels, give it another name, or aggregate the series",
					name, other.labels, s.labels)
			}
		}
	}
	return nil
}

// withAbsent adds to the present members those that are absent and will be
// written all the same: established ones that the step before has written.
func (r *Rule) withAbsent() []*Series {
	all := slices.Clone(r.scratch.present)
	if r.group.Name() != "presence" {
		return all
	}
	for _, s := range r.series {
		if s.mark != r.mark && s.seen >= r.before && (s.state >= detect.Ready || r.spec.Warmup > 0) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *Series) int { return labels.Compare(a.labels, b.labels) })
	return all
}

// contributions appends the largest shares of a score. There are none while
// there is no score.
func (r *Rule) contributions(s *Series, share []float64) {
	if r.spec.Explain == 0 || len(r.metrics) == 0 {
		return
	}
	order := make([]int, 0, len(share))
	for i, v := range share {
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(share[b], share[a]) })
	for _, i := range order[:min(len(order), r.spec.Explain)] {
		r.scratch.outputs = append(r.scratch.outputs, Output{s.out.shares[i], share[i]})
	}
}
