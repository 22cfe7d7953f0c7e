package lang

import (
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

var directions = map[string]Direction{
	"above": Above, "below": Below, "both": Both,
	"above_expected": Above, "below_expected": Below, // vmanomaly's words
}

// direction is the check rule/direction.
func (l *loader) direction(n *yaml.Node) Direction {
	word := ""
	if !l.clean(func() { word = l.doc.String(n, "direction") }) {
		return Both
	}
	d, ok := directions[word]
	if !ok {
		l.doc.Errorf(n, "rule/direction", "direction must be above, below or both, not %q%s", word,
			diag.DidYouMean(word, []string{"above", "below", "both"}))
	}
	return d
}

// checkDirectionGiven warns of a rule that does not say which side is bad:
// half of what it reports may be good news. Several inputs and some models have no sides.
func (l *loader) checkDirectionGiven(n *yaml.Node, a *Anomaly) {
	if a.Inputs != nil || a.Model != nil && TraitsOf(Calls(a.Model)[0].Name).Sideless {
		return
	}
	if value(n, "direction") != nil || value(n, "detection_direction") != nil {
		return
	}
	key, _ := entry(n, "anomaly")
	l.doc.Warnf(key, "rule/direction", "say which side is anomalous: direction: above, below or both (now both)")
}
