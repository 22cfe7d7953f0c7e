package eval

import (
	"math/rand"
	"testing"
	"time"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// A job at six in the morning stays at six when the clocks change; told of the
// zone, auto expects it there from the first day on.
func TestAutoKnowsTheCivilTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	f := func(model string, from, change string, quiet bool) {
		t.Helper()
		e, err := lang.ParseModel(model)
		if err != nil {
			t.Fatal(err)
		}
		m, err := BuildModel(e)
		if err != nil {
			t.Fatal(err)
		}
		s, rnd := detect.NewScorer(m, detect.ScorerConfig{}), rand.New(rand.NewSource(1))
		start, _ := time.Parse(time.DateOnly, from)
		changed, _ := time.Parse(time.DateOnly, change)
		end := changed.AddDate(0, 0, 3)
		begun, before := 0, 0.0
		step := func(at time.Time, v float64) float64 {
			score := s.Step(detect.Point{T: at.UnixMilli(), V: v + rnd.NormFloat64()}).Score
			if at.After(changed) && score > 1 && before <= 1 {
				begun++
			}
			before = score
			return score
		}
		at := start
		for ; at.Before(end); at = at.Add(5 * time.Minute) {
			v := 20.0
			if at.In(berlin).Hour() == 6 {
				v = 80
			}
			step(at, v)
		}
		if quiet != (begun == 0) {
			t.Errorf("%s: %d times something begins in the days after %s", model, begun, change)
		}
		if !quiet {
			return
		}
		missed := false
		for range 288 { // without the job
			missed = step(at, 20) > 1 || missed
			at = at.Add(5 * time.Minute)
		}
		if !missed {
			t.Errorf("%s: the job does not come, and nobody says so", model)
		}
	}
	f(`auto(tz="Europe/Berlin")`, "2026-03-05", "2026-03-29", true)
	f(`auto(tz="Europe/Berlin")`, "2026-10-01", "2026-10-25", true)
	f("auto", "2026-03-05", "2026-03-29", false)
	f("auto", "2026-10-01", "2026-10-25", false)
}
