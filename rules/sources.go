package rules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/rules/stream"
	"github.com/chironhq/chiron/tsdbcache"
)

// lookups are what a rule needs to get its vectors.
type lookups struct {
	db       *tsdbcache.DB // nil: everything is queried
	lookback time.Duration
	metrics  *metrics
}

// source is one of a rule's expressions.
type source struct {
	name     string
	expr     parser.Expr
	selector *stream.Selector // nil: queried; of the group's loop and, when that has ended, of close
}

// frame is what a rule's expressions return at one time, each sorted by labels.
type frame struct {
	vectors [][]stream.Sample // in the order of lang.Anomaly.Sources
	limit   []stream.Sample   // of the forecast
}

// sourcesOf returns the rule's sources and, when it has one that must be
// asked, its forecast's limit.
func sourcesOf(spec *lang.Anomaly) (sources []*source, limit *source) {
	for _, s := range spec.Sources() {
		sources = append(sources, &source{name: s.Name, expr: s.Expr})
	}
	if f := spec.Forecast; f != nil && f.Limit != nil {
		limit = &source{name: "limit", expr: f.Limit}
	}
	return sources, limit
}

// frame has the values of all expressions at a time.
func (r *anomalyRule) frame(ctx context.Context, at time.Time, query upstream.RuleQueryFunc) (f frame, err error) {
	for _, s := range r.sources {
		v, err := s.vector(ctx, at, query, r.lookups)
		if err != nil {
			return f, r.inSource(s, err)
		}
		f.vectors = append(f.vectors, v)
	}
	if r.limit != nil {
		if f.limit, err = r.limit.vector(ctx, at, query, r.lookups); err != nil {
			return f, r.inSource(r.limit, err)
		}
	}
	return f, nil
}

// inSource says which of several expressions an error is about.
func (r *anomalyRule) inSource(s *source, err error) error {
	if len(r.sources) == 1 && s == r.sources[0] {
		return err
	}
	return fmt.Errorf("%s: %w", s.name, err)
}

// vector has the expression's value at a time, streamed or queried.
func (s *source) vector(ctx context.Context, at time.Time, query upstream.RuleQueryFunc, l lookups) ([]stream.Sample, error) {
	if number, ok := s.expr.(*parser.NumberLiteral); ok {
		return []stream.Sample{{V: number.Val}}, nil
	}
	if s.selector == nil && l.db != nil {
		if ok, _ := stream.Explain(s.expr); ok {
			selector, err := stream.NewSelector(l.db, s.expr, l.lookback)
			if err != nil {
				return nil, err
			}
			s.selector = selector
		}
	}
	if s.selector != nil {
		l.metrics.evaluations.WithLabelValues(wayStreamed).Inc()
		v, err := s.selector.Vector(ctx, at.UnixMilli())
		sortSamples(v)
		return v, err
	}
	l.metrics.evaluations.WithLabelValues(wayQueried).Inc()
	v, err := query(ctx, s.expr.String(), at)
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

// close gives the taps back, when no evaluation can come any more.
func (r *anomalyRule) close() {
	for _, s := range append(slices.Clone(r.sources), r.limit) {
		if s != nil && s.selector != nil {
			s.selector.Close()
			s.selector = nil
		}
	}
}

// strategy says how the rule gets its vectors, and why.
func (r *anomalyRule) strategy() string {
	var parts []string
	for _, s := range r.sources {
		way := wayQueried
		streamed, reason := stream.Explain(s.expr)
		if streamed && r.lookups.db != nil {
			way = wayStreamed
		}
		part := way + ": " + reason
		if len(r.sources) > 1 {
			part = s.name + " " + part
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}
