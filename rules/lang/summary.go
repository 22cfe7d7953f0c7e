package lang

import (
	"fmt"
	"maps"
	"math"
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
// A value outside the rule's range is said to be, and so is one within the band:
// the state lasts for some minutes after values are back, and begins within the
// band when many values lie a little off. A rule without a band tells the score
// instead of the value, and an alert that fires below a score of 1 tells it besides.
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
		b.WriteString(`{{humanize $actual}}, `)
		a.sayBand(&b)
	} else {
		b.WriteString(`unusual, score {{humanize $score}}`)
	}
	b.WriteString(`, since {{if $_since}}{{(toTime $_since).Format "2006-01-02 15:04:05 MST"}}{{else}}now{{end}}`)
	if a.Model != nil {
		fmt.Fprintf(&b, `; model {{%q}}`, a.Model)
	}
	return b.String()
}

// sayBand says where the value lies. NaN does not equal itself: there are models
// without an expectation.
func (a *Anomaly) sayBand(b *strings.Builder) {
	const band = `{{humanize $lower}} to {{humanize $upper}}`
	const expected = `{{if eq $expected $expected}}expected {{humanize $expected}}{{if and (eq $lower $lower) (eq $upper $upper)}} (` + band + `){{end}}`
	ends := ""
	if a.ranged() {
		limits := fmt.Sprintf("%s to %s", limit(a.Range[0]), limit(a.Range[1]))
		var outside []string
		if !math.IsInf(a.Range[0], 0) {
			outside = append(outside, fmt.Sprintf(`if lt $actual %s}}below the range %s`, literal(a.Range[0]), limits))
		}
		if !math.IsInf(a.Range[1], 0) {
			outside = append(outside, fmt.Sprintf(`if gt $actual %s}}above the range %s`, literal(a.Range[1]), limits))
		}
		const also = `{{if eq $expected $expected}}, expected {{humanize $expected}}{{end}}`
		b.WriteString("{{" + strings.Join(outside, also+"{{else ") + also + "{{else}}")
		ends = "{{end}}"
	}
	b.WriteString(`{{if and (ge $actual $lower) (le $actual $upper) (gt $score 1.0)}}within ` + band + ` (expected {{humanize $expected}}), ` +
		`but {{if $_since}}still anomalous{{else}}the newest values together are anomalous{{end}}` +
		`{{else}}` + expected + `{{else}}score {{humanize $score}}{{end}}{{end}}` + ends)
	if a.Alert.withinBand() {
		b.WriteString(`{{if eq $expected $expected}}, score {{printf "%.2g" $score}}{{end}}`)
	}
}

// limit is an end of a range in a template.
func limit(v float64) string {
	if math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return "{{humanize " + literal(v) + "}}"
}

// literal is a number that templates take as one with a fraction: they compare
// no others with a value.
func literal(v float64) string { return strconv.FormatFloat(v, 'e', -1, 64) }

// withinBand reports whether the alert can fire below a score of 1, where the
// band ends.
func (c *AlertClause) withinBand() bool {
	border, err := strconv.ParseFloat(strings.TrimPrefix(c.When, "> "), 64)
	return err != nil || border < 1
}
