package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// Exclusion is a time in which a rule learns nothing and scores 0: a range,
// days, or what recurs.
type Exclusion struct {
	From, To time.Time // To is the first moment after it; zero: what follows counts

	Days     []string // 2026-12-25, or 12-25 of every year
	Location *time.Location

	Recurring *timeinterval.TimeInterval // nil: Days counts

	minute *minuteCache // of Days and Recurring; nil: none
}

// Contains tells whether a time, in milliseconds, is excluded.
func (e Exclusion) Contains(t int64) bool {
	if e.Recurring == nil && e.Location == nil {
		at := time.UnixMilli(t)
		return !at.Before(e.From) && at.Before(e.To)
	}
	if e.minute == nil {
		return e.recurs(t)
	}
	return e.minute.get(t, e.recurs)
}

// recurs is Contains where days and weeks have to be looked at.
func (e Exclusion) recurs(t int64) bool {
	at := time.UnixMilli(t)
	if e.Recurring != nil {
		return e.Recurring.ContainsTime(at.UTC())
	}
	day := at.In(e.Location).Format(time.DateOnly)
	return slices.Contains(e.Days, day) || slices.Contains(e.Days, day[len("2006-"):])
}

// String holds everything that makes two exclusions the same.
func (e Exclusion) String() string {
	switch {
	case e.Recurring != nil:
		return describeRecurring(e.Recurring)
	case e.Location == nil:
		return e.From.UTC().Format(time.RFC3339Nano) + "/" + e.To.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%s in %s", strings.Join(e.Days, ","), e.Location)
}

// minuteCache remembers the answer for one minute: all series of a rule are
// stepped at the same time. Days begin and end with whole minutes: since 1972
// every time zone is whole minutes away from UTC, and times before are not kept.
type minuteCache struct{ last atomic.Int64 } // twice the minute, plus 1 for yes; 0: nothing yet

const (
	msPerMinute      = int64(time.Minute / time.Millisecond)
	firstWholeMinute = int64(3 * 366 * 24 * 60) // in 1973
)

func (c *minuteCache) get(t int64, answer func(int64) bool) bool {
	minute := t / msPerMinute
	if minute < firstWholeMinute {
		return answer(t)
	}
	if last := c.last.Load(); last>>1 == minute {
		return last&1 == 1
	}
	yes := answer(t)
	entry := minute << 1
	if yes {
		entry |= 1
	}
	c.last.Store(entry)
	return yes
}

// exclude is the check rule/exclude.
func (l *loader) exclude(n *yaml.Node) []Exclusion {
	var out []Exclusion
	l.doc.List(n, "exclude", func(n *yaml.Node) {
		e := Exclusion{minute: &minuteCache{}}
		var zone *yaml.Node
		var interval timeinterval.TimeInterval
		n = l.merged(n)
		fields := l.recurring(&interval)
		maps.Copy(fields, map[string]diag.Field{
			"from":     func(_, v *yaml.Node) { e.From = l.moment(v, "from") },
			"to":       func(_, v *yaml.Node) { e.To = l.moment(v, "to") },
			"holidays": func(_, v *yaml.Node) { e.Days = l.days(v) },
			"tz":       func(_, v *yaml.Node) { zone = v; e.Location = l.zone(v, "tz") },
		})
		if !l.clean(func() { l.doc.Object(n, "exclude", fields) }) {
			return
		}
		ranged, recurring := !e.From.IsZero() || !e.To.IsZero(), hasRecurring(n)
		switch {
		case recurring && (ranged || e.Days != nil), !recurring && ranged == (e.Days != nil):
			l.doc.Errorf(n, "rule/exclude", "exclude takes from and to, or holidays with tz, or what recurs: times, weekdays, days_of_month, months, years with location")
			return
		case recurring && zone != nil:
			l.doc.Errorf(zone, "rule/exclude", "tz goes with holidays; what recurs has location")
			return
		case recurring && !constrains(&interval):
			l.doc.Errorf(n, "rule/exclude", "exclude is all time: give times, weekdays, days_of_month, months or years")
			return
		case recurring:
			e.Recurring = &interval
		case ranged && zone != nil:
			l.doc.Errorf(zone, "rule/exclude", "tz goes with holidays; from and to have their own offset")
			return
		case ranged && !e.From.Before(e.To):
			l.doc.Errorf(n, "rule/exclude", "from must be before to, and both must be given")
			return
		case !ranged && e.Location == nil:
			e.Location = time.UTC
		}
		out = append(out, e)
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

func (l *loader) zone(n *yaml.Node, what string) *time.Location {
	name := ""
	if !l.clean(func() { name = l.doc.String(n, what) }) {
		return nil
	}
	if !knownTimezone(name) {
		l.doc.Errorf(n, "rule/exclude", `%s must be a name of the time zone database such as "Europe/Berlin", not %q`, what, name)
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
