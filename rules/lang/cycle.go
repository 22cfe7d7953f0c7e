package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/internal/diag"
)

// vertex is a rule in the graph of who reads what.
type vertex struct {
	file    string
	title   string
	pos     Pos // of what reads
	anomaly bool
	writes  []series
	reads   []*parser.VectorSelector
}

// edge says that a vertex reads what another one writes.
type edge struct {
	to  int
	via *parser.VectorSelector
}

// checkCycles is the check rule/cycle: an anomaly rule must not read its own
// output, directly or through other rules, because it would then learn from
// its own opinion. Circles of Prometheus rules alone are Prometheus's matter.
func checkCycles(files []*File) diag.Problems {
	vertices := vertices(files)
	edges := connect(vertices)
	var ps diag.Problems
	reported := make([]bool, len(vertices))
	for i, v := range vertices {
		if !v.anomaly || reported[i] {
			continue
		}
		circle := shortestCircle(edges, i)
		if circle == nil {
			continue
		}
		for _, e := range circle {
			reported[e.to] = true
		}
		ps = append(ps, diag.Problem{
			File: v.file, Line: v.pos.Line, Column: v.pos.Column, Check: "rule/cycle",
			Message: describeCircle(vertices, i, circle),
		})
	}
	return ps
}

func describeCircle(vertices []vertex, start int, circle []edge) string {
	if len(circle) == 1 {
		return fmt.Sprintf("%s reads its own output through %s; narrow the selector, for example by another anomaly_name", vertices[start].title, circle[0].via)
	}
	var b strings.Builder
	b.WriteString(vertices[start].title)
	for _, e := range circle {
		fmt.Fprintf(&b, " reads %s", vertices[e.to].title)
		if vertices[e.to].file != vertices[start].file {
			fmt.Fprintf(&b, " of %s", vertices[e.to].file)
		}
	}
	b.WriteString(": an anomaly rule must not depend on its own output")
	return b.String()
}

// vertices lists the rules in order, alert shorthands as rules of their own.
func vertices(files []*File) []vertex {
	var out []vertex
	for _, f := range files {
		for i := range f.Groups {
			g := &f.Groups[i]
			for _, r := range g.Expand() {
				v := prometheusVertex(f.promQL, g, r.Prometheus)
				v.pos = r.Pos
				if r.Anomaly != nil {
					v = anomalyVertex(r.Anomaly)
				}
				v.file = f.Name
				out = append(out, v)
			}
		}
	}
	return out
}

func anomalyVertex(a *Anomaly) vertex {
	v := vertex{title: fmt.Sprintf("anomaly %q", a.Name), pos: a.exprPos, anomaly: true}
	for _, source := range a.Sources() {
		v.reads = append(v.reads, selectors(source.Expr)...)
	}
	fixed := maps.Clone(a.Labels)
	fixed[LabelAnomalyName] = a.Name
	others := a.seriesLabels().with(LabelAnomalyModel)
	for _, metric := range a.Output.Metrics() {
		v.writes = append(v.writes, series{metric: metric, fixed: fixed, others: others})
	}
	if a.Explain > 0 {
		v.writes = append(v.writes, series{metric: MetricContribution, fixed: fixed, others: others.with(LabelInput)})
	}
	if a.Forecast != nil {
		v.writes = append(v.writes, series{metric: MetricForecast, fixed: fixed, others: others.with(LabelHorizon, LabelBound)})
	}
	if a.Forecast != nil && a.Forecast.Limit != nil {
		v.reads = append(v.reads, selectors(a.Forecast.Limit)...)
		v.writes = append(v.writes, series{metric: MetricTimeToLimit, fixed: fixed, others: others})
	}
	return v
}

// seriesLabels are those that the series of the rule's models can have.
func (a *Anomaly) seriesLabels() labelSet {
	switch {
	case a.Ratio != nil:
		return resultLabels(a.Ratio.Total.Expr)
	case a.Inputs != nil:
		return labelSet{names: a.Join}
	}
	return resultLabels(a.Expr)
}

func prometheusVertex(p parser.Parser, g *Group, r rulefmt.Rule) vertex {
	e, err := p.ParseExpr(r.Expr)
	if err != nil {
		return vertex{} // an anomaly rule, whose expression stands elsewhere
	}
	fixed := map[string]string{}
	maps.Copy(fixed, g.Labels)
	maps.Copy(fixed, r.Labels)
	maps.DeleteFunc(fixed, func(_, v string) bool { return strings.Contains(v, "{{") })
	v := vertex{title: fmt.Sprintf("record %q", r.Record), reads: selectors(e)}
	if r.Alert == "" {
		v.writes = []series{{metric: r.Record, fixed: fixed, others: resultLabels(e)}}
		return v
	}
	v.title = fmt.Sprintf("alert %q", r.Alert)
	fixed[labels.AlertName] = r.Alert
	for _, metric := range []string{"ALERTS", "ALERTS_FOR_STATE"} {
		v.writes = append(v.writes, series{metric: metric, fixed: fixed, others: anyLabels})
	}
	return v
}

func selectors(e parser.Expr) []*parser.VectorSelector {
	var out []*parser.VectorSelector
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			out = append(out, s)
		}
		return nil
	})
	return out
}

// connect finds for every vertex what it reads. Writers are looked up by
// metric name where a selector names one, as nearly all do.
func connect(vertices []vertex) [][]edge {
	byName := map[string][]int{}
	all := make([]int, len(vertices))
	for i, v := range vertices {
		all[i] = i
		for _, s := range v.writes {
			byName[s.metric] = append(byName[s.metric], i)
		}
	}
	edges := make([][]edge, len(vertices))
	for i, v := range vertices {
		for _, sel := range v.reads {
			writers := all
			if name, ok := metricName(sel); ok {
				writers = byName[name]
			}
			for _, w := range writers {
				if slices.ContainsFunc(vertices[w].writes, func(s series) bool { return s.mayMatch(sel.LabelMatchers) }) {
					edges[i] = append(edges[i], edge{to: w, via: sel})
				}
			}
		}
	}
	return edges
}

func metricName(sel *parser.VectorSelector) (string, bool) {
	for _, m := range sel.LabelMatchers {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return m.Value, true
		}
	}
	return "", false
}

// shortestCircle searches breadth first from start back to start.
func shortestCircle(edges [][]edge, start int) []edge {
	type step struct {
		edge
		from int // index in steps; -1 for the first
	}
	var steps []step
	seen := map[int]bool{}
	visit := func(vertex, from int) {
		for _, e := range edges[vertex] {
			if !seen[e.to] {
				seen[e.to] = true
				steps = append(steps, step{e, from})
			}
		}
	}
	visit(start, -1)
	for i := 0; i < len(steps); i++ {
		if steps[i].to != start {
			visit(steps[i].to, i)
			continue
		}
		var circle []edge
		for at := i; at >= 0; at = steps[at].from {
			circle = append(circle, steps[at].edge)
		}
		slices.Reverse(circle)
		return circle
	}
	return nil
}
