package main

import (
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chironhq/chiron/bench/detection/nab"
)

// A detector that tells where the incident begins has the best NAB score, even
// though its score stays high until the next one; all other measures are of the
// score. What the shipped threshold costs is the difference to the best one.
func TestMeasuresReadOnsetAndScore(t *testing.T) {
	s := scored{name: "a.csv", scores: make([]float64, 1000), onsets: make([]float64, 1000), labels: make([]bool, 1000)}
	for i := range s.scores {
		s.times = append(s.times, time.Unix(int64(i)*60, 0).UTC())
	}
	for i := 600; i < 900; i++ {
		s.scores[i], s.labels[i] = 2, i < 650
	}
	s.onsets[600], s.onsets[200] = 0.9, 0.5
	windows := map[string][]nab.Window{"a.csv": {{Start: s.times[600], End: s.times[649]}}}
	r := &result{series: []scored{s}}
	value := func(c *corpusSet, name string) float64 {
		t.Helper()
		ms, err := r.measures(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(ms, func(m measure) bool { return m.name == name })
		if i < 0 {
			t.Fatalf("no %q in %v", name, ms)
		}
		return ms[i].value
	}
	c := &corpusSet{name: "nab-dev", windows: windows}
	if best, at, lost := value(c, nabStandard), value(c, "NAB standard, at 1"), value(c, "NAB standard, lost at 1"); math.Abs(best-100) > 1e-9 || at != 0 || lost != best-at {
		t.Errorf("best %v, at 1 %v, lost %v; want 100, 0, 100", best, at, lost)
	}
	if f1 := value(&corpusSet{name: "kpi-dev"}, kpiEventF1); f1 != 1 {
		t.Errorf("event F1 of the score is %v", f1)
	}
	if f1 := value(&corpusSet{name: "cloudmonitoring-dev"}, cmEventF1); f1 != 1 {
		t.Errorf("event F1 of the score is %v", f1)
	}
	if found, precision := value(&corpusSet{name: "smd-dev"}, "SMD"+foundAt1), value(&corpusSet{name: "asd-dev"}, "ASD"+precisionAt1); found != 1 || precision != 1 {
		t.Errorf("found %v with precision %v", found, precision)
	}
}

// The measures of a part are those of its streams alone.
func TestMeasuresOfParts(t *testing.T) {
	corpora, err := findCorpora(dataDir(t), "nab-dev")
	if err != nil {
		t.Fatal(err)
	}
	c := &corpora[0]
	if err := c.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := score(t.Context(), c, "zscore(window=1h)", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	one := &result{series: r.series[:1]}
	alone, err := one.measures(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	part, err := r.measures(c, func(name string) bool { return strings.HasPrefix(name, "a/") })
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(alone, part) {
		t.Errorf("a part has %v, its file alone %v", part, alone)
	}
}
