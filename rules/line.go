package rules

import (
	"fmt"
	"math"
	"strconv"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// Line runs one model over lines of numbers, as a rule runs it over series:
// one number a line is a series, several are the inputs of one entity, or of a
// model that judges series together, its members.
type Line struct {
	columns int
	one     *detect.Scorer
	vector  *detect.VectorScorer
	group   detect.GroupModel

	members  []detect.Member
	verdicts []detect.MemberVerdict
}

// NewLine makes the model for lines of that many numbers.
func NewLine(e lang.ModelExpr, columns int, c detect.ScorerConfig) (*Line, error) {
	l := &Line{columns: columns}
	call, isCall := e.(lang.Call)
	switch {
	case isCall && lang.TraitsOf(call.Name).Group:
		m, err := BuildGroupModel(e)
		if err != nil {
			return nil, err
		}
		l.group = m
		for i := range columns {
			l.members = append(l.members, detect.Member{Key: strconv.Itoa(i + 1)})
		}
	case columns > 1:
		m, err := BuildVectorModel(e, columns)
		if err != nil {
			return nil, err
		}
		l.vector = detect.NewVectorScorer(m, c)
	default:
		m, err := BuildModel(e)
		if err != nil {
			return nil, err
		}
		l.one = detect.NewScorer(m, c)
	}
	return l, nil
}

// Step scores the line of time t, milliseconds, and learns it. Of members the
// verdict is that of the most anomalous one.
func (l *Line) Step(t int64, values []float64) (detect.Verdict, error) {
	if len(values) != l.columns {
		return detect.Verdict{}, fmt.Errorf("%d values, the lines before have %d", len(values), l.columns)
	}
	switch {
	case l.one != nil:
		return l.one.Step(detect.Point{T: t, V: values[0]}), nil
	case l.vector != nil:
		return l.vector.Step(detect.Vector{T: t, V: values}, nil), nil
	}
	for i, v := range values {
		l.members[i].V = v
	}
	l.verdicts = l.group.Step(t, l.members, l.verdicts[:0])
	nan := math.NaN()
	worst := detect.Verdict{Score: nan, Expected: nan, Lower: nan, Upper: nan}
	for _, v := range l.verdicts {
		if !(v.Score <= worst.Score) && !math.IsNaN(v.Score) {
			worst = v.Verdict
		}
	}
	return worst, nil
}
