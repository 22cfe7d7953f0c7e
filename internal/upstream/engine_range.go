package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"
)

// Engine is Prometheus's engine with a shorter way for the range queries that
// dashboards ask most: a selector, a function over a range selector, a simple
// aggregation of either, and several of them joined by "or". They are evaluated
// series by series over whole columns of samples instead of step by step.
//
// The answers are the engine's own: the same floats (to the bit where the
// compiler fuses no operations, as on amd64), labels, order and annotations.
// What the short way does not know (histograms, modifiers such as @, duplicate
// label sets, a query close to its limit of samples) goes the long way.
type Engine struct {
	*promql.Engine
	maxSamples int
}

// NewQueryEngine returns an engine with the short way. The caller closes it.
func NewQueryEngine(o EngineOptions) (*Engine, error) {
	engine, err := NewEngine(o)
	if err != nil {
		return nil, err
	}
	if o.MaxSamples == 0 {
		o.MaxSamples = DefaultQueryMaxSamples
	}
	return &Engine{engine, o.MaxSamples}, nil
}

// errLongWay ends the short way without an answer.
var errLongWay = errors.New("not for the short way")

// NewRangeQuery builds a query that takes the short way if it can.
func (e *Engine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	long, err := e.Engine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
	if err != nil {
		return nil, err
	}
	if opts != nil && (opts.EnablePerStepStats() || opts.UseStartTimestamps() != nil && *opts.UseStartTimestamps()) {
		return long, nil
	}
	stmt, ok := long.Statement().(*parser.EvalStmt)
	if !ok || stmt.Interval <= 0 {
		return long, nil
	}
	p := newPlan(stmt.Expr)
	if p == nil {
		return long, nil
	}
	r := &rangeQuery{Query: long}
	ev := &rangeEval{
		queryable: q, stmt: stmt, maxSamples: e.maxSamples,
		start: start.UnixMilli(), step: interval.Milliseconds(), lookback: stmt.LookbackDelta.Milliseconds(),
	}
	if ev.step <= 0 || end.Before(start) {
		return long, nil
	}
	ev.steps = int((end.UnixMilli()-ev.start)/ev.step) + 1
	// NewTestQuery is the engine's way to run something else under its gauges,
	// its turn in the queue, its timeout and its timers.
	r.short = e.NewTestQuery(func(ctx context.Context) error {
		matrix, err := ev.eval(ctx, p)
		r.matrix, r.points, r.notes = matrix, ev.points, ev.annos
		if err == nil {
			s := r.short.Stats().Samples
			s.TotalSamples, s.SamplesRead = ev.total, ev.read
			s.UpdatePeak(ev.peak)
		}
		return err
	})
	return r, nil
}

// rangeQuery is a query that has both ways. The embedded one is the long way.
type rangeQuery struct {
	promql.Query
	short  promql.Query
	failed bool // the short way was not one

	matrix promql.Matrix
	notes  annotations.Annotations
	points pointSlabs
}

// Exec runs the query. It is called once.
func (r *rangeQuery) Exec(ctx context.Context) *promql.Result {
	res := r.short.Exec(withQueryText(ctx, r.String()))
	if errors.Is(res.Err, errLongWay) {
		r.points.free()
		r.failed = true
		return r.Query.Exec(ctx)
	}
	if res.Err == nil {
		res.Value = leave(ctx, r.matrix)
	}
	res.Warnings = r.notes
	return res
}

// Close gives the memory of the answer back, which ends its use.
func (r *rangeQuery) Close() {
	r.matrix = nil
	r.points.free()
	r.Query.Close()
}

// Cancel ends a query that runs.
func (r *rangeQuery) Cancel() {
	r.short.Cancel()
	r.Query.Cancel()
}

// Stats describes the way that was taken.
func (r *rangeQuery) Stats() *stats.Statistics {
	if r.failed {
		return r.Query.Stats()
	}
	return r.short.Stats()
}
