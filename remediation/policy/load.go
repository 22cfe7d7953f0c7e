package policy

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
	"github.com/chironhq/chiron/internal/promparse"
	"github.com/chironhq/chiron/remediation/action"
)

// loader reads one file; problems collect in the Doc.
type loader struct {
	*diag.Doc
	promQL        parser.Parser
	set           *Set
	hasGuardrails bool
}

// Load checks content and returns everything it says together with all its
// problems; file is its name in messages. The set may be used only without
// error-level problems.
func Load(file string, content []byte) (*Set, diag.Problems) { return Options{}.Load(file, content) }

// Options say what policies may use. The zero value is usable.
type Options struct {
	// Parser reads the PromQL of conditions and templates; it must be that of
	// the engine which will be asked. nil: promparse.New without options.
	Parser parser.Parser
}

// Load is the function Load with these options.
func (o Options) Load(file string, content []byte) (*Set, diag.Problems) {
	l := o.read(file, content)
	l.Problems.Sort()
	return l.set, l.Problems
}

func (o Options) read(file string, content []byte) *loader {
	if o.Parser == nil {
		o.Parser = promparse.New(promparse.Options{})
	}
	d, root := diag.Parse(file, content)
	l := &loader{Doc: d, promQL: o.Parser, set: &Set{Guardrails: DefaultGuardrails()}}
	if root != nil {
		l.root(root)
	}
	return l
}

// File is one policy file as read.
type File struct {
	Name    string
	Content []byte
}

// LoadAll loads files that hold together: guardrails stand in one of them and a
// policy's name in one place.
func (o Options) LoadAll(files ...File) (*Set, diag.Problems) {
	all := &Set{Guardrails: DefaultGuardrails()}
	var problems diag.Problems
	guardrails, names := "", map[string]string{}
	for _, f := range files {
		l := o.read(f.Name, f.Content)
		if l.hasGuardrails {
			if guardrails != "" {
				l.Errorf(nil, "policy/guardrails", "guardrails stand in %s already; write them once", guardrails)
			}
			guardrails, all.Guardrails = f.Name, l.set.Guardrails
		}
		for _, p := range l.set.Policies {
			if first, ok := names[p.Name]; ok && first != f.Name {
				l.Errorf(nil, "policy/name", "policy %q stands in %s already", p.Name, first)
			}
			names[p.Name] = f.Name
		}
		all.Policies = append(all.Policies, l.set.Policies...)
		l.Problems.Sort()
		problems = append(problems, l.Problems...)
	}
	return all, problems
}

func (l *loader) root(n *yaml.Node) {
	l.Object(n, "policy file", map[string]diag.Field{
		"guardrails": func(_, v *yaml.Node) { l.hasGuardrails = true; l.guardrails(v, &l.set.Guardrails) },
		"policies": func(_, v *yaml.Node) {
			names := map[string]int{}
			l.List(v, "policies", func(n *yaml.Node) {
				p := l.policy(n)
				if line, ok := names[p.Name]; ok && p.Name != "" {
					l.Errorf(n, "policy/name", "policy %q stands in line %d already", p.Name, line)
				}
				names[p.Name] = n.Line
				l.set.Policies = append(l.set.Policies, p)
			})
		},
	})
}

// later refuses what the design knows and this version does not, instead of
// leaving it out silently.
func (l *loader) later(what string) diag.Field {
	return func(key, _ *yaml.Node) {
		l.Errorf(key, "policy/unsupported", "%s is not supported by this version", what)
	}
}

func (l *loader) mode(n *yaml.Node, what string) Mode {
	s := l.String(n, what)
	if s == "approve" {
		l.Errorf(n, "policy/unsupported", "%s: approve is not supported by this version; use suggest", what)
		return Observe
	}
	i := slices.Index(modes, s)
	if i < 0 {
		l.Errorf(n, "policy/mode", "%s: unknown mode %q%s", what, s, diag.DidYouMean(s, modes))
		return Observe
	}
	return Mode(i)
}

func (l *loader) duration(n *yaml.Node, what string) time.Duration {
	d := l.Duration(n, what)
	if d < 0 {
		l.Errorf(n, "policy/range", "%s must not be negative", what)
	}
	return d
}

// rate reads "10/1h".
func (l *loader) rate(n *yaml.Node, what string) Rate {
	s := l.String(n, what)
	count, per, ok := strings.Cut(s, "/")
	i, err := strconv.Atoi(count)
	d, derr := model.ParseDuration(per)
	if !ok || err != nil || derr != nil || i < 0 || d <= 0 {
		l.Errorf(n, "policy/rate", "%s must be a count in a time such as 10/1h, not %q", what, s)
		return Rate{}
	}
	return Rate{i, time.Duration(d)}
}

// amount reads "10%" or "3".
func (l *loader) amount(n *yaml.Node, what string) action.Amount {
	if strings.HasSuffix(n.Value, "%") {
		p := l.Percent(n, what)
		if p <= 0 || p > 100 {
			l.Errorf(n, "policy/range", "%s must be more than 0%%", what)
		}
		return action.Amount{Part: p, Percent: true}
	}
	return action.Amount{Number: l.atLeast(n, what, 1)}
}

