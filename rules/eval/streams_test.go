package eval

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/rules/lang"
)

// began is the time of the first frame of a stream; the next ones follow
// minute by minute.
var began = time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC).UnixMilli()

const minute = 60_000

// quick has a text for each model of the language with which it is ready
// within some minutes, and texts that combine models.
var quick = []string{
	"zscore(window=1h)", "mad(window=1h)", "seasonal(1h)", "holtwinters(season=1h)", "iforest(trees=5, window=1h)",
	"trend(window=1h)", "discord(m=5, history=16)", "lstm(lookback=8, hidden=1)", "quantile(window=1h)", "quantile(season=1h, window=2h)",
	"changepoint(every=2h)", "prophet(1h, order=2)", "count(window=1h)", "ratio(window=1h)", "spectral(points=16)", "auto",
	"peers(by=[ns], min_members=3)", "peers(method=zscore, min_members=3)", "presence(learn=10m, forget=3h)", "novelty(learn=20m, hold=5m, capacity=5)",
	"zscore(window=1h) + mad(window=1h)", "seasonal(1h) & quantile(window=1h)", "(auto + zscore(window=1h)) & trend(window=1h)",
}

// shape is what a rule reads.
type shape int

const (
	ofSeries shape = iota
	ofRatio
	ofInputs
)

func (s shape) String() string { return [...]string{"series", "ratio", "inputs"}[s] }

// shapesOf are the shapes that go with a model.
func shapesOf(model string) []shape {
	e, err := lang.ParseModel(model)
	if err != nil {
		panic(err)
	}
	traits := lang.TraitsOf(lang.Calls(e)[0].Name)
	switch {
	case traits.Group:
		return []shape{ofSeries}
	case traits.Ratio:
		return []shape{ofRatio}
	}
	return []shape{ofSeries, ofRatio, ofInputs}
}

// ruleOf loads the rule with these fields.
func ruleOf(t testing.TB, fields ...string) *lang.Anomaly {
	t.Helper()
	text := "groups: [{name: g, rules: [{anomaly: A, " + strings.Join(fields, ", ") + "}]}]"
	file, problems := lang.Load("f.yaml", []byte(text))
	if problems.HasErrors() {
		t.Fatalf("%s\n%s", text, problems)
	}
	return file.Groups[0].Rules[0].Anomaly
}

