package rules

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	"github.com/chironhq/chiron/rules/stream"
	"github.com/chironhq/chiron/tsdbcache"
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

	selector *stream.Selector // nil: queried; of the group's loop and, when that has ended, of close

	mu        sync.Mutex // held while models step, by the saver and by status; never while a query runs
	series    map[string]*tracked
	lastEval  int64 // milliseconds of the newest evaluation; 0: none
	overLimit error // set while the rule returns more than its limit
	status    ruleStatus
}

// lookups are what a rule needs to get its vector.
type lookups struct {
	db       *tsdbcache.DB // nil: everything is queried
	lookback time.Duration
	metrics  *metrics
}

// tracked is one series of the rule.
type tracked struct {
	labels labels.Labels // of the expression, without a metric name
	scorer *detect.Scorer
	seen   int64 // milliseconds of the newest evaluation that returned it
	model  string
	out    []labels.Labels // output series for that model name, in the order of outputs
}

// ruleStatus is what the group tells a rule about itself.
type ruleStatus struct {
	mu       sync.Mutex
	health   upstream.RuleHealth
	err      error
	duration time.Duration
	at       time.Time
}

func newAnomalyRule(group string, spec *lang.Anomaly, l lookups) *anomalyRule {
	r := &anomalyRule{spec: spec, lookups: l, series: map[string]*tracked{}}
	r.status.health = upstream.HealthUnknown
	r.key = group + "\x00" + r.String()
	return r
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
	return fmt.Sprintf("anomaly: %s expr: %s model: %s direction: %s min_dev: %v min_rel_dev: %v range: %v width: %v warmup: %v output: %v limit: %d labels: %v",
		s.Name, s.Expr, s.Model, s.Direction, s.MinDev, s.MinRelDev, s.Range, s.Width, s.Warmup, s.Output.Metrics(), s.Limit, labels.FromMap(s.Labels))
}