func (l *loader) atLeast(n *yaml.Node, what string, least int) int {
	before := len(l.Problems)
	i := l.Int(n, what)
	if i < least && len(l.Problems) == before {
		l.Errorf(n, "policy/range", "%s must be at least %d, not %d", what, least, i)
	}
	return i
}

func (l *loader) globs(n *yaml.Node, what string) []string {
	out := l.Strings(n, what)
	for _, g := range out {
		if _, err := path.Match(g, "x"); err != nil {
			l.Errorf(n, "policy/glob", "%s: bad pattern %q", what, g)
		}
	}
	return out
}

func (l *loader) template(n *yaml.Node, what string) *Template {
	t, err := ParseTemplate(l.String(n, what))
	if err != nil {
		l.Errorf(n, "policy/template", "%s: %v", what, err)
		t, _ = ParseTemplate("")
	}
	return t
}

func (l *loader) guardrails(n *yaml.Node, g *Guardrails) {
	l.Object(n, "guardrails", map[string]diag.Field{
		"mode_max":    func(_, v *yaml.Node) { g.ModeMax = l.mode(v, "mode_max") },
		"kill_switch": func(_, v *yaml.Node) { g.KillSwitch = l.Bool(v, "kill_switch") },
		"namespaces": func(_, v *yaml.Node) {
			l.Object(v, "namespaces", map[string]diag.Field{
				"allow": func(_, v *yaml.Node) { g.Allow = l.globs(v, "allow") },
				"deny":  func(_, v *yaml.Node) { g.Deny = l.globs(v, "deny") },
			})
		},
		"never": func(_, v *yaml.Node) {
			l.List(v, "never", func(n *yaml.Node) {
				name := l.String(n, "never")
				known := []string{"evictPod", "restart", "scale", "scaleToZero"}
				if !slices.Contains(known, name) {
					l.Errorf(n, "policy/action", "never: unknown action %q%s", name, diag.DidYouMean(name, known))
				}
				g.Never = append(g.Never, action.Name(name))
			})
		},
		"budget": func(_, v *yaml.Node) {
			l.Object(v, "budget", map[string]diag.Field{
				"actions":       func(_, v *yaml.Node) { g.Actions = l.rate(v, "actions") },
				"per_target":    func(_, v *yaml.Node) { g.PerTarget = l.rate(v, "per_target") },
				"per_namespace": func(_, v *yaml.Node) { g.PerNamespace = l.rate(v, "per_namespace") },
				"concurrent":    func(_, v *yaml.Node) { g.Concurrent = l.atLeast(v, "concurrent", 0) },
			})
		},
		"blast_radius": func(_, v *yaml.Node) {
			l.Object(v, "blast_radius", map[string]diag.Field{
				"max_pods":        func(_, v *yaml.Node) { g.MaxPods = l.amount(v, "max_pods") },
				"max_nodes":       l.later("max_nodes"),
				"min_ready_nodes": l.later("min_ready_nodes"),
			})
		},
		"storm": func(_, v *yaml.Node) {
			l.Object(v, "storm", map[string]diag.Field{
				"alerts":   func(_, v *yaml.Node) { g.Storm = l.rate(v, "alerts") },
				"cooldown": func(_, v *yaml.Node) { g.StormPause = l.duration(v, "cooldown") },
			})
		},
		"windows": func(_, v *yaml.Node) {
			l.Object(v, "windows", map[string]diag.Field{
				"deny": func(_, v *yaml.Node) {
					l.List(v, "deny", func(n *yaml.Node) { g.Windows = append(g.Windows, l.window(n)) })
				},
			})
		},
	})
}

// window reads a time interval in Alertmanager's form with a name.
func (l *loader) window(n *yaml.Node) Window {
	var w Window
	clean := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column}
	fields := map[string]diag.Field{"name": func(_, v *yaml.Node) { w.Name = l.String(v, "name") }}
	for _, name := range []string{"times", "weekdays", "days_of_month", "months", "years", "location"} {
		fields[name] = func(k, v *yaml.Node) { clean.Content = append(clean.Content, k, v) }
	}
	if !l.Object(n, "deny window", fields) {
		return w
	}
	for i := 0; i+1 < len(clean.Content); i += 2 {
		one := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: clean.Content[i : i+2]}
		if err := decodeInterval(one, &w); err != nil {
			l.Errorf(clean.Content[i+1], "policy/window", "%s: %s", clean.Content[i].Value, strings.TrimPrefix(err.Error(), "yaml: "))
		}
	}
	if len(clean.Content) == 0 {
		l.Errorf(n, "policy/window", "a deny window without any time would hold always; use kill_switch")
	}
	if w.Name == "" {
		w.Name = fmt.Sprintf("of line %d", n.Line)
	}
	return w
}

// decodeInterval turns a panic of the decoder on odd nodes into an error.
func decodeInterval(n *yaml.Node, w *Window) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot read it: %v", r)
		}
	}()
	return n.Decode(&w.Interval)
}
