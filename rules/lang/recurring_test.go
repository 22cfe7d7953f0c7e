package lang

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"go.yaml.in/yaml/v2"
	"pgregory.net/rapid"
)

// recurringText draws one of Alertmanager's time intervals, as flow YAML.
func recurringText(t *rapid.T) string {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	number := func(label string, from, to int) string { return fmt.Sprint(rapid.IntRange(from, to).Draw(t, label)) }
	span := func(label string, from, to int) string {
		a := rapid.IntRange(from, to).Draw(t, label)
		return fmt.Sprintf("'%d:%d'", a, rapid.IntRange(a, to).Draw(t, label+" end"))
	}
	draw := map[string]func() string{
		"times": func() string {
			a := rapid.IntRange(0, 24*60-1).Draw(t, "start")
			b := rapid.IntRange(a+1, 24*60).Draw(t, "end")
			return fmt.Sprintf("{start_time: '%02d:%02d', end_time: '%02d:%02d'}", a/60, a%60, b/60, b%60)
		},
		"weekdays": func() string { return pick("weekdays", "monday:friday", "'Saturday'", "sunday", "sunday:tuesday") },
		"days_of_month": func() string {
			return pick("days", number("day", 1, 31), number("day back", -31, -1), span("days", 1, 31), span("days back", -31, -1), "'1:-1'", "'29:31'")
		},
		"months": func() string {
			return pick("months", "february", "'march:october'", number("month", 1, 12), "'january'")
		},
		"years": func() string { return pick("years", number("year", 1990, 2040), "'2020:2030'", "2026") },
	}
	var fields []string
	for _, name := range recurringFields {
		switch {
		case name == "location":
			if rapid.Bool().Draw(t, "located") {
				fields = append(fields, "location: "+pick("location", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "UTC"))
			}
		case rapid.Bool().Draw(t, name):
			var of []string
			for range rapid.IntRange(1, 3).Draw(t, "ranges") {
				of = append(of, draw[name]())
			}
			fields = append(fields, name+": ["+strings.Join(of, ", ")+"]")
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// TestRecurringExclusionsEqualAlertmanagers reads the same text as Alertmanager
// does and asks at times that lie near each other, around changes of the clocks.
func TestRecurringExclusionsEqualAlertmanagers(t *testing.T) {
	changes := []time.Time{
		time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), // Berlin
		time.Date(2026, 4, 4, 15, 0, 0, 0, time.UTC), time.Date(2026, 10, 3, 15, 30, 0, 0, time.UTC), // Lord Howe, by half an hour
		time.Date(2011, 12, 30, 10, 0, 0, 0, time.UTC), // Apia, which left a day out
		time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC), time.Date(1973, 1, 5, 0, 0, 0, 0, time.UTC), time.Date(1969, 12, 31, 23, 59, 0, 0, time.UTC),
	}
	rapid.Check(t, func(t *rapid.T) {
		text := recurringText(t)
		if !strings.Contains(text, "[") {
			t.Skip("all time, which is refused")
		}
		var want timeinterval.TimeInterval
		if err := yaml.UnmarshalStrict([]byte(text), &want); err != nil {
			t.Fatalf("Alertmanager refuses %s: %v", text, err)
		}
		f, problems := Load("f.yaml", []byte("groups: [{name: g, rules: [{anomaly: A, expr: up, direction: both, exclude: ["+text+"]}]}]"))
		if problems.HasErrors() {
			t.Fatalf("%s\n%s", problems, text)
		}
		a := f.Groups[0].Rules[0].Anomaly
		for range 50 {
			at := rapid.SampledFrom(changes).Draw(t, "around")
			if rapid.Bool().Draw(t, "far") {
				at = time.UnixMilli(rapid.Int64Range(0, time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()).Draw(t, "any"))
			}
			for range 5 {
				at := at.Add(time.Duration(rapid.Int64Range(-3*3600_000, 3*3600_000).Draw(t, "ms")) * time.Millisecond)
				for _, at := range []time.Time{at, at.Add(time.Second), at.Truncate(time.Minute), at.Truncate(time.Minute).Add(-time.Millisecond)} {
					if got := a.Excluded(at.UnixMilli()); got != want.ContainsTime(at.UTC()) {
						t.Fatalf("%s at %s: %v", text, at.UTC(), got)
					}
				}
			}
		}
	})
}

// TestHolidaysEqualTheCalendar asks with the cache and without.
func TestHolidaysEqualTheCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom([]string{"Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia"}).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		e := Exclusion{Days: []string{"12-25", "2026-10-25", "02-29"}, Location: zone, minute: &minuteCache{}}
		for range 100 {
			day := rapid.SampledFrom([]time.Time{
				time.Date(2025, 12, 25, 0, 0, 0, 0, zone), time.Date(2026, 10, 25, 0, 0, 0, 0, zone), time.Date(2024, 2, 29, 0, 0, 0, 0, zone),
			}).Draw(t, "day")
			at := day.Add(time.Duration(rapid.Int64Range(-26*3600_000, 26*3600_000).Draw(t, "ms")) * time.Millisecond)
			if got := e.Contains(at.UnixMilli()); got != (at.In(zone).YearDay() == day.YearDay()) {
				t.Fatalf("%s: %v", at, got)
			}
		}
	})
}

func TestAskingAgainWithinAMinuteIsFree(t *testing.T) {
	f, problems := Load("f.yaml", []byte("groups: [{name: g, rules: [{anomaly: A, expr: up, direction: both, exclude: [{days_of_month: ['-3:-1'], location: Europe/Berlin}, {holidays: [12-25]}]}]}]"))
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	a, at := f.Groups[0].Rules[0].Anomaly, time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC).UnixMilli()
	if n := testing.AllocsPerRun(100, func() { a.Excluded(at) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkExcluded(b *testing.B) {
	f, _ := Load("f.yaml", []byte("groups: [{name: g, rules: [{anomaly: A, expr: up, direction: both, exclude: [{times: [{start_time: '02:00', end_time: '03:00'}], days_of_month: ['-3:-1'], location: Europe/Berlin}, {holidays: [12-25]}]}]}]"))
	a, at := f.Groups[0].Rules[0].Anomaly, time.Date(2026, 11, 29, 1, 30, 0, 0, time.UTC).UnixMilli()
	b.ReportAllocs()
	for b.Loop() {
		a.Excluded(at)
	}
}