// Eval scores the expression's vector and returns the outputs. Above the
// rule's limit the series that have models already go on and the rule's health
// says so.
func (r *anomalyRule) Eval(ctx context.Context, offset time.Duration, ts time.Time, query upstream.RuleQueryFunc, _ *url.URL, _ int) (promql.Vector, error) {
	at := ts.Add(-offset)
	in, err := r.vector(ctx, at, query)
	if err != nil {
		return nil, err
	}
	t := at.UnixMilli()
	r.mu.Lock()
	defer r.mu.Unlock()
	out, over, err := r.step(in, t, true)
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

// vector has the expression's value at t, streamed or queried.
func (r *anomalyRule) vector(ctx context.Context, at time.Time, query upstream.RuleQueryFunc) ([]stream.Sample, error) {
	if r.selector == nil && r.lookups.db != nil {
		if ok, _ := stream.Explain(r.spec.Expr); ok {
			s, err := stream.NewSelector(r.lookups.db, r.spec.Expr, r.lookups.lookback)
			if err != nil {
				return nil, err
			}
			r.selector = s
		}
	}
	if r.selector != nil {
		r.lookups.metrics.evaluations.WithLabelValues(wayStreamed).Inc()
		v, err := r.selector.Vector(ctx, at.UnixMilli())
		sortSamples(v)
		return v, err
	}
	r.lookups.metrics.evaluations.WithLabelValues(wayQueried).Inc()
	v, err := query(ctx, r.spec.Expr.String(), at)
	if err != nil {
		return nil, err
	}
	out := make([]stream.Sample, 0, len(v))
	for _, s := range v {
		if s.H != nil {
			return nil, fmt.Errorf("%s: %w", s.Metric, stream.ErrHistogram)
		}
		out = append(out, stream.Sample{Labels: s.Metric, V: s.F})
	}
	sortSamples(out)
	return out, nil
}

// sortSamples gives a vector one order, so that which series a limit keeps
// does not depend on chance.
func sortSamples(v []stream.Sample) {
	slices.SortFunc(v, func(a, b stream.Sample) int { return labels.Compare(a.Labels, b.Labels) })
}

// step scores and learns one vector and counts the series beyond the limit.
func (r *anomalyRule) step(in []stream.Sample, t int64, emit bool) (out promql.Vector, over int, err error) {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, s := range in {
		b.Reset(s.Labels)
		ls := b.Del(labels.MetricName).Labels()
		key := string(ls.Bytes(nil))
		tr := r.series[key]
		switch {
		case tr == nil && len(r.series) >= r.spec.Limit && !r.makeRoom(t):
			over++
			continue
		case tr == nil:
			if tr, err = r.track(ls); err != nil {
				return nil, 0, err
			}
			r.series[key] = tr
		case tr.seen == t:
			return nil, 0, fmt.Errorf("two series differ only in their metric name: %s; aggregate or rename them", ls)
		}
		tr.seen = t
		v := tr.scorer.Step(detect.Point{T: t, V: s.V})
		if emit {
			out = r.outputs(out, tr, t, s.V, v)
		}
	}
	return out, over, nil
}

func (r *anomalyRule) track(ls labels.Labels) (*tracked, error) {
	m, err := BuildModel(r.spec.Model)
	if err != nil {
		return nil, err
	}
	return &tracked{labels: ls, scorer: detect.NewScorer(m, scorerConfig(r.spec))}, nil
}

// outputs appends the series that the rule writes for one point.
func (r *anomalyRule) outputs(out promql.Vector, tr *tracked, t int64, actual float64, v detect.Verdict) promql.Vector {
	names := r.spec.Output.Metrics()
	if name := tr.scorer.Name(); tr.out == nil || tr.model != name {
		tr.model, tr.out = name, make([]labels.Labels, len(names))
		b := labels.NewBuilder(tr.labels)
		for k, value := range r.spec.Labels {
			b.Set(k, value)
		}
		b.Set(lang.LabelAnomalyName, r.spec.Name).Set(lang.LabelAnomalyModel, name)
		for i, metric := range names {
			tr.out[i] = b.Set(labels.MetricName, metric).Labels()
		}
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
		out = append(out, promql.Sample{T: t, F: value, Metric: tr.out[i]})
	}
	return out
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

// take moves the models of an equal rule over.
func (r *anomalyRule) take(from *anomalyRule) {
	from.mu.Lock()
	defer from.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.series, r.lastEval = from.series, from.lastEval
	from.series = map[string]*tracked{}
}

// close gives the tap back, when no evaluation can come any more.
func (r *anomalyRule) close() {
	if r.selector != nil {
		r.selector.Close()
		r.selector = nil
	}
}

// states counts the models by state.
func (r *anomalyRule) states() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int{}
	for _, tr := range r.series {
		out[tr.scorer.State().String()]++
	}
	return out
}

// strategy says how the rule gets its vector, and why.
func (r *anomalyRule) strategy() string {
	streamed, reason := stream.Explain(r.spec.Expr)
	if streamed && r.lookups.db != nil {
		return wayStreamed + ": " + reason
	}
	return wayQueried + ": " + reason
}

// SetLastError keeps the outcome of an evaluation.
func (r *anomalyRule) SetLastError(err error) {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	r.status.err = err
}

// LastError is the outcome of the last evaluation, or that the limit is
// exceeded.
func (r *anomalyRule) LastError() error {
	r.mu.Lock()
	over := r.overLimit
	r.mu.Unlock()
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	return errors.Join(r.status.err, over)
}

// SetHealth keeps the outcome of an evaluation.
func (r *anomalyRule) SetHealth(h upstream.RuleHealth) {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	r.status.health = h
}

// Health is bad after a failed evaluation and while the limit is exceeded.
func (r *anomalyRule) Health() upstream.RuleHealth {
	r.mu.Lock()
	over := r.overLimit
	r.mu.Unlock()
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	if over != nil {
		return upstream.HealthBad
	}
	return r.status.health
}

// SetEvaluationDuration keeps how long an evaluation took.
func (r *anomalyRule) SetEvaluationDuration(d time.Duration) {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	r.status.duration = d
}

// GetEvaluationDuration is how long the last evaluation took.
func (r *anomalyRule) GetEvaluationDuration() time.Duration {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	return r.status.duration
}

// SetEvaluationTimestamp keeps when an evaluation began.
func (r *anomalyRule) SetEvaluationTimestamp(t time.Time) {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	r.status.at = t
}

// GetEvaluationTimestamp is when the last evaluation began.
func (r *anomalyRule) GetEvaluationTimestamp() time.Time {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	return r.status.at
}

// SetDependentRules is not needed: a group's rules run in order.
func (*anomalyRule) SetDependentRules([]upstream.Rule) {}

// NoDependentRules guarantees nothing.
func (*anomalyRule) NoDependentRules() bool { return false }

// DependentRules are not known.
func (*anomalyRule) DependentRules() []upstream.Rule { return nil }

// SetDependencyRules is not needed: a group's rules run in order.
func (*anomalyRule) SetDependencyRules([]upstream.Rule) {}

// NoDependencyRules guarantees nothing.
func (*anomalyRule) NoDependencyRules() bool { return false }

// DependencyRules are not known.
func (*anomalyRule) DependencyRules() []upstream.Rule { return nil }
