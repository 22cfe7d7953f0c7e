package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/rules/stream"
	"github.com/chironhq/chiron/tsdbcache"
)

// Ways in which an anomaly rule gets its vector.
const (
	wayStreamed = "streamed"
	wayQueried  = "queried"
)

// source has the frames of one rule from the ring. frame belongs to the
// group's goroutine, span to anybody.
type source struct {
	db        *tsdbcache.DB // nil: everything is queried
	engine    promql.QueryEngine
	queryable storage.Queryable
	lookback  time.Duration
	metrics   *metrics

	parts []*part
	limit *part // of the forecast; nil: none
}

// part is one of a rule's expressions.
type part struct {
	name     string // empty for the only one
	expr     parser.Expr
	selector *stream.Selector // nil: queried, or not asked yet
}

func newSource(spec *lang.Anomaly, o Options, m *metrics) *source {
	s := &source{db: o.DB, engine: o.Engine, queryable: o.Queryable, lookback: o.Lookback, metrics: m}
	for _, from := range spec.Sources() {
		p := &part{expr: from.Expr}
		if spec.Inputs != nil || spec.Ratio != nil {
			p.name = from.Name
		}
		s.parts = append(s.parts, p)
	}
	if f := spec.Forecast; f != nil && f.Limit != nil {
		s.limit = &part{name: "limit", expr: f.Limit}
	}
	return s
}

func (p *part) wrap(err error) error {
	if err == nil || p.name == "" {
		return err
	}
	return fmt.Errorf("%s: %w", p.name, err)
}

// frame has the values of all expressions at a time.
func (s *source) frame(ctx context.Context, at time.Time, query upstream.RuleQueryFunc) (f eval.Frame, err error) {
	for _, p := range s.parts {
		v, err := s.vector(ctx, p, at, query)
		if err != nil {
			return f, p.wrap(err)
		}
		f.Vectors = append(f.Vectors, v)
	}
	if s.limit == nil {
		return f, nil
	}
	v, err := s.vector(ctx, s.limit, at, query)
	if v == nil {
		v = []eval.Sample{}
	}
	f.Limit = v
	return f, s.limit.wrap(err)
}

// vector has an expression's value at a time, streamed or queried, in one
// order, so that which series a limit keeps does not depend on chance.
func (s *source) vector(ctx context.Context, p *part, at time.Time, query upstream.RuleQueryFunc) (v []eval.Sample, err error) {
	if number, ok := p.expr.(*parser.NumberLiteral); ok {
		return []eval.Sample{{V: number.Val}}, nil
	}
	defer func() {
		slices.SortFunc(v, func(a, b eval.Sample) int { return labels.Compare(a.Labels, b.Labels) })
	}()
	if p.selector == nil && s.db != nil {
		if ok, _ := stream.Explain(p.expr); ok {
			if p.selector, err = stream.NewSelector(s.db, p.expr, s.lookback); err != nil {
				return nil, err
			}
		}
	}
	if p.selector != nil {
		s.metrics.evaluations.WithLabelValues(wayStreamed).Inc()
		return p.selector.Vector(ctx, at.UnixMilli())
	}
	s.metrics.evaluations.WithLabelValues(wayQueried).Inc()
	found, err := query(ctx, p.expr.String(), at)
	if err != nil {
		return nil, err
	}
	v = make([]eval.Sample, len(found))
	for i, x := range found {
		v[i] = eval.Sample{Labels: x.Metric, V: x.F, Histogram: x.H != nil}
	}
	return v, nil
}

// Bounds of one query of a span.
const (
	spanSlots  = 200       // most slots
	spanPoints = 1_000_000 // most points, as far as the query before tells
)

// span calls f with the frame of every slot from one time to another,
// milliseconds, those without any series included. Limits of forecasts are
// left out: nothing is learned of them. f must not keep the frame.
//
// A query over several slots may fail for one of them, or for being too large,
// and the rule would have been evaluated at the others; so it is asked again
// for fewer. What fails at a single slot goes to failed, as it would have
// failed then, and the slots after it go on.
func (s *source) span(ctx context.Context, from, to, interval int64, f func(t int64, frame eval.Frame) error, failed func(t int64, err error)) error {
	most := int64(spanSlots)
	if s.oneByOne() {
		most = 1
	}
	slots := int64(1) // the first query tells how wide the others will be
	for from <= to {
		end := min(from+(slots-1)*interval, to)
		ms, width, err := s.matrices(ctx, from, end, interval)
		switch {
		case err == nil:
			if err := play(ctx, ms, from, end, interval, f); err != nil {
				return err
			}
			slots = min(max(spanPoints/width, 1), 2*slots, most)
		case !ofTheSlots(ctx, err):
			return err
		case end > from:
			slots = max(((end-from)/interval+1)/8, 1)
			continue
		default:
			failed(from, err)
		}
		from = end + interval
	}
	return nil
}

