package detect

import (
	"math"
	"math/rand"
	"testing"
)

// Deviations from a power law: the tail probability that the calibrator gives
// must be that of the law.
func TestCalibratorFindsAPowerLaw(t *testing.T) {
	rnd := rand.New(rand.NewSource(16))
	for _, exponent := range []float64{2, 4, 8} {
		c := prior()
		for range 8000 {
			c.learn(math.Pow(rnd.Float64(), -1/exponent)) // P(X > x) = x^-exponent
		}
		for _, p := range []float64{1e-2, 1e-3, 1e-4} {
			want := math.Log(p) / math.Log(borderRarity)
			if got := c.score(math.Pow(p, -1/exponent)); math.Abs(got-want) > 0.15*want {
				t.Errorf("exponent %v, probability %v: score %v, want %v", exponent, p, got, want)
			}
		}
		if got := c.score(c.border()); math.Abs(got-1) > 1e-5 {
			t.Errorf("the border scores %v", got)
		}
		for _, x := range []float64{0.1, 1, 1.5, 3, 100} {
			if got := c.deviation(c.score(x)); math.Abs(got-x) > 1e-4*x {
				t.Errorf("the score of %v is that of %v", x, got)
			}
		}
	}
}
