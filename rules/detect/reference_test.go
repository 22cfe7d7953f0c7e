package detect

import (
	"math"
	"math/rand"
	"testing"
	"time"
	_ "time/tzdata" // zones on every system
)

// The recursion as textbooks print it, over the means of the steps, against
// the model fed with several points a step.
func TestHoltWintersEqualsTheRecursion(t *testing.T) {
	const alpha, beta, gamma, perStep = 0.3, 0.05, 0.2, 3
	for _, multiplicative := range []bool{false, true} {
		m := must(NewHoltWinters(HoltWintersConfig{
			Season: 48 * time.Minute, Alpha: alpha, Beta: beta, Gamma: gamma, Multiplicative: multiplicative,
		})).expecting.(*HoltWinters)
		rnd := rand.New(rand.NewSource(21))
		var means []float64 // x_t
		for i := range 6 * seasonSlots {
			sum := 0.0
			for j := range perStep {
				v := 200 + 0.1*float64(i) + 50*math.Sin(2*math.Pi*float64(i)/seasonSlots) + rnd.NormFloat64()
				sum += v
				m.Learn(Point{int64(i)*60_000 + int64(j)*20_000, v}, 1)
			}
			means = append(means, sum/perStep)
		}

		level, trend, s := 0.0, 0.0, make([]float64, len(means)+1)
		for _, x := range means[:seasonSlots] {
			level += x / seasonSlots
		}
		for i, x := range means[:seasonSlots] {
			if s[i] = x - level; multiplicative {
				s[i] = x / level
			}
		}
		last := len(means) - 1 // its step is open still
		for i := seasonSlots; i < last; i++ {
			x, before, f := means[i], level, s[i-seasonSlots]
			if multiplicative {
				level = alpha*x/f + (1-alpha)*(level+trend)
				s[i] = gamma*x/level + (1-gamma)*f
			} else {
				level = alpha*(x-f) + (1-alpha)*(level+trend)
				s[i] = gamma*(x-level) + (1-gamma)*f
			}
			trend = beta*(level-before) + (1-beta)*trend
		}
		if math.Abs(m.level-level) > 1e-9 || math.Abs(m.trend-trend) > 1e-9 {
			t.Errorf("multiplicative %v: level %v trend %v, want %v %v", multiplicative, m.level, m.trend, level, trend)
		}
		for h := 1; h < seasonSlots; h++ { // the forecast for the middle of a step
			f := s[last-1+h-seasonSlots]
			want := level + float64(h)*trend + f
			if multiplicative {
				want = (level + float64(h)*trend) * f
			}
			at := int64(last-1+h)*60_000 + 30_000
			if got := m.forecast(at); math.Abs(got-want) > 1e-8 {
				t.Fatalf("multiplicative %v: forecast %d steps ahead %v, want %v", multiplicative, h, got, want)
			}
		}
	}
}

// Without noise the expectation must become the series: a day that is linear
// between the middles of the slots, a weekend that differs, a trend. The level follows
// the first weekends, and what they are like becomes part of the week by and by.
func TestSeasonalFindsTheShape(t *testing.T) {
	day := func(at int64) float64 {
		x := math.Mod(float64(at)/(24*3600_000)*seasonSlots, seasonSlots)
		return 100 + 40*math.Abs(x-seasonSlots/2)/(seasonSlots/2)
	}
	weekend := func(at int64) float64 {
		if d := time.UnixMilli(at).UTC().Weekday(); d == time.Saturday || d == time.Sunday {
			return -30
		}
		return 0
	}
	f := func(name string, periods []time.Duration, value func(at int64) float64, most float64) {
		t.Helper()
		m := must(NewSeasonal(SeasonalConfig{Periods: periods})).expecting.(*Seasonal)
		const step, days = 600_000, 56
		worst := 0.0
		for at := int64(0); at < days*24*3600_000; at += step {
			if hour := at / 3600_000 % 24; at > (days-7)*24*3600_000 && hour >= 4 && hour < 20 {
				worst = max(worst, math.Abs(m.expect(at)-value(at)))
			}
			m.Learn(Point{at, value(at)}, 1)
		}
		t.Logf("%s: off by up to %v", name, worst)
		if worst > most {
			t.Errorf("%s: off by up to %v in the last week", name, worst)
		}
	}
	d, w := 24*time.Hour, 7*24*time.Hour
	f("a day", []time.Duration{d}, day, 1)
	f("a day and a week", []time.Duration{d, w}, func(at int64) float64 { return day(at) + weekend(at) }, 7)
	f("a day on a trend", []time.Duration{d}, func(at int64) float64 { return day(at) + float64(at)/3600_000*0.05 }, 1)
}

// A zone's days begin when its clocks say so, on both sides of a change.
func TestSeasonalKeepsCivilTime(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	m := must(NewSeasonal(SeasonalConfig{Periods: []time.Duration{24 * time.Hour}, Location: zone})).expecting.(*Seasonal)
	value := func(at time.Time) float64 {
		if h := at.In(zone).Hour(); h >= 9 && h < 17 {
			return 100
		}
		return 10
	}
	at := time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
	for change := time.Date(2025, 3, 30, 2, 0, 0, 0, time.UTC); at.Before(change); at = at.Add(10 * time.Minute) {
		m.Learn(Point{at.UnixMilli(), value(at)}, 1)
	}
	for _, hour := range []int{8, 10, 16, 18} { // of the first day of summer time
		p := time.Date(2025, 3, 30, hour, 0, 0, 0, zone)
		if got, want := m.expect(p.UnixMilli()), value(p); math.Abs(got-want) > 15 {
			t.Errorf("%d o'clock: %v, want %v", hour, got, want)
		}
	}
}
