package eval

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/chironhq/chiron/rules/lang"
)

// TestACopyWithOtherTextLearnsOn copies rules as ones whose texts differ in
// fields that do not belong to what is learned. The copy holds the same
// records, goes on like a rule that has loaded them, and where the field only
// changes what is written, like one that has had that text all the time.
func TestACopyWithOtherTextLearnsOn(t *testing.T) {
	const frames, k = 200, 150
	for _, model := range quick {
		for _, s := range shapesOf(model) {
			e, err := lang.ParseModel(model)
			if err != nil {
				t.Fatal(err)
			}
			traits := lang.TraitsOf(lang.Calls(e)[0].Name)
			fields := fieldsOf(rand.New(rand.NewSource(0)), model, s)[:2] // model and expressions
			written := []string{"alert: {for: 5m}", "labels: {team: shop}", "output: [score]", "limit: 100"}
			if s == ofInputs {
				written = append(written, "explain: 1")
			}
			judged := []string{"width: 3", "exclude: [{from: 2026-11-27T02:40:00Z, to: 2026-11-27T03:00:00Z}]", "warmup: 1h", "limit: 4"}
			if !traits.Sideless && s != ofInputs {
				judged = append(judged, "direction: below", "min_dev: 30", "min_rel_dev: 10%", "range: [0, 90]")
			}
			if !traits.Group {
				judged = append(judged, "cohort: [ns]")
			}
			if traits.Forecasts && s != ofInputs {
				judged = append(judged, "forecast: {horizons: [10m], limit: 200}")
			}
			for i, field := range append(written, judged...) {
				if err := copyAs(t, fields, field, i < len(written), frames, k); err != nil {
					t.Errorf("%s with %s: %v", strings.Join(fields, ", "), field, err)
				}
			}
		}
	}
}

func copyAs(t *testing.T, fields []string, field string, all bool, frames, k int) error {
	t.Helper()
	spec, other := ruleOf(t, fields...), ruleOf(t, append(slices.Clone(fields), field)...)
	stream := streamOf(rand.New(rand.NewSource(7)), spec, frames)
	r, _, err := never(spec, stream[:k])
	if err != nil {
		return err
	}
	copied, refused, reason, err := r.CopyAs(other)
	if err != nil || refused > 0 {
		return fmt.Errorf("%d refused, %w, %w", refused, reason, err)
	}
	records, err := recordsOf(r)
	if err != nil {
		return err
	}
	if other.Forecast == nil { // it learns along, so it begins now
		if err := sameRecords(copied, r); err != nil {
			return fmt.Errorf("the copy: %w", err)
		}
	}
	want, err := (&store{records: records}).load(rand.New(rand.NewSource(1)), other)
	if err != nil {
		return err
	}
	if all {
		if want, _, err = never(other, stream[:k]); err != nil {
			return err
		}
	}
	for i, f := range stream[k:] {
		if err := see(copied.Step(f.t, f.Frame)).differ(see(want.Step(f.t, f.Frame))); err != nil {
			return fmt.Errorf("frame %d: %w", k+i, err)
		}
	}
	return sameRecords(copied, want)
}

// TestACopyIsOnItsOwn steps a copy and holds that the rule that it was made of
// has not changed.
func TestACopyIsOnItsOwn(t *testing.T) {
	eachStream(t, []string{"zscore(window=10m)", "presence(learn=10m)"}, 5, 120, func(_ *rand.Rand, spec *lang.Anomaly, frames []timed) error {
		const k = 80
		r, _, err := never(spec, frames[:k])
		if err != nil {
			return err
		}
		before, err := recordsOf(r)
		if err != nil {
			return err
		}
		copied, _, _, err := r.CopyAs(spec)
		if err != nil {
			return err
		}
		for _, f := range frames[k:] {
			if _, err := copied.Learn(f.t, f.Frame); err != nil && !strings.Contains(err.Error(), "metric name") && !strings.Contains(err.Error(), "join labels") {
				return err
			}
		}
		after, err := recordsOf(r)
		if err != nil {
			return err
		}
		if fmt.Sprint(before) != fmt.Sprint(after) {
			return fmt.Errorf("the rule has changed with its copy")
		}
		return nil
	})
}

// TestACopyOfAnotherModelLearnsAnew holds that nothing is taken from a model
// that does not fit, and that the reason is told.
func TestACopyOfAnotherModelLearnsAnew(t *testing.T) {
	for _, models := range [][2]string{{"zscore", "mad"}, {"presence", "novelty"}, {"zscore + mad", "zscore"}} {
		r := newRule(t, ruleOf(t, "expr: m", "model: '"+models[0]+"'"))
		for n := range 20 {
			f := at(n, numbered(0, 3))
			if _, err := r.Step(f.t, f.Frame); err != nil {
				t.Fatal(err)
			}
		}
		copied, refused, reason, err := r.CopyAs(ruleOf(t, "expr: m", "model: '"+models[1]+"'"))
		if err != nil || refused == 0 || reason == nil || copied.Len() != 0 || copied.Now() != 0 {
			t.Errorf("%s as %s: %d refused, %v, %v, %d series, now %d", models[0], models[1], refused, reason, err, copied.Len(), copied.Now())
		}
	}
}
