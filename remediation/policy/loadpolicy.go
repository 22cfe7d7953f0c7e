package policy

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
	"github.com/chironhq/chiron/remediation/action"
)

var (
	policyName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$`)
	// probe stands for every value of an alert while an expression is checked; it
	// parses inside quotes only, so a value outside of them is found.
	probe = Values{Labels: map[string]string{}, Annotations: map[string]string{}, StartsAt: time.Unix(0, 0)}
)

const probeText = "any value"

func (l *loader) policy(n *yaml.Node) *Policy {
	p := &Policy{Mode: Suggest}
	keys := map[string]*yaml.Node{}
	note := func(f func(v *yaml.Node)) diag.Field {
		return func(k, v *yaml.Node) { keys[k.Value] = k; f(v) }
	}
	ok := l.Object(n, "policy", map[string]diag.Field{
		"name":     note(func(v *yaml.Node) { p.Name = l.String(v, "name") }),
		"match":    note(func(v *yaml.Node) { l.match(v, p) }),
		"target":   note(func(v *yaml.Node) { l.target(v, &p.Target) }),
		"mode":     note(func(v *yaml.Node) { p.Mode = l.mode(v, "mode") }),
		"require":  note(func(v *yaml.Node) { l.List(v, "require", func(n *yaml.Node) { l.require(n, p) }) }),
		"actions":  note(func(v *yaml.Node) { l.actions(v, p) }),
		"limits":   note(func(v *yaml.Node) { l.limits(v, &p.Limits) }),
		"verify":   note(func(v *yaml.Node) { l.verify(v, &p.Verify) }),
		"undo":     note(func(v *yaml.Node) { l.undo(v, &p.Undo) }),
		"approve":  l.later("approve"),
		"escalate": l.later("escalate"),
	})
	if !ok {
		return p
	}
	for _, need := range []string{"name", "match", "target", "actions"} {
		if keys[need] == nil {
			l.Errorf(n, "policy/missing", "policy %q: %s is missing", p.Name, need)
		}
	}
	if k := keys["name"]; k != nil && !policyName.MatchString(p.Name) {
		l.Errorf(k, "policy/name", "name must be letters, digits, '-', '_' and '.', not %q", p.Name)
	}
	l.together(n, p, keys)
	return p
}

// together holds the parts of one policy against each other.
func (l *loader) together(n *yaml.Node, p *Policy, keys map[string]*yaml.Node) {
	at := func(name string) *yaml.Node {
		if k := keys[name]; k != nil {
			return k
		}
		return n
	}
	name, kind := p.Action.Spec.Name, p.Target.Kind
	if p.Mode == Auto && len(p.Verify.Checks) == 0 {
		l.Errorf(at("mode"), "policy/verify", "policy %q: mode auto needs verify with at least one check", p.Name)
	}
	if name == action.Scale && keys["undo"] == nil {
		l.Errorf(at("actions"), "policy/undo", "policy %q: scale needs undo", p.Name)
	}
	if name == action.EvictPod && kind != "" && kind != "Pod" {
		l.Errorf(at("target"), "policy/target", "policy %q: evictPod needs a target of kind Pod, not %s", p.Name, kind)
	}
	if name == action.Scale && kind != "" && kind != "Deployment" && kind != "StatefulSet" {
		l.Errorf(at("target"), "policy/target", "policy %q: scale needs a target of kind Deployment or StatefulSet, not %s", p.Name, kind)
	}
	if name != action.Scale && name != "" && (p.Undo.HoldOver || p.Undo.VerifyFailed) {
		l.Errorf(at("undo"), "policy/undo", "policy %q: %s cannot be taken back; write undo: none", p.Name, name)
	}
	if p.Action.Hold > 0 && !p.Undo.HoldOver {
		l.Errorf(at("undo"), "policy/undo", "policy %q: hold gives back only with hold_over in undo.when", p.Name)
	}
	if p.Undo.HoldOver && p.Action.Hold == 0 && name == action.Scale {
		l.Errorf(at("undo"), "policy/undo", "policy %q: hold_over needs hold in scale", p.Name)
	}
	if name == action.EvictPod {
		for _, c := range p.Verify.Checks {
			if c.Ready == "target" {
				l.Warnf(at("verify"), "policy/verify", "policy %q: an evicted pod comes back under this name only in a StatefulSet; use ready: owner", p.Name)
			}
		}
	}
}

func (l *loader) match(n *yaml.Node, p *Policy) {
	matchesEmpty := true
	l.List(n, "match", func(n *yaml.Node) {
		text := l.String(n, "match")
		ms, err := l.promQL.ParseMetricSelector("{" + text + "}")
		if err != nil || len(ms) != 1 {
			l.Errorf(n, "policy/match", "match: %q is no matcher such as alertname=\"X\"", text)
			matchesEmpty = false
			return
		}
		if !ms[0].Matches("") {
			matchesEmpty = false
		}
		p.Match = append(p.Match, ms[0])
	})
	if matchesEmpty {
		l.Errorf(n, "policy/match", "match: one matcher must be one that an alert without labels does not match, or every alert is meant")
	}
}

var kinds = []string{"Pod", "Deployment", "StatefulSet", "DaemonSet"}

func (l *loader) target(n *yaml.Node, t *Target) {
	seen := map[string]bool{}
	l.Object(n, "target", map[string]diag.Field{
		"kind": func(_, v *yaml.Node) {
			seen["kind"] = true
			t.Kind = l.String(v, "kind")
			switch {
			case t.Kind == "Node":
				l.Errorf(v, "policy/unsupported", "target: kind Node is not supported by this version")
			case !slices.Contains(kinds, t.Kind):
				l.Errorf(v, "policy/target", "target: unknown kind %q%s", t.Kind, diag.DidYouMean(t.Kind, kinds))
			}
		},
		"namespace": func(_, v *yaml.Node) { seen["namespace"] = true; t.Namespace = l.nameTemplate(v, "namespace") },
		"name":      func(_, v *yaml.Node) { seen["name"] = true; t.Name = l.nameTemplate(v, "name") },
	})
	for _, need := range []string{"kind", "namespace", "name"} {
		if !seen[need] {
			l.Errorf(n, "policy/missing", "target: %s is missing", need)
		}
	}
}

func (l *loader) nameTemplate(n *yaml.Node, what string) *Template {
	t := l.template(n, what)
	if strings.Contains(t.Text, "query") {
		if _, err := t.probe(nil); err != nil && strings.Contains(err.Error(), "query is not possible") {
			l.Errorf(n, "policy/template", "%s: a name does not come from a query", what)
		}
	}
	return t
}

// labelName finds what a template asks of the alert.
var labelName = regexp.MustCompile(`(Labels|Annotations)\.([A-Za-z_][A-Za-z0-9_]*)|index\s+\.(?:Labels|Annotations)\s+"([^"]*)"`)

