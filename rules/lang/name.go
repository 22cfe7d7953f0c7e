package lang

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// anomalyName is the check rule/name: the name becomes a label value and the
// name of an alert.
func (l *loader) anomalyName(n *yaml.Node) string {
	name := ""
	if !l.clean(func() { name = l.doc.String(n, "anomaly") }) {
		return ""
	}
	switch {
	case name == "":
		l.doc.Errorf(n, "rule/name", "an anomaly rule needs a name")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		l.doc.Errorf(n, "rule/name", "the name %q must be text without control characters", name)
	case strings.TrimSpace(name) != name:
		l.doc.Errorf(n, "rule/name", "the name %q begins or ends with a space", name)
	}
	return name
}

// checkDuplicate is the check rule/duplicate: two rules of one group that have
// the same name would write the same series.
func (l *loader) checkDuplicate(a *Anomaly, n *yaml.Node, group map[string]*Anomaly) {
	if a.Name == "" {
		return
	}
	first, ok := group[a.Name]
	if !ok {
		group[a.Name] = a
		return
	}
	l.doc.Errorf(value(n, "anomaly"), "rule/duplicate", "anomaly %q stands in this group for the second time, first in line %d", a.Name, first.Pos.Line)
}
