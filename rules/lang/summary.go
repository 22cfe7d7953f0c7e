package lang

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// annotationSummary says in one line what is odd, unless the user says it.
const annotationSummary = "summary"

// summary is the template of the default annotation, such as
//
//	Latency{pod="a"} is 812m, expected 204.1m (150m to 260m), since 2026-11-27 14:05:00 UTC; model seasonal
//
// A rule without a band tells the score instead of the value, and an alert that
// fires within the band tells it besides.
func (a *Anomaly) summary() string {
	hidden := append([]string{labels.MetricName}, reservedLabels...)
	hidden = append(hidden, slices.Sorted(maps.Keys(a.Labels))...)
	for i, name := range hidden {
		hidden[i] = strconv.Quote(name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `{{$_of := ""}}{{$_comma := ""}}{{range $k, $v := $labels}}{{if not (eq $k %s)}}`, strings.Join(hidden, " "))
	b.WriteString(`{{$_of = printf "%s%s%s=%q" $_of $_comma $k $v}}{{$_comma = ", "}}{{end}}{{end}}`)
	fmt.Fprintf(&b, `{{%q}}{{if $_of}}{{"{"}}{{$_of}}{{"}"}}{{end}} is `, a.Name)
	if a.Output&OutputBand != 0 {
		// NaN does not equal itself: there are models without an expectation.
		b.WriteString(`{{humanize $actual}}, {{if eq $expected $expected}}expected {{humanize $expected}}` +
			`{{if and (eq $lower $lower) (eq $upper $upper)}} ({{humanize $lower}} to {{humanize $upper}}){{end}}{{else}}score {{humanize $score}}{{end}}`)
		if a.Alert.withinBand() {
			b.WriteString(`{{if eq $expected $expected}}, score {{printf "%.2g" $score}}{{end}}`)
		}
	} else {
		b.WriteString(`unusual, score {{humanize $score}}`)
	}
	b.WriteString(`, since {{if $_since}}{{(toTime $_since).Format "2006-01-02 15:04:05 MST"}}{{else}}now{{end}}`)
	if a.Model != nil {
		fmt.Fprintf(&b, `; model {{%q}}`, a.Model)
	}
	return b.String()
}

// withinBand reports whether the alert can fire below a score of 1, where the
// band ends.
func (c *AlertClause) withinBand() bool {
	border, err := strconv.ParseFloat(strings.TrimPrefix(c.When, "> "), 64)
	return err != nil || border < 1
}
