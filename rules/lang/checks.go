package lang

import "github.com/chironhq/chiron/internal/diag"

// Check describes one thing that Load or ParseModel looks at. Its page is
// docs/checks/<name with - for />.md.
type Check struct {
	Name     string
	Severity diag.Severity // of the mildest problem it reports; only warnings can be turned off
	Help     string
}

// Checks are all checks of rule files, by name. It must not be changed.
var Checks = []Check{
	{Name: "lint/disable", Severity: diag.Warning, Help: "a comment that turns off a check that does not exist or cannot be turned off"},
	{Name: "model/alone", Help: "a model that judges series together, combined with another one"},
	{Name: "model/argument", Help: "an argument that the model does not have, or that is given twice"},
	{Name: "model/arity", Help: "more arguments than the model has, or one out of place"},
	{Name: "model/name", Help: "a model that does not exist"},
	{Name: "model/range", Help: "an argument outside its range"},
	{Name: "model/syntax", Help: "a model string that cannot be read"},
	{Name: "model/type", Help: "an argument of the wrong type"},
	{Name: "rule/alert", Help: "an alert shorthand that cannot become an alert rule"},
	{Name: "rule/alias", Help: "a field given under two names"},
	{Name: "rule/cohort", Help: "a cohort of labels that the series do not have, or of a model that has none"},
	{Name: "rule/counter", Severity: diag.Warning, Help: "a counter, which only grows, under a model that expects a gauge"},
	{Name: "rule/cycle", Help: "an anomaly rule that depends on its own output"},
	{Name: "rule/direction", Severity: diag.Warning, Help: "a direction that is missing, unknown, or given where there is none"},
	{Name: "rule/duplicate", Severity: diag.Warning, Help: "two anomaly rules that write the same series"},
	{Name: "rule/effect", Severity: diag.Warning, Help: "a field that changes nothing, or that keeps the rule from ever reporting something"},
	{Name: "rule/exclude", Help: "a time, a holiday or a recurring time that makes no sense"},
	{Name: "rule/expr", Help: "an expression that is not PromQL or not an instant vector"},
	{Name: "rule/forecast", Help: "horizons or a confidence that make no sense, or a model that cannot look ahead"},
	{Name: "rule/group", Help: "a group without a name of its own"},
	{Name: "rule/inputs", Help: "inputs that cannot be joined, or fields that do not go with them"},
	{Name: "rule/kind", Help: "a rule that is none or two of record, alert and anomaly"},
	{Name: "rule/label", Help: "a label that is invalid or set by the engine"},
	{Name: "rule/name", Help: "an anomaly name that is empty or not plain text"},
	{Name: "rule/number", Help: "a number, pair or range that makes no sense"},
	{Name: "rule/output", Help: "an output that is unknown, empty, or lacks the score that the alert reads"},
	{Name: "rule/prometheus", Help: "what Prometheus says of a record or alert rule"},
	{Name: "rule/rate", Severity: diag.Warning, Help: "rate and its like over less than two evaluation intervals"},
	{Name: "rule/ratio", Help: "a ratio without errors or total, or the model ratio without one"},
	{Name: "rule/season", Severity: diag.Warning, Help: "a season longer than the ring reaches back"},
	{Name: "rule/template", Severity: diag.Warning, Help: "a template where none is expanded"},
	{Name: "rule/unwritten", Severity: diag.Warning, Help: "a rule that reads an output that no anomaly rule writes"},
	{Name: "rule/when", Severity: diag.Warning, Help: "a condition of the alert shorthand that no score meets, or that usual values meet"},
	{Name: "yaml/aliases", Help: "a mapping that merges itself, or too many aliases"},
	{Name: "yaml/documents", Severity: diag.Warning, Help: "a second document, which is not read"},
	{Name: "yaml/duplicate", Help: "a key that stands twice in one mapping"},
	{Name: "yaml/syntax", Help: "text that is not YAML"},
	{Name: "yaml/type", Help: "a value of the wrong type"},
	{Name: "yaml/unknown-key", Help: "a key that does not exist"},
}

func findCheck(name string) *Check {
	for i := range Checks {
		if Checks[i].Name == name {
			return &Checks[i]
		}
	}
	return nil
}
