package eval

import (
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/lang"
)

// TestWhatARuleWrites is the list of its outputs, as docs/rules.md has it.
func TestWhatARuleWrites(t *testing.T) {
	f := func(fields []string, frame Frame, want ...string) {
		t.Helper()
		r := newRule(t, ruleOf(t, append(fields, "labels: {team: shop}")...))
		var got []string
		for n := range 200 { // until there is a score, and so contributions
			out, err := r.Step(at(n).t, frame)
			if err != nil {
				t.Fatal(err)
			}
			got = got[:0]
			for _, o := range out.Outputs {
				got = append(got, o.Labels.String())
			}
		}
		for i, w := range want {
			name, more, _ := strings.Cut(w, " ")
			ls := []string{"__name__", name, "anomaly_name", "A", "team", "shop", "x", "1"}
			for pair := range strings.FieldsSeq(more) {
				k, v, _ := strings.Cut(pair, "=")
				ls = append(ls, k, v)
			}
			want[i] = labels.FromStrings(ls...).String()
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s writes\n%s\nwant\n%s", fields, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	v := []Sample{sample(3, "__name__", "m", "x", "1")}
	band := []string{"anomaly_score", "anomaly_onset", "anomaly_actual", "anomaly_expected", "anomaly_lower", "anomaly_upper"}
	plus := func(more ...string) []string { return append(slices.Clone(band), more...) }
	info := func(model string) string { return "anomaly_model_info anomaly_model=" + model }
	one := Frame{Vectors: [][]Sample{v}}

	f([]string{"expr: m", "model: zscore", "output: [score]"}, one, "anomaly_score", "anomaly_onset", info("zscore"))
	f([]string{"expr: m", "model: zscore"}, one, plus(info("zscore"))...)
	f([]string{"expr: m", "model: zscore", "output: [all]"}, one, plus("anomaly_model_state", info("zscore"))...)
	f([]string{"expr: m", "model: presence"}, one, plus(info("presence"))...)
	f([]string{"ratio: {errors: m, total: n}", "model: ratio"}, Frame{Vectors: [][]Sample{v, v}}, plus(info("ratio"))...)
	f([]string{"inputs: {a: m, b: n}", "join: [x]", "model: zscore(window=10m)", "output: [score]"}, Frame{Vectors: [][]Sample{v, v}},
		"anomaly_score", "anomaly_onset", info("zscore"), "anomaly_contribution input=a", "anomaly_contribution input=b")
	f([]string{"inputs: {a: m, b: n}", "join: [x]", "model: zscore(window=10m)", "output: [score]", "explain: 1"}, Frame{Vectors: [][]Sample{v, v}},
		"anomaly_score", "anomaly_onset", info("zscore"), "anomaly_contribution input=a")
	ahead := []string{
		"anomaly_forecast horizon=1h bound=mid", "anomaly_forecast horizon=1h bound=lower", "anomaly_forecast horizon=1h bound=upper",
		"anomaly_forecast horizon=1d bound=mid", "anomaly_forecast horizon=1d bound=lower", "anomaly_forecast horizon=1d bound=upper",
	}
	f([]string{"expr: m", "model: zscore", "forecast: {horizons: [1h, 1d]}"}, one, plus(append(ahead, info("zscore"))...)...)
	f([]string{"expr: m", "model: zscore", "forecast: {horizons: [1h, 1d], limit: 5}"}, Frame{Vectors: [][]Sample{v}, Limit: []Sample{{V: 5}}},
		plus(append(ahead, "anomaly_time_to_limit_seconds", info("zscore"))...)...)
	f([]string{"expr: m", "model: zscore", "forecast: {horizons: [1h, 1d], limit: n}"}, Frame{Vectors: [][]Sample{v}, Limit: []Sample{sample(5, "x", "2")}},
		plus(append(ahead, info("zscore"))...)...)
}

// TestOnlyInfoTellsTheModel holds of all streams that anomaly_model is a label
// of anomaly_model_info alone, that there is one of it for each series of each
// step, and that it has no other label than the score.
func TestOnlyInfoTellsTheModel(t *testing.T) {
	eachStream(t, quick, 1, 150, func(_ *rand.Rand, spec *lang.Anomaly, frames []timed) error {
		_, steps, err := never(spec, frames)
		if err != nil {
			return err
		}
		for i, s := range steps {
			scores, infos := map[string]bool{}, map[string]bool{}
			for _, o := range s.outputs {
				b := labels.NewBuilder(o.Labels).Del(labels.MetricName)
				switch name := o.Labels.Get(labels.MetricName); {
				case name == lang.MetricInfo:
					if !o.Labels.Has(lang.LabelAnomalyModel) || o.V != 1 {
						return fmt.Errorf("frame %d: %s %v", i, o.Labels, o.V)
					}
					infos[b.Del(lang.LabelAnomalyModel).Labels().String()] = true
				case o.Labels.Has(lang.LabelAnomalyModel):
					return fmt.Errorf("frame %d: %s tells its model", i, o.Labels)
				case name == lang.MetricScore:
					scores[b.Labels().String()] = true
				}
			}
			if !maps.Equal(scores, infos) {
				return fmt.Errorf("frame %d: scores of %v and models of %v", i, scores, infos)
			}
		}
		return nil
	})
}

// TestTheOnsetStandsBesideTheScore holds of all streams that each score has an
// onset of the same labels, which is above 1 where the score passes 1.
func TestTheOnsetStandsBesideTheScore(t *testing.T) {
	eachStream(t, quick, 1, 300, func(_ *rand.Rand, spec *lang.Anomaly, frames []timed) error {
		_, steps, err := never(spec, frames)
		if err != nil {
			return err
		}
		before := map[string]float64{}
		for i, s := range steps {
			scores, onsets := map[string]float64{}, map[string]float64{}
			for _, o := range s.outputs {
				key := labels.NewBuilder(o.Labels).Del(labels.MetricName).Labels().String()
				switch o.Labels.Get(labels.MetricName) {
				case lang.MetricScore:
					scores[key] = o.V
				case lang.MetricOnset:
					onsets[key] = o.V
				}
			}
			for key, score := range scores {
				onset, ok := onsets[key]
				if !ok || math.IsNaN(score) != math.IsNaN(onset) || onset > 1 && !(score > 1) {
					return fmt.Errorf("frame %d: %s scores %v, its onset is %v", i, key, score, onset)
				}
				if was, ok := before[key]; ok && score > 1 && was <= 1 && !(onset > 1) {
					return fmt.Errorf("frame %d: the score of %s passes 1 from %v, its onset is %v", i, key, was, onset)
				}
			}
			if len(onsets) != len(scores) {
				return fmt.Errorf("frame %d: %d scores and %d onsets", i, len(scores), len(onsets))
			}
			before = scores
		}
		return nil
	})
}

// TestALabelFromElsewhereIsNoModel gives a rule series that have the label.
func TestALabelFromElsewhereIsNoModel(t *testing.T) {
	r := newRule(t, ruleOf(t, `expr: 'anomaly_score{anomaly_name="B"}'`, "model: mad"))
	out, err := r.Step(at(0).t, Frame{Vectors: [][]Sample{{sample(1, "__name__", "anomaly_score", "anomaly_model", "zscore", "anomaly_name", "B", "x", "1")}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out.Outputs {
		want := ""
		if o.Labels.Get(labels.MetricName) == lang.MetricInfo {
			want = "mad"
		}
		if o.Labels.Get(lang.LabelAnomalyModel) != want || o.Labels.Get(lang.LabelAnomalyName) != "A" {
			t.Error(o.Labels)
		}
	}
}

// TestInfoFollowsTheChoiceOfAuto lets auto meet a season: the one series whose
// name changes is anomaly_model_info, and scores keep their labels.
func TestInfoFollowsTheChoiceOfAuto(t *testing.T) {
	r := newRule(t, ruleOf(t, "expr: m", "model: auto"))
	rnd := rand.New(rand.NewSource(1))
	var models []string
	scores := map[string]bool{}
	for n := range 3 * 1440 {
		out, err := r.Step(at(n).t, Frame{Vectors: [][]Sample{{sample(100+50*math.Sin(2*math.Pi*float64(n)/1440)+rnd.NormFloat64(), "x", "1")}}})
		if err != nil {
			t.Fatal(err)
		}
		infos := 0
		for _, o := range out.Outputs {
			switch o.Labels.Get(labels.MetricName) {
			case lang.MetricInfo:
				infos++
				if m := o.Labels.Get(lang.LabelAnomalyModel); len(models) == 0 || models[len(models)-1] != m {
					models = append(models, m)
				}
			case lang.MetricScore:
				scores[o.Labels.String()] = true
			}
		}
		if infos != 1 {
			t.Fatalf("step %d: %d series tell the model", n, infos)
		}
	}
	if len(models) < 2 || slices.Contains(models, "") || len(scores) != 1 {
		t.Errorf("models %q, scores of %d series", models, len(scores))
	}
}
