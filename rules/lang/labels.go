package lang

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// reservedLabels are set by the engine on every output series.
var reservedLabels = []string{LabelAnomalyName, LabelAnomalyModel}

// checkLabels checks label names and values as Prometheus does: the check
// rule/label. n is the mapping they were read from.
func (l *loader) checkLabels(n *yaml.Node, labels map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if !validLabelName(name) {
			l.doc.Errorf(keyOr(n, name), "rule/label", "invalid label name %q", name)
		} else if !model.LabelValue(labels[name]).IsValid() {
			l.doc.Errorf(keyOr(n, name), "rule/label", "the value of label %s is not valid UTF-8", name)
		}
	}
}

// checkReserved refuses labels that the engine sets: the check rule/label.
func (l *loader) checkReserved(n *yaml.Node, labels map[string]string) {
	for _, name := range reservedLabels {
		if _, ok := labels[name]; ok {
			l.doc.Errorf(keyOr(n, name), "rule/label", "label %s is set by the engine; a rule cannot set it", name)
		}
	}
}

// keyOr is where a key stands, else the mapping.
func keyOr(n *yaml.Node, name string) *yaml.Node {
	if key, _ := entry(n, name); key != nil {
		return key
	}
	return n
}

// warnTemplates is the check rule/template: labels of anomaly rules are plain text.
func (l *loader) warnTemplates(n *yaml.Node, labels map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if !strings.Contains(labels[name], "{{") {
			continue
		}
		l.doc.Warnf(keyOr(n, name), "rule/template", "label %s: templates are expanded in labels of alerts only; here {{ stays as it is", name)
	}
}
