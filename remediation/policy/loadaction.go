package policy

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
	"github.com/chironhq/chiron/remediation/action"
)

func (l *loader) actions(n *yaml.Node, p *Policy) {
	count := 0
	l.List(n, "actions", func(n *yaml.Node) {
		if count++; count == 2 {
			l.Errorf(n, "policy/unsupported", "more than one action in a policy is not supported by this version")
		}
		fields := map[string]diag.Field{
			"evictPod": func(_, v *yaml.Node) { l.evictPod(v, &p.Action) },
			"restart":  func(_, v *yaml.Node) { p.Action.Spec.Name = action.Restart; l.options(v, "restart", nil) },
			"scale":    func(k, v *yaml.Node) { l.scale(k, v, &p.Action) },
		}
		for _, name := range []string{"rollback", "cordon", "drain", "job", "webhook", "argocd", "alert", "silence"} {
			fields[name] = l.later("action " + name)
		}
		l.Object(n, "action", fields)
		if n.Kind == yaml.MappingNode && len(n.Content) != 2 {
			l.Errorf(n, "policy/action", "one action a list entry, not %d", len(n.Content)/2)
		}
	})
	if count == 0 {
		l.Errorf(n, "policy/action", "actions must name one action")
	}
}

// options reads an action's settings, which may be left out.
func (l *loader) options(n *yaml.Node, what string, fields map[string]diag.Field) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	l.Object(n, what, fields)
}

func (l *loader) evictPod(n *yaml.Node, a *Action) {
	a.Spec.Name = action.EvictPod
	l.options(n, "evictPod", map[string]diag.Field{
		"grace_period": func(_, v *yaml.Node) {
			d := l.duration(v, "grace_period")
			if d < time.Second {
				l.Errorf(v, "policy/range", "grace_period must be at least 1s")
			}
			a.Spec.GracePeriod = &d
		},
	})
}

func (l *loader) scale(key, n *yaml.Node, a *Action) {
	a.Spec.Name, a.Spec.Min, a.Spec.Max = action.Scale, 1, 0
	l.Object(n, "scale", map[string]diag.Field{
		"replicas": func(_, v *yaml.Node) {
			a.Replicas = l.template(v, "replicas")
			if _, err := a.Replicas.probe(func(expr string) (float64, error) { l.query(v, expr); return 1, nil }); err != nil {
				l.Errorf(v, "policy/template", "replicas: %v", err)
			}
		},
		"via": func(_, v *yaml.Node) {
			if s := l.String(v, "via"); s != "auto" {
				l.Errorf(v, "policy/action", "via must be auto (an autoscaler where there is one), not %q", s)
			}
		},
		"min":      func(_, v *yaml.Node) { a.Spec.Min = l.atLeast(v, "min", 0) },
		"max":      func(_, v *yaml.Node) { a.Spec.Max = l.atLeast(v, "max", 1) },
		"max_step": func(_, v *yaml.Node) { a.Spec.MaxStep = l.amount(v, "max_step") },
		"hold":     func(_, v *yaml.Node) { a.Hold = l.duration(v, "hold") },
	})
	if a.Replicas == nil {
		l.Errorf(key, "policy/missing", "scale: replicas is missing")
	}
	if a.Spec.Max < a.Spec.Min || a.Spec.Max == 0 {
		l.Errorf(key, "policy/range", "scale: max is missing or less than min")
	}
}

// query checks an expression inside a template while that is probed.
func (l *loader) query(n *yaml.Node, expr string) {
	if _, err := l.promQL.ParseExpr(expr); err != nil {
		l.Errorf(n, "policy/promql", "query: %v", err)
	}
}

func (l *loader) verify(n *yaml.Node, v *Verify) {
	v.Within = 15 * time.Minute
	l.Object(n, "verify", map[string]diag.Field{
		"settle": func(_, n *yaml.Node) { v.Settle = l.duration(n, "settle") },
		"within": func(_, n *yaml.Node) { v.Within = l.duration(n, "within") },
		"all": func(_, n *yaml.Node) {
			l.List(n, "all", func(n *yaml.Node) {
				if c, ok := l.check(n); ok {
					v.Checks = append(v.Checks, c)
				}
			})
		},
	})
	if v.Within <= v.Settle {
		l.Errorf(n, "policy/verify", "verify: within (%s) must be longer than settle (%s)", short(v.Within), short(v.Settle))
	}
}

func (l *loader) check(n *yaml.Node) (c Check, ok bool) {
	ok = l.Object(n, "check", map[string]diag.Field{
		"ready": func(_, v *yaml.Node) {
			if c.Ready = l.String(v, "ready"); c.Ready != "owner" && c.Ready != "target" {
				l.Errorf(v, "policy/verify", "ready must be owner or target, not %q", c.Ready)
			}
		},
		"alerts_resolved": func(_, v *yaml.Node) {
			c.AlertsResolved = true
			if s := l.String(v, "alerts_resolved"); s != "match" {
				l.Errorf(v, "policy/verify", "alerts_resolved must be match, not %q", s)
			}
		},
		"promql":  func(_, v *yaml.Node) { c.PromQL = l.condition(v, "verify") },
		"drained": l.later("drained"),
	})
	if ok && len(n.Content) != 2 {
		l.Errorf(n, "policy/verify", "one check a list entry, not %d", len(n.Content)/2)
	}
	return c, ok && (c.Ready != "" || c.AlertsResolved || c.PromQL != nil)
}
