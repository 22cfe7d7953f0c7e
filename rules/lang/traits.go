package lang

import "go.yaml.in/yaml/v3"

// Traits are what decides with which fields a model goes together.
type Traits struct {
	Forecasts bool // can look ahead
	Vector    bool // takes several inputs at once; others have one model an input
	Group     bool // judges all series of a rule together, and stands alone
	Ratio     bool // judges a part by its total
}

var traits = map[string]Traits{
	"auto":        {Forecasts: true, Vector: true},
	"zscore":      {Forecasts: true},
	"mad":         {Forecasts: true},
	"seasonal":    {Forecasts: true},
	"holtwinters": {Forecasts: true},
	"trend":       {Forecasts: true},
	"prophet":     {Forecasts: true},
	"iforest":     {Vector: true},
	"lstm":        {Forecasts: true, Vector: true},
	"count":       {Forecasts: true},
	"peers":       {Group: true},
	"presence":    {Group: true},
	"novelty":     {Group: true},
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
	if a.Inputs != nil {
		l.noBand(n, a, "inputs have")
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
