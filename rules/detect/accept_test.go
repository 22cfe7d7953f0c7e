package detect

import (
	"bytes"
	"math"
	"math/rand"
	"testing"
	"time"
)

// leveling are the models that expect a level.
var leveling = []string{"zscore", "mad", "seasonal", "holtwinters", "multiplicative", "quantile", "quantile by season", "prophet", "count", "any", "all"}

// TestALevelThatHoldsIsAccepted: a step is reported for as long as it takes to
// accept it, then the score is back, and the next incident is found from there.
func TestALevelThatHoldsIsAccepted(t *testing.T) {
	for _, name := range leveling {
		for _, accept := range []time.Duration{0, 3 * time.Hour} {
			for _, step := range []float64{100, -100} {
				t.Run(name, func(t *testing.T) {
					s, rnd := NewScorer(kinds[name](), ScorerConfig{Accept: accept}), rand.New(rand.NewSource(5))
					at := 0
					feed := func(n int, shift float64) (loud int, v Verdict) {
						for range n {
							p := Point{int64(at) * minute, math.Round(200 + shift + 5*math.Sin(2*math.Pi*float64(at)/60) + 4*rnd.NormFloat64())}
							if v = s.Step(p); v.Score > 1 {
								loud++
							}
							at++
						}
						return loud, v
					}
					held := int(s.c.Accept / time.Minute)
					feed(3*held, 0)
					if loud, _ := feed(held-1, step); loud < held-3 {
						t.Fatalf("%d of %d minutes of a new level score above 1", loud, held)
					}
					feed(held/8+2, step)
					if loud, v := feed(held/2, step); loud > held/8 || math.Abs(v.Expected-(200+step)) > 20 {
						t.Errorf("after it was accepted %d of %d minutes score above 1; at last %+v", loud, held/2, v)
					}
					feed(11, step)
					if loud, v := feed(60, 1.8*step); loud < 58 {
						t.Errorf("%d of 60 minutes of the next incident score above 1; at last %+v", loud, v)
					}
				})
			}
		}
	}
}

// TestEachPartOfACombinationShiftsByItsOwnDeviation: a daily shape and a level
// see the same step as different deviations.
func TestEachPartOfACombinationShiftsByItsOwnDeviation(t *testing.T) {
	a, b := &told{state: Ready}, &shifted{told{state: Ready}, 50}
	s := NewScorer(must(NewAny(a, b)), ScorerConfig{Accept: time.Hour})
	at := int64(0)
	for ; at < 48*60*minute; at += minute {
		s.Step(Point{at, 100})
	}
	a.score, a.hold, b.score, b.hold = 3, 3, 3, 3
	for end := at + 80*minute; at < end; at += minute {
		s.Step(Point{at, 130})
	}
	for i, want := range []float64{30, -20} {
		if got := s.levels[i].offset; got != want {
			t.Errorf("part %d is shifted by %v, want %v", i, got, want)
		}
	}
}

// shifted expects something else.
type shifted struct {
	told
	by float64
}

func (m *shifted) Score(p Point) Verdict {
	v := m.told.Score(p)
	v.Expected += m.by
	return v
}

// TestALeakIsNotAcceptedWhileItGoesOn lets a value grow for days.
func TestALeakIsNotAcceptedWhileItGoesOn(t *testing.T) {
	for _, name := range []string{"zscore", "mad", "seasonal", "quantile"} {
		s, rnd := NewScorer(kinds[name](), ScorerConfig{Accept: 2 * time.Hour}), rand.New(rand.NewSource(5))
		at := 0
		step := func(shift float64) Verdict {
			at++
			return s.Step(Point{int64(at) * minute, 100 + shift + rnd.NormFloat64()})
		}
		for range 24 * 60 {
			step(0)
		}
		const leak = 20 * 60 // ten times as long as what is accepted
		quiet := 0
		for i := range leak {
			if v := step(30 + float64(i)); !(v.Score > 1) {
				quiet++
			}
		}
		if quiet > 2 {
			t.Errorf("%s: %d of %d minutes of a leak do not score above 1", name, quiet, leak)
		}
		quiet = 0
		for range 4 * 60 { // it has stopped: the level holds
			if v := step(30 + leak); !(v.Score > 1) {
				quiet++
			}
		}
		if quiet < 2*60 {
			t.Errorf("%s: in four hours after it stopped only %d minutes are usual", name, quiet)
		}
	}
	m := &told{state: Ready}
	s := NewScorer(m, ScorerConfig{Accept: time.Hour})
	at := int64(0)
	for ; at < 100*60*minute; at += minute {
		s.Step(Point{at, 100})
	}
	m.score, m.hold = 9, 9
	began := at
	for v := 1000.0; s.Step(Point{at, 100 + v}).Score > 1; v *= 1.01 {
		at += minute
	}
	if held := (at - began) / (60 * minute); held != acceptMost {
		t.Errorf("what grows for ever was accepted after %d hours, want %d", held, acceptMost)
	}
}

// TestWhatLiesOutsideTheRangeIsNeverAccepted, for nothing makes it right.
func TestWhatLiesOutsideTheRangeIsNeverAccepted(t *testing.T) {
	s, at := steady(ScorerConfig{Range: [2]float64{0, 200}, HasRange: true, Accept: time.Hour})
	for range 600 {
		at += minute
		if v := s.Step(Point{at, 300}); !(v.Score > 1) || v.Onset > 1 && at > 125*minute {
			t.Fatalf("minute %d: %+v", at/minute, v)
		}
	}
}

