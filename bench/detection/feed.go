package main

import (
	"fmt"

	"github.com/chironhq/chiron/rules"
	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// fits tells whether a model can be given a file with one column, or several.
func fits(model string, multivariate bool) bool {
	_ = multivariate
	return model != ""
}

// runModel scores every point of a stream before the next one is seen, in the
// way that chiron score does.
func runModel(model string, p *points) ([]float64, error) {
	expr, err := lang.ParseModel(model)
	if err != nil {
		return nil, err
	}
	columns := make([]*detect.Scorer, p.Columns)
	for i := range columns {
		m, err := rules.BuildModel(expr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", model, err)
		}
		columns[i] = detect.NewScorer(m, detect.ScorerConfig{})
	}
	out := make([]float64, len(p.Rows))
	for i, row := range p.Rows {
		t := p.Times[i].UnixMilli()
		for j, v := range row {
			s := columns[j].Step(detect.Point{T: t, V: v}).Score
			if j == 0 || s > out[i] {
				out[i] = s
			}
		}
	}
	return out, nil
}
