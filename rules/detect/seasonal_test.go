package detect

import (
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"
)

// TestSeasonalIsQuietAndAwakeAtEveryStep runs two seasons of a day and a week
// for three weeks at steps from seconds to an hour: quiet data stay quiet, and
// twelve standard deviations are seen at the end.
func TestSeasonalIsQuietAndAwakeAtEveryStep(t *testing.T) {
	for _, periods := range [][]time.Duration{{24 * time.Hour}, {24 * time.Hour, 7 * 24 * time.Hour}} {
		for _, step := range []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute, time.Hour} {
			t.Run(fmt.Sprint(len(periods), " seasons at ", step), func(t *testing.T) {
				m := must(NewSeasonal(SeasonalConfig{Periods: periods})).expecting.(*Seasonal)
				s, rnd := NewScorer(m, ScorerConfig{}), rand.New(rand.NewSource(1))
				value := func(at int64) float64 {
					day := 2 * math.Pi * float64(at) / (24 * 3600_000)
					return 100 + 20*math.Sin(day) + 5*math.Sin(day/7) + rnd.NormFloat64()
				}
				loud, scored, at := 0, 0, int64(0)
				for ; at < 21*24*3600_000; at += step.Milliseconds() {
					v := s.Step(Point{at, value(at)})
					if at > 14*24*3600_000 && !math.IsNaN(v.Score) {
						scored++
						if v.Score > 1 {
							loud++
						}
					}
				}
				if scored == 0 || loud*50 > scored {
					t.Errorf("%d of %d quiet points score above 1", loud, scored)
				}
				if v := s.Step(Point{at, value(at) + 12}); !(v.Score > 1) {
					t.Errorf("twelve standard deviations: %+v", v)
				}
			})
		}
	}
}

// TestAWeekDoesNotTakeWhatTheDayHasNotLearned gives a model of days and weeks days
// that are alike: when the second week begins, there is nothing new.
func TestAWeekDoesNotTakeWhatTheDayHasNotLearned(t *testing.T) {
	const series, days, step = 8, 17, 300
	told := 0
	for seed := range int64(series) {
		s, r := NewScorer(inDefault("seasonal", usualBudget), ScorerConfig{}), rand.New(rand.NewSource(seed))
		for at := int64(0); at < days*86400; at += step {
			v := (500 - 400*math.Cos(2*math.Pi*float64(at)/86400)) * (1 + 0.03*r.NormFloat64())
			if s.Step(Point{at * 1000, v}).Onset > 1 {
				told++
			}
		}
	}
	t.Logf("%d alerts in %d series and %d days", told, series, days)
	if told > 10 {
		t.Errorf("%d alerts in %d series and %d days", told, series, days)
	}
}
