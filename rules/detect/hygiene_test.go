package detect

import (
	"math"
	"math/rand"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestExcludedTimesLeaveNoMark gives two scorers other values in excluded
// times: later scores must be the same to the bit.
func TestExcludedTimesLeaveNoMark(t *testing.T) {
	from, to := int64(300*60_000), int64(360*60_000)
	c := ScorerConfig{Excluded: func(t int64) bool { return t >= from && t < to }}
	eachKind(t, func(t *testing.T, fresh func() Model) {
		rapid.Check(t, func(t *rapid.T) {
			rnd := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
			one, other := NewScorer(fresh(), c), NewScorer(fresh(), c)
			for i := range 420 {
				p, q := wave(rnd, i), wave(rnd, i)
				if !c.excluded(p.T) {
					q = p
				} else {
					q.V *= 50
				}
				v, w := one.Step(p), other.Step(q)
				switch excluded := c.excluded(p.T); {
				case !excluded && !same(v, w):
					t.Fatalf("point %d: %v and %v", i, v, w)
				case excluded && !math.IsNaN(w.Score) && (w.Score != 0 || w.State != Frozen):
					t.Fatalf("excluded point %d: %v", i, w)
				}
			}
		})
	})
}

func TestExcludedTimesOfInputsAndGroupsLeaveNoMark(t *testing.T) {
	c := ScorerConfig{Excluded: func(t int64) bool { return t/60_000 >= 300 && t/60_000 < 360 }}
	vectors := [2]*VectorScorer{}
	groups := [2]*GroupScorer{}
	for i := range vectors {
		vectors[i] = NewVectorScorer(must2(NewJoint(JointConfig{Inputs: 2})), c)
		groups[i] = NewGroupScorer(must2(NewPresence(PresenceConfig{Forget: time.Hour})), c)
	}
	rnd := rand.New(rand.NewSource(1))
	for i := range 420 {
		at := int64(i) * 60_000
		a, b := rnd.NormFloat64(), rnd.NormFloat64()
		var v [2]Verdict
		var members [2][]MemberVerdict
		for k := range vectors {
			present := []Member{{Key: "a", V: a}, {Key: "b", V: b}}
			point := Vector{T: at, V: []float64{a, b}}
			if k == 1 && c.excluded(at) {
				point.V[0], present = 1000, present[1:]
			}
			v[k], members[k] = vectors[k].Step(point, nil), groups[k].Step(at, present, nil)
		}
		if c.excluded(at) {
			if v[1].Score != 0 || v[1].State != Frozen || members[1][0].Score != 0 {
				t.Fatalf("excluded point %d: %+v, %+v", i, v[1], members[1])
			}
			continue
		}
		if !same(v[0], v[1]) || len(members[0]) != 2 || len(members[1]) != 2 || !same(members[0][1].Verdict, members[1][1].Verdict) {
			t.Fatalf("point %d: %+v, %+v", i, v, members)
		}
	}
}

func must2[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

func TestAShortAnomalyLeavesNoMarkAndANewLevelBecomesNormal(t *testing.T) {
	for _, model := range []func() Model{kinds["zscore"], kinds["mad"]} {
		s := NewScorer(model(), ScorerConfig{Accept: 3 * time.Hour})
		rnd := rand.New(rand.NewSource(1))
		at := int64(0)
		feed := func(n int, level float64) (v Verdict, normal int) {
			for range n {
				at += 60_000
				if v = s.Step(Point{at, level + rnd.NormFloat64()}); v.Score <= 1 {
					normal++
				}
			}
			return v, normal
		}
		before, _ := feed(600, 100)
		if _, normal := feed(5, 110); normal != 0 {
			t.Errorf("%s: %d of 5 points ten deviations away are normal", s.Name(), normal)
		}
		after, _ := feed(1, 100)
		if math.Abs(after.Expected-before.Expected) > 0.1 || math.Abs(after.Upper-before.Upper) > 0.2 {
			t.Errorf("%s: five points moved %+v to %+v", s.Name(), before, after)
		}
		if _, normal := feed(300, 110); normal < 110 || normal > 130 {
			t.Errorf("%s: %d of the last 120 points at a new level became normal", s.Name(), normal)
		}
		if v, _ := feed(1, 110); !(v.Hold <= 1) {
			t.Errorf("%s: after 300 points the new level is %+v", s.Name(), v)
		}
	}
}

// TestAStartFromAnotherScoresAtOnce clones for every model: the second point
// is scored, by what the other one has learned, and the other one is untouched.
func TestAStartFromAnotherScoresAtOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func() Model) {
		old, witness := NewScorer(fresh(), ScorerConfig{}), NewScorer(fresh(), ScorerConfig{})
		rnd := rand.New(rand.NewSource(7))
		for i := range 700 {
			p := wave(rnd, i)
			old.Step(p)
			witness.Step(p)
		}
		if old.Learned() == 0 {
			t.Skip("something is anomalous in this model's eyes")
		}
		s := NewScorer(fresh(), ScorerConfig{})
		if err := s.StartFrom(old); err != nil {
			t.Fatal(err)
		}
		if s.Learned() != 0 {
			t.Error("it has learned nothing of its own yet")
		}
		if v := s.Step(wave(rnd, 700)); !math.IsNaN(v.Score) {
			t.Errorf("the first point scores %v", v)
		}
		normal := 0
		for i := 701; i < 711; i++ {
			if v := s.Step(wave(rnd, i)); v.Score <= 1 {
				normal++
			}
		}
		if normal < 8 {
			t.Errorf("%d of 10 usual points are normal", normal)
		}
		p := wave(rnd, 700)
		if v, w := old.Step(p), witness.Step(p); !same(v, w) {
			t.Errorf("the one it started from changed: %v, want %v", v, w)
		}
	})
}
