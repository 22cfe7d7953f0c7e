package detect

import (
	"bytes"
	"math"
	"math/rand"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// beginnings counts how often the score passes 1.
type beginnings struct {
	n  int
	on bool
}

func (b *beginnings) note(v Verdict) {
	if on := v.Score > 1; on != b.on {
		if b.on = on; on {
			b.n++
		}
	}
}

// told is a model that says what a test tells it to, around 100 with a border
// of 10, and counts what it learns.
type told struct {
	score, hold float64
	state       State
	learned     []float64
}

func (m *told) Name() string { return "told" }
func (m *told) State() State { return m.state }
func (m *told) Score(Point) Verdict {
	if m.state < Ready {
		return unknown(m.state)
	}
	return Verdict{Score: m.score, Hold: m.hold, Expected: 100, Lower: 90, Upper: 110, State: m.state}
}
func (m *told) Learn(_ Point, weight float64)         { m.learned = append(m.learned, weight) }
func (m *told) AppendBinary(b []byte) ([]byte, error) { return b, nil }
func (m *told) UnmarshalBinary([]byte) error          { return nil }

const minute = 60_000

// TestTheStateAnomalous tells scores, or scores and holds, a minute apart, after
// two days of nothing.
func TestTheStateAnomalous(t *testing.T) {
	type said struct{ score, hold float64 }
	f := func(name string, step int64, told_ []said, want ...float64) {
		t.Helper()
		m := &told{state: Ready}
		s := NewScorer(m, ScorerConfig{})
		at := int64(0)
		for ; at < 2*24*60*minute; at += 10 * minute {
			s.Step(Point{at, 100})
		}
		var got []float64
		for _, x := range told_ {
			m.score, m.hold = x.score, x.hold
			got = append(got, s.Step(Point{at, 100 + 10*x.score}).Score)
			at += step
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	equal := func(scores ...float64) (out []said) {
		for _, x := range scores {
			out = append(out, said{x, x})
		}
		return out
	}
	f("at the border", minute, equal(0.5, 1, 0), 0.5, usualScore, 0)
	f("begins at once and lasts", minute, equal(2, 0.6, 3, 0.7), 2, 1.05, 3, 1.05)
	f("ends after 150 s", minute, equal(2, 0, 0, 0, 0, 0), 2, 1.05, 1.05, 1.05, 0, 0)
	f("ends after two evaluations", 60*minute, equal(2, 0, 0.1), 2, 1.05, 0.1)
	f("begins to count anew", minute, equal(2, 0, 0, 0, 0.5, 0, 0, 0, 0), 2, 1.05, 1.05, 1.05, 1.05, 1.05, 1.05, 1.05, 0)
	f("values that are back end it whatever long evidence says", 60*minute, []said{{2, 2}, {2, 0}, {1.8, 0}, {1.7, 0}}, 2, 2, usualScore, usualScore)
	f("long evidence that stays begins nothing", 60*minute, []said{{2, 2}, {2, 0}, {1.8, 0}, {1.7, 0.9}, {1.7, 1.2}, {1.7, 1.2}}, 2, 2, usualScore, usualScore, 1.7, 1.7)
	f("again when it passes 1 again", 60*minute, []said{{2, 2}, {2, 0}, {1.8, 0}, {0.9, 0}, {1.7, 0.2}}, 2, 2, usualScore, 0.9, 1.7)
}

// TestItIsKeptWhileHoldStays: whatever the evidence does, the score is above 1
// while the newest values are not below the lower border.
func TestItIsKeptWhileHoldStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &told{state: Ready}
		s := NewScorer(m, ScorerConfig{})
		step := rapid.Int64Range(1000, 3_600_000).Draw(t, "step")
		at := int64(0)
		for ; at < 100*step; at += step {
			s.Step(Point{at, 100})
		}
		m.score, m.hold = rapid.Float64Range(1.001, 900).Draw(t, "begin"), 0
		began := at
		for range 100 {
			v := s.Step(Point{at, 100 + 10*m.score})
			if s.on != (v.Score > 1) || at < began+defaultAccept.Milliseconds() && !(v.Score >= anomalousScore) && !(v.Score > 1 && at == began) {
				t.Fatalf("after %d ms: %+v", at-began, v)
			}
			at += step
			m.score = rapid.Float64Range(0, 3).Draw(t, "score")
			m.hold = rapid.Float64Range(lowerBorder, 1000).Draw(t, "hold")
		}
	})
}

