package lang

import promparser "github.com/prometheus/prometheus/promql/parser"

var promQL = promparser.NewParser(promparser.Options{})

// PromQL is the parser of every expression in a rule file. Whoever runs the
// rules must give the engine the same one, so that both accept the same.
func PromQL() promparser.Parser { return promQL }
