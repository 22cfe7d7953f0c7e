package lang

import (
	"fmt"
	"strings"
)

// ModelExpr is a checked model string: an Any, an All or a Call. String is its
// one canonical text; parsing that text gives an equal tree.
type ModelExpr interface {
	fmt.Stringer
	// Offset is where the expression starts in the parsed text, in bytes.
	Offset() int
	modelExpr()
}

// Any is anomalous when one of its parts is: score = max. It holds at least
// two parts, none of which is an Any.
type Any struct {
	Of []ModelExpr
	At int
}

// All is anomalous when all of its parts are: score = min. It holds at least
// two parts, none of which is an All.
type All struct {
	Of []ModelExpr
	At int
}

// Call is one model with all its arguments, defaults filled in.
type Call struct {
	Name string // a name of the table Models
	Args Args
	At   int
}

func (Any) modelExpr()  {}
func (All) modelExpr()  {}
func (Call) modelExpr() {}

// Offset is where the expression starts in the parsed text, in bytes.
func (e Any) Offset() int { return e.At }

// Offset is where the expression starts in the parsed text, in bytes.
func (e All) Offset() int { return e.At }

// Offset is where the expression starts in the parsed text, in bytes.
func (e Call) Offset() int { return e.At }

// String prints the parts with " + " between them.
func (e Any) String() string { return join(e.Of, " + ") }

// String prints the parts with " & " between them; an Any stands in parentheses.
func (e All) String() string { return join(e.Of, " & ") }

func join(of []ModelExpr, operator string) string {
	parts := make([]string, len(of))
	for i, e := range of {
		parts[i] = e.String()
		if _, ok := e.(Any); ok {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, operator)
}

// String prints the name and the arguments that differ from their defaults, in
// the order of the table.
func (e Call) String() string {
	spec := FindModel(e.Name)
	if spec == nil {
		return e.Name
	}
	var args []string
	for _, p := range spec.Params {
		v, ok := e.Args[p.Name]
		if !ok || sameValue(v, p.Default) {
			continue
		}
		if p.Variadic {
			args = append(args, listItems(v)...)
			continue
		}
		args = append(args, p.Name+"="+formatValue(v))
	}
	if len(args) == 0 {
		return e.Name
	}
	return e.Name + "(" + strings.Join(args, ", ") + ")"
}

// DefaultModel is that of a rule that names none.
func DefaultModel() ModelExpr {
	var r resolver
	return r.call(node{name: "auto"})
}

// Calls returns every model of the expression, from left to right.
func Calls(e ModelExpr) []Call {
	var out []Call
	switch e := e.(type) {
	case Any:
		for _, part := range e.Of {
			out = append(out, Calls(part)...)
		}
	case All:
		for _, part := range e.Of {
			out = append(out, Calls(part)...)
		}
	case Call:
		out = append(out, e)
	}
	return out
}
