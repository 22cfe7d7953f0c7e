package detect

import (
	"math"
	"testing"
	"time"
)

// steady returns a scorer that has learned 0, 1, 2, 1, ... a minute apart, and
// the time of its next point.
func steady(c ScorerConfig) (*Scorer, int64) {
	s := NewScorer(must(NewZScore(ZScoreConfig{Window: time.Hour})), c)
	for i := range 120 {
		s.Step(Point{int64(i) * 60_000, 100 + float64(i%3)})
	}
	return s, 120 * 60_000
}

func TestRuleFields(t *testing.T) {
	f := func(name string, c ScorerConfig, v float64, anomalous bool) {
		t.Helper()
		s, at := steady(c)
		if got := s.Step(Point{at, v}); (got.Score > 1) != anomalous {
			t.Errorf("%s: %v scores %v", name, v, got.Score)
		}
	}
	f("plain", ScorerConfig{}, 110, true)
	f("plain", ScorerConfig{}, 101, false)
	f("above", ScorerConfig{Direction: Above}, 110, true)
	f("above", ScorerConfig{Direction: Above}, 90, false)
	f("below", ScorerConfig{Direction: Below}, 90, true)
	f("below", ScorerConfig{Direction: Below}, 110, false)
	f("min_dev", ScorerConfig{MinDev: [2]float64{20, 5}}, 110, true)
	f("min_dev", ScorerConfig{MinDev: [2]float64{20, 5}}, 90, false)
	f("min_rel_dev", ScorerConfig{MinRelDev: [2]float64{0.05, 0.2}}, 110, false)
	f("min_rel_dev", ScorerConfig{MinRelDev: [2]float64{0.05, 0.2}}, 90, true)
	f("width", ScorerConfig{Width: [2]float64{10, 10}}, 110, false)
	f("range, inside the band", ScorerConfig{Range: [2]float64{0, 101.5}, HasRange: true}, 102, true)
	f("range, normal", ScorerConfig{Range: [2]float64{0, 200}, HasRange: true}, 101, false)
	f("range and direction", ScorerConfig{Range: [2]float64{95, math.Inf(1)}, HasRange: true, Direction: Above}, 90, true)
}

func TestTheBandIsWhereTheScoreIsOne(t *testing.T) {
	for name, c := range map[string]ScorerConfig{
		"plain": {}, "width": {Width: [2]float64{2, 3}}, "min_dev": {MinDev: [2]float64{7, 9}}, "range": {Range: [2]float64{99, 103}, HasRange: true},
	} {
		s, at := steady(c)
		v := s.c.judge(101, s.model.Score(Point{at, 101}), at-s.first)
		for _, edge := range []float64{v.Lower, v.Upper} {
			out := edge + math.Copysign(1e-6, edge-v.Expected)
			if got := s.c.judge(out, s.model.Score(Point{at, out}), at-s.first); got.Score < 1 {
				t.Errorf("%s: just outside the band at %v scores %v", name, out, got.Score)
			}
			in := edge - math.Copysign(1e-6, edge-v.Expected)
			if got := s.c.judge(in, s.model.Score(Point{at, in}), at-s.first); got.Score > 1 && !got.muted {
				t.Errorf("%s: just inside the band at %v scores %v", name, in, got.Score)
			}
		}
	}
}

func TestWarmupIsTimeNotPoints(t *testing.T) {
	s := NewScorer(must(NewZScore(ZScoreConfig{})), ScorerConfig{Warmup: time.Hour})
	for i := range 61 {
		v := s.Step(Point{int64(i) * 60_000, float64(i % 3)})
		if learning := i < 60; math.IsNaN(v.Score) != learning || (v.State == Learning) != learning && i > 0 {
			t.Fatalf("minute %d: %+v", i, v)
		}
	}
}

func TestOutsideTheRangeCountsWhileLearning(t *testing.T) {
	s := NewScorer(must(NewZScore(ZScoreConfig{})), ScorerConfig{Range: [2]float64{0, 1}, HasRange: true})
	if v := s.Step(Point{1000, 5}); !(v.Score > 1 && v.Lower == 0 && v.Upper == 1 && math.IsNaN(v.Expected)) {
		t.Errorf("%+v", v)
	}
}

func TestOldPointsAreScoredNotLearned(t *testing.T) {
	s, at := steady(ScorerConfig{})
	before, _ := s.AppendBinary(nil)
	if v := s.Step(Point{at - 3_600_000, 500}); !(v.Hold > 1 && v.Score == usualScore && v.Onset == 0) {
		t.Errorf("%+v", v)
	}
	after, _ := s.AppendBinary(nil)
	if string(before) != string(after) {
		t.Error("an old point was learned")
	}
}

func TestWhatLiesOutsideTheRangeIsHardlyLearnedEither(t *testing.T) {
	s := NewScorer(must(NewMAD(MADConfig{})), ScorerConfig{Range: [2]float64{0, 100}, HasRange: true})
	for i := range 9 {
		s.Step(Point{int64(i+1) * 60_000, 50})
	}
	s.Step(Point{10 * 60_000, 1e9})
	for i := range 5 {
		s.Step(Point{int64(i+11) * 60_000, 50})
	}
	if v := s.Step(Point{20 * 60_000, 50}); v.Expected != 50 || v.Score != 0 {
		t.Errorf("%+v", v)
	}
}
