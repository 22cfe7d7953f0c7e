package promql

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/schema"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// rangeEval evaluates one query the short way, series by series. Times are in
// milliseconds.
type rangeEval struct {
	queryable   storage.Queryable
	stmt        *parser.EvalStmt
	maxSamples  int
	start, step int64
	steps       int
	lookback    int64

	cols   columns
	points pointSlabs
	annos  annotations.Annotations
	// held counts points of the answer and of what was aggregated; window is
	// the largest one so far. Together they are the most the engine would hold.
	held, window, peak int
	total, read        int64
}

// eval returns the answer, sorted as the engine sorts it.
func (ev *rangeEval) eval(ctx context.Context, parts []*part) (promql.Matrix, error) {
	mint, maxt := promql.FindMinMaxTime(ev.stmt)
	querier, err := ev.queryable.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	defer func() { _ = querier.Close() }() // nothing was written
	var out promql.Matrix
	for _, p := range parts {
		m, err := ev.part(ctx, querier, p)
		if err != nil {
			return nil, err
		}
		if p.call != nil && p.agg == nil && !p.keepsName() && !p.named() && m.ContainsSameLabelset() {
			return nil, errLongWay
		}
		if len(parts) > 1 && !distinct(out, m) {
			return nil, errLongWay
		}
		out = append(out, m...)
	}
	// The engine holds both sides and the result of "or" at once.
	if len(parts) > 1 && 3*ev.held+len(out) > ev.maxSamples {
		return nil, errLongWay
	}
	sort.Sort(out)
	return out, contextDone(ctx)
}

// contextDone says in the engine's words why a query has to end.
func contextDone(ctx context.Context) error {
	switch err := ctx.Err(); {
	case errors.Is(err, context.Canceled):
		return promql.ErrQueryCanceled("expression evaluation")
	case errors.Is(err, context.DeadlineExceeded):
		return promql.ErrQueryTimeout("expression evaluation")
	default:
		return err
	}
}

// distinct tells whether "or" takes every series of both sides as it is.
func distinct(l, r promql.Matrix) bool {
	if len(l) == 0 || len(r) == 0 {
		return true
	}
	var buf []byte
	var hash uint64
	seen := make(map[uint64]struct{}, len(l))
	for i := range l {
		hash, buf = l[i].Metric.HashWithoutLabels(buf, reservedNames...)
		seen[hash] = struct{}{}
	}
	for i := range r {
		hash, buf = r[i].Metric.HashWithoutLabels(buf, reservedNames...)
		if _, ok := seen[hash]; ok {
			return false
		}
	}
	return true
}

// hints are what the engine would tell the store.
func (ev *rangeEval) hints(p *part) *storage.SelectHints {
	end := ev.start + int64(ev.steps-1)*ev.step
	back := ev.lookback
	h := &storage.SelectHints{Step: ev.step, Range: p.rng.Milliseconds()}
	if p.call != nil {
		h.Func, back = p.call.Func.Name, h.Range
	}
	if p.agg != nil {
		if p.call == nil {
			h.Func = p.agg.Op.String()
			h.By, h.Grouping = !p.agg.Without, p.agg.Grouping
		}
	}
	offset := p.selector.Offset.Milliseconds()
	h.Start, h.End = ev.start-offset-back+1, end-offset
	return h
}

