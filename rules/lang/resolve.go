package lang

import (
	"fmt"
	"slices"

	"github.com/chironhq/chiron/internal/diag"
)

// resolver turns the tree into the checked tree: names become rows of the
// table, arguments get types and defaults. It goes on after a problem.
type resolver struct{ errs ModelErrors }

func (r *resolver) errorf(at int, check, format string, args ...any) {
	r.errs = append(r.errs, &ModelError{Offset: at, Check: check, Message: fmt.Sprintf(format, args...)})
}

func (r *resolver) expr(n node) ModelExpr {
	switch n.operator {
	case '+':
		return Any{Of: r.parts(n), At: n.at}
	case '&':
		return All{Of: r.parts(n), At: n.at}
	}
	return r.call(n)
}

// parts resolves the operands and lifts operands of the same operator, so that
// a + (b + c) and a + b + c are one tree.
func (r *resolver) parts(n node) []ModelExpr {
	var out []ModelExpr
	for _, part := range n.parts {
		switch e := r.expr(part).(type) {
		case Any:
			if n.operator == '+' {
				out = append(out, e.Of...)
				continue
			}
			out = append(out, e)
		case All:
			if n.operator == '&' {
				out = append(out, e.Of...)
				continue
			}
			out = append(out, e)
		case Call:
			if TraitsOf(e.Name).Group {
				r.errorf(e.At, "model/alone", "%s judges all series of the rule together and cannot be combined with %c; give it a rule of its own", e.Name, n.operator)
			}
			out = append(out, e)
		default:
			out = append(out, e)
		}
	}
	return out
}

func (r *resolver) call(n node) ModelExpr {
	c := Call{Name: n.name, At: n.at}
	spec := r.model(n)
	if spec == nil {
		return c
	}
	c.Args = Args{}
	r.arguments(spec, n, c.Args)
	for _, p := range spec.Params {
		if instead := slices.IndexFunc(p.Replaces, c.Args.Has); instead >= 0 {
			if c.Args.Has(p.Name) {
				r.errorf(n.placeOf(p.Name), "model/argument", "%s: %s and %s both say where the border of normal is; give one of them", spec.Name, p.Name, p.Replaces[instead])
			}
			continue
		}
		if !c.Args.Has(p.Name) && p.Default != nil {
			c.Args[p.Name] = p.Default
		}
	}
	return c
}

// placeOf is where a named argument stands.
func (n node) placeOf(name string) int {
	for _, a := range n.args {
		if a.name == name {
			return a.at
		}
	}
	return n.at
}

// model is the check model/name.
func (r *resolver) model(n node) *ModelSpec {
	if spec := FindModel(n.name); spec != nil {
		return spec
	}
	known := make([]string, len(Models))
	for i, m := range Models {
		known[i] = m.Name
	}
	r.errorf(n.at, "model/name", "unknown model %q%s", n.name, meantOrKnown(n.name, known))
	return nil
}

// meantOrKnown ends a message about a wrong word with the right one when one
// is near, else with all there are.
func meantOrKnown(word string, known []string) string {
	if s := diag.DidYouMean(word, known); s != "" {
		return s
	}
	return "; known are " + enumerate(known)
}

// arguments assigns the arguments to parameters: the checks model/argument and
// model/arity.
func (r *resolver) arguments(spec *ModelSpec, n node, args Args) {
	named := ""
	var variadic []valueNode
	position := 0
	for _, a := range n.args {
		if a.name != "" {
			named = a.name
			r.named(spec, a, args, len(variadic) > 0)
			continue
		}
		if named != "" {
			r.errorf(a.at, "model/arity", "%s: %s must stand before the named argument %s, or be named itself", spec.Name, a.value, named)
			continue
		}
		if len(spec.Params) > 0 && spec.Params[0].Variadic && !a.value.list {
			variadic = append(variadic, a.value)
			continue
		}
		if position >= len(spec.Params) {
			r.errorf(a.at, "model/arity", "%s takes %s, not one more: %s", spec.Name, countOf(len(spec.Params), "argument"), a.value)
			return
		}
		if len(variadic) > 0 {
			r.errorf(a.at, "model/arity", "%s: %s cannot stand among the %s; name the argument", spec.Name, a.value, spec.Params[0].Name)
			continue
		}
		r.assign(spec, &spec.Params[position], a.value, args)
		position++
	}
	if len(variadic) > 0 {
		r.assign(spec, &spec.Params[0], valueNode{token: variadic[0].token, list: true, items: variadic}, args)
	}
}

func (r *resolver) named(spec *ModelSpec, a argNode, args Args, positional bool) {
	p := spec.param(a.name)
	if p == nil {
		known := make([]string, len(spec.Params))
		for i := range spec.Params {
			known[i] = spec.Params[i].Name
		}
		if len(known) == 0 {
			r.errorf(a.at, "model/argument", "%s takes no arguments, so there is no %q", spec.Name, a.name)
			return
		}
		r.errorf(a.at, "model/argument", "%s has no argument %q%s", spec.Name, a.name, meantOrKnown(a.name, known))
		return
	}
	if _, twice := args[p.Name]; twice || (positional && p.Variadic) {
		r.errorf(a.at, "model/argument", "%s: argument %s is given twice", spec.Name, p.Name)
		return
	}
	r.assign(spec, p, a.value, args)
}

// assign puts the typed value into args. A wrong value leaves nil there, so
// that a second one for the same parameter is still seen.
func (r *resolver) assign(spec *ModelSpec, p *ParamSpec, v valueNode, args Args) {
	args[p.Name] = nil
	if !p.List {
		if x, ok := r.scalar(spec, p, v); ok {
			args[p.Name] = x
		}
		return
	}
	items := v.items
	if !v.list {
		items = []valueNode{v}
	}
	if p.MaxItems > 0 && len(items) > p.MaxItems {
		r.errorf(items[p.MaxItems].at, "model/arity", "%s: %s holds at most %d values", spec.Name, p.Name, p.MaxItems)
		return
	}
	var xs []any
	for _, item := range items {
		x, ok := r.scalar(spec, p, item)
		if !ok {
			return
		}
		if slices.Contains(xs, x) {
			r.errorf(item.at, "model/argument", "%s: %s holds %s twice", spec.Name, p.Name, item)
			return
		}
		xs = append(xs, x)
	}
	args[p.Name] = typedList(p.Type, xs)
}

func countOf(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
