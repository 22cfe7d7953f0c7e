package rules

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/lang"
)

// store appends one sample now.
func (w *world) store(ls labels.Labels, v float64) {
	w.t.Helper()
	app := w.db.AppenderV2(context.Background())
	if _, err := app.Append(0, ls, 0, time.Now().UnixMilli(), v, nil, nil, storage.AppendV2Options{}); err != nil {
		w.t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		w.t.Fatal(err)
	}
}

// active returns the alerts of a rule by the value of a label.
func (w *world) active(alert, by string) map[string]*upstream.RuleAlert {
	w.t.Helper()
	out := map[string]*upstream.RuleAlert{}
	for _, g := range w.m.Groups() {
		for _, r := range g.Rules {
			if r.Kind != KindAlerting || r.Name != alert {
				continue
			}
			if r.Health == string(upstream.HealthBad) {
				w.t.Fatalf("%s: %s", r.Health, r.LastError)
			}
			for _, a := range r.Alerts {
				out[a.Labels.Get(by)] = a
			}
		}
	}
	return out
}

// exactly returns the value of the series with these labels, NaN without one.
func (w *world) exactly(ls labels.Labels) float64 {
	w.t.Helper()
	var matchers []string
	ls.Range(func(l labels.Label) {
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value).String())
	})
	q, err := w.engine.NewInstantQuery(context.Background(), w.db, nil, "{"+strings.Join(matchers, ",")+"}", time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range v {
		if labels.Equal(s.Metric, ls) {
			return s.F
		}
	}
	return math.NaN()
}

const templated = `
groups:
  - name: g
    labels: {team: "o'hara", tier: "{x}"}
    rules:
      - anomaly: 'Hum "of" {{pods}} 100%'
        expr: hum
        model: zscore(window=30m)
        direction: both
        labels: {tier: web}
        alert:
          name: Loud
          labels:
            severity: '{{ if gt $score 1.0 }}high{{ else }}low{{ end }}'
            was: '{{ $labels.host }}'
          annotations:
            band: '{{ printf "%v %v %v %v %v" $actual $expected $lower $upper $score }}'
            twice: '{{ $actual }}{{/* $lower */}}{{ $upper := "mine" }} {{ $upper }} {{ "$lower" }}'
            plain: '{{ $value }} of {{ $labels.pod }}'
`

// TestTemplatesKnowTheRulesOutputs holds what templates say against the series
// that the rule wrote at that evaluation. The labels of one series are a part of
// those of another one, and are such that they break a careless quoting.
func TestTemplatesKnowTheRulesOutputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(templated)
		nasty := "C:\\ \"x\" {{y}} %s\n#é"
		// The one in the middle is a part of the others, of which one sorts before
		// it and one behind.
		series := []labels.Labels{
			labels.FromStrings("__name__", "hum", "pod", "a", "host.name", nasty, "zone", "b", "größe", "1"),
			labels.FromStrings("__name__", "hum", "pod", "a", "host.name", nasty),
			labels.FromStrings("__name__", "hum", "pod", "a", "host.name", nasty, "zone", "c"),
		}
		tick := func(value func(i int) float64) {
			for i, ls := range series {
				w.store(ls, value(i))
			}
			time.Sleep(5 * time.Second)
		}
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
			tick(func(int) float64 { return hum(time.Now()) })
		}
		for range 6 {
			tick(func(i int) float64 { return []float64{5000, 50, -3000}[i] })
		}
		// A score without a band, as another rule of that name could write it.
		base := labels.FromStrings("anomaly_name", `Hum "of" {{pods}} 100%`, "team", "o'hara", "tier", "web", "zone", "none")
		w.store(labels.NewBuilder(base).Set("__name__", lang.MetricScore).Labels(), 7)
		for range 2 {
			tick(func(i int) float64 { return []float64{5000, 50, -3000}[i] })
		}
		synctest.Wait()

		alerts := w.active("Loud", "zone")
		if len(alerts) != 4 {
			t.Fatalf("%d alerts: %v", len(alerts), w.query("ALERTS"))
		}
		for zone, a := range alerts {
			// The labels of the series that the alert is about: what the group
			// and the alert set is over them.
			b := labels.NewBuilder(a.Labels).Del("alertname", "severity", "was").Set("tier", "web")
			var values []any
			for _, metric := range []string{lang.MetricActual, lang.MetricExpected, lang.MetricLower, lang.MetricUpper, lang.MetricScore} {
				values = append(values, w.exactly(b.Set("__name__", metric).Labels()))
			}
			f := func(annotation, want string) {
				t.Helper()
				if got := a.Annotations.Get(annotation); got != want {
					t.Errorf("zone %q: %s is\n%q, want\n%q", zone, annotation, got, want)
				}
			}
			f("band", fmt.Sprintf("%v %v %v %v %v", values...))
			f("twice", fmt.Sprintf("%v mine $lower", values[0]))
			f("plain", fmt.Sprintf("%v of %s", values[4], a.Labels.Get("pod")))
			if got := a.Labels.Get("severity"); got != "high" {
				t.Errorf("severity %q", got)
			}
			if missing := fmt.Sprint(values[0]) == "NaN"; missing != (zone == "none") {
				t.Errorf("zone %q: the test shows nothing: %v", zone, values)
			}
		}
		if a, b := alerts[""], alerts["b"]; a.Annotations.Get("band") == b.Annotations.Get("band") {
			t.Errorf("the two series do not differ: %v", a.Annotations)
		}
	})
}