// TestItEndsInTime draws when values come back that are below the lower border
// four times of five, as the noise of most models is.
func TestItEndsInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &told{state: Ready}
		s := NewScorer(m, ScorerConfig{})
		step := rapid.Int64Range(1000, 3_600_000).Draw(t, "step")
		at := int64(0)
		for ; at < 100*step; at += step {
			s.Step(Point{at, 100})
		}
		for range rapid.IntRange(1, 100).Draw(t, "length") {
			m.score, m.hold = 50, 50
			s.Step(Point{at, 600})
			at += step
		}
		back, n := at, 0
		for i := 0; s.on; i++ {
			m.score, m.hold = 0.3, 0.3
			if i%5 == 2 {
				m.hold = 0.9
			}
			s.Step(Point{at, 100})
			at += step
			n++
		}
		if n > 10 && at-step-back > 600_000 {
			t.Errorf("steps of %d ms: it ended %d ms and %d evaluations after the values were back", step, at-step-back, n)
		}
	})
}

// TestEveryModelEndsInTime: the same with real models, at 15 s, 60 s and 5 min.
func TestEveryModelEndsInTime(t *testing.T) {
	for _, name := range []string{"zscore", "mad", "seasonal", "holtwinters", "multiplicative", "quantile", "quantile by season", "prophet", "any", "all"} {
		for _, step := range []int64{15_000, 60_000, 300_000} {
			late, tries := 0, 0
			for seed := range int64(10) {
				s, rnd := NewScorer(kinds[name](), ScorerConfig{}), rand.New(rand.NewSource(seed))
				at := int64(0)
				feed := func(n int, shift float64) (v Verdict) {
					for range n {
						v = s.Step(Point{at, 100 + shift + rnd.NormFloat64()})
						at += step
					}
					return v
				}
				feed(2000, 0)
				if v := feed(40, 20); !(v.Score > 1) {
					t.Errorf("%s, steps of %d ms: 40 points of twenty deviations, and the last scores %v", name, step, v.Score)
				}
				feed(max(11, int(600_000/step)), 0)
				tries++
				if s.on {
					late++
				}
			}
			if late > 2 { // one may have begun anew
				t.Errorf("%s, steps of %d ms: %d of %d times it lasts", name, step, late, tries)
			}
		}
	}
}

func TestWithoutAValueThereIsNoScoreAndTheStateIsKept(t *testing.T) {
	m := &told{state: Ready}
	s := NewScorer(m, ScorerConfig{})
	for i := range 100 {
		s.Step(Point{int64(i) * minute, 100})
	}
	m.score, m.hold = 3, 3
	s.Step(Point{100 * minute, 130})
	for i := range 60 {
		if v := s.Step(Point{int64(101+i) * minute, math.NaN()}); !math.IsNaN(v.Score) || !math.IsNaN(v.Onset) {
			t.Fatalf("NaN: %+v", v)
		}
	}
	m.score, m.hold = 0.7, 0.7
	if v := s.Step(Point{170 * minute, 107}); v.Score != anomalousScore {
		t.Errorf("after an hour without values: %+v", v)
	}
	m.state = Learning // a model that has begun anew
	for i := range 4 {
		if v := s.Step(Point{int64(171+i) * minute, 107}); !math.IsNaN(v.Score) {
			t.Errorf("learning: %+v", v)
		}
	}
	if s.on || m.learned[len(m.learned)-1] != 1 {
		t.Errorf("on is %v, the model does not learn: %v", s.on, m.learned)
	}
}

