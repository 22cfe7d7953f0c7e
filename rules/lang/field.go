package lang

import (
	"errors"
	"fmt"
	"math"

	"go.yaml.in/yaml/v3"
)

// NewAnomaly is a rule of that model whose other fields are not given.
func NewAnomaly(model ModelExpr) *Anomaly {
	return &Anomaly{
		Range: [2]float64{math.Inf(-1), math.Inf(1)}, Width: [2]float64{1, 1}, Output: OutputDefault,
		Model: model, Limit: DefaultLimit, Accept: DefaultAccept,
	}
}

// SetField reads a field of an anomaly rule that says how values are judged,
// as it would stand in a rule file, for those who run a rule without a file.
func (a *Anomaly) SetField(name, text string) error {
	l, n := newLoader("", []byte(text), Options{})
	if n == nil {
		n = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	if !l.doc.Problems.HasErrors() {
		switch name {
		case "direction":
			a.Direction = l.direction(n)
		case "min_dev":
			a.MinDev = l.deviation(n, name, l.doc.Float)
		case "min_rel_dev":
			a.MinRelDev = l.deviation(n, name, l.percent)
		case "range":
			a.Range = l.dataRange(n, name)
		case "width":
			a.Width = l.widths(n, name)
		case "warmup":
			a.Warmup = l.doc.Duration(n, name)
		case "accept":
			a.Accept = l.accept(n)
		default:
			return fmt.Errorf("%s is no field that says how values are judged", name)
		}
	}
	for _, p := range l.doc.Problems {
		return errors.New(p.Message)
	}
	return nil
}