const summarised = `
groups:
  - name: g
    labels: {team: t}
    rules:
      - anomaly: 'Hum "of" {{pods}} 100%'
        expr: hum
        model: seasonal(1d, tz="Europe/Berlin")
        direction: both
        alert: { name: Default, for: 30s, labels: { team: '{{ "x" }}', empty: '{{ "" }}' } }
      - anomaly: Hum
        expr: hum
        model: zscore
        output: [score]
        direction: both
        alert: { name: NoBand }
      - anomaly: Near
        expr: hum
        direction: both
        alert: { when: 0.5, for: 30s }
      - anomaly: Own
        expr: hum
        model: zscore
        direction: both
        alert: { name: Own, annotations: { summary: mine, other: '{{ $score }}' } }
`

// TestTheDefaultSummary feeds the series that the rules would write.
func TestTheDefaultSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(summarised)
		feed := func(zones ...string) {
			for _, zone := range zones {
				for _, name := range []string{`Hum "of" {{pods}} 100%`, "Hum", "Own", "Near"} {
					for metric, v := range map[string]float64{
						lang.MetricScore: 2.5, lang.MetricActual: 0.8121234, lang.MetricExpected: 204.123456, lang.MetricLower: -1500, lang.MetricUpper: math.Inf(1),
					} {
						w.store(labels.FromStrings("__name__", metric, "anomaly_name", name, "team", "t", "host.name", "a\"b", "zone", zone), v)
					}
				}
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
		}
		// begun feeds until the first evaluation that knows the last zone.
		begun := func(zones ...string) {
			for w.active("Default", "zone")[zones[len(zones)-1]] == nil {
				feed(zones...)
			}
		}
		f := func(alert, zone, annotation, want string) {
			t.Helper()
			a := w.active(alert, "zone")[zone]
			if a == nil {
				t.Fatalf("no alert %s of zone %q: %v", alert, zone, w.query("ALERTS"))
			}
			if got := a.Annotations.Get(annotation); got != want {
				t.Errorf("%s is\n%s, want\n%s", alert, got, want)
			}
		}
		says := func(zone, when string) {
			t.Helper()
			of, why := `{host.name="a\"b"}`, "still anomalous"
			if when == "now" {
				why = "the newest values together are anomalous"
			}
			if zone != "" {
				of = `{host.name="a\"b", zone="` + zone + `"}`
			}
			f("Default", zone, "summary", `Hum "of" {{pods}} 100%`+of+` is 812.1m, within -1.5k to +Inf (expected 204.1), but `+why+`, since `+when+`; model seasonal(1d, tz="Europe/Berlin")`)
			f("NoBand", zone, "summary", "Hum"+of+" is unusual, score 2.5, since "+when+"; model zscore")
			f("Near", zone, "summary", "Near"+of+" is 812.1m, within -1.5k to +Inf (expected 204.1), but "+why+", score 2.5, since "+when+"; model auto")
			f("Own", zone, "summary", "mine")
			f("Own", zone, "other", "2.5")
		}
		since := func(zone string) string {
			return w.active("Default", "zone")[zone].ActiveAt.UTC().Format("2006-01-02 15:04:05 MST")
		}
		begun("b")
		says("b", "now")
		for range 12 {
			feed("b")
		}
		says("b", since("b"))
		first := since("b")
		// The labels of this one are a part of the other's, which began before.
		begun("b", "")
		says("", "now")
		says("b", first)
		for range 12 {
			feed("b", "")
		}
		says("", since(""))
		says("b", first)
		if first == since("") {
			t.Error("both began at once; the test shows nothing")
		}
		// An alert that ended begins anew.
		for len(w.active("Default", "zone")) > 0 {
			feed()
		}
		begun("b")
		says("b", "now")
	})
}

