package detect

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Where nothing is wild the width is the standard deviation but for what
// clipping at three of them takes away, 1.4 % of a normal distribution's.
func TestSturdyWidthOfNormalValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	a := sturdy{tau: outPast}
	for range 20000 {
		a.add(50+4*random.NormFloat64(), 1)
	}
	if w := a.width(); math.Abs(w-3.94) > 0.08 {
		t.Errorf("width %v of values with a standard deviation of 4", w)
	}
	if math.Abs(a.mean-50) > 0.1 {
		t.Errorf("mean %v of values around 50", a.mean)
	}
}

func TestSturdyWidthIsHardlyStretched(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	a := sturdy{tau: outPast}
	for i := range 20000 {
		x := random.NormFloat64()
		if i > 1000 && i%50 == 0 {
			x = 20
		}
		a.add(x, 1)
	}
	// Values count as 3 widths w: w² = 0.98 * 0.973 + 0.02 * 9 w².
	want := math.Sqrt(0.98 * 0.973 / (1 - 0.02*9))
	if w := a.width(); math.Abs(w-want) > 0.1 {
		t.Errorf("width %v, want %v; the standard deviation is 2.97", w, want)
	}
}

func TestSturdyWidthIsATenthOfTheStandardDeviationAtLeast(t *testing.T) {
	a := sturdy{tau: outPast}
	var sum, squares float64
	const n = 20000
	for i := range n {
		x := float64(i%2) * 1e-3
		if i > 1000 && i%500 == 0 {
			x = 1000
		}
		a.add(x, 1)
		sum += x
		squares += x * x
	}
	sd := math.Sqrt(squares/n - sum/n*sum/n)
	if w := a.width(); math.Abs(w-sd/10) > sd/100 {
		t.Errorf("width %v, want a tenth of %v", w, sd)
	}
}

// A day's outage stays as far out to its end as it was at its begin, and so
// does the same outage a day later: the day does not learn it as normal.
func TestALongIncidentDoesNotHideItselfNorTheNext(t *testing.T) {
	const minute = 60_000
	random := rand.New(rand.NewPCG(5, 6))
	m, err := NewAuto(AutoConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var begin, end, again float64
	for i := range 16 * 1440 {
		hour := float64(i%1440) / 60
		v := 1000 + 400*math.Sin(2*math.Pi*hour/24) + 10*random.NormFloat64()
		day := i / 1440
		incident := day >= 14 && hour >= 6 && hour < 18
		if incident {
			v -= 300
		}
		p := Point{T: int64(i) * minute, V: v}
		scene := m.senses.at(p.T, 1)
		out := far(&scene.out, v, free)
		switch {
		case !incident:
		case day == 14 && hour < 7:
			begin += out / 60
		case day == 14 && hour >= 17:
			end += out / 60
		case day == 15 && hour < 7:
			again += out / 60
		}
		m.Learn(p, 1)
	}
	if begin < 5 || end < begin/2 || again < begin/3 {
		t.Errorf("far is %.1f at the begin, %.1f at the end, %.1f the day after", begin, end, again)
	}
}

func TestFarIsBoundedAndJoinsSquares(t *testing.T) {
	c := [outCount]sight{plain(0, 1), plain(0, 1), blind}
	if got := far(&c, 3, over); math.Abs(got-math.Sqrt(27)) > 1e-9 {
		t.Errorf("far is %v, want the root of 2*9 + 9", got)
	}
	if got, most := far(&c, 1e300, over), math.Sqrt(3)*mostOut; math.Abs(got-most) > 1e-9 {
		t.Errorf("far is %v, want at most %v", got, most)
	}
	if got := far(&c, 3, under); got != 0 {
		t.Errorf("a value above that is below the expectation is %v far out", got)
	}
}
