package rules

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// forgetAfter is how long the model of a series that has gone is kept, so that
// one that flaps does not begin to learn again.
const forgetAfter = 2 * time.Hour

// anomalyRule is the third kind of rule in one of Prometheus's groups: it
// returns the vector of its outputs, and the group appends them, marks stale
// what has gone, and keeps the order.
type anomalyRule struct {
	spec    *lang.Anomaly
	key     string // identity of its models over reloads and restarts
	lookups lookups

	sources []*source
	limit   *source  // of the forecast; nil: none
	by      []string // labels that divide the members of group

	mu        sync.Mutex // held while models step, by the saver and by status; never while a query runs
	series    map[string]*tracked
	group     *detect.GroupScorer // judges all series together; nil: each has a model
	lastEval  int64               // milliseconds of the newest evaluation; 0: none
	overLimit error               // set while the rule returns more than its limit
	status    ruleStatus
}

func newAnomalyRule(group string, spec *lang.Anomaly, l lookups) (*anomalyRule, error) {
	r := &anomalyRule{spec: spec, lookups: l, series: map[string]*tracked{}}
	r.sources, r.limit = sourcesOf(spec)
	r.status.health = upstream.HealthUnknown
	r.key = group + "\x00" + r.String()
	var err error
	r.group, r.by, err = groupOf(spec)
	return r, err
}

// Name is the anomaly's name.
func (r *anomalyRule) Name() string { return r.spec.Name }

// Labels are those of the group and the rule.
func (r *anomalyRule) Labels() labels.Labels { return labels.FromMap(r.spec.Labels) }

// Query is the rule's expression.
func (r *anomalyRule) Query() parser.Expr { return r.spec.Expr }

// String holds everything that makes two rules the same.
func (r *anomalyRule) String() string {
	s := r.spec
	text := fmt.Sprintf("anomaly: %s expr: %s model: %s direction: %s min_dev: %v min_rel_dev: %v range: %v width: %v warmup: %v output: %v limit: %d labels: %v",
		s.Name, s.Expr, s.Model, s.Direction, s.MinDev, s.MinRelDev, s.Range, s.Width, s.Warmup, s.Output.Metrics(), s.Limit, labels.FromMap(s.Labels))
	if s.Inputs != nil {
		text += fmt.Sprintf(" inputs: %q join: %q explain: %d", s.Inputs, s.Join, s.Explain)
	}
	if s.Ratio != nil {
		text += " of a total"
	}
	if len(s.Cohort) > 0 {
		text += fmt.Sprintf(" cohort: %q", s.Cohort)
	}
	if len(s.Exclude) > 0 {
		text += fmt.Sprintf(" exclude: %q", s.Exclude)
	}
	if s.Forecast != nil {
		text += " forecast: " + s.Forecast.String()
	}
	return text
}

// Eval scores the expression's vector and returns the outputs. Above the
// rule's limit the series that have models already go on and the rule's health
// says so.
func (r *anomalyRule) Eval(ctx context.Context, offset time.Duration, ts time.Time, query upstream.RuleQueryFunc, _ *url.URL, _ int) (promql.Vector, error) {
	at := ts.Add(-offset)
	f, err := r.frame(ctx, at, query)
	if err != nil {
		return nil, err
	}
	t := at.UnixMilli()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.startOver(t); err != nil {
		return nil, err
	}
	out, over, err := r.step(f, t, true)
	if err != nil {
		return nil, err
	}
	r.lastEval = t
	r.forget(t)
	r.overLimit = nil
	if over > 0 {
		r.lookups.metrics.overLimit.Add(float64(over))
		r.overLimit = fmt.Errorf("%d series are over the limit of %d and have no model; raise limit or narrow expr", over, r.spec.Limit)
	}
	return out, nil
}

// take moves the models of an equal rule over.
func (r *anomalyRule) take(from *anomalyRule) {
	from.mu.Lock()
	defer from.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.series, r.lastEval, r.group = from.series, from.lastEval, from.group
	from.series = map[string]*tracked{}
}

// choices says what models that choose have chosen, in the order of labels.
func (r *anomalyRule) choices() (out []Choice) {
	if !hasAuto(r.spec.Model) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tr := range r.series {
		if tr.scorer == nil {
			continue
		}
		if c, ok := tr.scorer.Model().(interface{ Choice() string }); ok && c.Choice() != "" {
			out = append(out, Choice{tr.labels, c.Choice()})
		}
	}
	slices.SortFunc(out, func(a, b Choice) int { return labels.Compare(a.Labels, b.Labels) })
	return out[:min(len(out), maxChoices)]
}

// states counts the models by state.
func (r *anomalyRule) states() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int{}
	for _, tr := range r.series {
		out[tr.stage().String()]++
	}
	return out
}
