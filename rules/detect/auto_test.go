package detect

import (
	"math"
	"math/rand"
	"runtime"
	"slices"
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

// Who leads is the one that predicts best out of sample.
func TestAutoLeads(t *testing.T) {
	rnd := rand.New(rand.NewSource(11))
	const day = 288
	daily := func(i int) float64 { return 100 + 30*math.Sin(2*math.Pi*float64(i)/day) + rnd.NormFloat64() }
	walk := 0.0
	f := func(name string, n int, value func(i int) float64, want ...string) {
		t.Helper()
		_, m, _ := series(n, 5*time.Minute, value)
		if got := m.Choice(); !slices.Contains(want, got) {
			t.Errorf("%s: %q, want one of %q", name, got, want)
		}
	}
	f("too short", 9, daily, "learning")
	f("noise", 3*day, func(int) float64 { return 10 + rnd.NormFloat64() }, "level")
	f("a walk", 6*day, func(int) float64 { walk += rnd.NormFloat64(); return walk }, "follow", "hour")
	f("a day", 6*day, daily, "day")
	f("weekends", 20*day, func(i int) float64 {
		if i/day%7 >= 2 && i/day%7 < 4 { // 1 January 1970 was a Thursday
			return 20 + rnd.NormFloat64()
		}
		return daily(i)
	}, "weekday", "week")
	f("Mondays", 36*day, func(i int) float64 {
		if i/day%7 == 4 {
			return 20 + rnd.NormFloat64()
		}
		return daily(i)
	}, "week")
	total := 0.0
	f("a counter", 3*day, func(int) float64 { total += 100 + 5*rnd.NormFloat64(); return total }, "level, of the rate")
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

// A new level is told at once and for as long as it is new; what is accepted is
// not told again.
func TestAutoTellsANewLevelUntilItIsAccepted(t *testing.T) {
	rnd := rand.New(rand.NewSource(13))
	s, _, at := series(3*1440, time.Minute, func(i int) float64 { return 50 + rnd.NormFloat64() })
	var begun beginnings
	accepted := 0
	for i := range 4 * 1440 {
		v := s.Step(Point{at + int64(i)*60_000, 80 + rnd.NormFloat64()})
		begun.note(v)
		switch {
		case i < 1440 && !(v.Score > 1):
			t.Fatalf("point %d of a new level scores %v", i, v.Score)
		case v.Score <= 1:
			accepted++
		}
	}
	if begun.n != 1 || accepted < 2*1440 {
		t.Errorf("one new level is told %d times, and expected for %d minutes of four days", begun.n, accepted)
	}
}

func TestAutoTellsCountersFromGauges(t *testing.T) {
	rnd := rand.New(rand.NewSource(18))
	f := func(name string, value func(i int) float64, counter bool) {
		t.Helper()
		_, m, _ := series(2000, time.Minute, value)
		if got := strings.HasSuffix(m.Choice(), "of the rate"); got != counter {
			t.Errorf("%s: %q", name, m.Choice())
		}
	}
	f("a gauge that fills up at first", func(i int) float64 {
		if i < 200 {
			return float64(i) * (1 + 0.001*rnd.Float64())
		}
		return 100 + rnd.NormFloat64()
	}, false)
	total := 0.0
	f("a counter of something that began late", func(i int) float64 {
		if i >= 1000 {
			total += 10 + rnd.Float64()
		}
		return total
	}, true)
	f("a counter that is reset", func(i int) float64 {
		if total += 10 + rnd.Float64(); i%400 == 399 {
			total = 0
		}
		return total
	}, true)
	f("a constant", func(int) float64 { return 7 }, false)
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
	arithmetic(t)
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