// matrices has the values of all expressions from one slot to another, and how
// many series they are together, one at least.
func (s *source) matrices(ctx context.Context, from, to, interval int64) (ms []promql.Matrix, width int64, err error) {
	ms, width = make([]promql.Matrix, len(s.parts)), 1
	for i, p := range s.parts {
		if ms[i], err = s.matrix(ctx, p.expr, from, to, interval); err != nil {
			return nil, 0, p.wrap(err)
		}
		width += int64(len(ms[i]))
	}
	return ms, width, nil
}

// ofTheSlots reports whether an error of a query may be of some of its slots,
// or of their number, so that others can do.
func ofTheSlots(ctx context.Context, err error) bool {
	var storageErr promql.ErrStorage
	var timeout promql.ErrQueryTimeout
	var canceled promql.ErrQueryCanceled
	return ctx.Err() == nil && !errors.As(err, &storageErr) && !errors.As(err, &timeout) && !errors.As(err, &canceled)
}

// oneByOne reports whether a query over several slots is not the same as one
// at each of them: an expression may ask for the query's start or end.
func (s *source) oneByOne() (found bool) {
	for _, p := range s.parts {
		parser.Inspect(p.expr, func(n parser.Node, _ []parser.Node) error {
			switch n := n.(type) {
			case *parser.VectorSelector:
				found = found || n.StartOrEnd != 0
			case *parser.SubqueryExpr:
				found = found || n.StartOrEnd != 0
			}
			return nil
		})
	}
	return found
}

// play goes through matrices slot by slot. It takes their points off.
func play(ctx context.Context, ms []promql.Matrix, from, to, interval int64, f func(t int64, frame eval.Frame) error) error {
	frame := eval.Frame{Vectors: make([][]eval.Sample, len(ms))}
	for t := from; t <= to; t += interval {
		if err := ctx.Err(); err != nil {
			return err
		}
		for k, m := range ms {
			v := frame.Vectors[k][:0]
			for i := range m {
				switch x := &m[i]; {
				case len(x.Floats) > 0 && x.Floats[0].T == t:
					v = append(v, eval.Sample{Labels: x.Metric, V: x.Floats[0].F})
					x.Floats = x.Floats[1:]
				case len(x.Histograms) > 0 && x.Histograms[0].T == t:
					v = append(v, eval.Sample{Labels: x.Metric, Histogram: true})
					x.Histograms = x.Histograms[1:]
				}
			}
			frame.Vectors[k] = v
		}
		if err := f(t, frame); err != nil {
			return err
		}
	}
	return nil
}

// matrix is a range query, its series in the order of labels.
func (s *source) matrix(ctx context.Context, expr parser.Expr, from, to, interval int64) (promql.Matrix, error) {
	q, err := s.engine.NewRangeQuery(ctx, s.queryable, nil, expr.String(), time.UnixMilli(from), time.UnixMilli(to), time.Duration(interval)*time.Millisecond)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	m, err := q.Exec(ctx).Matrix()
	if err != nil {
		return nil, err
	}
	out := make(promql.Matrix, len(m)) // m is valid until Close
	for i, x := range m {
		out[i] = promql.Series{Metric: x.Metric, Floats: slices.Clone(x.Floats)}
		for _, h := range x.Histograms {
			out[i].Histograms = append(out[i].Histograms, promql.HPoint{T: h.T})
		}
	}
	slices.SortFunc(out, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	return out, nil
}

// close gives the taps back.
func (s *source) close() {
	for _, p := range append(slices.Clone(s.parts), s.limit) {
		if p != nil && p.selector != nil {
			p.selector.Close()
			p.selector = nil
		}
	}
}

// strategy says how the rule gets its vectors, and why.
func (s *source) strategy() string {
	var out []string
	for _, p := range s.parts {
		way := wayQueried
		streamed, reason := stream.Explain(p.expr)
		if streamed && s.db != nil {
			way = wayStreamed
		}
		text := way + ": " + reason
		if p.name != "" {
			text = p.name + " " + text
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}
