package detect

import (
	"math"
	"math/rand"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"
)

// Without noise of the state, the filter is Bayesian least squares: one batch
// of all points, solved by gonum, must give the same coefficients and the same
// variance of a forecast.
func TestProphetEqualsBatchLeastSquares(t *testing.T) {
	m := must(NewProphet(ProphetConfig{Seasons: []time.Duration{time.Hour, 5 * time.Hour}, Order: 2})).expecting.(*Prophet)
	rnd := rand.New(rand.NewSource(71))
	size := len(m.x)
	var points []Point
	for at := int64(0); at < 40*3600_000; at += 1 + rnd.Int63n(600_000) { // irregular steps
		points = append(points, Point{at, 5 + float64(at)/1e7 + 3*math.Sin(2*math.Pi*float64(at)/3600_000) + rnd.NormFloat64()})
	}
	end := points[len(points)-1].T
	regressors := func(at int64) []float64 {
		h := []float64{1, float64(at-end) / 3600_000}
		for _, period := range []float64{3600_000, 5 * 3600_000} {
			for k := 1.0; k <= 2; k++ {
				x := 2 * math.Pi * k * float64(at) / period
				h = append(h, math.Sin(x), math.Cos(x))
			}
		}
		return h
	}
	// The prior: of level and slope at the first point, moved to the last.
	m.begin(points[0])
	length := float64(end-points[0].T) / 3600_000
	cov := mat.NewDense(size, size, append([]float64(nil), m.p...))
	move := mat.NewDense(size, size, nil)
	for i := range size {
		move.Set(i, i, 1)
	}
	move.Set(0, 1, length)
	var moved, information mat.Dense
	moved.Product(move, cov, move.T())
	if err := information.Inverse(&moved); err != nil {
		t.Fatal(err)
	}
	start := mat.NewVecDense(size, nil)
	start.SetVec(0, points[0].V)
	var right mat.VecDense
	right.MulVec(&information, start)
	for _, p := range points[1:] {
		h := mat.NewVecDense(size, regressors(p.T))
		var outer mat.Dense
		outer.Outer(1, h, h)
		information.Add(&information, &outer)
		right.AddScaledVec(&right, p.V, h)

		m.n, m.rhythm = 2, 0 // learning: nothing is clipped, and nothing walks
		m.Learn(p, 1)
	}
	var want mat.VecDense
	if err := want.SolveVec(&information, &right); err != nil {
		t.Fatal(err)
	}
	for i := range size {
		if math.Abs(m.x[i]-want.AtVec(i)) > 1e-6 {
			t.Errorf("coefficient %d is %v, want %v", i, m.x[i], want.AtVec(i))
		}
	}
	var posterior mat.Dense
	if err := posterior.Inverse(&information); err != nil {
		t.Fatal(err)
	}
	for i := range size {
		for k := range size {
			if got, want := m.p[i*size+k], posterior.At(i, k); math.Abs(got-want) > 1e-8 {
				t.Fatalf("covariance %d, %d is %v, want %v", i, k, got, want)
			}
		}
	}
}

func TestProphetFindsTrendAndSeasons(t *testing.T) {
	m, rnd := must(NewProphet(ProphetConfig{})).expecting.(*Prophet), rand.New(rand.NewSource(72))
	value := func(at int64) float64 {
		days := float64(at) / (24 * 3600_000)
		return 500 + 2*days + 40*math.Sin(2*math.Pi*days) + 10*math.Cos(4*math.Pi*days) + 15*math.Sin(2*math.Pi*(days+3)/7)
	}
	at := int64(0)
	for ; at < 42*24*3600_000; at += 600_000 {
		m.Learn(Point{at, value(at) + rnd.NormFloat64()}, 1)
	}
	worst := 0.0
	for ahead := int64(0); ahead < 3*24*3600_000; ahead += 3600_000 {
		mid, _, _ := m.Forecast(at+ahead, 0.9)
		worst = max(worst, math.Abs(mid-value(at+ahead)))
	}
	t.Logf("off by up to %v in three days, slope %v a day", worst, m.x[1])
	if worst > 3 || math.Abs(m.x[1]-2) > 0.5 {
		t.Errorf("off by up to %v in three days, slope %v a day, want 2", worst, m.x[1])
	}
}

// The trend turns: within some days the new one is found.
func TestProphetFollowsAChangeOfTrend(t *testing.T) {
	s, rnd := NewScorer(must(NewProphet(ProphetConfig{Seasons: []time.Duration{24 * time.Hour}})), ScorerConfig{Accept: time.Hour}), rand.New(rand.NewSource(73))
	value := func(days float64) float64 {
		return 100 + 10*math.Sin(2*math.Pi*days) + 20*max(0, days-10) - 150*math.Floor(days/25) + rnd.NormFloat64()
	}
	loud := 0
	var v Verdict
	for i := range 40 * 144 {
		days := float64(i) / 144
		v = s.Step(Point{int64(i) * 600_000, value(days)})
		if v.Score > 1 && days > 20 && days < 25 {
			loud++
		}
		if i == 25*144 && !(v.Score > 1) {
			t.Errorf("a fall by 150 scores %v", v.Score)
		}
	}
	if loud > 5 {
		t.Errorf("ten days after the turn %d points of five days score above 1", loud)
	}
	if !(v.Score < 1.5) || math.Abs(v.Expected-(100+20*30-150)) > 30 {
		t.Errorf("at the end: %+v", v)
	}
}

// A holiday is another kind of day, and the days after it are as they were.
func TestProphetHolidays(t *testing.T) {
	holiday := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	run := func(holidays ...string) (loud, after int) {
		s := NewScorer(must(NewProphet(ProphetConfig{Seasons: []time.Duration{24 * time.Hour}, Holidays: holidays})), ScorerConfig{})
		rnd := rand.New(rand.NewSource(74))
		for i := range 20 * 144 {
			at := holiday.Add(time.Duration(i-14*144) * 10 * time.Minute)
			p := Point{at.UnixMilli(), 100 + 40*math.Sin(2*math.Pi*float64(i)/144) + rnd.NormFloat64()}
			if at.Day() == 1 && at.Month() == 5 {
				p.V = 30 + 5*math.Sin(2*math.Pi*float64(i)/144)
			}
			if s.Step(p).Score > 1 {
				if i < 15*144 {
					loud++
				} else {
					after++
				}
			}
		}
		return loud, after
	}
	loud, after := run("05-01")
	t.Logf("known: %d and %d after", loud, after)
	if loud > 5 || after > 5 {
		t.Errorf("with the holiday known %d points score above 1, %d after it", loud, after)
	}
	if unknown, _ := run(); unknown < 15 {
		t.Errorf("with the holiday not known %d points score above 1", unknown)
	}
	if again, _ := run("2026-05-01"); again != loud {
		t.Errorf("the same date with its year: %d points", again)
	}
	if _, err := NewProphet(ProphetConfig{Holidays: []string{"1st of May"}}); err == nil {
		t.Error("a holiday that is no date is accepted")
	}
}
