package lang

import "go.yaml.in/yaml/v3"

// Traits are what decides with which fields a model goes together.
type Traits struct {
	Forecasts bool // can look ahead
	Vector    bool // takes several inputs at once; others have one model an input
	Group     bool // judges all series of a rule together, and stands alone
	Ratio     bool // judges a part by its total
	Follows   bool // gets used to a new level by itself, whatever accept says
	Sideless  bool // has no expected value: no direction, no least deviation, no range
}

var traits = map[string]Traits{
	"auto":        {Forecasts: true, Vector: true},
	"zscore":      {Forecasts: true},
	"mad":         {Forecasts: true},
	"seasonal":    {Forecasts: true},
	"holtwinters": {Forecasts: true},
	"trend":       {Forecasts: true, Follows: true},
	"prophet":     {Forecasts: true},
	"iforest":     {Vector: true, Follows: true},
	"lstm":        {Forecasts: true, Vector: true, Follows: true},
	"discord":     {Follows: true},
	"changepoint": {Follows: true},
	"spectral":    {Follows: true},
	"count":       {Forecasts: true},
	"peers":       {Group: true},
	"presence":    {Group: true, Sideless: true},
	"novelty":     {Group: true, Sideless: true},
	"ratio":       {Forecasts: true, Ratio: true},
}

// TraitsOf tells the traits of a model of the table.
func TraitsOf(name string) Traits { return traits[name] }

// checkModelFits is the checks of fields that not every model can serve. n is
// the rule.
func (l *loader) checkModelFits(n *yaml.Node, a *Anomaly) {
	if a.Model == nil {
		return // a problem of its own
	}
	model := value(n, "model")
	if model == nil {
		model = n
	}
	calls := Calls(a.Model)
	forecast, _ := entry(n, "forecast")
	switch {
	case a.Forecast == nil:
	case a.Inputs != nil:
		l.doc.Errorf(forecast, "rule/forecast", "inputs cannot be forecast; use a rule with expr for each")
	case !anyCall(calls, func(t Traits) bool { return t.Forecasts }):
		l.errorIn(model, calls[0].At, "rule/forecast", "%s cannot look ahead; trend, seasonal and auto can, among others", a.Model)
	}
	for _, c := range calls {
		switch t := TraitsOf(c.Name); {
		case t.Ratio && a.Ratio == nil:
			l.errorIn(model, c.At, "rule/ratio", "%s needs the field ratio: {errors: …, total: …}", c.Name)
		case t.Group && a.Ratio != nil:
			l.errorIn(model, c.At, "rule/ratio", "%s judges all series together and cannot weigh by a total; use expr", c.Name)
		case t.Group && a.Inputs != nil:
			l.errorIn(model, c.At, "rule/inputs", "%s judges all series together and takes no inputs; use expr", c.Name)
		}
	}
	switch last := calls[len(calls)-1].Name; {
	case a.Inputs != nil:
		l.noBand(n, a, "inputs have")
		l.noSides(n, a, "inputs", "rule/inputs")
	case TraitsOf(last).Sideless:
		l.noSides(n, a, last, "rule/direction")
		if last == "novelty" {
			l.noBand(n, a, "novelty has")
		}
	}
}

// noSides refuses the fields that need an expected value.
func (l *loader) noSides(n *yaml.Node, a *Anomaly, of, check string) {
	for _, name := range []string{"min_dev", "min_dev_from_expected", "min_rel_dev", "min_rel_dev_from_expected", "range", "data_range"} {
		if key, _ := entry(n, name); key != nil {
			l.doc.Errorf(key, check, "%s cannot be used with %s: there is no expected value to deviate from", name, of)
		}
	}
	if a.Direction != Both {
		key, v := entry(n, "direction")
		if v == nil {
			key, _ = entry(n, "detection_direction")
		}
		l.doc.Errorf(key, check, "%s: there is no direction, as nothing is above or below", of)
	}
}

func anyCall(calls []Call, has func(Traits) bool) bool {
	for _, c := range calls {
		if has(TraitsOf(c.Name)) {
			return true
		}
	}
	return false
}
