package detect

import (
	"math"
	"math/rand/v2"
	"testing"
)

// above feeds an alarm a ranking deviation a point and returns the share of the
// second half's scores that lie above 0.5.
func above(a *alarm, n int, deviation func(i int) float64) float64 {
	var quiet [voiceCount]float64
	high := 0
	for i := range n {
		far := deviation(i)
		if s := a.score(quiet, far, leastRelease, 1, float64(i)); s > 0.5 && i >= n/2 {
			high++
		}
		a.learn(quiet, far, leastRelease, 1, float64(i))
	}
	return float64(high) / float64(n/2)
}

func TestARankAboveHalfIsRareInAWildSeriesToo(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	wild := func(int) float64 { return 3 * math.Pow(1-random.Float64(), -0.7) } // Pareto: 4 % exceed 30 widths
	fixed := newAlarm()
	before := above(&fixed, 2000, wild) // hardly learned yet
	a := newAlarm()
	if got := above(&a, 40000, wild); got < 0.004 || got > 0.016 {
		t.Errorf("%.2f %% of the scores lie above 0.5, want about 1 %% (%.1f %% among the first points)", 100*got, 100*before)
	}
}

func TestARankOfATameSeriesIsInWidths(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	a := newAlarm()
	if got := above(&a, 20000, func(int) float64 { return 2 * math.Abs(random.NormFloat64()) }); got > 0 {
		t.Errorf("%v of the scores of noise lie above 0.5", got)
	}
	if got := a.rank(leastRare); math.Abs(got-0.5) > 0.01 {
		t.Errorf("%d widths rank %v, want 0.5", leastRare, got)
	}
}

func TestALongIncidentDoesNotMakeItselfUsual(t *testing.T) {
	var quiet [voiceCount]float64
	a := newAlarm()
	above(&a, 5000, func(int) float64 { return 1 })
	before := a.rank(30)
	for i := range 5000 {
		a.learn(quiet, 100, leastRelease, 1, float64(5000+i))
	}
	if after := a.rank(30); after < 0.9*before {
		t.Errorf("30 widths rank %.2f after an incident of 5000 points and %.2f before", after, before)
	}
}
