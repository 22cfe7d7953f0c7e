package detect

import (
	"encoding/binary"
	"math"
	"math/rand"
	"testing"
)

// TestADamagedStateIsRefusedOrHeals writes numbers that cannot be over every
// part of a state. What loads all the same must judge plain points again.
func TestADamagedStateIsRefusedOrHeals(t *testing.T) {
	absurd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1e300, -1, 1e-320, 0}
	eachKind(t, func(t *testing.T, fresh func() Model) {
		s, rnd := NewScorer(fresh(), ScorerConfig{}), rand.New(rand.NewSource(7))
		for i := range 700 {
			s.Step(wave(rnd, i))
		}
		whole, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		places := 60
		if testing.Short() {
			places = 20
		}
		for at := 2; at+8 <= len(whole); at += max(1, len(whole)/places) {
			for _, x := range absurd {
				b := append([]byte(nil), whole...)
				binary.LittleEndian.PutUint64(b[at:], math.Float64bits(x))
				q := NewScorer(fresh(), ScorerConfig{})
				if q.UnmarshalBinary(b) != nil {
					continue
				}
				var v Verdict
				for i := range 1000 {
					v = q.Step(wave(rnd, 700+i))
				}
				if q.State() == Ready && math.IsNaN(v.Score+v.Expected) {
					t.Fatalf("%v at byte %d of %d: %+v", x, at, len(whole), v)
				}
			}
		}
	})
}

// TestNoValueLeavesAModelWithoutAnExpectation feeds values from either end of
// what a float64 holds, saved and loaded on the way, and then plain ones.
func TestNoValueLeavesAModelWithoutAnExpectation(t *testing.T) {
	sign := func(i int) float64 { return float64(1 - 2*(i%2)) }
	for name, value := range map[string]func(i int, noise float64) float64{
		"as large as can be":    func(i int, _ float64) float64 { return sign(i) * math.MaxFloat64 },
		"1e300":                 func(_ int, noise float64) float64 { return 1e300 * (1 + noise/100) },
		"huge and tiny":         func(i int, _ float64) float64 { return math.Pow(10, 300*sign(i)) },
		"just of use":           func(i int, _ float64) float64 { return sign(i) * 9e99 },
		"1e50":                  func(_ int, noise float64) float64 { return 1e50 * (1 + noise/100) },
		"denormal":              func(_ int, noise float64) float64 { return 1e-322 * noise },
		"minus zero":            func(int, float64) float64 { return math.Copysign(0, -1) },
		"a counter beyond 2^53": func(i int, _ float64) float64 { return 1<<60 + 1000*float64(i) },
		"a counter that resets": func(i int, _ float64) float64 { return float64(i % 300) },
		"absurd now and then": func(i int, noise float64) float64 {
			if i%100 == 99 {
				return 9e99
			}
			return 50 + noise
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, fresh func() Model) {
				s, rnd := NewScorer(fresh(), ScorerConfig{}), rand.New(rand.NewSource(7))
				for i := range 2500 {
					p := Point{int64(i) * 60_000, 50 + rnd.NormFloat64()}
					if i < 1500 {
						p.V = value(i, rnd.NormFloat64())
					}
					if v := s.Step(p); !math.IsNaN(v.Score) && v.State == Ready && math.IsNaN(v.Expected) {
						t.Fatalf("point %d, %v: %+v", i, p.V, v)
					} else if i == 2499 && math.IsNaN(v.Score) {
						t.Fatalf("plain points have no score: %+v", v)
					}
					if i%500 != 499 {
						continue
					}
					b, err := s.AppendBinary(nil)
					if err != nil {
						t.Fatal(err)
					}
					s = NewScorer(fresh(), ScorerConfig{})
					if err := s.UnmarshalBinary(b); err != nil {
						t.Fatalf("after point %d: %v", i, err)
					}
				}
			})
		})
	}
}

// TestAGapOfAnyLengthEnds lets days, months and ages pass between two points.
func TestAGapOfAnyLengthEnds(t *testing.T) {
	const day = 86_400_000
	eachKind(t, func(t *testing.T, fresh func() Model) {
		for _, days := range []int64{1, 90, 3000, 1e6} {
			s, rnd := NewScorer(fresh(), ScorerConfig{}), rand.New(rand.NewSource(7))
			var v Verdict
			loud := 0
			for i := range 2000 {
				p := wave(rnd, i)
				if i >= 700 {
					p.T += days * day
				}
				if v = s.Step(p); v.Score > 1 && i >= 1400 {
					loud++
				}
			}
			if math.IsNaN(v.Score+v.Expected) || loud > 60 {
				t.Errorf("%d days: %d loud points, at last %+v", days, loud, v)
			}
		}
	})
}
