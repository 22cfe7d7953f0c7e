package main

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/chironhq/chiron/bench/detection/scenario"
	"github.com/chironhq/chiron/bench/detection/tune"
)

// The shipped constants are measured on all sources, whole and in halves; a
// second run takes what the first one has kept.
func TestTuneEvaluates(t *testing.T) {
	dir := dataDir(t)
	spec, memo := filepath.Join(dir, "spec.json"), filepath.Join(dir, "memo")
	if err := os.WriteFile(spec, []byte(twoKinds), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(args ...string) (table, log string) {
		t.Helper()
		var out, progress bytes.Buffer
		args = append([]string{"tune", "-data", dir, "-model", "zscore(window=1h)", "-spec", spec, "-seeds", "1-2", "-unseen", "9", "-memo", memo, "-eval"}, args...)
		if err := run(t.Context(), args, &out, &progress); err != nil {
			t.Fatal(err)
		}
		return out.String(), progress.String()
	}
	table, log := f("-several")
	for _, want := range []string{"scenarios", "NAB standard, best", "SMD VUS-PR", "SMD event F1 at 1", "unseen"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if !strings.Contains(log, "0 measurements are known") || strings.Count(log, "NAB standard, best") != 1 {
		t.Error(log)
	}
	again, log := f("-several")
	if again != table || !strings.Contains(log, "4 measurements are known") || strings.Contains(log, "NAB standard, best") {
		t.Errorf("again:\n%s%s", again, log)
	}
	if table, _ = f(); strings.Contains(table, "SMD") {
		t.Errorf("several inputs without being asked for:\n%s", table)
	}
}

// A constant of a detector can be chosen on scenarios: the smoothed distance
// finds the incident with one divisor, and finds nothing or too much with others.
func TestTuneChooses(t *testing.T) {
	kinds, err := readKinds("", "flat-shift,flat-quiet-60")
	if err != nil {
		t.Fatal(err)
	}
	divisor := 100.0
	detector := func(in *scenario.Instance) (score, onset []float64, err error) {
		score, onset, err = smoothed(in)
		for i := range score {
			score[i], onset[i] = 8*score[i]/divisor, 8*onset[i]/divisor
		}
		return score, onset, err
	}
	kept := &keptSeries{}
	source := scenarioSource("", kinds, []uint64{1, 2}, []uint64{3}, detector, kept)
	report, err := tune.Run(t.Context(), []tune.Knob{{Name: "divisor", Value: &divisor, Try: []float64{1, 7, 100}}}, []tune.Source{source}, tune.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := report.Choices[0]; c.Values[0] != 7 || c.Shipped != 0 || c.Objective < 0.8 || divisor != 100 {
		t.Errorf("%+v; the constant is %v", c, divisor)
	}
	if len(kept.series) != 4 {
		t.Errorf("%d series are kept, want 4", len(kept.series))
	}
	drawn, err := kinds[0].Generate(2)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := kept.draw(&kinds[0], 2); err != nil || !reflect.DeepEqual(same.Values, drawn.Values) {
		t.Errorf("the series that is kept is another one: %v", err)
	}
}

// Halves have no name in common, make up the whole, and are of similar size.
func TestHalves(t *testing.T) {
	spec, err := scenario.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	first := 0
	for _, k := range spec.Kinds {
		if inPart(tune.First)(k.Name) == inPart(tune.Second)(k.Name) || !inPart(tune.Whole)(k.Name) {
			t.Errorf("%s is in both halves or in none", k.Name)
		}
		if half(k.Name) == tune.First {
			first++
		}
	}
	if first < len(spec.Kinds)/3 || first > 2*len(spec.Kinds)/3 {
		t.Errorf("%d of %d kinds in the first half", first, len(spec.Kinds))
	}
	var streams []stream
	for _, k := range spec.Kinds {
		streams = append(streams, stream{name: k.Name})
	}
	few := fewOfEachHalf(streams, 3)
	if len(few) != 6 {
		t.Errorf("%d streams, want 3 of each half", len(few))
	}
	// A half without any label has no figures, and does not count.
	r := &result{series: []scored{{name: "x", scores: []float64{0, 2}, onsets: []float64{0, 2}, labels: make([]bool, 2), times: make([]time.Time, 2), vusPR: math.NaN(), vusROC: math.NaN(), aucPR: math.NaN()}}}
	figures, err := corpusFigures(&corpusSet{name: "kpi-dev"}, r)
	if err != nil || len(figures) != 2 {
		t.Fatal(figures, err)
	}
	for _, f := range figures {
		for _, v := range f.Value {
			if !math.IsNaN(v) {
				t.Errorf("%s is %v without labels", f.Name, f.Value)
			}
		}
	}
}

func TestTuneErrors(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		if err := run(t.Context(), append([]string{"tune"}, args...), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	f("want -data DIR")
	f("-constants", "-data", t.TempDir(), "-constants", "nosuch")
	f("no data set in", "-data", t.TempDir(), "-eval", "-seeds", "1", "-unseen", "1")
	f("cannot read", "-data", t.TempDir(), "-eval", "-unseen", "x")
}
