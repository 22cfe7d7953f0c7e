package eval

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// Columns runs a rule over lines of numbers: one number a line is a series,
// several are the inputs of one entity, or of a model that judges series
// together, its members.
type Columns struct {
	rule  *Rule
	spec  *lang.Anomaly
	frame Frame
	at    []*Sample // where each column stands in the frame
}

// NewColumns makes a rule with that model and defaults for lines of n numbers.
func NewColumns(model lang.ModelExpr, direction lang.Direction, n int) (*Columns, error) {
	call, isCall := model.(lang.Call)
	members := isCall && lang.TraitsOf(call.Name).Group
	spec := &lang.Anomaly{
		Name: "columns", Model: model, Direction: direction, Limit: max(n, 1),
		Range: [2]float64{math.Inf(-1), math.Inf(1)}, Width: [2]float64{1, 1},
		Accept: lang.DefaultAccept,
	}
	c := &Columns{spec: spec}
	for i := range n {
		ls := labels.EmptyLabels()
		if members {
			ls = labels.FromStrings("member", strconv.Itoa(i+1))
		}
		if i == 0 || !members {
			c.frame.Vectors = append(c.frame.Vectors, nil)
		}
		if n > 1 && !members {
			spec.Inputs = append(spec.Inputs, lang.Source{Name: strconv.Itoa(i + 1)})
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
	c.rule, err = New(spec)
	return c, err
}

// Accept sets after how long a level that holds is what is expected. Everything
// learned is forgotten: it comes before the first Step.
func (c *Columns) Accept(after time.Duration) (err error) {
	c.spec.Accept = after
	c.rule, err = New(c.spec)
	return err
}

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
	nan := math.NaN()
	worst := detect.Verdict{Score: nan, Expected: nan, Lower: nan, Upper: nan, Hold: nan, Onset: nan}
	for i, v := range out.Verdicts {
		if i == 0 || math.IsNaN(worst.Score) || v.Score > worst.Score {
			worst = v.Verdict
		}
	}
	return worst, nil
}
