package main

import (
	"fmt"

	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
)

// fits tells whether a model means something on a file of numbers. Its columns
// are no peers, never come or go, and are no part of a total.
func fits(model string) bool {
	t := lang.TraitsOf(model)
	return !t.Group && !t.Ratio
}

// runModel scores every point of a stream before the next one is seen, in the
// way that chiron score does.
func runModel(model string, p *points) ([]float64, error) {
	expr, err := lang.ParseModel(model)
	if err != nil {
		return nil, err
	}
	line, err := eval.NewColumns(expr, lang.Both, p.Columns)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", model, err)
	}
	out := make([]float64, len(p.Rows))
	for i, row := range p.Rows {
		v, err := line.Step(p.Times[i].UnixMilli(), row)
		if err != nil {
			return nil, err
		}
		out[i] = v.Score
	}
	return out, nil
}
