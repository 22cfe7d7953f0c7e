package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chironhq/chiron/bench/detection/scenario"
)

// smoothed is a detector that is simple enough to be written down twice: the
// distance from a smoothed mean in smoothed distances. Its onset is the first
// sample above 1.
func smoothed(in *scenario.Instance) (score, onset []float64, err error) {
	mean, spread, last := in.Values[0], 0.0, 0.0
	for _, x := range in.Values {
		distance, s, o := math.Abs(x-mean), 0.0, 0.0
		if spread > 0 {
			s = distance / (8 * spread)
		}
		if s > 1 && last <= 1 {
			o = s
		}
		score, onset, last = append(score, s), append(onset, o), s
		mean += 0.01 * (x - mean)
		spread += 0.01 * (distance - spread)
	}
	return score, onset, nil
}

// The table of that detector agrees with the one that another implementation of
// generator and judge prints, which starts the detector as a process and reads
// its answers as text.
func TestScenariosReference(t *testing.T) {
	kinds, err := readKinds("", "flat-shift,count-zero,leak-day,gaps-shift,job-nightly-missing,week-late,counter-stops,flat-glitch")
	if err != nil {
		t.Fatal(err)
	}
	seeds, err := parseSeeds("1-3")
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := scenario.Run(t.Context(), kinds, seeds, []scenario.Detector{smoothed}, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printOutcome(&out, kinds, seeds, &outcomes[0], true, false); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/scenarios.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

const twoKinds = `{"kinds": [
 {"name": "a", "step": 60, "days": 6, "learn": "2d", "base": {"op": "gauss", "mean": 10, "sigma": 1}, "incidents": [{"kind": "shift", "for": "1h", "add": 100}]},
 {"name": "b", "step": 300, "days": 9, "learn": "2d", "base": {"op": "gauss", "mean": 10, "sigma": 1}}]}`

// Models that run side by side are judged as if each ran alone, and a model
// that finds the one incident has it in its figures.
func TestScenariosCommand(t *testing.T) {
	spec := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(spec, []byte(twoKinds), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := run(t.Context(), append([]string{"scenarios", "-spec", spec}, args...), &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	both := f("-seeds", "1-2,5", "-model", "zscore(window=1h); mad(window=1h)", "-details")
	for _, m := range []string{"zscore(window=1h)", "mad(window=1h)"} {
		if alone := f("-seeds", "1-2,5", "-model", m+";", "-details"); !strings.Contains(both, "## "+m+"\n\n"+alone) {
			t.Errorf("%s alone:\n%s\nand beside another:\n%s", m, alone, both)
		}
	}
	var got struct {
		Kinds []struct {
			Name string
			Both struct{ Must, Hit int }
		}
	}
	if err := json.Unmarshal([]byte(f("-seeds", "3", "-model", "zscore(window=1d)", "-kinds", "a*", "-onset=false", "-json")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Kinds) != 1 || got.Kinds[0].Name != "a" || got.Kinds[0].Both.Must != 1 || got.Kinds[0].Both.Hit != 1 {
		t.Errorf("%+v", got)
	}
	if list := f("-list", "-seeds", "4"); !strings.Contains(list, "a                            seed 4  step 60, 8640 samples, 6.0 days\n    shift      from day") || !strings.HasSuffix(list, "11232 samples\n") {
		t.Error(list)
	}
}

// Figures of the last line and of JSON, calculated by hand.
func TestScenarioPrint(t *testing.T) {
	kinds := []scenario.KindResult{
		{Name: "a", Step: 60, AveragePrecision: 0.5, Result: scenario.Result{
			Series: 1, Quiet: 2 * 604800,
			All: scenario.View{Must: 4, Hit: 3, Delays: []float64{0, 60, 120}, False: 1, Days: 14, FalseDays: 1}, Lasting: scenario.View{Must: 2, Hit: 1},
		}},
		{Name: "b", Step: 300, AveragePrecision: math.NaN(), Result: scenario.Result{Series: 1, Quiet: 3 * 604800, All: scenario.View{False: 3, Days: 21, FalseDays: 3}}},
	}
	var text, asJSON bytes.Buffer
	printScenarioTable(&text, kinds, 0.01)
	// Precision: 3/(3+1) and 3/(3+3).
	want := "average precision 0.500, recall of active alerts 0.000, false/series-week of the worst kind 1.00 (b)\n" +
		"recall 0.750  for-recall 0.500  false/series-week 0.75  SRE-F1 0.6818 (standard error over seeds 0.0100)\n"
	if !strings.HasSuffix(text.String(), want) {
		t.Errorf("%s\nwant the last lines\n%s", text.String(), want)
	}
	if err := printScenarioJSON(&asJSON, kinds, math.NaN()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Summary struct {
			F1 float64 `json:"sre_f1"`
		}
		Kinds []struct {
			Both struct{ Recall *float64 }
		}
	}
	if err := json.Unmarshal(asJSON.Bytes(), &got); err != nil || math.Abs(got.Summary.F1-0.6818) > 1e-4 || *got.Kinds[0].Both.Recall != 0.75 || got.Kinds[1].Both.Recall != nil {
		t.Errorf("%v %+v", err, got)
	}
}

func TestScenarioErrors(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		if err := run(t.Context(), append([]string{"scenarios"}, args...), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	f("-kinds: nothing is called", "-kinds", "x*")
	f("syntax error in pattern", "-kinds", "[")
	f(`cannot read "3-1"`, "-seeds", "3-1")
	f(`cannot read "1-99999999"`, "-seeds", "1-99999999")
	f("did you mean", "-model", "zscor", "-kinds", "flat-zero")
	f("no such file", "-spec", filepath.Join(t.TempDir(), "x.json"))
	f("what is", "run")
}