func TestExcludedTimesEndTheState(t *testing.T) {
	m := &told{state: Ready}
	s := NewScorer(m, ScorerConfig{Excluded: func(t int64) bool { return t >= 102*minute && t < 104*minute }})
	var got []float64
	for i := range 107 {
		if i >= 100 {
			m.score, m.hold = 3, 0.7
		}
		v := s.Step(Point{int64(i) * minute, 130})
		if i >= 100 {
			got = append(got, v.Score, v.Onset)
		}
	}
	// What goes on behind it begins anew.
	if want := []float64{3, 3, 3, 0, 0, 0, 0, 0, 3, 3, 3, 0, 3, 0}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestOnset tells deviations, in borders, and what the onset says to them.
func TestOnset(t *testing.T) {
	f := func(name string, deviations []float64, want ...float64) {
		t.Helper()
		m := &told{state: Ready}
		s := NewScorer(m, ScorerConfig{})
		for i := range 200 {
			s.Step(Point{int64(i) * minute, 100})
		}
		var got []float64
		for i, d := range deviations {
			m.score, m.hold = math.Abs(d), math.Abs(d)
			got = append(got, s.Step(Point{int64(200+i) * minute, 100 + 10*d}).Onset)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	f("a beginning that was not enough", []float64{0.5, 0.4, 0.8, 0.6}, 0.5, 0, 0.8, 0)
	f("the state begins", []float64{0, 2, 2, 2.1}, 0, 2, 0, 0)
	long := func(d float64, then ...float64) []float64 {
		return append(slices.Repeat([]float64{d}, onsetRest), then...)
	}
	told := func(at float64, then ...float64) []float64 {
		return append(append([]float64{at}, make([]float64, onsetRest-1)...), then...)
	}
	f("the deviation grows by half", long(2, 2, 6, 6, 6, 7), told(2, 0, 6, 0, 0, 0)...)
	f("it grows while it begins", []float64{2, 2, 6, 6, 6, 7}, 2, 0, 0, 0, 0, 0)
	f("it grows slowly", []float64{2, 2.2, 2.4, 2.6, 2.8, 3, 3.2, 3.4, 3.6}, 2, 0, 0, 0, 0, 0, 0, 0, 0)
	f("it changes side", long(2, -0.8, -2, -2), told(2, 0, 0, 2)...)
	f("its noise changes side", long(2, -0.8, 2, -0.8, 2), told(2, 0, 0, 0, 0)...)
	f("back and again", []float64{2, 0, 0, 0, 0, 2}, 2, 0, 0, 0, 0, 2)
}

// TestOnsetIsOnTheScoresScale holds what follows from its definition.
func TestOnsetIsOnTheScoresScale(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func() Model) {
		rapid.Check(t, func(t *rapid.T) {
			s, rnd := NewScorer(fresh(), ScorerConfig{}), rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
			on := false
			for i := range 400 {
				p := wave(rnd, i)
				if i > 250 && rnd.Intn(40) == 0 {
					p.V += 100 * rnd.NormFloat64()
				}
				v := s.Step(p)
				switch {
				case math.IsNaN(v.Score) != math.IsNaN(v.Onset), v.Onset != 0 && v.Onset != v.Score && v.Rank == 0 && !math.IsNaN(v.Score):
					t.Fatalf("point %d: %+v", i, v)
				case (v.Score > 1 && !on) && !(v.Onset > 1):
					t.Fatalf("point %d begins something: %+v", i, v)
				case math.IsNaN(v.Score) != math.IsNaN(v.Hold):
					t.Fatalf("point %d: the model tells no hold: %+v", i, v)
				}
				on = v.Score > 1
			}
		})
	})
}

// TestFieldsActBeforeTheState: what a field takes away begins nothing.
func TestFieldsActBeforeTheState(t *testing.T) {
	f := func(name string, c ScorerConfig, value float64, want bool) {
		t.Helper()
		m := &told{state: Ready, score: 0, hold: 0}
		s := NewScorer(m, c)
		for i := range 100 {
			s.Step(Point{int64(i) * minute, 100})
		}
		m.score, m.hold = 3, 3
		for i := range 20 {
			v := s.Step(Point{int64(100+i) * minute, value})
			if silent := name == "direction"; (v.Score > 1) != want || s.loud != want || (m.learned[len(m.learned)-1] == 0) != (want || silent) {
				t.Fatalf("%s: evaluation %d: %+v, on is %v", name, i, v, s.loud)
			}
		}
	}
	f("plain", ScorerConfig{}, 130, true)
	f("direction", ScorerConfig{Direction: Below}, 130, false)
	f("min_dev", ScorerConfig{MinDev: [2]float64{40, 40}}, 130, false)
	f("min_rel_dev", ScorerConfig{MinRelDev: [2]float64{0.4, 0.4}}, 130, false)
	f("width", ScorerConfig{Width: [2]float64{4, 4}}, 130, false)
	f("range", ScorerConfig{Direction: Below, Range: [2]float64{0, 120}, HasRange: true}, 130, true)

	for all, want := range map[bool]bool{false: true, true: false} {
		a, b := &told{state: Ready}, &told{state: Ready}
		s := NewScorer(must(combine([]Model{a, b}, all)), ScorerConfig{})
		for i := range 100 {
			s.Step(Point{int64(i) * minute, 100})
		}
		a.score, a.hold, b.score, b.hold = 2, 0.3, 0.4, 0.8
		v := s.Step(Point{100 * minute, 120})
		if hold := map[bool]float64{false: 0.8, true: 0.3}[all]; s.on != want || v.Hold != hold {
			t.Errorf("all is %v: %+v", all, v)
		}
	}
}

// TestAWeightOf0TellsOfTheTimeOnly holds the contract of Learn for every model:
// what it says of later points is what it would have said without such calls.
func TestAWeightOf0TellsOfTheTimeOnly(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func() Model) {
		m, witness, rnd := fresh(), fresh(), rand.New(rand.NewSource(3))
		for i := range 700 {
			p := wave(rnd, i)
			m.Learn(p, 1)
			witness.Learn(p, 1)
		}
		for i := 700; i < 745; i++ {
			m.Learn(Point{int64(i) * minute, 1e6}, 0)
		}
		b, ok := m.(*Budgeted)
		weighs := ok && b.judge != nil // over hours, so what was anomalous counts until a value is back
		_, own := m.(*Auto)
		if own { // it keeps what it was told of an anomaly until that is over
			for i := 745; i < 800; i++ {
				p := wave(rnd, i)
				m.Learn(p, 1)
				witness.Learn(p, 1)
			}
		}
		for i := 800; i < 860; i++ {
			at := int64(i) * minute
			for _, value := range []float64{80, 100, 130} {
				v, w := m.Score(Point{at, value}), witness.Score(Point{at, value})
				if v.State != w.State || math.IsNaN(v.Score) != math.IsNaN(w.Score) {
					t.Fatalf("minute %d: %+v, want %+v", i, v, w)
				}
				if half := max(w.Upper-w.Lower, 1); math.Abs(v.Expected-w.Expected) > 0.1*half || !weighs && !own && math.Abs(v.Score-w.Score) > 0.1+0.1*w.Score {
					t.Fatalf("minute %d: %+v, want %+v", i, v, w)
				}
			}
		}
		first := fresh() // nor is anything learned of a first point
		first.Learn(Point{minute, 1e6}, 0)
		for i := 10; i < 700; i++ {
			first.Learn(wave(rnd, i), 1)
		}
		if v := first.Score(Point{700 * minute, 100}); math.Abs(v.Expected) > 1000 {
			t.Errorf("after a first point at weight 0: %+v", v)
		}
	})
}

