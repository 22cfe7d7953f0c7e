package detect

import (
	"math"
	"math/rand"
	"slices"
	"testing"
	"time"
)

// Sen's estimate by its definition: the median of all slopes by sorting.
func TestTrendIsTheMedianSlope(t *testing.T) {
	m := must(NewTrend(TrendConfig{Window: 24 * time.Hour}))
	rnd := rand.New(rand.NewSource(31))
	var ts, vs []float64
	at := int64(1_700_000_000_000)
	for i := range trendSpans { // the last one lies in the open span
		at += 1 + rnd.Int63n(600_000)
		v := 1e6 - 3*float64(i) + rnd.NormFloat64()
		m.Learn(Point{at, v}, 1)
		if ts = append(ts, float64(at)); i < trendSpans-1 {
			vs = append(vs, v)
		}
	}
	var slopes []float64
	for i := range vs {
		for j := range i {
			slopes = append(slopes, (vs[i]-vs[j])/(ts[i]-ts[j]))
		}
	}
	slices.Sort(slopes)
	want := slopes[(len(slopes)-1)/2]
	if math.Abs(m.line.slope/want-1) > 1e-6 {
		t.Errorf("slope %v, want %v", m.line.slope, want)
	}
	above := 0
	for i := range vs {
		if vs[i] > m.line.at(int64(ts[i])) {
			above++
		}
	}
	if above != len(vs)/2 {
		t.Errorf("%d of %d points lie above the line", above, len(vs))
	}
}

// A quarter of the window is wild; the line is not.
func TestTrendWithstandsOutliers(t *testing.T) {
	m, rnd := must(NewTrend(TrendConfig{})), rand.New(rand.NewSource(32))
	for i := range 720 {
		v := 10 + 0.01*float64(i) + 0.1*rnd.NormFloat64()
		if i%120 < 30 {
			v = 1e6 * rnd.Float64()
		}
		m.Learn(Point{int64(i) * 60_000, v}, 1)
	}
	if got := m.Slope() * 60; math.Abs(got-0.01) > 0.001 {
		t.Errorf("slope %v a minute, want 0.01", got)
	}
}

// Of forecasts of a leak with noise, the stated part must come true.
func TestTrendForecastsCover(t *testing.T) {
	const runs, ahead = 300, 3 * 3600_000
	within, worst := 0, 0.0
	for seed := range int64(runs) {
		m, rnd := must(NewTrend(TrendConfig{})), rand.New(rand.NewSource(seed))
		value := func(at int64) float64 { return 1000 + float64(at)/1e5 + 5*rnd.NormFloat64() }
		at := int64(0)
		for range 400 {
			at += 30_000 + rnd.Int63n(60_000) // irregular steps
			m.Learn(Point{at, value(at)}, 1)
		}
		mid, lower, upper := m.Forecast(at+ahead, 0.9)
		if v := value(at + ahead); v >= lower && v <= upper {
			within++
		}
		worst = max(worst, math.Abs(mid-1000-float64(at+ahead)/1e5))
	}
	t.Logf("%d of %d within, middle off by at most %v", within, runs, worst)
	if within < runs*84/100 || within > runs*97/100 {
		t.Errorf("%d of %d values lie in the interval of 90 %%", within, runs)
	}
	if worst > 10 {
		t.Errorf("the middle is off by %v", worst)
	}
}

func TestTrendReturnsAfterALevelShift(t *testing.T) {
	s, rnd := NewScorer(must(NewTrend(TrendConfig{Window: time.Hour})), ScorerConfig{}), rand.New(rand.NewSource(33))
	var v Verdict
	for i := range 400 {
		level := 0.0
		if i >= 200 {
			level = 100
		}
		if v = s.Step(Point{int64(i) * 60_000, level + rnd.NormFloat64()}); i == 200 && !(v.Score > 1) {
			t.Errorf("the shift scores %v", v.Score)
		}
	}
	if !(v.Score < 1) || math.Abs(v.Expected-100) > 2 {
		t.Errorf("after three windows at the new level: %+v", v)
	}
}
