package lang

import (
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/internal/promparse"
)

// Options say under which circumstances rules will run. The zero value reads
// what a Prometheus without feature flags would.
type Options struct {
	// Parser reads every expression. Whoever runs the rules must give the
	// engine the same one, so that both accept the same. nil: PromQL().
	Parser parser.Parser
	// Interval is the evaluation interval of groups that set none. 0: unknown,
	// and what depends on it is not checked.
	Interval time.Duration
	// Retention is how far back the ring reaches. 0: unknown or without limit,
	// and what depends on it is not checked.
	Retention time.Duration
}

var promQL = promparse.New(promparse.Options{})

// PromQL is the parser of rules that are loaded without another one.
func PromQL() parser.Parser { return promQL }

func (o Options) parser() parser.Parser {
	if o.Parser == nil {
		return promQL
	}
	return o.Parser
}
