package lang

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// checkGroup is what Prometheus demands of a group: the check rule/group.
func (l *loader) checkGroup(g *Group, n, labels *yaml.Node, others map[string]*yaml.Node) {
	at := n
	if v := value(n, "name"); v != nil {
		at = v
	}
	if g.Name == "" {
		l.doc.Errorf(at, "rule/group", "a group needs a name")
	} else if first, ok := others[g.Name]; ok {
		l.doc.Errorf(at, "rule/group", "group %q stands here for the second time, first in line %d", g.Name, first.Line)
	} else {
		others[g.Name] = at
	}
	l.checkLabels(labels, g.Labels)
}

// prometheusRule reads a record or alert rule and has Prometheus's own code
// check it: the checks rule/kind and rule/prometheus.
func (l *loader) prometheusRule(n *yaml.Node) (rulefmt.Rule, bool) {
	var r rulefmt.Rule
	scalar := func(what string) diag.Field { return func(_, v *yaml.Node) { l.doc.String(v, what) } }
	span := func(what string) diag.Field { return func(_, v *yaml.Node) { l.duration(v, what) } }
	texts := func(what string) diag.Field { return func(_, v *yaml.Node) { l.stringMap(v, what) } }
	ok := l.clean(func() {
		l.doc.Object(n, whatRule, map[string]diag.Field{
			"record": scalar("record"), "alert": scalar("alert"), "expr": scalar("expr"), "for": span("for"),
			"keep_firing_for": span("keep_firing_for"), "labels": texts("labels"), "annotations": texts("annotations"),
			"anomaly": nil, // never read: such a rule is not ours; the word is here to be the nearest one
		})
	})
	if !ok {
		return r, false
	}
	var node rulefmt.RuleNode
	if err := n.Decode(&r); err != nil {
		l.decodeError(n, err)
		return r, false
	}
	if err := n.Decode(&node); err != nil {
		l.decodeError(n, err)
		return r, false
	}
	if r.Record == "" && r.Alert == "" {
		l.doc.Errorf(n, "rule/kind", "a rule needs one of record, alert and anomaly")
		return r, false
	}
	ok = l.clean(func() {
		for _, err := range r.Validate(node, model.UTF8Validation, l.promQL) {
			l.prometheusError(n, &err)
		}
	})
	l.checkRangeOf(n, r)
	return r, ok
}

var (
	promPosition = regexp.MustCompile(`^(\d+):(\d+): (?:\d+:\d+: )?`)
	promField    = regexp.MustCompile(`^(?:invalid (label) name: (.*)|invalid (annotation) name: (.*)|(label|annotation) ("(?:[^"\\]|\\.)*"): )`)
)

// prometheusError reports what Prometheus says of rule n (nil: of the file),
// at the place that it means.
func (l *loader) prometheusError(n *yaml.Node, err error) {
	msg := err.Error()
	p := diag.Problem{File: l.doc.File, Check: "rule/prometheus"}
	if m := promPosition.FindStringSubmatch(msg); m != nil {
		msg = msg[len(m[0]):]
		p.Line, _ = strconv.Atoi(m[1])
		p.Column, _ = strconv.Atoi(m[2])
	}
	var pe parser.ParseErrors
	if expr := value(n, "expr"); errors.As(err, &pe) && expr != nil {
		l.promQLErrors(l.doc.Resolve(expr), "rule/prometheus", 0, pe)
		return
	}
	if at := l.fieldOf(n, msg); at != nil && p.Line == 0 {
		p.Line, p.Column = at.Line, at.Column
	}
	p.Message = strings.ReplaceAll(msg, "\n", " ")
	l.doc.Problems = append(l.doc.Problems, p)
}

// fieldOf finds the label or annotation that a message is about, else the rule.
func (l *loader) fieldOf(n *yaml.Node, msg string) *yaml.Node {
	m := promField.FindStringSubmatch(msg)
	if n == nil || m == nil {
		return n
	}
	field, name := m[1]+m[3]+m[5], m[2]+m[4]
	if m[6] != "" {
		name, _ = strconv.Unquote(m[6])
	}
	v := value(n, field+"s")
	if v == nil {
		return n
	}
	if key, _ := entry(l.doc.Resolve(v), name); key != nil {
		return key
	}
	return v
}

// promQLErrors reports the problems of an expression; prefix bytes of it do not
// stand in the scalar n.
func (l *loader) promQLErrors(n *yaml.Node, check string, prefix int, errs parser.ParseErrors) {
	for _, e := range errs {
		l.errorIn(n, max(int(e.PositionRange.Start)-prefix, 0), check, "%v", e.Err)
	}
}
