package detect

import (
	"fmt"
	"math"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// noise draws one kind of stationary noise; step is in seconds.
type noise struct {
	name string
	make func(r *rand.Rand, step float64) func() float64
}

// plain is noise whose values do not depend on each other.
func plain(draw func(*rand.Rand) float64) func(*rand.Rand, float64) func() float64 {
	return func(r *rand.Rand, _ float64) func() float64 { return func() float64 { return draw(r) } }
}

var stationary = []noise{
	{"gauss", plain(func(r *rand.Rand) float64 { return 100 + 5*r.NormFloat64() })},
	{"uniform", plain(func(r *rand.Rand) float64 { return 50 + 100*r.Float64() })},
	{"lognormal", plain(func(r *rand.Rand) float64 { return 100 * math.Exp(0.5*r.NormFloat64()) })},
	{"pareto", plain(func(r *rand.Rand) float64 { return 10 * math.Pow(1-r.Float64(), -1/2.5) })},
	{"laplace", plain(func(r *rand.Rand) float64 { return 100 + 5*(r.ExpFloat64()-r.ExpFloat64()) })},
	{"gamma", plain(func(r *rand.Rand) float64 { return 10 * (r.ExpFloat64() + r.ExpFloat64() + r.ExpFloat64()) })},
	{"poisson", plain(func(r *rand.Rand) float64 {
		k, p := 0.0, r.Float64()
		for p > math.Exp(-6) {
			p *= r.Float64()
			k++
		}
		return k
	})},
	{"ar1", func(r *rand.Rand, step float64) func() float64 {
		y, phi := r.NormFloat64(), math.Exp(-step/1800)
		return func() float64 {
			y = phi*y + math.Sqrt(1-phi*phi)*r.NormFloat64()
			return 100 + 5*y
		}
	}},
}

// budgetCell is one measurement: how many states began, and how many the budget
// allows.
type budgetCell struct {
	noise, step, days int
	begun, allowed    float64
}

func (c *budgetCell) ratio() float64 { return c.begun / c.allowed }

const budgetHistory = 14 // days

// measure runs as many series as make the budget allow count states.
func (c *budgetCell) measure(count float64) {
	const days = 90
	perDay := 1 / float64(c.days)
	series := int(math.Ceil(count / perDay / days))
	step := int64(c.step)
	for k := range series {
		r := rand.New(rand.NewSource(int64(1000*c.step + 10*k + c.noise)))
		s := NewScorer(must(NewAuto(AutoConfig{Alerts: perDay})), ScorerConfig{})
		value, loud := stationary[c.noise].make(r, float64(step)), false
		for t := int64(0); t < (budgetHistory+days)*86400; t += step {
			on := s.Step(Point{t * 1000, value()}).Score > 1
			if on && !loud && t >= budgetHistory*86400 {
				c.begun++
			}
			loud = on
		}
	}
	c.allowed = float64(series) * days * perDay
}

// bounds are those of the ratio: a third and three times, and what is known to
// lie outside. docs/models.md says so.
func (c *budgetCell) bounds() (low, high float64) {
	switch name := stationary[c.noise].name; {
	case name == "uniform": // its farthest values are usual ones, and less than the least effect
		return 0, 3
	case c.step == 3600 && c.days == 30 && name != "laplace" && name != "pareto":
		return 0.05, 3 // in 14 days there are 336 values: the prior's tail is heavier
	case c.step == 3600 && name == "lognormal":
		return 0.2, 3
	}
	return 1. / 3, 3
}

// TestBudget measures on stationary noise how many states begin, against what
// the budget allows. CHIRON_BUDGET=30 measures every cell, each over so many
// series that the budget allows 30 states.
func TestBudget(t *testing.T) {
	arithmetic(t)
	count, _ := strconv.ParseFloat(os.Getenv("CHIRON_BUDGET"), 64)
	var cells []*budgetCell
	for n := range stationary {
		for i, step := range []int{15, 60, 300, 3600} {
			for k, days := range []int{1, 7, 30} {
				// Without it, one budget of each noise and step but the dearest.
				if count > 0 || step > 15 && (n+i)%3 == k && days < 30 || step == 300 && days == 30 {
					cells = append(cells, &budgetCell{noise: n, step: step, days: days})
				}
			}
		}
	}
	if count <= 0 {
		count = 20
	}
	var wg sync.WaitGroup
	next := make(chan *budgetCell)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for c := range next {
				c.measure(count)
			}
		})
	}
	for _, c := range cells {
		next <- c
	}
	close(next)
	wg.Wait()
	var table strings.Builder
	for _, c := range cells {
		low, high := c.bounds()
		mark := ""
		switch {
		case c.ratio() < low || c.ratio() > high:
			mark = "  outside its bounds"
			t.Errorf("%s at %d s, alerts=1/%dd: %.0f states began, %.2f of the budget, not between %.2f and %.2f",
				stationary[c.noise].name, c.step, c.days, c.begun, c.ratio(), low, high)
		case c.ratio() < 1./3 || c.ratio() > 3:
			mark = "  known"
		}
		fmt.Fprintf(&table, "%-10s %5d s  1/%dd\t%.2f%s\n", stationary[c.noise].name, c.step, c.days, c.ratio(), mark)
	}
	t.Logf("states begun, as a part of the budget:\n%s", table.String())
}
