package lang

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// Exclusion is a time in which a rule learns nothing and scores 0: a range, or
// days.
type Exclusion struct {
	From, To time.Time // To is the first moment after it; zero: Days counts

	Days     []string // 2026-12-25, or 12-25 of every year
	Location *time.Location
}

// Contains tells whether a time, in milliseconds, is excluded.
func (e Exclusion) Contains(t int64) bool {
	at := time.UnixMilli(t)
	if e.Location == nil {
		return !at.Before(e.From) && at.Before(e.To)
	}
	day := at.In(e.Location).Format(time.DateOnly)
	return slices.Contains(e.Days, day) || slices.Contains(e.Days, day[len("2006-"):])
}

// String holds everything that makes two exclusions the same.
func (e Exclusion) String() string {
	if e.Location == nil {
		return e.From.UTC().Format(time.RFC3339Nano) + "/" + e.To.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%s in %s", strings.Join(e.Days, ","), e.Location)
}

// exclude is the check rule/exclude.
func (l *loader) exclude(n *yaml.Node) []Exclusion {
	var out []Exclusion
	l.doc.List(n, "exclude", func(n *yaml.Node) {
		var e Exclusion
		var zone *yaml.Node
		n = l.merged(n)
		if !l.clean(func() {
			l.doc.Object(n, "exclude", map[string]diag.Field{
				"from":     func(_, v *yaml.Node) { e.From = l.moment(v, "from") },
				"to":       func(_, v *yaml.Node) { e.To = l.moment(v, "to") },
				"holidays": func(_, v *yaml.Node) { e.Days = l.days(v) },
				"tz":       func(_, v *yaml.Node) { zone = v; e.Location = l.zone(v) },
			})
		}) {
			return
		}
		ranged := !e.From.IsZero() || !e.To.IsZero()
		switch {
		case ranged == (e.Days != nil):
			l.doc.Errorf(n, "rule/exclude", "exclude takes from and to, or holidays with tz")
		case ranged && zone != nil:
			l.doc.Errorf(zone, "rule/exclude", "tz goes with holidays; from and to have their own offset")
		case ranged && !e.From.Before(e.To):
			l.doc.Errorf(n, "rule/exclude", "from must be before to, and both must be given")
		case !ranged && e.Location == nil:
			e.Location = time.UTC
			out = append(out, e)
		default:
			out = append(out, e)
		}
	})
	return out
}

func (l *loader) moment(n *yaml.Node, what string) time.Time {
	text := ""
	if !l.clean(func() { text = l.doc.String(n, what) }) {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		l.doc.Errorf(n, "rule/exclude", "%s must be a time such as 2026-12-24T18:00:00Z, not %q", what, text)
	}
	return t
}

func (l *loader) days(n *yaml.Node) []string {
	out := []string{}
	l.doc.List(n, "holidays", func(n *yaml.Node) {
		text := ""
		if !l.clean(func() { text = l.doc.String(n, "holidays") }) {
			return
		}
		if !knownDate(text) {
			l.doc.Errorf(n, "rule/exclude", "a holiday must be a date such as 2026-12-25, or 12-25 of every year, not %q", text)
			return
		}
		out = append(out, text)
	})
	return out
}

func (l *loader) zone(n *yaml.Node) *time.Location {
	name := ""
	if !l.clean(func() { name = l.doc.String(n, "tz") }) {
		return nil
	}
	if !knownTimezone(name) {
		l.doc.Errorf(n, "rule/exclude", `tz must be a name of the time zone database such as "Europe/Berlin", not %q`, name)
		return nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil // cannot happen: it is known
	}
	return zone
}

// Excluded tells whether the rule learns nothing and scores 0 at a time, in
// milliseconds.
func (a *Anomaly) Excluded(t int64) bool {
	return slices.ContainsFunc(a.Exclude, func(e Exclusion) bool { return e.Contains(t) })
}
