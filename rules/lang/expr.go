package lang

import (
	"errors"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// expression is the check rule/expr: PromQL that gives an instant vector, or
// where that is allowed a scalar.
func (l *loader) expression(n *yaml.Node, what string, scalar bool) (parser.Expr, string) {
	text := ""
	if !l.clean(func() { text = l.doc.String(n, what) }) {
		return nil, ""
	}
	if strings.TrimSpace(text) == "" {
		l.doc.Errorf(n, "rule/expr", "%s is empty; it must be a PromQL expression", what)
		return nil, ""
	}
	e, err := l.promQL.ParseExpr(text)
	if err != nil {
		if pe, ok := errors.AsType[parser.ParseErrors](err); ok {
			l.promQLErrors(n, "rule/expr", 0, pe)
		} else {
			l.doc.Errorf(n, "rule/expr", "%v", err)
		}
		return nil, ""
	}
	l.checkRange(n, e)
	switch e.Type() {
	case parser.ValueTypeVector:
		return e, text
	case parser.ValueTypeMatrix:
		l.doc.Errorf(n, "rule/expr", "%s must be an instant vector, not a range vector; put a function such as rate() around it", what)
	case parser.ValueTypeScalar:
		if scalar {
			return e, text
		}
		l.doc.Errorf(n, "rule/expr", "%s must be an instant vector, not a scalar; vector() makes one of it", what)
	case parser.ValueTypeString, parser.ValueTypeNone:
		l.doc.Errorf(n, "rule/expr", "%s must be an instant vector, not a %s", what, parser.DocumentedType(e.Type()))
	}
	return nil, ""
}