// TestTemplatesOfSlowAndDelayedGroups have an offset and an interval beyond the
// time that a selector looks back.
func TestTemplatesOfSlowAndDelayedGroups(t *testing.T) {
	for _, own := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			group := ""
			if own {
				group = ", interval: 10m, query_offset: 7m"
			}
			w.begin()
			if _, err := w.m.Update(w.files(`groups: [{name: g`+group+`, rules: [{anomaly: A, expr: nothing, direction: both, alert: {annotations: {actual: "{{ $actual }}"}}}]}]`),
				Settings{Interval: 10 * time.Minute, QueryOffset: 7 * time.Minute}); err != nil {
				t.Fatal(err)
			}
			step := 5 * time.Second
			for end := time.Now().Add(41 * time.Minute); time.Now().Before(end); time.Sleep(step) {
				w.store(labels.FromStrings("__name__", lang.MetricScore, "anomaly_name", "A"), 2)
				w.store(labels.FromStrings("__name__", lang.MetricActual, "anomaly_name", "A"), float64(time.Now().Unix()))
			}
			synctest.Wait()
			a := w.active("A", "anomaly_name")["A"]
			if a == nil {
				t.Fatal("no alert")
			}
			var told float64
			if _, err := fmt.Sscan(a.Annotations.Get("actual"), &told); err != nil {
				t.Fatal(err)
			}
			at := w.m.Groups()[0].LastEvaluation.Add(-7 * time.Minute)
			if age := at.Sub(time.Unix(int64(told), 0)); age < 0 || age > step {
				t.Errorf("own %v: the value is of %s before the evaluation's data", own, age)
			}
			if since := a.ActiveAt.UTC().Format(", since 2006-01-02 15:04:05 MST; model auto"); !strings.HasSuffix(a.Annotations.Get("summary"), since) {
				t.Errorf("own %v: summary %q, want %q", own, a.Annotations.Get("summary"), since)
			}
		})
	}
}

const placed = `
groups:
  - name: g
    rules:
      - anomaly: Free
        expr: hum
        direction: both
        alert: {}
      - anomaly: Ranged
        expr: hum
        direction: both
        range: [0, 50]
        alert: {}
      - anomaly: HalfRanged
        expr: hum
        direction: both
        range: [-1500, .inf]
        alert: {}
`

// TestTheSummarySaysWhereTheValueLies feeds the series that the rules would write.
func TestTheSummarySaysWhereTheValueLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(placed)
		nan := math.NaN()
		cases := []struct {
			anomaly, zone                  string
			actual, expected, lower, upper float64
			want                           string
		}{
			{"Free", "out", 300, 100, 84, 115, "is 300, expected 100 (84 to 115), since "},
			{"Free", "back", 99.3, 100, 84, 115, "is 99.3, within 84 to 115 (expected 100), but still anomalous, since "},
			{"Free", "without", 300, nan, nan, nan, "is 300, score 1.9, since "},
			{"Free", "centre", 300, 100, nan, nan, "is 300, expected 100, since "},
			{"Ranged", "above", 98.52, nan, 0, 50, "is 98.52, above the range 0 to 50, since "},
			{"Ranged", "below", -1, 30, 20, 40, "is -1, below the range 0 to 50, expected 30, since "},
			{"Ranged", "out", 45, 30, 20, 40, "is 45, expected 30 (20 to 40), since "},
			{"Ranged", "back", 25, 30, 20, 40, "is 25, within 20 to 40 (expected 30), but still anomalous, since "},
			{"HalfRanged", "below", -3000, nan, -1500, math.Inf(1), "is -3k, below the range -1.5k to +Inf, since "},
			{"HalfRanged", "above", 3000, 100, 84, 115, "is 3k, expected 100 (84 to 115), since "},
		}
		for range 10 {
			for _, c := range cases {
				for metric, v := range map[string]float64{
					lang.MetricScore: 1.9, lang.MetricActual: c.actual, lang.MetricExpected: c.expected, lang.MetricLower: c.lower, lang.MetricUpper: c.upper,
				} {
					w.store(labels.FromStrings("__name__", metric, "anomaly_name", c.anomaly, "zone", c.zone), v)
				}
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
		}
		for _, c := range cases {
			a := w.active(c.anomaly, "zone")[c.zone]
			if a == nil {
				t.Fatalf("no alert %s of zone %s", c.anomaly, c.zone)
			}
			want := fmt.Sprintf("%s{zone=%q} %s%s; model auto", c.anomaly, c.zone, c.want, a.ActiveAt.UTC().Format("2006-01-02 15:04:05 MST"))
			if got := a.Annotations.Get("summary"); got != want {
				t.Errorf("the summary is\n%s, want\n%s", got, want)
			}
		}
	})
}
