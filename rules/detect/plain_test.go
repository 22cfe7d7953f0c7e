package detect

import (
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"
)

// weekly is traffic of a service that people use less at weekends, by the time of day.
func weekly(at int64, r *rand.Rand) float64 {
	v := 100 * (1 + 0.6*math.Sin(2*math.Pi*(float64(at)/86400-0.375)))
	if day := at / aDay % 7; day == 2 || day == 3 { // day 0 was a Thursday
		v *= 0.6
	}
	return v * (1 + 0.03*r.NormFloat64())
}

// TestTheSecondWeek of a series that began on a Monday: how unlike the days before the
// first weekend was costs the working days after it nothing.
func TestTheSecondWeek(t *testing.T) {
	arithmetic(t)
	for _, day := range []int64{8, 9, 10, 11, 14, 18} {
		seeds(t, fmt.Sprintf("day %d", day), func(seed int64) string {
			x := situate(t, "", seed, 60, weekly)
			x.pass(day*aDay+10*anHour, nil)
			if o := x.pass(3*anHour, times(0.7)); o.above < 170*aMinute {
				return fmt.Sprintf("30 %% less for three hours is above 1 for %d min", o.above/60)
			}
			return ""
		})
	}
}

// TestTheSecondDay of a series is as quiet as the first, though nobody knows yet that
// days are alike.
func TestTheSecondDay(t *testing.T) {
	arithmetic(t)
	for _, step := range []int64{15, 60, 300} {
		states := 0
		for _, noise := range []float64{0.02, 0.05} {
			for _, hour := range []int64{0, 7, 14} {
				seeds(t, "", func(seed int64) string {
					x := situate(t, "", seed, step, func(at int64, r *rand.Rand) float64 {
						return 100 * (1 + 0.4*math.Sin(2*math.Pi*(float64(at+hour*anHour)/86400-0.3))) * (1 + noise*r.NormFloat64())
					})
					x.pass(aDay, nil)
					states += x.pass(3*aDay, nil).begun
					return ""
				})
			}
		}
		if states > 2 {
			t.Errorf("every %d s: %d states on the second to fourth days of 12 series", step, states)
		}
	}
}

// TestYoungCounters: how their increases vary is learned, not what a first one was like.
func TestYoungCounters(t *testing.T) {
	arithmetic(t)
	for name, increase := range map[string]func(r *rand.Rand) float64{
		"seconds of CPU": func(r *rand.Rand) float64 { return math.Abs(0.3 + 0.1*r.NormFloat64()) },
		"requests":       func(r *rand.Rand) float64 { return math.Floor(r.ExpFloat64() * 4) },
		"bytes":          func(r *rand.Rand) float64 { return math.Exp(7 + 0.8*r.NormFloat64()) },
	} {
		for _, step := range []int64{15, 60} {
			seeds(t, fmt.Sprintf("%s every %d s", name, step), func(seed int64) string {
				sum := 0.0
				x := situate(t, "", seed, step, func(_ int64, r *rand.Rand) float64 {
					sum += increase(r)
					return sum
				})
				if o := x.pass(2*aDay, nil); o.begun > 2 || o.above > anHour {
					return fmt.Sprintf("%d states in two days, above 1 for %d min", o.begun, o.above/60)
				}
				return ""
			})
		}
	}
}

// TestALevelOfAnotherNoise is accepted together with its noise.
func TestALevelOfAnotherNoise(t *testing.T) {
	arithmetic(t)
	for name, c := range map[string]struct{ mean, sigma, then, noise float64 }{
		"zero for weeks":     {0, 0, 50, 2},
		"constant for weeks": {7, 0, 50, 2},
		"ten times as noisy": {100, 2, 120, 20},
		"fifteen times":      {1, 0.02, 15, 1.5},
		"until it is zero":   {100, 5, 0, 0},
		"until it is pinned": {100, 5, 200, 0},
	} {
		for _, step := range []int64{60, 300} {
			seeds(t, fmt.Sprintf("%s, every %d s", name, step), func(seed int64) string {
				mean, sigma := c.mean, c.sigma
				x := situate(t, "", seed, step, func(_ int64, r *rand.Rand) float64 { return mean + sigma*r.NormFloat64() })
				x.pass(21*aDay, nil)
				mean, sigma = c.then, c.noise
				o := x.pass(21*aDay, nil)
				if o.begun > 6 || o.above < 8*anHour || o.above > 36*anHour {
					return fmt.Sprintf("%d states in three weeks, above 1 for %d h", o.begun, o.above/3600)
				}
				return ""
			})
		}
	}
}

