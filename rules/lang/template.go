package lang

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"
)

// Templates of the alert shorthand know these variables beside those of
// Prometheus. Prometheus expands them: what a text uses is declared by template
// text that is put before it and asks for the rule's own outputs.
const (
	varScore = "score"
	varSince = "_since" // unix seconds since when the alert is active; 0: since now
)

// bandVariables are the variables of the band by the metric that has them.
var bandVariables = map[string]string{"actual": MetricActual, "expected": MetricExpected, "lower": MetricLower, "upper": MetricUpper}

var ourVariables = append(slices.Sorted(maps.Keys(bandVariables)), varScore, varSince)

// prometheusVariables are those that Prometheus declares before every text.
var prometheusVariables = []string{"labels", "externalLabels", "externalURL", "value"}

// alertTexts expands the texts of one alert shorthand.
type alertTexts struct {
	alert string   // alertname
	sets  []string // names of labels that the alert may have other values of than the score
	// offset of the group's queries, and its interval; 0: unknown
	offset, interval time.Duration
}

// text puts before a text what it needs.
func (a alertTexts) text(text string) string {
	used, ok := usedVariables(text)
	if !ok {
		used = ourVariables // Prometheus refuses the text, and not for lack of them
	}
	var b strings.Builder
	if slices.Contains(used, varScore) {
		b.WriteString("{{$score := $value}}")
	}
	var band []string
	for _, name := range used {
		if bandVariables[name] != "" {
			band = append(band, name)
		}
	}
	if len(band) > 0 {
		a.declareBand(&b, band)
	}
	if slices.Contains(used, varSince) {
		a.declareSince(&b)
	}
	return b.String() + text
}

// declareBand asks for what a text uses of the band. A series is found by all
// labels of the score, and is the score's when it has no others: without the
// latter a="1" would also find a="1", b="2". What is not there is NaN, for which
// templates have no literal. One query for all, by a regular expression for the
// name, would look at every series of the rule.
func (a alertTexts) declareBand(b *strings.Builder, names []string) {
	b.WriteString(`{{$_series := ""}}{{range $k, $v := $labels}}{{if ne $k "__name__"}}{{$_series = printf "%s%q=%q," $_series $k $v}}{{end}}{{end}}`)
	b.WriteString(`{{$_nan := query "vector(NaN)" | first | value}}`)
	for _, name := range names {
		fmt.Fprintf(b, `{{$%s := $_nan}}{{range query (printf "%s{%%s}%s" $_series)}}{{if eq (len .Labels) (len $labels)}}{{$%s = .Value}}{{end}}{{end}}`,
			name, bandVariables[name], a.at(), name)
	}
}

// declareSince asks for when the alert became active, which templates are not
// told: Prometheus writes it as ALERTS_FOR_STATE behind every evaluation, so
// that there is nothing yet when an alert is evaluated for the first time. Its
// labels are those of the score and what the alert sets, which can be
// templates.
func (a alertTexts) declareSince(b *strings.Builder) {
	own := append([]string{labels.MetricName, labels.AlertName}, a.sets...)
	for i, name := range own {
		own[i] = strconv.Quote(name)
	}
	isOwn := "eq $k " + strings.Join(own, " ")
	fmt.Fprintf(b, `{{$_alert := %q}}{{range $k, $v := $labels}}{{if not (%s)}}{{$_alert = printf "%%s,%%q=%%q" $_alert $k $v}}{{end}}{{end}}`,
		matchEqual(labels.AlertName, a.alert), isOwn)
	query := "ALERTS_FOR_STATE{%s}" + a.at()
	if a.interval >= defaultLookback {
		// What the evaluation before this one wrote; the one before that is out
		// of reach, so that an alert that ended in between begins anew.
		query = fmt.Sprintf("last_over_time(ALERTS_FOR_STATE{%%s}[%s]%s)", model.Duration(a.interval*3/2), a.at())
	}
	fmt.Fprintf(b, `{{$_since := 0.0}}{{range query (printf %q $_alert)}}{{$_same := true}}`, query)
	fmt.Fprintf(b, `{{range $k, $v := .Labels}}{{if not (or (index $labels $k) (%s))}}{{$_same = false}}{{end}}{{end}}{{if $_same}}{{$_since = .Value}}{{end}}{{end}}`, isOwn)
}

// defaultLookback is how far back an instant selector looks.
const defaultLookback = 5 * time.Minute

// at moves a selector to the time of the group's queries; templates are
// expanded at the time of the evaluation.
func (a alertTexts) at() string {
	if a.offset == 0 {
		return ""
	}
	return " offset " + model.Duration(a.offset).String()
}

// usedVariables returns which of our variables a text uses, sorted. One counts
// as used when the text can be parsed with it and cannot without it, so that
// strings, comments and variables that the text declares itself do not. It is
// not ok when the text cannot be parsed at all.
func usedVariables(text string) (used []string, ok bool) {
	if !strings.Contains(text, "{{") {
		return nil, true
	}
	if !parsesWith(text, ourVariables) {
		return nil, false
	}
	for _, name := range ourVariables {
		others := slices.DeleteFunc(slices.Clone(ourVariables), func(n string) bool { return n == name })
		if !parsesWith(text, others) {
			used = append(used, name)
		}
	}
	return used, true
}

func parsesWith(text string, variables []string) bool {
	var b strings.Builder
	for _, name := range slices.Concat(prometheusVariables, variables) {
		fmt.Fprintf(&b, "{{$%s := .}}", name)
	}
	t := parse.New("text")
	t.Mode = parse.SkipFuncCheck
	_, err := t.Parse(b.String()+text, "", "", map[string]*parse.Tree{})
	return err == nil
}

// checkVariables refuses variables that stand for series which the rule does
// not write: part of the check rule/alert. n is the mapping that holds texts.
func (l *loader) checkVariables(n *yaml.Node, what string, texts map[string]string, a *Anomaly) {
	if a.Output&OutputBand != 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		used, _ := usedVariables(texts[name])
		for _, variable := range used {
			if bandVariables[variable] != "" {
				l.doc.Errorf(keyOr(n, name), "rule/alert", "%s %s uses $%s, which the rule does not write: %s; $score is known",
					what, name, variable, a.whyNoBand())
			}
		}
	}
}

func (a *Anomaly) whyNoBand() string {
	switch {
	case a.Inputs != nil:
		return "inputs have no band"
	case a.Model != nil && Calls(a.Model)[0].Name == "novelty":
		return "novelty has no band"
	}
	return "output lacks band"
}
