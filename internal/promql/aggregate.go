package promql

import (
	"math"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/kahansum"
)

// aggregations are those that the short way knows.
var aggregations = []parser.ItemType{parser.SUM, parser.AVG, parser.MIN, parser.MAX, parser.COUNT, parser.GROUP}

// reservedNames are the labels that no grouping by exclusion and no matching
// looks at, sorted.
var reservedNames = []string{model.MetricNameLabel, model.MetricTypeLabel, model.MetricUnitLabel}

// grouping aggregates rows as they come. The engine goes through all series at
// each step, in the same order, so every group sees the same operations.
type grouping struct {
	op      parser.ItemType
	without bool
	names   []string
	steps   int
	index   map[uint64]int
	groups  []group
	buf     []byte
}

// group is one line of the result.
type group struct {
	metric labels.Labels
	row    *row      // values; for sums without their compensation
	c      []float64 // Kahan compensation
	count  []float64
}

func newGrouping(a *parser.AggregateExpr, steps int) *grouping {
	g := &grouping{op: a.Op, without: a.Without, names: slices.Clone(a.Grouping), steps: steps, index: map[uint64]int{}}
	if a.Without {
		g.names = append(g.names, reservedNames...)
	}
	slices.Sort(g.names)
	return g
}

// of returns the group of a metric.
func (g *grouping) of(metric labels.Labels) *group {
	var key uint64
	switch {
	case g.without:
		key, g.buf = metric.HashWithoutLabels(g.buf, g.names...)
	case len(g.names) > 0:
		key, g.buf = metric.HashForLabels(g.buf, g.names...)
	}
	i, ok := g.index[key]
	if !ok {
		i = len(g.groups)
		g.index[key] = i
		g.groups = append(g.groups, g.newGroup(metric))
	}
	return &g.groups[i]
}

func (g *grouping) newGroup(metric labels.Labels) group {
	out := group{row: newRow(g.steps)}
	switch g.op {
	case parser.SUM:
		out.c = make([]float64, g.steps)
	case parser.AVG:
		out.c, out.count = make([]float64, g.steps), make([]float64, g.steps)
	case parser.COUNT:
		out.count = make([]float64, g.steps)
	}
	b := labels.NewBuilder(metric)
	if g.without {
		out.metric = b.Del(g.names...).Labels()
	} else if len(g.names) > 0 {
		out.metric = b.Keep(g.names...).Labels()
	}
	return out
}

// add aggregates one series. It returns false for what only the engine knows:
// an average whose sum overflows.
func (g *grouping) add(metric labels.Labels, r *row) bool {
	to := g.of(metric)
	if g.op == parser.SUM {
		to.sum(r)
		return true
	}
	v, have := to.row.v, to.row.have
	for k, ok := range r.have {
		if !ok {
			continue
		}
		f := r.v[k]
		if !have[k] {
			to.row.set(k, f)
			if to.c != nil {
				to.c[k] = 0
			}
			if to.count != nil {
				to.count[k] = 1
			}
			if g.op == parser.GROUP {
				v[k] = 1
			}
			continue
		}
		switch g.op {
		case parser.AVG:
			to.count[k]++
			v[k], to.c[k] = kahansum.Inc(f, v[k], to.c[k])
			if math.IsInf(v[k], 0) {
				return false
			}
		case parser.MAX:
			if v[k] < f || math.IsNaN(v[k]) {
				v[k] = f
			}
		case parser.MIN:
			if v[k] > f || math.IsNaN(v[k]) {
				v[k] = f
			}
		case parser.COUNT:
			to.count[k]++
		}
	}
	return true
}

// sum is kahansum.Inc at every step of a row, in line. Conversions keep the
// compiler from fusing operations over its bounds.
func (to *group) sum(r *row) {
	n := len(r.have)
	from, v, have, c := r.v[:n], to.row.v[:n], to.row.have[:n], to.c[:n]
	for k, ok := range r.have {
		if !ok {
			continue
		}
		f := from[k]
		if !have[k] {
			to.row.set(k, f)
			continue
		}
		sum := v[k]
		t := float64(sum + f)
		switch {
		case t > math.MaxFloat64 || t < -math.MaxFloat64:
			c[k] = 0
		case math.Abs(sum) >= math.Abs(f):
			c[k] += float64(float64(sum-t) + f)
		default:
			c[k] += float64(float64(f-t) + sum)
		}
		v[k] = t
	}
}

// matrix ends the aggregation.
func (g *grouping) matrix(mem *pointSlabs, start, step int64) promql.Matrix {
	out := make(promql.Matrix, 0, len(g.groups))
	for i := range g.groups {
		to := &g.groups[i]
		v := to.row.v
		for k, ok := range to.row.have {
			if !ok {
				continue
			}
			switch g.op {
			case parser.SUM:
				v[k] += to.c[k]
			case parser.AVG:
				v[k] = v[k]/to.count[k] + to.c[k]/to.count[k]
			case parser.COUNT:
				v[k] = to.count[k]
			}
		}
		out = append(out, promql.Series{Metric: to.metric, Floats: to.row.points(mem, start, step)})
	}
	return out
}
