package detect

import (
	"math/rand"
	"testing"
)

// nightly is 300 from 02:06 to 02:36 and 100 else, with noise.
func nightly(r *rand.Rand, at int64) float64 {
	v := 100.0
	if s := at % 86400; s >= 7560 && s < 9360 {
		v = 300
	}
	return v * (1 + 0.03*r.NormFloat64())
}

// TestAJobThatEndsEndsTheState runs a job every night: models that expect a level
// tell of it, or know after some nights that it comes. When it ends the values are
// where they are expected, so nothing is anomalous for long.
func TestAJobThatEndsEndsTheState(t *testing.T) {
	for _, name := range []string{"zscore", "mad", "quantile"} {
		for seed := range int64(4) {
			s, r := NewScorer(inDefault(name, usualBudget), ScorerConfig{}), rand.New(rand.NewSource(seed))
			since := int64(0)
			for at := int64(0); at < 16*86400; at += 60 {
				if s.Step(Point{at * 1000, nightly(r, at)}).Score <= 1 || at == 0 {
					since = at
				}
				if at-since > 3600 {
					t.Errorf("%s, seed %d: on day %d the state goes on for an hour, at %.2f h", name, seed, at/86400, float64(at%86400)/3600)
					break
				}
			}
		}
	}
}