// probe expands t for an alert that has every label the text names.
func (t *Template) probe(q Query) (string, error) {
	v := probe
	v.Labels, v.Annotations = map[string]string{}, map[string]string{}
	for _, m := range labelName.FindAllStringSubmatch(t.Text, -1) {
		name := m[2] + m[3]
		v.Labels[name], v.Annotations[name] = probeText, probeText
	}
	return t.Expand(v, q)
}

func (l *loader) require(n *yaml.Node, p *Policy) {
	l.Object(n, "require", map[string]diag.Field{
		"promql":        func(_, v *yaml.Node) { p.Require = append(p.Require, l.condition(v, "require")) },
		"changed":       l.later("changed"),
		"better_before": l.later("better_before"),
	})
}

// condition reads PromQL that holds when it returns anything. So it has to be
// one that can return nothing: a comparison, or absent().
func (l *loader) condition(n *yaml.Node, what string) *Template {
	t := l.template(n, what)
	text, err := t.probe(nil)
	if err != nil {
		l.Errorf(n, "policy/template", "%s: %v", what, err)
		return t
	}
	e, err := l.promQL.ParseExpr(text)
	switch {
	case err != nil && strings.Contains(text, probeText):
		l.Errorf(n, "policy/promql", "%s: %v (values of the alert must stand inside quotes)", what, err)
	case err != nil:
		l.Errorf(n, "policy/promql", "%s: %v", what, err)
	case !filters(e):
		l.Errorf(n, "policy/promql", "%s holds when the expression returns anything, so it must be a comparison (without bool) or absent()", what)
	}
	return t
}

// filters reports whether e returns nothing when its condition does not hold.
func filters(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return filters(e.Expr)
	case *parser.Call:
		return e.Func.Name == "absent" || e.Func.Name == "absent_over_time"
	case *parser.BinaryExpr:
		switch e.Op {
		case parser.LAND:
			return filters(e.LHS) || filters(e.RHS)
		case parser.LOR:
			return filters(e.LHS) && filters(e.RHS)
		case parser.LUNLESS:
			return true
		}
		return e.Op.IsComparisonOperator() && !e.ReturnBool
	}
	return false
}

func (l *loader) limits(n *yaml.Node, limits *Limits) {
	l.Object(n, "limits", map[string]diag.Field{
		"cooldown":   func(_, v *yaml.Node) { limits.Cooldown = l.duration(v, "cooldown") },
		"rate":       func(_, v *yaml.Node) { limits.Rate = l.policyRate(v) },
		"concurrent": func(_, v *yaml.Node) { limits.Concurrent = l.atLeast(v, "concurrent", 1) },
		"blast_radius": func(_, v *yaml.Node) {
			l.Object(v, "blast_radius", map[string]diag.Field{
				"of_workload":   func(_, v *yaml.Node) { limits.OfWorkload = l.amount(v, "of_workload") },
				"nodes_of_pool": l.later("nodes_of_pool"),
			})
		},
	})
}

func (l *loader) policyRate(n *yaml.Node) Rate {
	r := l.rate(n, "rate")
	if r.N == 0 && r.Per > 0 {
		l.Errorf(n, "policy/rate", "rate must allow at least one; use mode: observe for none")
	}
	return r
}

func (l *loader) undo(n *yaml.Node, u *Undo) {
	if n.Kind == yaml.ScalarNode {
		if u.None = n.Value == "none"; !u.None {
			l.Errorf(n, "policy/undo", "undo must be none or a mapping with when and action, not %q", n.Value)
		}
		return
	}
	acts := false
	l.Object(n, "undo", map[string]diag.Field{
		"when": func(_, v *yaml.Node) {
			l.List(v, "when", func(n *yaml.Node) {
				switch s := l.String(n, "when"); s {
				case "hold_over":
					u.HoldOver = true
				case "verify_failed":
					u.VerifyFailed = true
				case "cancelled":
					l.Errorf(n, "policy/unsupported", "undo: cancelled is not supported by this version")
				default:
					l.Errorf(n, "policy/undo", "undo: unknown occasion %q%s", s, diag.DidYouMean(s, []string{"hold_over", "verify_failed"}))
				}
			})
		},
		"action": func(_, v *yaml.Node) {
			acts = true
			if s := l.String(v, "action"); s != "restore" {
				l.Errorf(v, "policy/undo", "undo: unknown action %q; this version knows restore", s)
			}
		},
	})
	if !acts || !u.HoldOver && !u.VerifyFailed {
		l.Errorf(n, "policy/undo", "undo needs when: [hold_over, verify_failed] (one or both) and action: restore")
	}
}