// TestStepsLongerThanASlotAreLookedAtOneByOne: a value a day, accepted in a day.
func TestStepsLongerThanASlotAreLookedAtOneByOne(t *testing.T) {
	m := &told{state: Ready}
	s := NewScorer(m, ScorerConfig{})
	const day = 24 * 60 * minute
	for i := range 30 {
		s.Step(Point{int64(i) * day, 100})
	}
	m.score, m.hold = 3, 3
	if v := s.Step(Point{30 * day, 130}); !(v.Score > 1) {
		t.Errorf("the first day: %+v", v)
	}
	if v := s.Step(Point{31 * day, 130}); v.Score > 1 || s.levels[0].offset != 30 {
		t.Errorf("the second day: %+v, offset %v", v, s.levels[0].offset)
	}
}

// TestWhatIsBackIsNotAccepted: an incident, a pause longer than what a level has
// to hold, and what is usual.
func TestWhatIsBackIsNotAccepted(t *testing.T) {
	m := &told{state: Ready}
	s := NewScorer(m, ScorerConfig{Accept: time.Hour})
	at := int64(0)
	for ; at < 48*60*minute; at += minute {
		s.Step(Point{at, 100})
	}
	m.score, m.hold = 3, 3
	for range 20 {
		s.Step(Point{at, 130})
		at += minute
	}
	at += 120 * minute
	m.score, m.hold = 0.1, 0.1
	for range 10 {
		s.Step(Point{at, 100})
		at += minute
	}
	if s.on || s.levels[0].offset != 0 {
		t.Errorf("on is %v, the offset %v", s.on, s.levels[0].offset)
	}
}

// TestInputsKeepTheStateAndAcceptAlone: one model an input, of which one steps.
func TestInputsKeepTheStateAndAcceptAlone(t *testing.T) {
	s := NewVectorScorer(must2(NewEach(kinds["zscore"](), kinds["mad"]())), ScorerConfig{Accept: 3 * time.Hour})
	rnd := rand.New(rand.NewSource(2))
	at := int64(0)
	feed := func(n int, shift float64) (loud int) {
		for range n {
			at += minute
			if v := s.Step(Vector{at, []float64{100 + rnd.NormFloat64(), 50 + shift + rnd.NormFloat64()}}, nil); v.Score > 1 {
				loud++
			}
		}
		return loud
	}
	feed(800, 0)
	if loud := feed(179, 10); loud < 178 {
		t.Errorf("%d of 179 minutes score above 1", loud)
	}
	feed(30, 10)
	if loud := feed(120, 10); loud > 15 {
		t.Errorf("after it was accepted %d of 120 minutes score above 1", loud)
	}
	if a, b := s.levels[0].offset, s.levels[1].offset; math.Abs(a) > 0.7 || math.Abs(b-10) > 0.7 {
		t.Errorf("offsets are %v and %v", a, b)
	}
}

// TestMembersKeepTheStateAndAreAccepted: one of several peers is odd.
func TestMembersKeepTheStateAndAreAccepted(t *testing.T) {
	fresh := func() *GroupScorer {
		return NewGroupScorer(must2(NewPeers(PeersConfig{Tolerance: 5, MinMembers: 4})), ScorerConfig{Accept: 2 * time.Hour})
	}
	s, rnd, at := fresh(), rand.New(rand.NewSource(2)), int64(0)
	step := func(odd float64) (v MemberVerdict) {
		at += minute
		var members []Member
		for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
			m := Member{Key: key, V: 100 + rnd.NormFloat64()}
			if key == "c" {
				m.V += odd
			}
			members = append(members, m)
		}
		out := s.Step(at, members, nil)
		for i, w := range out {
			if w.V != members[i].V {
				t.Fatalf("%s is judged by %v, its value is %v", w.Key, w.V, members[i].V)
			}
			if w.Key == "c" {
				v = w
			}
		}
		again := fresh() // saved and loaded it is the same
		b := must2(s.AppendBinary(nil))
		if err := again.UnmarshalBinary(b); err != nil || !bytes.Equal(b, must2(again.AppendBinary(nil))) {
			t.Fatalf("%v", err)
		}
		s = again
		return v
	}
	for range 300 {
		step(0)
	}
	if v := step(40); !(v.Score > 1 && v.Onset == v.Score) {
		t.Fatalf("forty deviations: %+v", v)
	}
	for range 118 {
		if v := step(40); !(v.Score > 1) {
			t.Fatalf("it lasts: %+v", v)
		}
	}
	for range 20 {
		step(40)
	}
	if v := step(40); v.Score > 1 || math.Abs(v.Expected-140) > 4 {
		t.Errorf("after it was accepted: %+v", v)
	}
	for range 11 {
		step(0)
	}
	if v := step(0); !(v.Score > 1) {
		t.Errorf("back at what the others are: %+v", v)
	}
}

// TestAnEpisodeRightAfterOneWasAcceptedIsLearned: the new level has another
// width, which no offset tells.
func TestAnEpisodeRightAfterOneWasAcceptedIsLearned(t *testing.T) {
	for _, name := range []string{"zscore", "mad", "seasonal", "holtwinters", "quantile", "prophet"} {
		s, rnd := NewScorer(kinds[name](), ScorerConfig{Accept: 3 * time.Hour}), rand.New(rand.NewSource(5))
		var b beginnings
		loud := 0
		for i := range 72 * 60 {
			p := Point{int64(i) * minute, 100 + rnd.NormFloat64()}
			if i > 24*60 {
				p.V = 300 + 12*rnd.NormFloat64()
			}
			v := s.Step(p)
			if b.note(v); i > 48*60 && v.Score > 1 {
				loud++
			}
		}
		if loud > 24*60/10 {
			t.Errorf("%s: a day after a level with ten times the noise %d minutes of a day score above 1", name, loud)
		}
	}
}