// TestANightlyJobOfMinutesIsMissed, and at weekends only where it has run at weekends.
func TestANightlyJobOfMinutesIsMissed(t *testing.T) {
	arithmetic(t)
	for _, step := range []int64{15, 60} {
		for _, lasts := range []int64{3 * aMinute, 10 * aMinute} {
			for _, week := range []bool{true, false} {
				seeds(t, fmt.Sprintf("every %d s, %d min, at weekends too: %v", step, lasts/60, week), func(seed int64) string {
					off, jitter := false, rand.New(rand.NewSource(seed+9))
					late := int64(0)
					x := situate(t, "", seed, step, func(at int64, r *rand.Rand) float64 {
						sod, day := at%aDay, at/aDay%7
						if sod < step {
							late = jitter.Int63n(2 * aMinute)
						}
						v := 100 + 3*r.NormFloat64()
						if since := sod - 2*anHour - late; since >= 0 && since < lasts && !off && (week || day != 2 && day != 3) {
							v += 150
						}
						return v
					})
					x.pass(4*aDay, nil)
					if o := x.pass(10*aDay, nil); o.begun > 1 {
						return fmt.Sprintf("%d states while all is as usual", o.begun)
					}
					off = true
					if o := x.pass(3*anHour, nil); week && (o.begun == 0 || o.above > anHour) {
						return fmt.Sprintf("%d states when it does not come", o.begun)
					}
					return ""
				})
			}
		}
	}
}

// TestAnAgeThatIsNotReset looks like a counter, and that it does not fall when it is time
// is reported.
func TestAnAgeThatIsNotReset(t *testing.T) {
	arithmetic(t)
	for _, step := range []int64{15, 60, 300} {
		for _, every := range []int64{40 * aMinute, 6 * anHour, aDay} {
			seeds(t, fmt.Sprintf("every %d s, reset every %d min", step, every/60), func(seed int64) string {
				dead, last, next := false, int64(situationStart), int64(situationStart)+every
				due := next
				x := situate(t, "", seed, step, func(at int64, r *rand.Rand) float64 {
					if at >= next {
						if !dead {
							last = next
						}
						due += every
						next = due + r.Int63n(every/30)
					}
					return float64(at - last)
				})
				x.pass(aDay, nil)
				if o := x.pass(19*aDay, nil); o.begun > 1 {
					return fmt.Sprintf("%d states while all is as usual", o.begun)
				}
				dead = true
				if o := x.pass(2*aDay+every, nil); o.begun == 0 || o.delay > 2*every || o.above < 20*anHour {
					return fmt.Sprintf("that it is not reset is told of %d times, after %d min, for %d h", o.begun, o.delay/60, o.above/3600)
				}
				return ""
			})
		}
	}
}

// TestAnOutageOfDaysInDailyTraffic is accepted as what it is, a part of what was expected
// or nothing at all, and the way back is usual within about an hour.
func TestAnOutageOfDaysInDailyTraffic(t *testing.T) {
	arithmetic(t)
	traffic := func(at int64, r *rand.Rand) float64 {
		return 100 * (1 + 0.5*math.Sin(2*math.Pi*(float64(at)/86400-0.3))) * (1 + 0.05*r.NormFloat64())
	}
	late, all := 0, 0
	for name, change := range map[string]func(float64, int64) float64{
		"nothing": to(0), "half": times(0.5), "three times": times(3), "so much more": by(100),
	} {
		for _, hours := range []int64{30, 48, 72} {
			for _, step := range []int64{60, 300} {
				seeds(t, "", func(seed int64) string {
					x := situate(t, "", seed, step, traffic)
					x.pass(20*aDay+10*anHour, nil)
					o := x.pass(hours*anHour, change)
					if p := x.pass(2*aDay, nil); o.begun > 1 || o.above > 30*anHour || p.begun > 2 || p.above > 2*anHour {
						t.Logf("%s for %d h, every %d s, seed %d: %d states, above 1 for %d h, then %d, for %d min", name, hours, step, seed, o.begun, o.above/3600, p.begun, p.above/60)
						late++
					}
					all++
					return ""
				})
			}
		}
	}
	if late > all/16 {
		t.Errorf("%d of %d outages are accepted later, or are news for longer when they end", late, all)
	}
}

