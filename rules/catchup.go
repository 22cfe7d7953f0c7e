package rules

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/chironhq/chiron/rules/stream"
)

// Bounds of what models learn from the ring before their first tick.
const (
	catchUpTicks   = 4000       // most ticks back
	catchUpSamples = 10_000_000 // most samples a rule
	catchUpChunk   = 200        // ticks a query
)

// catchUp has every model learn the ticks that it has not seen: those since
// the snapshot it was restored from, or what the ring holds for a new rule.
// Nothing is written: what was missed stays a gap, what was written stays.
func (g *group) catchUp(ctx context.Context) {
	for _, a := range g.anomalies {
		began := time.Now()
		n, err := g.catchUpRule(ctx, a)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			g.logger.Warn("models could not learn from the ring; they go on with live samples", "rule", a.Name(), "err", err)
		case n > 0:
			g.m.metrics.caughtUp.Add(float64(n))
			g.logger.Info("models learned from the ring", "rule", a.Name(), "samples", n, "took", time.Since(began))
		}
	}
}

func (g *group) catchUpRule(ctx context.Context, a *anomalyRule) (samples int, err error) {
	interval := g.Interval().Milliseconds()
	// The newest slot that has passed; the next one is evaluated live.
	to := g.EvalTimestamp(time.Now().UnixNano()).Add(-g.QueryOffset()).UnixMilli()
	from := to - catchUpTicks*interval
	if g.m.o.DB != nil {
		oldest, err := g.m.o.DB.StartTime()
		if err != nil {
			return 0, fmt.Errorf("cannot tell how far back the ring reaches: %w", err)
		}
		if oldest > to {
			return 0, nil
		}
		from = max(from, to-(to-oldest)/interval*interval)
	}
	a.mu.Lock()
	anew, err := a.startOver(to)
	last := a.lastEval
	a.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if anew {
		g.logger.Warn("the clock was ahead when the models were saved; they learn again", "rule", a.Name())
	}
	if last > 0 { // what was learned live goes on from there
		from = max(from, last+interval-(last-to)%interval)
	}
	if from > to {
		return 0, nil
	}
	now, err := g.queryAll(ctx, a, to, to)
	if err != nil {
		return 0, err
	}
	width := 0
	for _, m := range now {
		width += len(m)
	}
	if most := int64(catchUpSamples / max(width, 1)); (to-from)/interval > most {
		from = to - most*interval
	}
	for ; from <= to; from += catchUpChunk * interval {
		ms, err := g.queryAll(ctx, a, from, min(from+(catchUpChunk-1)*interval, to))
		if err != nil {
			return samples, err
		}
		n, err := a.learn(ms)
		samples += n
		if err != nil {
			return samples, err
		}
	}
	return samples, nil
}

// queryAll has the values of the rule's sources, in their order.
func (g *group) queryAll(ctx context.Context, a *anomalyRule, from, to int64) ([]promql.Matrix, error) {
	var out []promql.Matrix
	for _, s := range a.sources {
		m, err := g.query(ctx, s, from, to)
		if err != nil {
			return nil, a.inSource(s, err)
		}
		out = append(out, m)
	}
	return out, nil
}

func (g *group) query(ctx context.Context, s *source, from, to int64) (promql.Matrix, error) {
	o := g.m.o
	q, err := o.Engine.NewRangeQuery(ctx, o.Queryable, nil, s.expr.String(), time.UnixMilli(from), time.UnixMilli(to), g.Interval())
	if err != nil {
		return nil, err
	}
	defer q.Close()
	m, err := q.Exec(ctx).Matrix()
	if err != nil {
		return nil, err
	}
	out := make(promql.Matrix, len(m)) // m is valid until Close
	for i, s := range m {
		if len(s.Histograms) > 0 {
			return nil, fmt.Errorf("%s: %w", s.Metric, stream.ErrHistogram)
		}
		out[i] = promql.Series{Metric: s.Metric, Floats: slices.Clone(s.Floats)}
	}
	slices.SortFunc(out, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	return out, nil
}

// learn steps the models through the values of the sources, tick by tick.
func (r *anomalyRule) learn(ms []promql.Matrix) (samples int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := frame{vectors: make([][]stream.Sample, len(ms))}
	for {
		t, more := int64(0), false
		for _, m := range ms {
			for _, s := range m {
				if len(s.Floats) > 0 && (!more || s.Floats[0].T < t) {
					t, more = s.Floats[0].T, true
				}
			}
		}
		if !more {
			return samples, nil
		}
		for k, m := range ms {
			f.vectors[k] = f.vectors[k][:0]
			for i := range m {
				if s := &m[i]; len(s.Floats) > 0 && s.Floats[0].T == t {
					f.vectors[k] = append(f.vectors[k], stream.Sample{Labels: s.Metric, V: s.Floats[0].F})
					s.Floats = s.Floats[1:]
				}
			}
			samples += len(f.vectors[k])
		}
		if _, _, err := r.step(f, t, false); err != nil {
			return samples, err
		}
		r.lastEval = max(r.lastEval, t)
	}
}
