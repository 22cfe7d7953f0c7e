package lang

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/alertmanager/timeinterval"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// recurringFields are those of Alertmanager's time intervals, in its order.
var recurringFields = []string{"times", "weekdays", "days_of_month", "months", "years", "location"}

// recurring reads the fields of one of Alertmanager's time intervals into i.
// Alertmanager's own code reads the values, so that they mean the same there.
func (l *loader) recurring(i *timeinterval.TimeInterval) map[string]diag.Field {
	return map[string]diag.Field{
		"times": func(_, v *yaml.Node) {
			i.Times = intervals[timeinterval.TimeRange](l, v, "times")
		},
		"weekdays": func(_, v *yaml.Node) {
			i.Weekdays = intervals[timeinterval.WeekdayRange](l, v, "weekdays")
		},
		"days_of_month": func(_, v *yaml.Node) {
			i.DaysOfMonth = intervals[timeinterval.DayOfMonthRange](l, v, "days_of_month")
		},
		"months": func(_, v *yaml.Node) {
			i.Months = intervals[timeinterval.MonthRange](l, v, "months")
		},
		"years": func(_, v *yaml.Node) {
			i.Years = intervals[timeinterval.YearRange](l, v, "years")
		},
		"location": func(_, v *yaml.Node) {
			if zone := l.zone(v, "location"); zone != nil {
				i.Location = &timeinterval.Location{Location: zone}
			}
		},
	}
}

// intervals reads a list of ranges.
func intervals[T any](l *loader, n *yaml.Node, what string) []T {
	var out []T
	ok := l.clean(func() {
		l.doc.List(n, what, func(n *yaml.Node) {
			var r T
			if !l.shapedAs(&r, n, what) {
				return
			}
			err := n.Decode(&r)
			if m, ok := any(&r).(*timeinterval.MonthRange); ok && err == nil && (m.Begin < 1 || m.End > 12) {
				err = errors.New("a month is 1 to 12 or a name such as january") // Alertmanager takes it, and it never comes
			}
			if err != nil {
				l.doc.Errorf(n, "rule/exclude", "%s: %s", what, plainInterval(&r, n, err))
				return
			}
			out = append(out, r)
		})
	})
	if ok && len(out) == 0 && !isNull(n) {
		l.doc.Errorf(n, "rule/exclude", "%s is empty, which no time is in; leave it out", what)
	}
	return out
}

// shapedAs finds what Alertmanager's reading passes over, such as a misspelt
// key, or says in the words of a library.
func (l *loader) shapedAs(r any, n *yaml.Node, what string) bool {
	return l.clean(func() {
		if _, ok := r.(*timeinterval.TimeRange); !ok {
			l.doc.String(n, what)
			return
		}
		l.doc.Object(n, what, map[string]diag.Field{
			"start_time": func(_, v *yaml.Node) { l.doc.String(v, "start_time") },
			"end_time":   func(_, v *yaml.Node) { l.doc.String(v, "end_time") },
		})
	})
}

// plainInterval says what Alertmanager says of a range, with what it leaves out.
func plainInterval(r any, n *yaml.Node, err error) string {
	if te, ok := errors.AsType[*yaml.TypeError](err); ok {
		return strings.Join(te.Errors, "; ")
	}
	if ne, ok := errors.AsType[*strconv.NumError](err); ok {
		return fmt.Sprintf("%q is not a number", ne.Num)
	}
	if w, ok := r.(*timeinterval.WeekdayRange); ok && w.Begin > w.End {
		return fmt.Sprintf("%s ends before it begins, as weeks begin with sunday; give the days one by one", n.Value)
	}
	return err.Error()
}

// hasRecurring tells whether one of the fields is given in n.
func hasRecurring(n *yaml.Node) bool {
	return slices.ContainsFunc(recurringFields, func(name string) bool { return value(n, name) != nil })
}

// constrains tells whether the interval is more than a location.
func constrains(i *timeinterval.TimeInterval) bool {
	return i.Times != nil || i.Weekdays != nil || i.DaysOfMonth != nil || i.Months != nil || i.Years != nil
}

// describeRecurring holds everything that makes two intervals the same.
func describeRecurring(i *timeinterval.TimeInterval) string {
	text, err := json.Marshal(i)
	if err != nil {
		return err.Error() // cannot happen: what has been read can be written
	}
	return string(text)
}
