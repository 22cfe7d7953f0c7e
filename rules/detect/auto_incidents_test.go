package detect

import (
	"math"
	"math/rand"
	"testing"
	"time"
)

// What people call an incident must be news soon, and the week before quiet.
func TestAutoCatchesIncidents(t *testing.T) {
	const day = 288 // points
	rnd := rand.New(rand.NewSource(21))
	noise := func(i int) float64 { return 50 + 2*rnd.NormFloat64() }
	daily := func(i int) float64 { return 100 + 40*math.Sin(2*math.Pi*float64(i)/day) + 2*rnd.NormFloat64() }
	dip := func(i int) float64 { // every night for two hours
		if i%day < 24 {
			return 20 + rnd.NormFloat64()
		}
		return 80 + rnd.NormFloat64()
	}
	for _, c := range []struct {
		name   string
		usual  func(i int) float64
		broken func(i int) float64
		within int // points
	}{
		{"a spike", noise, func(int) float64 { return 80 }, 1},
		{"a spike in a season", daily, func(i int) float64 { return daily(i) + 60 }, 1},
		{"a new level", noise, func(i int) float64 { return noise(i) + 12 }, 3},
		{"a small new level", noise, func(i int) float64 { return noise(i) + 5 }, 24},
		{"a flat line in noise", noise, func(int) float64 { return 50 }, 24},
		{"a flat line in a season", daily, func(int) float64 { return 100 }, 72},
		{"noise that grows", noise, func(int) float64 { return 50 + 12*rnd.NormFloat64() }, 12},
		{"a dip that does not come", dip, func(i int) float64 { return 80 + rnd.NormFloat64() }, 12},
		{"nothing any more", daily, func(int) float64 { return 0 }, 1},
	} {
		s, _, at := series(14*day, 5*time.Minute, c.usual)
		news := -1
		for i := range c.within {
			p := Point{at + int64(i)*300_000, c.broken(14*day + i)}
			if s.Step(p).Score > 1 {
				news = i
				break
			}
		}
		if news < 0 {
			t.Errorf("%s: no news within %d points", c.name, c.within)
		} else {
			t.Logf("%s: news at point %d", c.name, news)
		}
	}
}
