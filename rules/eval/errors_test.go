package eval

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/lang"
)

// sample is one with labels in name and value pairs.
func sample(v float64, pairs ...string) Sample {
	return Sample{Labels: labels.FromStrings(pairs...), V: v}
}

func histogram(pairs ...string) Sample {
	return Sample{Labels: labels.FromStrings(pairs...), Histogram: true}
}

// at is a frame of the n-th minute.
func at(n int, vectors ...[]Sample) timed {
	return timed{t: began + int64(n)*minute, Frame: Frame{Vectors: vectors}}
}

// TestErrorsChangeNothing puts frames that must fail between those of a stream:
// the rule goes on as if they had not come. Frames that fail begin series,
// have others make room for them, and lie before all that was learned.
func TestErrorsChangeNothing(t *testing.T) {
	eachStream(t, []string{"zscore(window=10m)", "auto", "peers(min_members=3)", "presence(learn=10m, forget=3h)", "novelty(learn=20m, capacity=5)"}, 10, 250,
		func(rnd *rand.Rand, spec *lang.Anomaly, frames []timed) error {
			undisturbed, want, err := never(spec, frames)
			if err != nil {
				return err
			}
			r, err := New(spec)
			if err != nil {
				return err
			}
			for i, f := range frames {
				if rnd.Intn(3) == 0 {
					if err := fails(rnd, r, f); err != nil {
						return fmt.Errorf("before frame %d: %w", i, err)
					}
				}
				if err := see(r.Step(f.t, f.Frame)).differ(want[i]); err != nil {
					return fmt.Errorf("frame %d: %w", i, err)
				}
			}
			return sameRecords(r, undisturbed)
		})
}

// fails gives the rule a frame that must fail, at this time or far before it:
// with a new series that comes twice, or where that is refused for the limit,
// with a series that it follows.
func fails(rnd *rand.Rand, r *Rule, f timed) error {
	followed := r.Series(nil)
	if len(followed) == 0 {
		return nil
	}
	t := f.t - int64(rnd.Intn(2))*3*clockBack
	known := slices.MinFunc(followed, func(a, b *Series) int { return strings.Compare(a.key, b.key) }).labels
	for _, twice := range []labels.Labels{labels.FromStrings("ns", "n0", "pod", "new"), known} {
		bad := Frame{Limit: f.Limit}
		for i, v := range f.Vectors {
			metric := fmt.Sprint("m", i)
			bad.Vectors = append(bad.Vectors, append([]Sample{
				{Labels: with(twice, labels.MetricName, metric+"_a")},
				{Labels: with(twice, labels.MetricName, metric+"_b")},
				sample(1, labels.MetricName, metric, "ns", "n1", "pod", "new"),
			}, v...))
		}
		copied, _, _, err := r.CopyAs(r.spec)
		if err != nil {
			return err
		}
		if _, err := copied.Step(t, bad); err == nil {
			continue
		}
		held, charged := r.Held(), r.Charged()
		if _, err = r.Step(t, bad); err == nil {
			return errors.New("a copy finds an error that the rule does not find")
		}
		if r.Held() != held || r.Charged() != charged {
			return fmt.Errorf("holds %d and is charged %d bytes, before the error %d and %d", r.Held(), r.Charged(), held, charged)
		}
		return nil
	}
	return errors.New("series that are equal are taken")
}

