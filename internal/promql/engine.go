package promql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	o       Options
	queries *prometheus.CounterVec
}

// Options configure an Engine.
type Options struct {
	// MaxSamples is the limit that the engine was built with; a query that comes
	// close to it is the engine's. Required.
	MaxSamples int
	// EngineAlone switches the short way off.
	EngineAlone bool
	// Registerer receives chiron_query_range_total. nil: none.
	Registerer prometheus.Registerer
}

// New puts the short way before an engine, which is closed with it.
func New(engine *promql.Engine, o Options) (*Engine, error) {
	if o.MaxSamples <= 0 {
		return nil, fmt.Errorf("cannot evaluate range queries with a limit of %d samples", o.MaxSamples)
	}
	queries, err := newQueries(o.Registerer)
	if err != nil {
		return nil, err
	}
	return &Engine{engine, o, queries}, nil
}

// counted counts a query by the way it was evaluated.
func (e *Engine) counted(w way) { e.queries.WithLabelValues(string(w)).Inc() }

// errLongWay ends the short way without an answer.
var errLongWay = errors.New("not for the short way")

// NewRangeQuery builds a query that takes the short way if it can.
func (e *Engine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	long, err := e.Engine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
	if err != nil {
		return nil, err
	}
	stmt, parts := e.plan(long, opts)
	step := interval.Milliseconds()
	if parts == nil || step <= 0 || end.Before(start) {
		return engineQuery{long, e}, nil
	}
	r := &rangeQuery{Query: long, engine: e}
	ev := &rangeEval{
		queryable: q, stmt: stmt, maxSamples: e.o.MaxSamples,
		start: start.UnixMilli(), step: step, lookback: stmt.LookbackDelta.Milliseconds(),
	}
	ev.steps = int((end.UnixMilli()-ev.start)/ev.step) + 1
	// NewTestQuery is the engine's way to run something else under its gauges,
	// its turn in the queue, its timeout and its timers.
	r.short = e.NewTestQuery(func(ctx context.Context) error {
		matrix, err := ev.eval(ctx, parts)
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

// plan returns how to evaluate a query the short way, nil if the engine is to.
func (e *Engine) plan(q promql.Query, opts promql.QueryOpts) (*parser.EvalStmt, []*part) {
	if e.o.EngineAlone {
		return nil, nil
	}
	if opts != nil && (opts.EnablePerStepStats() || opts.UseStartTimestamps() != nil && *opts.UseStartTimestamps()) {
		return nil, nil
	}
	stmt, ok := q.Statement().(*parser.EvalStmt)
	if !ok || stmt.Interval <= 0 {
		return nil, nil
	}
	return stmt, newPlan(stmt.Expr)
}

// engineQuery is a query that only the engine evaluates.
type engineQuery struct {
	promql.Query
	engine *Engine
}

// Exec runs the query. It is called once.
func (q engineQuery) Exec(ctx context.Context) *promql.Result {
	q.engine.counted(wayEngine)
	return q.Query.Exec(ctx)
}

// rangeQuery is a query that has both ways. The embedded one is the long way.
type rangeQuery struct {
	promql.Query
	engine *Engine
	short  promql.Query
	failed bool // the short way was not one

	matrix promql.Matrix
	notes  annotations.Annotations
	points pointSlabs
}

// Exec runs the query. It is called once.
func (r *rangeQuery) Exec(ctx context.Context) *promql.Result {
	res := r.short.Exec(withText(ctx, r.String()))
	if errors.Is(res.Err, errLongWay) {
		r.points.free()
		r.failed = true
		r.engine.counted(wayBoth)
		return r.Query.Exec(ctx)
	}
	r.engine.counted(wayShort)
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
