package main

import (
	"fmt"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
)

// fits tells whether a model means something on a file of numbers. Its columns
// are no peers, never come or go, and are no part of a total.
func fits(model string) bool {
	t := lang.TraitsOf(model)
	return !t.Group && !t.Ratio
}

// stepper runs a model with the defaults of a rule, as chiron score does.
type stepper struct{ line *eval.Columns }

func newStepper(model string, columns int) (stepper, error) {
	expr, err := lang.ParseModel(model)
	if err != nil {
		return stepper{}, err
	}
	line, err := eval.NewColumns(*lang.NewAnomaly(expr), columns)
	if err != nil {
		return stepper{}, fmt.Errorf("%s: %w", model, err)
	}
	return stepper{line}, nil
}

// step answers the values of time t, in milliseconds, before the next ones are
// seen.
func (s stepper) step(t int64, values []float64) (score, onset float64, err error) {
	v, err := s.line.Step(t, values)
	return v.Score, onsetOf(&v), err
}

// onsetOf is the score of where anomalies begin; without one of its own the
// score serves.
func onsetOf(v *detect.Verdict) float64 { return v.Onset }

// runModel scores every point of a stream before the next one is seen.
func runModel(model string, p *points) (scores, onsets []float64, err error) {
	s, err := newStepper(model, p.Columns)
	if err != nil {
		return nil, nil, err
	}
	scores, onsets = make([]float64, len(p.Rows)), make([]float64, len(p.Rows))
	for i, row := range p.Rows {
		if scores[i], onsets[i], err = s.step(p.Times[i].UnixMilli(), row); err != nil {
			return nil, nil, err
		}
	}
	return scores, onsets, nil
}
