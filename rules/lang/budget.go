package lang

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Frequency is so many times in a time, as 1/30d: what an argument of type Rate is.
type Frequency struct {
	Count float64
	Per   time.Duration
}

// PerDay is how many times a day that is.
func (f Frequency) PerDay() float64 { return f.Count * day.Seconds() / f.Per.Seconds() }

// String prints it so that the parser reads the same one.
func (f Frequency) String() string {
	return strconv.FormatFloat(f.Count, 'g', -1, 64) + "/" + model.Duration(f.Per).String()
}

// parseFrequency reads 1/30d.
func parseFrequency(text string) (Frequency, bool) {
	count, per, ok := strings.Cut(text, "/")
	n, isNumber := parseNumber(count)
	d, err := model.ParseDuration(per)
	return Frequency{n, time.Duration(d)}, ok && isNumber && err == nil
}

// formatPerDay prints a border of a rate, which is in times a day.
func formatPerDay(perDay any) string {
	if n := perDay.(float64); n < 1 {
		return Frequency{1, time.Duration(float64(day) / n).Round(day)}.String()
	}
	return Frequency{perDay.(float64), day}.String()
}

const week = 7 * day

// Budget is how many false alerts a week the arguments alerts of the rule's
// model allow for each of its series: where one part is enough, those of all
// parts, and where all must agree, the least. known is false when the border is
// said in another way, or by a model that has no such argument.
func (a *Anomaly) Budget() (perWeek float64, known bool) { return a.budgetOf(a.Model) }

func (a *Anomaly) budgetOf(e ModelExpr) (perWeek float64, known bool) {
	switch e := e.(type) {
	case Any:
		known = true
		for _, part := range e.Of {
			p, ok := a.budgetOf(part)
			perWeek, known = perWeek+p, known && ok
		}
	case All:
		for _, part := range e.Of {
			if p, ok := a.budgetOf(part); ok && (!known || p < perWeek) {
				perWeek, known = p, true
			}
		}
	case Call:
		if known = e.Args.Has(argAlerts); known {
			perWeek = e.Args.Frequency(argAlerts).PerDay() * week.Hours() / day.Hours()
		}
		if len(a.Inputs) > 1 && !TraitsOf(e.Name).Vector { // one model an input
			perWeek *= float64(len(a.Inputs))
		}
	}
	return perWeek, known
}

// FalseAlerts says how many false alerts that are, to two digits.
func FalseAlerts(n float64) string {
	if TwoDigits(n) == "1" {
		return "1 false alert"
	}
	return TwoDigits(n) + " false alerts"
}

// TwoDigits prints a number to two digits and never with an exponent.
func TwoDigits(n float64) string {
	n, _ = strconv.ParseFloat(strconv.FormatFloat(n, 'e', 1, 64), 64)
	return strconv.FormatFloat(n, 'f', -1, 64)
}

// WithoutBudget says of the models that have no budget of false alerts what
// decides instead; "" when all have one.
func (a *Anomaly) WithoutBudget() string {
	var of []string
	for _, c := range Calls(a.Model) {
		if c.Args.Has(argAlerts) {
			continue
		}
		var given []string
		for _, p := range FindModel(c.Name).Params {
			// Words and durations say who is judged.
			if p.Border && (p.Type == Number || p.Type == Fraction) && c.Args.Has(p.Name) {
				given = append(given, p.Name)
			}
		}
		if len(given) == 0 {
			of = append(of, c.Name+" decides by itself")
			continue
		}
		verb := " decide"
		if len(given) == 1 {
			verb = " decides"
		}
		of = append(of, enumerate(given)+" of "+c.Name+verb)
	}
	return strings.Join(of, ", ")
}