func newRule(t testing.TB, spec *lang.Anomaly) *Rule {
	t.Helper()
	r, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fieldsOf draws the fields of a rule of that model and shape.
func fieldsOf(rnd *rand.Rand, model string, s shape) []string {
	fields := []string{"model: '" + model + "'", []string{
		"expr: m0",
		"ratio: {errors: m0, total: m1}",
		"inputs: {a: 'sum by (ns, pod) (m0)', b: 'sum by (ns, pod) (m1)', c: 'sum by (ns, pod) (m2)'}",
	}[s], "output: [all]"}
	sometimes := func(share int, field string) {
		if rnd.Intn(100) < share {
			fields = append(fields, field)
		}
	}
	e, err := lang.ParseModel(model)
	if err != nil {
		panic(err)
	}
	calls := lang.Calls(e)
	traits := lang.TraitsOf(calls[0].Name)
	sometimes(60, fmt.Sprint("limit: ", 3+rnd.Intn(3)))
	if !traits.Group {
		sometimes(50, "cohort: [ns]")
	}
	sometimes(40, "exclude: [{from: 2026-11-27T02:00:00Z, to: 2026-11-27T02:20:00Z}, {from: 2026-11-27T05:00:00Z, to: 2026-11-27T05:03:00Z}]")
	sometimes(20, "warmup: 40m")
	sometimes(30, "width: 1.5")
	if !traits.Sideless && s != ofInputs {
		sometimes(30, "direction: above")
		sometimes(20, "min_dev: 2")
		sometimes(20, "range: [0, 500]")
	}
	ahead := slices.ContainsFunc(calls, func(c lang.Call) bool { return lang.TraitsOf(c.Name).Forecasts })
	if ahead && s != ofInputs {
		sometimes(60, "forecast: {horizons: [5m, 1h]"+[]string{"", ", limit: 300", ", limit: limits"}[rnd.Intn(3)]+"}")
	}
	return fields
}

// stream draws the frames that a rule gets: series appear, end, come back and
// flap, times are left out, values are missing or far off.
type stream struct {
	rnd  *rand.Rand
	spec *lang.Anomaly
	pods []pod
}

// pod is one set of labels of a stream.
type pod struct {
	labels labels.Labels
	there  bool
	left   int // minutes until that changes
	base   float64
}

// timed is the frame of a time.
type timed struct {
	t int64
	Frame
}

func streamOf(rnd *rand.Rand, spec *lang.Anomaly, frames int) []timed {
	s := &stream{rnd: rnd, spec: spec}
	for i := range 8 {
		s.pods = append(s.pods, pod{
			labels: labels.FromStrings("ns", fmt.Sprint("n", i%2), "pod", fmt.Sprint("p", i)),
			there:  i < 3, left: 1 + rnd.Intn(200), base: 50 + 10*float64(rnd.Intn(10)),
		})
	}
	var out []timed
	t := began
	for i := range frames {
		if t += minute; rnd.Intn(40) == 0 {
			t += minute * []int64{1, 2, 5, 15, 130}[rnd.Intn(5)]
		}
		s.live()
		f := timed{t: t, Frame: Frame{Limit: s.limit()}}
		for k := range spec.Sources() {
			f.Vectors = append(f.Vectors, s.vector(i, k))
		}
		out = append(out, f)
	}
	return out
}

// live lets a minute pass.
func (s *stream) live() {
	for i := range s.pods {
		p := &s.pods[i]
		if p.left--; p.left > 0 {
			continue
		}
		p.there = !p.there
		switch s.rnd.Intn(4) {
		case 0: // it flaps
			p.left = 1 + s.rnd.Intn(3)
		case 1: // long enough to be forgotten
			p.left = 100 + s.rnd.Intn(60)
		default:
			p.left = 1 + s.rnd.Intn(60)
		}
	}
}

// vector is what the k-th expression returns.
func (s *stream) vector(i, k int) []Sample {
	var out []Sample
	for n := range s.pods {
		p := &s.pods[n]
		if !p.there || s.rnd.Intn(60) == 0 || s.spec.Ratio != nil && k == 0 && s.rnd.Intn(4) == 0 {
			continue
		}
		metric := fmt.Sprint("m", k)
		sample := Sample{Labels: with(p.labels, labels.MetricName, metric), V: s.value(p, i, k)}
		switch s.rnd.Intn(150) {
		case 0, 1:
			sample.V = math.NaN()
		case 2:
			sample.V = math.Inf(1 - 2*s.rnd.Intn(2))
		case 3, 4, 5:
			sample.V *= 20
		case 6:
			sample.Histogram = true
		}
		out = append(out, sample)
		if s.rnd.Intn(1500) == 0 { // an error, as their outputs would be equal
			out = append(out, Sample{Labels: with(p.labels, labels.MetricName, metric+"_again"), V: 1})
		}
	}
	slices.SortFunc(out, func(a, b Sample) int { return labels.Compare(a.Labels, b.Labels) })
	return out
}

func (s *stream) value(p *pod, i, k int) float64 {
	wave := p.base + 20*math.Sin(2*math.Pi*float64(i)/60) + s.rnd.NormFloat64()
	if s.spec.Ratio == nil {
		return wave + 7*float64(k)*s.rnd.Float64()
	}
	if k == 1 {
		return math.Round(10 * wave)
	}
	return math.Round(wave / 5)
}

// limit is the limit of a forecast, which is not known at some times.
func (s *stream) limit() []Sample {
	if s.spec.Forecast == nil || s.spec.Forecast.Limit == nil || s.rnd.Intn(10) == 0 {
		return nil
	}
	if s.spec.Forecast.Limit.Type() == parser.ValueTypeScalar {
		return []Sample{{V: 300}}
	}
	out := []Sample{}
	for _, p := range s.pods[:6] {
		out = append(out, Sample{Labels: with(p.labels, labels.MetricName, "limits"), V: 200 + p.base, Histogram: s.rnd.Intn(40) == 0})
	}
	return out
}

func with(ls labels.Labels, name, value string) labels.Labels {
	return labels.NewBuilder(ls).Set(name, value).Labels()
}

// TestEveryModelIsTried holds that quick has all models of the language.
func TestEveryModelIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, text := range quick {
		e, err := lang.ParseModel(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range lang.Calls(e) {
			tried[c.Name] = true
		}
	}
	for _, m := range lang.Models {
		if !tried[m.Name] {
			t.Errorf("no test tries %s", m.Name)
		}
	}
}
