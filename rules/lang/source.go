package lang

import "github.com/prometheus/prometheus/promql/parser"

// Source is one expression whose series a rule models.
type Source struct {
	Name string // what the rule calls it
	Expr parser.Expr
	Pos  Pos
}

// Sources returns the expressions that the rule models, in the order in which
// its models take them.
func (a *Anomaly) Sources() []Source {
	return []Source{{Name: "expr", Expr: a.Expr, Pos: a.exprPos}}
}
