package lang

import (
	"fmt"
	"slices"
)

// What each mapping of a rule file is called in messages.
const (
	whatAnomaly = "anomaly rule"
	whatAlert   = "alert"
	whatRule    = "rule"
)

// Keys that are written one level too high or too low.
var (
	alertKeys    = []string{"when", "for", "keep_firing_for", "annotations", "name"}
	groupKeys    = []string{"interval", "query_offset"}
	forecastKeys = []string{"horizons", "confidence"}
	besideAlert  = []string{
		"expr", "ratio", "inputs", "model", "direction", "min_dev", "min_rel_dev", "range", "width", "warmup", "accept", "cohort", "exclude", "forecast", "output", "limit",
	}
)

// elsewhere says where a key belongs that a mapping does not have.
func (l *loader) elsewhere(what, key string) string {
	switch {
	case what == "rule file":
		if slices.Contains([]string{"rules", "anomaly", "alert", "record"}, key) {
			return ruleFile
		}
		return ""
	case key == "severity" && what != whatAnomaly:
		return "it is a label: labels: {severity: …}"
	case key == "severity":
		return "it is a label of the alert: alert: {labels: {severity: …}}"
	case what == whatAlert && slices.Contains(besideAlert, key):
		return "it belongs to the rule, beside alert"
	case what != whatAnomaly:
		return ""
	case slices.Contains(alertKeys, key):
		return fmt.Sprintf("it belongs to the alert: alert: {%s: …}", key)
	case slices.Contains(forecastKeys, key):
		return fmt.Sprintf("it belongs to the forecast: forecast: {%s: …}", key)
	case slices.Contains(groupKeys, key):
		return "it belongs to the group, beside rules"
	}
	return l.argument(key)
}

// argument says which model has an argument of that name: the rule's own, or
// else the first one.
func (l *loader) argument(name string) string {
	e, err := ParseModel(l.modelText)
	if err != nil {
		e = nil
	}
	if e != nil {
		for _, c := range Calls(e) {
			if FindModel(c.Name).param(name) != nil {
				return fmt.Sprintf("it is an argument of the model: model: %s(%s=…)", c.Name, name)
			}
		}
	}
	for _, m := range Models {
		if m.param(name) == nil {
			continue
		}
		has := fmt.Sprintf("it is an argument of some models: model: %s(%s=…)", m.Name, name)
		if e != nil {
			has += fmt.Sprintf(", and not of %s", Calls(e)[0].Name)
		}
		return has
	}
	return ""
}
