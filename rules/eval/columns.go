package eval

import (
	"fmt"
	"math"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// Columns runs a rule over lines of numbers: one number a line is a series,
// several are the inputs of one entity, or of a model that judges series
// together, its members.
type Columns struct {
	rule        *Rule
	frame       Frame
	at          []*Sample // where each column stands in the frame
	startedOver bool
}

// NewColumns evaluates a rule over lines of n numbers. Of the rule the model
// counts, and the fields that say how values are judged.
func NewColumns(rule lang.Anomaly, n int) (*Columns, error) {
	call, isCall := rule.Model.(lang.Call)
	members := isCall && lang.TraitsOf(call.Name).Group
	c := &Columns{}
	rule.Name, rule.Limit, rule.Output, rule.Inputs = "columns", max(n, 1), 0, nil
	for i := range n {
		ls := labels.EmptyLabels()
		if members {
			ls = labels.FromStrings("member", strconv.Itoa(i+1))
		}
		if i == 0 || !members {
			c.frame.Vectors = append(c.frame.Vectors, nil)
		}
		if n > 1 && !members {
			rule.Inputs = append(rule.Inputs, lang.Source{Name: strconv.Itoa(i + 1)})
		}
		last := len(c.frame.Vectors) - 1
		c.frame.Vectors[last] = append(c.frame.Vectors[last], Sample{Labels: ls})
	}
	for _, v := range c.frame.Vectors {
		for i := range v {
			c.at = append(c.at, &v[i])
		}
	}
	var err error
	c.rule, err = New(&rule)
	return c, err
}

// StartedOver tells that the newest line lay so far before the lines before it
// that all that was learned has been forgotten (see Changes).
func (c *Columns) StartedOver() bool { return c.startedOver }

// Step scores the line of time t, milliseconds, and learns it. Of members the
// verdict is that of the most anomalous one.
func (c *Columns) Step(t int64, values []float64) (detect.Verdict, error) {
	if len(values) != len(c.at) {
		return detect.Verdict{}, fmt.Errorf("%d values, the lines before have %d", len(values), len(c.at))
	}
	for i, v := range values {
		c.at[i].V = v
	}
	out, err := c.rule.Step(t, c.frame)
	if err != nil {
		return detect.Verdict{}, err
	}
	c.startedOver = out.Changes.StartedOver
	nan := math.NaN()
	worst := detect.Verdict{Score: nan, Expected: nan, Lower: nan, Upper: nan, Hold: nan, Onset: nan}
	for i, v := range out.Verdicts {
		if i == 0 || math.IsNaN(worst.Score) || v.Score > worst.Score {
			worst = v.Verdict
		}
	}
	return worst, nil
}
