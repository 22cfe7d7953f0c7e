// Package promparse makes the PromQL parser that rules, policies, the query API
// and the engine share, so that all of them accept the same language. It is a
// leaf: it knows nobody of ours and runs nothing.
package promparse

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// Options say what the parser accepts beside what Prometheus does by default.
// Other feature flags of Prometheus, such as fill modifiers, stay off.
type Options struct {
	// ExperimentalFunctions accepts the functions and aggregations that
	// Prometheus has behind --enable-feature=promql-experimental-functions.
	ExperimentalFunctions bool
}

// Setting switches experimental functions on.
const Setting = "query: {experimental_functions: true}"

// New returns a parser. It may be used by several goroutines at once.
func New(o Options) parser.Parser {
	p := parser.NewParser(parser.Options{EnableExperimentalFunctions: o.ExperimentalFunctions})
	if o.ExperimentalFunctions {
		return p
	}
	return explaining{p}
}

// explaining names the setting where Prometheus names its own flag, or none.
type explaining struct{ parser.Parser }

// ParseExpr parses an expression.
func (p explaining) ParseExpr(input string) (parser.Expr, error) {
	e, err := p.Parser.ParseExpr(input)
	if pe, ok := errors.AsType[parser.ParseErrors](err); ok {
		for i := range pe {
			if what, ok := experimental(pe[i].Err.Error()); ok {
				pe[i].Err = fmt.Errorf("%s is experimental; %s in the configuration switches it on at the next start", what, Setting)
			}
		}
	}
	return e, err
}

// experimental finds in a message of the parser what it refused for being
// experimental: `function "x" is not enabled`, and
// `x() is experimental and must be enabled with …`.
func experimental(message string) (what string, ok bool) {
	if what, ok = strings.CutSuffix(message, " is not enabled"); ok {
		return what, strings.HasPrefix(what, "function ")
	}
	name, _, ok := strings.Cut(message, "() is experimental and must be enabled with ")
	return fmt.Sprintf("aggregation %q", name), ok
}
