package lang

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// The readers of this file are the check rule/number.

// deviation reads one number for both sides or a pair [below, above].
func (l *loader) deviation(n *yaml.Node, what string, read func(*yaml.Node, string) float64) [2]float64 {
	var d [2]float64
	if n.Kind == yaml.SequenceNode {
		d = l.pair(n, what, "[below, above]", read)
	} else {
		v := read(n, what)
		d = [2]float64{v, v}
	}
	if d[0] < 0 || d[1] < 0 || math.IsInf(d[0], 0) || math.IsInf(d[1], 0) {
		l.doc.Errorf(n, "rule/number", "%s must be 0 or more and finite", what)
	}
	return d
}

func (l *loader) pair(n *yaml.Node, what, shape string, read func(*yaml.Node, string) float64) [2]float64 {
	if n.Kind != yaml.SequenceNode || len(n.Content) != 2 {
		l.doc.Errorf(n, "rule/number", "%s must be a pair %s", what, shape)
		return [2]float64{}
	}
	return [2]float64{read(n.Content[0], what), read(n.Content[1], what)}
}

// percent reads 20% as 0.2; 0 needs no sign.
func (l *loader) percent(n *yaml.Node, what string) float64 {
	if n = l.doc.Resolve(n); n.Kind == yaml.ScalarNode && n.Value == "0" {
		return 0
	}
	return l.doc.Percent(n, what)
}

// points reads vmanomaly's relative deviation: 15 and 15% are the same.
func (l *loader) points(n *yaml.Node, what string) float64 {
	if n = l.doc.Resolve(n); n.Kind == yaml.ScalarNode && strings.HasSuffix(n.Value, "%") {
		return l.doc.Percent(n, what)
	}
	return l.doc.Float(n, what) / 100
}

func (l *loader) dataRange(n *yaml.Node, what string) [2]float64 {
	r := [2]float64{math.Inf(-1), math.Inf(1)}
	if !l.clean(func() { r = l.pair(n, what, "[lo, hi]", l.doc.Float) }) {
		return r
	}
	if !(r[0] < r[1]) {
		l.doc.Errorf(n, "rule/number", "%s: the lower end %v must be below the upper end %v", what, r[0], r[1])
	}
	return r
}

func (l *loader) width(n *yaml.Node, what string) float64 {
	w := 1.0
	if l.clean(func() { w = l.doc.Float(n, what) }) && (w <= 0 || math.IsInf(w, 0)) {
		l.doc.Errorf(n, "rule/number", "%s must be above 0 and finite, not %v", what, w)
	}
	return w
}

// widths reads one width for both sides, or as vmanomaly's scale can have it
// one for each.
func (l *loader) widths(n *yaml.Node, what string) [2]float64 {
	if n.Kind == yaml.SequenceNode {
		return l.pair(n, what, "[below, above]", l.width)
	}
	w := l.width(n, what)
	return [2]float64{w, w}
}

func (l *loader) limit(n *yaml.Node) int {
	limit := DefaultLimit
	if l.clean(func() { limit = l.doc.Int(n, "limit") }) && limit < 1 {
		l.doc.Errorf(n, "rule/number", "limit must be 1 or more, not %d", limit)
	}
	return limit
}

// LeastAccept is the shortest time after which a level may be accepted: below,
// nothing would stay anomalous.
const LeastAccept = time.Minute

// CheckAccept tells whether a level may be accepted after d.
func CheckAccept(d time.Duration) error {
	if d < LeastAccept {
		return fmt.Errorf("accept must be %s or more, not %s", model.Duration(LeastAccept), model.Duration(d))
	}
	return nil
}

func (l *loader) accept(n *yaml.Node) time.Duration {
	d := DefaultAccept
	if l.clean(func() { d = l.doc.Duration(n, "accept") }) {
		if err := CheckAccept(d); err != nil {
			l.doc.Errorf(n, "rule/number", "%s", err)
		}
	}
	return d
}