// TestAnEpisodeIsSavedToTheBit saves and loads in the middle of episodes, before
// and after a level was accepted.
func TestAnEpisodeIsSavedToTheBit(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func() Model) {
		c := ScorerConfig{Accept: time.Hour}
		through, stopped, rnd := NewScorer(fresh(), c), NewScorer(fresh(), c), rand.New(rand.NewSource(9))
		on := 0
		for i := range 1500 {
			p := wave(rnd, i)
			switch {
			case i > 1200:
				p.V += 4000
			case i > 700:
				p.V += 1000
			case i%97 == 50:
				p.V -= 150
			}
			if i%37 == 0 {
				b := must2(stopped.AppendBinary(nil))
				if stopped = NewScorer(fresh(), c); stopped.UnmarshalBinary(b) != nil {
					t.Fatalf("point %d: what was saved is not read", i)
				}
				if stopped.on {
					on++
				}
			}
			if v, w := through.Step(p), stopped.Step(p); !same(v, w) {
				t.Fatalf("point %d: %+v, and %+v when saved", i, v, w)
			}
		}
		if name := through.Name(); on == 0 && name != "discord" && name != "lstm" { // which are soon used to it
			t.Error("nothing was anomalous when it was saved")
		}
		if !bytes.Equal(must2(through.AppendBinary(nil)), must2(stopped.AppendBinary(nil))) {
			t.Error("the states differ")
		}
	})
}

// TestAPauseOfAnyLengthEndsWhileAnomalous: days, months and ages without points
// in the middle of an episode, and then what is usual.
func TestAPauseOfAnyLengthEndsWhileAnomalous(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func() Model) {
		for _, days := range []int64{1, 90, 3000, 1e6} {
			s, rnd := NewScorer(fresh(), ScorerConfig{}), rand.New(rand.NewSource(7))
			loud := 0
			for i := range 2400 {
				p := wave(rnd, i)
				if i >= 700 && i < 720 {
					p.V += 300
				}
				if i >= 720 {
					p.T += days * 86_400_000
				}
				if v := s.Step(p); v.Score > 1 && i >= 1800 {
					loud++
				}
				if i%50 == 0 {
					b, again := must2(s.AppendBinary(nil)), NewScorer(fresh(), ScorerConfig{})
					if err := again.UnmarshalBinary(b); err != nil {
						t.Fatalf("%d days, point %d: %v", days, i, err)
					}
				}
			}
			if loud > 120 {
				t.Errorf("%d days: %d of 600 points score above 1 long after", days, loud)
			}
		}
	})
}
