package lang

import "go.yaml.in/yaml/v3"

// checkCohort is the check rule/cohort.
func (l *loader) checkCohort(n *yaml.Node, a *Anomaly) {
	v := value(n, "cohort")
	if v == nil || a.Expr == nil || a.Model == nil {
		return
	}
	if name := Calls(a.Model)[0].Name; TraitsOf(name).Group {
		l.doc.Errorf(v, "rule/cohort", "%s is one model for all series; there is nothing that a new one could start from", name)
		return
	}
	if len(a.Cohort) == 0 {
		l.doc.Errorf(v, "rule/cohort", "cohort is empty; name the labels that series of one kind share, such as [namespace, deployment]")
		return
	}
	own := a.seriesLabels()
	for i, name := range items(v) {
		if i < len(a.Cohort) && !own.mayHave(name.Value) {
			l.doc.Errorf(name, "rule/cohort", "the series of the rule have no label %s", name.Value)
		}
	}
}
