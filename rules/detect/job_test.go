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

// TestTheEdgesOfADayAreOnTime has a service work from 08:12 to 20:06: models that
// know a day by slots do not tell every day that the edge lies within one, and do
// tell of a day on which work ends at noon.
func TestTheEdgesOfADayAreOnTime(t *testing.T) {
	arithmetic(t)
	for _, m := range readies {
		switch m.name {
		case "seasonal of a day", "holtwinters", "quantile of a day":
		default:
			continue
		}
		for _, step := range []int64{60, 300} {
			told, found := 0, 0
			const series, days = 4, 21
			for seed := range int64(series) {
				s, r := NewScorer(m.make(), ScorerConfig{}), rand.New(rand.NewSource(seed))
				loud := false
				for at := int64(0); at < days*86400; at += step {
					v := 100.0
					if h := at % 86400; h >= 8*3600+720 && h < 20*3600+360 && !(at/86400 == days-1 && h > 12*3600) {
						v = 300
					}
					on := s.Step(Point{at * 1000, v * (1 + 0.03*r.NormFloat64())}).Onset > 1
					switch noon := int64(days-1)*86400 + 12*3600; {
					case at > noon:
						loud = loud || on
					case on && at > 7*86400:
						told++
					}
				}
				if loud {
					found++
				}
			}
			t.Logf("%s at %d s: %d false alerts in %d series and two weeks", m.name, step, told, series)
			if told > 2*series || found < series {
				t.Errorf("%s at %d s: %d false alerts in %d series and two weeks, and %d of %d early ends are told of", m.name, step, told, series, found, series)
			}
		}
	}
}
