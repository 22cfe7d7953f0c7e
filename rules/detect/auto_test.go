package detect

import (
	"math"
	"math/rand"
	"runtime"
	"strings"
	"testing"
	"time"
)

// series feeds n points a step apart into an auto model under a scorer and
// returns both with the time of the next point.
func series(n int, step time.Duration, value func(i int) float64) (*Scorer, *Auto, int64) {
	m := must(NewAuto(AutoConfig{}))
	s := NewScorer(m, ScorerConfig{})
	for i := range n {
		s.Step(Point{int64(i) * step.Milliseconds(), value(i)})
	}
	return s, m, int64(n) * step.Milliseconds()
}

func TestAutoChooses(t *testing.T) {
	rnd := rand.New(rand.NewSource(11))
	day := func(i int) float64 { return 100 + 30*math.Sin(2*math.Pi*float64(i)/288) + rnd.NormFloat64() }
	f := func(name string, n int, value func(i int) float64, want string) {
		t.Helper()
		_, m, _ := series(n, 5*time.Minute, value)
		if got := m.Choice(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
	f("too short", 10, day, "learning")
	f("noise", 500, func(int) float64 { return 10 + rnd.NormFloat64() }, "zscore: no season")
	f("a constant", 500, func(int) float64 { return 7 }, "mad: constant")
	f("noise with outliers", 500, func(i int) float64 {
		if i%16 == 0 {
			return 200 + 50*rnd.Float64()
		}
		return 10 + rnd.NormFloat64()
	}, "mad: ")
	f("a day", 4*288, day, "seasonal: a day is like the day before")
	f("an hour", 300, func(i int) float64 {
		return 100 + 30*math.Sin(2*math.Pi*float64(i)/12) + rnd.NormFloat64()
	}, "holtwinters: an hour is like the hour before")
	total := 0.0
	f("a counter", 500, func(int) float64 { total += 100 + 5*rnd.NormFloat64(); return total }, "zscore of the rate")
}

func TestAutoScoresACounterByItsRate(t *testing.T) {
	rnd, total := rand.New(rand.NewSource(12)), 0.0
	s, _, at := series(600, time.Minute, func(int) float64 { total += 60 + rnd.NormFloat64(); return total })
	if v := s.Step(Point{at, total + 60}); !(v.Score < 1) || !(v.Lower < total+60 && total+60 < v.Upper) {
		t.Errorf("the usual increase: %+v", v)
	}
	if v := s.Step(Point{at + 60_000, total + 600}); !(v.Score > 1) {
		t.Errorf("nine times the increase: %+v", v)
	}
}

// The first point of a new level is news; while the level is new the score
// falls back slowly and stays above what is usual.
func TestAutoScoresANewLevelOnceAndFallsBackSlowly(t *testing.T) {
	rnd := rand.New(rand.NewSource(13))
	s, _, at := series(2000, time.Minute, func(int) float64 { return 50 + rnd.NormFloat64() })
	var news beginnings
	for i := range 20 { // longer than the usual `for:`
		v := s.Step(Point{at + int64(i)*60_000, 80 + rnd.NormFloat64()})
		news.note(v)
		if i == 0 && !(v.Score > 1) || !(v.Score > 0.5) {
			t.Fatalf("point %d of a new level scores %v", i, v.Score)
		}
	}
	if news.n > 5 {
		t.Errorf("one new level is news %d times", news.n)
	}
}

func TestAutoLooksAgainWhenTheSeriesChangesItsNature(t *testing.T) {
	rnd := rand.New(rand.NewSource(18))
	f := func(name string, value func(i int) float64, before, after string) {
		t.Helper()
		s, m, at := series(100, time.Minute, value)
		if got := m.Choice(); !strings.HasPrefix(got, before) {
			t.Errorf("%s: at first %q, want %s", name, got, before)
		}
		for i := range 900 {
			s.Step(Point{at + int64(i)*60_000, value(100 + i)})
		}
		if got := m.Choice(); !strings.HasPrefix(got, after) {
			t.Errorf("%s: later %q, want %s", name, got, after)
		}
		if s.State() != Ready {
			t.Errorf("%s: %v", name, s.State())
		}
	}
	f("a gauge that fills up at first", func(i int) float64 {
		if i < 100 {
			return float64(i) * (1 + 0.001*rnd.Float64())
		}
		return 100 + rnd.NormFloat64()
	}, "zscore of the rate", "zscore: ")
	total := 0.0
	f("a counter of something that began late", func(i int) float64 {
		if i >= 100 {
			total += 10 + rnd.Float64()
		}
		return total
	}, "mad: constant", "zscore of the rate")
}

func TestAutoIsNotBlindAfterAnAbsurdSample(t *testing.T) {
	for _, size := range []float64{30, 100, 1000, 1e5} {
		rnd := rand.New(rand.NewSource(19))
		s, _, at := series(2000, time.Minute, func(int) float64 { return 50 + rnd.NormFloat64() })
		if v := s.Step(Point{at, 50 + size}); !(v.Score > 1) {
			t.Errorf("a spike of %v scores %v", size, v.Score)
		}
		const later = 3000
		for i := range later {
			s.Step(Point{at + int64(i+1)*60_000, 50 + rnd.NormFloat64()})
		}
		seen := false
		for i := range 3 {
			seen = seen || s.Step(Point{at + int64(later+1+i)*60_000, 70 + rnd.NormFloat64()}).Score > 1
		}
		if !seen {
			t.Errorf("after a spike of %v, a new level is no news", size)
		}
	}
}

// Quiet series must stay quiet at the shipped threshold, whatever their tail.
func TestAutoIsQuietOnWhatTheSeriesAlwaysDoes(t *testing.T) {
	rnd := rand.New(rand.NewSource(14))
	for name, value := range map[string]func() float64{
		"normal":      rnd.NormFloat64,
		"exponential": rnd.ExpFloat64,
		"lognormal":   func() float64 { return math.Exp(rnd.NormFloat64()) },
		"uniform":     rnd.Float64,
		"rare bursts": func() float64 { return math.Pow(rnd.Float64(), -0.5) }, // no variance
		"counts":      func() float64 { return math.Floor(3 * rnd.ExpFloat64()) },
	} {
		s, _, at := series(1000, time.Minute, func(int) float64 { return value() })
		const most = 20_000
		var loud beginnings
		for i := range most {
			loud.note(s.Step(Point{at + int64(i)*60_000, value()}))
		}
		t.Logf("%s: %d of %d", name, loud.n, most)
		if loud.n > most/250 {
			t.Errorf("%s: %d times in %d usual points the score passes 1", name, loud.n, most)
		}
	}
}

// The band is where the score is 1 and the score grows with the distance from
// the expectation, also while the looks disagree.
func TestAutoBandAndMonotony(t *testing.T) {
	rnd := rand.New(rand.NewSource(15))
	walk := 0.0
	s, m, at := series(1500, time.Minute, func(i int) float64 {
		walk += rnd.NormFloat64()
		return walk + 20*math.Sin(float64(i)/100)
	})
	for i := range 300 {
		p := Point{at + int64(i)*60_000, walk}
		noted := m.alarm
		m.alarm = alarm{} // voices that do not rest
		v := m.Score(p)
		for _, side := range []float64{-1, 1} {
			band := v.Upper - v.Expected
			if side < 0 {
				band = v.Expected - v.Lower
			}
			if band > 1e-6 {
				if got := m.Score(Point{p.T, v.Expected + side*band}).Score; math.Abs(got-1) > 0.15 && got < 1 {
					t.Fatalf("point %d: the edge of the band scores %v", i, got)
				}
			}
			before := -1.0
			for d := 0.0; d < 200; d += 3 {
				got := m.Score(Point{p.T, v.Expected + side*d}).Score
				if got < before {
					t.Fatalf("point %d: %v away scores %v, less far %v", i, side*d, got, before)
				}
				before = got
			}
		}
		m.alarm = noted
		walk += 3 * rnd.NormFloat64()
		s.Step(p)
	}
}

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

func TestAutoStateIsBounded(t *testing.T) {
	rnd := rand.New(rand.NewSource(17))
	const day = 288
	daily := func(i int) float64 { return 100 + 30*math.Sin(2*math.Pi*float64(i)/day) + rnd.NormFloat64() }
	weekly := func(i int) float64 {
		if i/day%7 >= 5 {
			return 20 + rnd.NormFloat64()
		}
		return daily(i)
	}
	for _, n := range []int{100, 3000, 30_000} {
		for name, value := range map[string]func(int) float64{"daily": daily, "weekly": weekly} {
			s, m, _ := series(n, 5*time.Minute, value)
			b, err := s.AppendBinary(nil)
			t.Logf("%s, %d points: %d bytes, %s", name, n, len(b), m.Choice())
			if err != nil || len(b) > 8<<10 {
				t.Errorf("%s, %d points: %d bytes, %v", name, n, len(b), err)
			}
		}
	}
}

// The dearest that auto can get: days and weeks, profiled and modelled.
func TestASeriesWithAWeekTakesLessThan8KiB(t *testing.T) {
	const series, step, days = 64, 300, 20
	var held [series]*Scorer
	fill := func() {
		for i := range held {
			m := must(NewAuto(AutoConfig{}))
			held[i] = NewScorer(m, ScorerConfig{})
			random := rand.New(rand.NewSource(int64(i)))
			for k := range days * 86400 / step {
				day := float64(k) * step / 86400
				v := 100 + 20*math.Sin(2*math.Pi*day) + random.NormFloat64()
				if int(day)%7 >= 5 {
					v -= 60
				}
				held[i].Step(Point{int64(k) * step * 1000, v})
			}
			if !strings.Contains(m.Choice(), "a week is like") {
				t.Fatalf("chose %q", m.Choice())
			}
		}
	}
	heap := func() float64 {
		runtime.GC()
		runtime.GC() // the second frees what the first one only finalised
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	fill()
	full := heap()
	clear(held[:])
	if size := (full - heap()) / series; size > 8<<10 {
		t.Errorf("%.0f bytes a series", size)
	} else {
		t.Logf("%.0f bytes a series", size)
	}
}
