package detect

import (
	"math"
	"math/rand"
	"testing"
)

// TestNoBandIsNegativeWhereNoValueIs gives every model a series next to 0: while no
// value is negative, nothing that is expected is. The same series with negative
// values has its whole band.
func TestNoBandIsNegativeWhereNoValueIs(t *testing.T) {
	arithmetic(t)
	eachKind(t, func(t *testing.T, fresh func() Model) {
		for _, below := range []float64{0, 40} {
			s, rnd := NewScorer(fresh(), ScorerConfig{MinDev: [2]float64{1, 1}}), rand.New(rand.NewSource(3))
			lowest, bands := math.Inf(1), 0
			for i := range 3000 {
				v := s.Step(Point{int64(i) * minute, math.Max(20+20*math.Sin(2*math.Pi*float64(i)/60)+3*rnd.NormFloat64(), 0) - below})
				if math.IsNaN(v.Lower) {
					continue
				}
				bands++
				lowest = min(lowest, v.Lower, v.Expected, v.Upper)
				if _, lower, _ := s.Forecast(int64(i+30)*minute, 0.99); lower < lowest {
					lowest = lower
				}
			}
			if bands > 0 && (lowest < 0) != (below > 0) {
				t.Errorf("%v below 0: of %d bands the lowest reaches %v", below, bands, lowest)
			}
		}
	})
}

// TestNoBandOfPeersIsNegativeWhereNoneIs is the same of a group.
func TestNoBandOfPeersIsNegativeWhereNoneIs(t *testing.T) {
	m, err := NewPeers(PeersConfig{Tolerance: 5, MinMembers: 3})
	if err != nil {
		t.Fatal(err)
	}
	members := []Member{{Key: "a", V: 1}, {Key: "b", V: 0}, {Key: "c", V: 3}}
	for _, shift := range []float64{0, -1} {
		lowest := math.Inf(1)
		for i := range members {
			members[i].V += shift
		}
		for _, v := range m.Step(0, members, nil) {
			lowest = min(lowest, v.Lower)
		}
		if (lowest < 0) != (shift < 0) {
			t.Errorf("shifted by %v, the lowest band reaches %v", shift, lowest)
		}
	}
}
