package lang

import (
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// seasonParams are the parameters that hold seasons, by model.
var seasonParams = map[string]string{"seasonal": "periods", "holtwinters": "season", "prophet": "seasons", "quantile": "season"}

// LongestSeason is the longest season that a model is told of; 0: none. A model
// that has not learned it from saved state needs that much history.
func LongestSeason(e ModelExpr) time.Duration {
	longest, _ := longestSeason(e)
	return longest
}

func longestSeason(e ModelExpr) (longest time.Duration, of Call) {
	for _, c := range Calls(e) {
		name, ok := seasonParams[c.Name]
		if !ok || !c.Args.Has(name) {
			continue
		}
		seasons, list := c.Args[name].([]time.Duration)
		if !list {
			seasons = []time.Duration{c.Args.Duration(name)}
		}
		for _, d := range seasons {
			if d > longest {
				longest, of = d, c
			}
		}
	}
	return longest, of
}

// checkSeason is the check rule/season: what the ring does not hold cannot be
// learned from it.
func (l *loader) checkSeason(n *yaml.Node, a *Anomaly) {
	retention := l.options.Retention
	longest, of := longestSeason(a.Model)
	if retention == 0 || longest <= retention {
		return
	}
	at := value(n, "model") // there: auto has no season
	l.warnIn(l.doc.Resolve(at), of.At, "rule/season",
		"%s has a season of %s, and the ring keeps %s: the model cannot learn it from the ring, but only by running for as long; raise --cache.retention or take a shorter season",
		of.Name, model.Duration(longest), model.Duration(retention))
}
