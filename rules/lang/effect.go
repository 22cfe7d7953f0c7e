package lang

import (
	"fmt"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// longestAccept is the longest time to accept that nothing is said about: all
// the while models that expect a level learn nothing.
const longestAccept = 30 * day

// checkEffect is the check rule/effect: fields that change nothing, or that keep
// the rule from ever reporting something. n is the rule.
func (l *loader) checkEffect(n *yaml.Node, a *Anomaly) {
	if a.Model == nil {
		return
	}
	if key, v := entry(n, "accept"); key != nil {
		switch accepts, why := a.accepts(); {
		case !accepts:
			l.doc.Warnf(v, "rule/effect", "accept changes nothing: %s; leave it out", why)
		case a.Accept > longestAccept:
			l.doc.Warnf(v, "rule/effect", "a series that has moved to another level for good is reported for %s, and the model learns nothing of it until then; accept is better %s at most",
				model.Duration(a.Accept), model.Duration(longestAccept))
		}
	}
	l.checkLeastDeviations(n, a)
}

// accepts tells whether some model of the rule accepts levels, and if not why.
func (a *Anomaly) accepts() (accepts bool, why string) {
	for _, c := range Calls(a.Model) {
		switch t := TraitsOf(c.Name); {
		case t.Sideless:
			why = c.Name + " expects no level"
		case t.Follows:
			why = c.Name + " gets used to a new level by itself"
		default:
			return true, ""
		}
	}
	return false, why
}

// checkLeastDeviations finds least deviations that no value can have.
func (l *loader) checkLeastDeviations(n *yaml.Node, a *Anomaly) {
	field := func(name, other string) *yaml.Node {
		if v := value(n, name); v != nil {
			return v
		}
		return value(n, other)
	}
	if v := field("min_rel_dev", "min_rel_dev_from_expected"); v != nil && a.MinRelDev[0] > 1 && a.Direction != Above {
		below := fmt.Sprintf("a value that is not negative is at most 100%% below what is expected, so with min_rel_dev of %s", percentage(a.MinRelDev[0]))
		if a.Direction == Below {
			l.doc.Warnf(v, "rule/effect", "%s nothing is reported; give a percentage below 100%%", below)
		} else {
			l.doc.Warnf(v, "rule/effect", "%s nothing below is reported; write direction: above, or a pair [below, above] such as [50%%, %s]", below, percentage(a.MinRelDev[1]))
		}
	}
	if v := field("min_dev", "min_dev_from_expected"); v != nil {
		size := a.Range[1] - a.Range[0]
		below := a.Direction == Above || a.MinDev[0] > size
		above := a.Direction == Below || a.MinDev[1] > size
		if below && above {
			l.doc.Warnf(v, "rule/effect", "range is %g wide, so no value within it deviates by min_dev: only values outside it are reported", size)
		}
	}
}

func percentage(part float64) string { return fmt.Sprintf("%g%%", 100*part) }

// checkFor is the part of rule/effect that alerts have: one that waits for as
// long as a level is anomalous.
func (l *loader) checkFor(n *yaml.Node, c *AlertClause, a *Anomaly) {
	if n == nil || a.Model == nil || c.For < a.Accept {
		return
	}
	if accepts, _ := a.accepts(); accepts {
		l.doc.Warnf(n, "rule/effect", "after %s a new level is what is expected (accept), so an alert with for: %s fires only for what goes on growing or lies outside range; make for shorter or accept longer",
			model.Duration(a.Accept), model.Duration(c.For))
	}
}