// TestALeakOfDays is reported for as long as it goes on, however soon levels are accepted.
func TestALeakOfDays(t *testing.T) {
	arithmetic(t)
	for _, accept := range []int64{6, 24} {
		seeds(t, fmt.Sprintf("accept: %dh", accept), func(seed int64) string {
			x := situate(t, "", seed, 60, flat(100, 3))
			x.s = NewScorer(must(NewAuto(AutoConfig{})), ScorerConfig{Accept: time.Duration(accept) * time.Hour})
			x.pass(15*aDay, nil)
			o := x.pass(7*aDay, func(v float64, into int64) float64 { return v * (1 + 0.3*float64(into)/86400) })
			if o.longest < 6*aDay {
				return fmt.Sprintf("30 %% a day is above 1 for %d h on end", o.longest/3600)
			}
			return ""
		})
	}
}

// TestRestsAfterALevel: that a series rested for a while when a level was accepted says
// nothing of how long it rests at night.
func TestRestsAfterALevel(t *testing.T) {
	arithmetic(t)
	stuck := 0
	for seed := range int64(8) {
		size, by := 10.0, 0.0
		x := situate(t, "", seed+1, 60, func(at int64, r *rand.Rand) float64 {
			h := at % aDay / anHour
			if h < 8 || h >= 20 {
				return 10 + by
			}
			if r.Intn(20) == 0 {
				size = float64(7 + r.Intn(7))
			}
			return size + by
		})
		x.pass(14*aDay+10*anHour, nil)
		by = 30
		x.pass(28*anHour, nil)
		stuck += x.pass(8*aDay, nil).begun
	}
	if stuck > 4 {
		t.Errorf("%d states in eight series and eight days after the level was accepted", stuck)
	}
}

// TestRestartsThatDoNotCome: a counter that restarts every night need not, and a gap may
// hide the reset of an age.
func TestRestartsThatDoNotCome(t *testing.T) {
	arithmetic(t)
	for _, step := range []int64{60, 300} {
		seeds(t, fmt.Sprintf("a counter every %d s", step), func(seed int64) string {
			sum, skip := 0.0, false
			x := situate(t, "", seed, step, func(at int64, r *rand.Rand) float64 {
				sum += float64(step) * (1 + 0.05*r.NormFloat64())
				if at%aDay == 3*anHour && !skip {
					sum = 0
				}
				return sum
			})
			x.pass(20*aDay, nil)
			skip = true
			if o := x.pass(3*aDay, nil); o.above > 0 {
				return fmt.Sprintf("no restart for three nights is above 1 for %d min", o.above/60)
			}
			return ""
		})
		seeds(t, fmt.Sprintf("an age every %d s", step), func(seed int64) string {
			x := situate(t, "", seed, step, func(at int64, _ *rand.Rand) float64 { return float64((at - 2*anHour) % aDay) })
			x.pass(20*aDay+4*anHour, nil)
			x.at += 25 * anHour
			if o := x.pass(2*aDay, nil); o.above > 0 {
				return fmt.Sprintf("after a gap of 25 h it is above 1 for %d min", o.above/60)
			}
			return ""
		})
	}
}

// TestLevelsOfHugeValues are accepted as far as 32 bits go, and never become no numbers.
func TestLevelsOfHugeValues(t *testing.T) {
	arithmetic(t)
	for _, scale := range []float64{1e-25, 1e19, 1e28} {
		for _, change := range []float64{0, 0.5, 3} {
			x := situate(t, "", 1, 300, func(at int64, r *rand.Rand) float64 {
				return scale * (1 + 0.5*math.Sin(2*math.Pi*(float64(at)/86400-0.3))) * (1 + 0.05*r.NormFloat64())
			})
			x.pass(20*aDay, nil)
			x.pass(2*aDay, times(change))
			x.pass(4*aDay, nil)
			if o := x.pass(2*anHour, times(4)); math.IsNaN(o.last.Expected) || scale > 1 && o.above < anHour {
				t.Errorf("%g, times %g for two days: four times as much later is above 1 for %d min, expected %v", scale, change, o.above/60, o.last.Expected)
			}
		}
	}
}