// part evaluates one operand.
func (ev *rangeEval) part(ctx context.Context, querier storage.Querier, p *part) (promql.Matrix, error) {
	hints := ev.hints(p)
	set := querier.Select(ctx, false, hints, p.selector.LabelMatchers...)
	var out promql.Matrix
	var groups *grouping
	if p.agg != nil {
		groups = newGrouping(p.agg, ev.steps)
	}
	offset := p.selector.Offset.Milliseconds()
	row := newRow(ev.steps)
	var it chunkenc.Iterator
	for set.Next() {
		if err := contextDone(ctx); err != nil {
			return nil, err
		}
		s := set.At()
		it = s.Iterator(it)
		if err := ev.cols.fill(it, p.call != nil); err != nil {
			return nil, err
		}
		metric := s.Labels()
		row.reset()
		switch {
		case p.call == nil:
			ev.latest(row, offset)
		case p.isCounterRate():
			ev.counterRate(row, offset, p.rng, p.call.Func.Name == "rate")
		default:
			if err := ev.function(row, offset, p, metric); err != nil {
				return nil, err
			}
		}
		ev.held += row.n
		ev.peak = max(ev.peak, ev.held+ev.window)
		if ev.peak > ev.maxSamples {
			return nil, errLongWay
		}
		if row.n == 0 {
			continue
		}
		if p.isCounterRate() {
			ev.noteName(metric, p)
		}
		if !p.keepsName() {
			metric = metric.DropReserved(schema.IsMetadataLabel)
		}
		if groups == nil {
			out = append(out, promql.Series{Metric: metric, Floats: row.points(&ev.points, ev.start, ev.step)})
		} else if !groups.add(metric, row) {
			return nil, errLongWay
		}
	}
	ev.annos.Merge(set.Warnings())
	if err := set.Err(); err != nil {
		if done := contextDone(ctx); done != nil {
			return nil, done
		}
		return nil, fmt.Errorf("expanding series: %w", err)
	}
	if groups != nil {
		out = groups.matrix(&ev.points, ev.start, ev.step)
	}
	return out, nil
}

// noteName adds the engine's hint that a rate was taken of what may not be a
// counter.
func (ev *rangeEval) noteName(metric labels.Labels, p *part) {
	name := metric.Get(labels.MetricName)
	for _, suffix := range []string{"_total", "_sum", "_count", "_bucket"} {
		if strings.HasSuffix(name, suffix) {
			return
		}
	}
	if name != "" {
		ev.annos.Add(annotations.NewPossibleNonCounterInfo(name, p.call.Args[0].PositionRange()))
	}
}

// latest gives the newest sample at each step, if it is not too old or a
// staleness marker.
func (ev *rangeEval) latest(row *row, offset int64) {
	ts, vs := ev.cols.t, ev.cols.v
	i := 0 // samples up to here are not after the step
	ref := ev.start - offset
	for k := range ev.steps {
		for i < len(ts) && ts[i] <= ref {
			i++
		}
		if i > 0 && ts[i-1] > ref-ev.lookback && !isStale(vs[i-1]) {
			row.set(k, vs[i-1])
		}
		ref += ev.step
	}
	ev.total += int64(row.n)
	ev.read += int64(row.n)
}

// window is a range of samples that moves with the steps: those in (end-rng, end].
type window struct{ lo, hi, seen int }

// move sets the window to one that ends at end, and counts.
func (w *window) move(ev *rangeEval, end, rng int64) {
	ts := ev.cols.t
	hi, lo := w.hi, w.lo
	for hi < len(ts) && ts[hi] <= end {
		hi++
	}
	for lo < hi && ts[lo] <= end-rng {
		lo++
	}
	n := hi - lo
	ev.total += int64(n)
	ev.read += int64(hi - max(lo, w.seen))
	ev.window = max(ev.window, n)
	w.lo, w.hi, w.seen = lo, hi, hi
}

// function calls one of the engine's own functions at each step.
func (ev *rangeEval) function(row *row, offset int64, p *part, metric labels.Labels) error {
	points := ev.cols.points()
	in := promql.Matrix{{Metric: metric}}
	enh := &promql.EvalNodeHelper{Out: make(promql.Vector, 0, 1), LookbackDelta: time.Duration(ev.lookback) * time.Millisecond}
	var w window
	for k := range ev.steps {
		ts := ev.start + int64(k)*ev.step
		w.move(ev, ts-offset, p.rng.Milliseconds())
		if w.lo == w.hi {
			continue
		}
		in[0].Floats, enh.Ts = points[w.lo:w.hi], ts
		vec, annos := p.fn(nil, in, p.call.Args, enh)
		ev.annos.Merge(annos)
		if len(vec) > 0 {
			if vec[0].H != nil {
				return errLongWay
			}
			row.set(k, vec[0].F)
		}
		enh.Out = vec[:0]
	}
	return nil
}