// TestEqualOutputs tells which label made outputs equal, and of which series.
func TestEqualOutputs(t *testing.T) {
	f := func(what string, fields []string, good, bad timed, want ...string) {
		t.Helper()
		r, witness := newRule(t, ruleOf(t, fields...)), newRule(t, ruleOf(t, fields...))
		for n := range 30 {
			for _, r := range []*Rule{r, witness} {
				if _, err := r.Step(good.t+int64(n)*minute, good.Frame); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
		}
		_, err := r.Step(bad.t+30*minute, bad.Frame)
		if err == nil {
			t.Errorf("%s: no error", what)
			return
		}
		for _, text := range want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v\ndoes not say %s", what, err, text)
			}
		}
		for n := 31; n < 40; n++ {
			now := good.t + int64(n)*minute
			if err := see(r.Step(now, good.Frame)).differ(see(witness.Step(now, good.Frame))); err != nil {
				t.Errorf("%s: after the error: %v", what, err)
			}
		}
		if err := sameRecords(r, witness); err != nil {
			t.Errorf("%s: after the error: %v", what, err)
		}
	}
	one := []Sample{sample(1, "a", "1", "x", "1")}
	two := []Sample{sample(1, "a", "1", "x", "1"), sample(1, "a", "1", "x", "2")}
	series := []string{`{a="1", x="1"}`, `{a="1", x="2"}`}
	f("label of the rule", []string{"expr: m", "labels: {x: mine}"}, at(0, one), at(0, two), append(series, `label "x"`)...)
	f("label that the rule takes away", []string{"expr: m", "labels: {x: ''}"}, at(0, one), at(0, two), append(series, `label "x"`)...)
	f("one of them does not have the label", []string{"expr: m", "labels: {x: mine}"}, at(0, one),
		at(0, []Sample{sample(1, "a", "1"), sample(1, "a", "1", "x", "2")}), `{a="1"}`, `{a="1", x="2"}`, `label "x"`)

	f("name of the rule", []string{"expr: m"}, at(0, one),
		at(0, []Sample{sample(1, "anomaly_name", "B"), sample(1, "anomaly_name", "C")}),
		`{anomaly_name="B"}`, `{anomaly_name="C"}`, `label "anomaly_name"`)
	f("name of a model", []string{"expr: m"}, at(0, one),
		at(0, []Sample{sample(1, "anomaly_model", "mad"), sample(1, "anomaly_model", "zscore")}),
		`{anomaly_model="mad"}`, `{anomaly_model="zscore"}`, `label "anomaly_model"`)
	for _, label := range []string{"horizon", "bound"} {
		f(label, []string{"expr: m", "model: zscore", "forecast: {horizons: [1h]}"}, at(0, one),
			at(0, []Sample{sample(1, label, "1"), sample(1, label, "2")}),
			fmt.Sprintf("{%s=%q}", label, "1"), fmt.Sprintf("{%s=%q}", label, "2"), fmt.Sprintf("label %q", label))
	}
	f("input", []string{"inputs: {a: m, b: m}", "join: [input]"}, at(0, []Sample{sample(1, "input", "1")}, []Sample{sample(1, "input", "1")}),
		at(0, []Sample{sample(1, "input", "1"), sample(1, "input", "2")}, nil), `{input="1"}`, `{input="2"}`, `label "input"`)
	f("ratio", []string{"ratio: {errors: m, total: n}", "labels: {x: mine}"}, at(0, one, one), at(0, one, two), append(series, `label "x"`)...)
	f("inputs", []string{"inputs: {a: m, b: m}", "join: [a, x]", "labels: {x: mine}"}, at(0, one, one), at(0, one, two), append(series, `label "x"`)...)
	f("equal join labels", []string{"inputs: {a: m, b: m}", "join: [a]"}, at(0, one, one), at(0, one, two),
		"input b", series[0], series[1], `join labels {a="1"}`)
	f("equal but for the metric", []string{"expr: m"}, at(0, one),
		at(0, []Sample{sample(1, "__name__", "m", "x", "1"), sample(1, "__name__", "n", "x", "1")}), `{x="1"}`, "metric name")
	f("equal errors", []string{"ratio: {errors: m, total: n}"}, at(0, one, one),
		at(0, []Sample{sample(1, "__name__", "m", "x", "1"), sample(1, "__name__", "n", "x", "1")}, one), "errors: ", `{x="1"}`)
	f("equal totals", []string{"ratio: {errors: m, total: n}"}, at(0, one, one),
		at(0, one, []Sample{sample(1, "__name__", "m", "x", "1"), sample(1, "__name__", "n", "x", "1")}), "total: ", `{x="1"}`)
	limits := at(0, one)
	limits.Limit = []Sample{sample(1, "__name__", "m", "x", "1"), sample(1, "__name__", "n", "x", "1")}
	f("equal limits", []string{"expr: m", "model: zscore", "forecast: {horizons: [1h], limit: m}"}, at(0, one), limits, "limit: ", `{x="1"}`)

	// An absent member is written by presence once it is established.
	other := at(0, []Sample{sample(1, "a", "1", "x", "2")})
	f("absent", []string{"expr: m", "model: presence(learn=10m)", "labels: {x: mine}"}, at(0, one), other, append(series, `label "x"`)...)
}

// TestAbsentMembersAreInNobodysWay is the other side of it: one that took the
// place of another is no error where the other one is not written any more.
func TestAbsentMembersAreInNobodysWay(t *testing.T) {
	f := func(fields ...string) {
		t.Helper()
		r := newRule(t, ruleOf(t, append(fields, "expr: m", "labels: {x: mine}")...))
		for n, x := range []string{"1", "1", "2", "2", "3"} {
			frame := at(n, []Sample{sample(1, "a", "1", "x", x), sample(1, "a", "2"), sample(1, "a", "3"), sample(1, "a", "4")})
			out, err := r.Step(frame.t, frame.Frame)
			if err != nil {
				t.Fatalf("%s: %v", fields, err)
			}
			written := map[string]bool{}
			for _, o := range out.Outputs {
				if written[o.Labels.String()] {
					t.Errorf("%s: %s is written twice", fields, o.Labels)
				}
				written[o.Labels.String()] = true
			}
		}
	}
	f("model: zscore")
	f("model: peers(min_members=3)")
	f("model: novelty(learn=1m)")
	f("model: presence(learn=1h)") // nobody is established yet
}

// TestTheClockWasAhead holds that a step long before all others starts over,
// that an error there does not, and that learning never does.
func TestTheClockWasAhead(t *testing.T) {
	for _, model := range []string{"zscore", "presence"} {
		r := newRule(t, ruleOf(t, "expr: m", "model: "+model))
		one := []Sample{sample(1, "x", "1")}
		for n := 1000; n < 1010; n++ {
			if _, err := r.Step(at(n).t, Frame{Vectors: [][]Sample{one}}); err != nil {
				t.Fatal(err)
			}
		}
		before, err := recordsOf(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Step(at(0).t, Frame{Vectors: [][]Sample{{one[0], one[0]}}}); err == nil {
			t.Error("no error")
		}
		if c, err := r.Learn(at(0).t, Frame{Vectors: [][]Sample{nil}}); err != nil || c.StartedOver {
			t.Errorf("learning started over: %v, %v", c, err)
		}
		if after, err := recordsOf(r); err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%s: an error or learning has changed the models: %x, want %x", model, after, before)
		}
		out, err := r.Step(at(0).t, Frame{Vectors: [][]Sample{one}})
		fresh := newRule(t, ruleOf(t, "expr: m", "model: "+model))
		if _, err := fresh.Step(at(0).t, Frame{Vectors: [][]Sample{one}}); err != nil {
			t.Fatal(err)
		}
		if err != nil || !out.Changes.StartedOver || r.Now() != at(0).t {
			t.Errorf("%+v, %v, now %d", out.Changes, err, r.Now())
		}
		if err := sameRecords(r, fresh); err != nil {
			t.Errorf("after starting over: %v", err)
		}
	}
}
