package detect

import (
	"fmt"
	"math"
	"math/rand"
	"testing"
)

// situation is a series under a scorer of auto, one value a step. Every
// situation below starts on a Monday.
type situation struct {
	t     *testing.T
	name  string
	s     *Scorer
	r     *rand.Rand
	step  int64 // seconds
	at    int64 // seconds
	usual func(at int64, r *rand.Rand) float64
}

const situationStart = 4 * 86400 // 5 January 1970, a Monday

func situate(t *testing.T, name string, seed, step int64, usual func(at int64, r *rand.Rand) float64) *situation {
	return &situation{t, name, NewScorer(must(NewAuto(AutoConfig{})), ScorerConfig{}), rand.New(rand.NewSource(seed)), step, situationStart, usual}
}

// seen is how something looked.
type seen struct {
	begun   int     // times that the state began
	above   int64   // seconds for which the score was above 1
	longest int64   // on end
	delay   int64   // to the first of them; -1: none
	days    []bool  // whether there was any on each day
	last    Verdict // the newest
}

// pass goes on for so many seconds, changed by change; nil: as usual.
func (x *situation) pass(seconds int64, change func(v float64, into int64) float64) seen {
	out, on, from := seen{delay: -1}, x.s.on, int64(0)
	for into := int64(0); into < seconds; into += x.step {
		v := x.usual(x.at, x.r)
		if change != nil {
			v = change(v, into)
		}
		out.last = x.s.Step(Point{x.at * 1000, v})
		if into%86400 == 0 {
			out.days = append(out.days, false)
		}
		if loud := out.last.Score > 1; loud {
			if !on {
				out.begun++
			}
			if !on || into == 0 {
				from = into
			}
			if out.delay < 0 {
				out.delay = into
			}
			out.above += x.step
			out.longest = max(out.longest, into-from)
			out.days[len(out.days)-1] = true
			on = true
		} else {
			on = false
		}
		x.at += x.step
	}
	return out
}

// quiet wants at most so many alerts.
func (x *situation) quiet(o seen, most int, when string) {
	x.t.Helper()
	if o.begun > most {
		x.t.Errorf("%s, %s: reported %d times, at most %d are right", x.name, when, o.begun, most)
	}
}

// calm says what was reported more than so many times after what it took to learn.
func (x *situation) calm(learn, then int64, most int) string {
	x.pass(learn, nil)
	if o := x.pass(then, nil); o.begun > most {
		return fmt.Sprintf("%d states in %d days", o.begun, then/aDay)
	}
	return ""
}

// told wants it reported within so many seconds, and above 1 on end for so long.
func (x *situation) told(o seen, within, onEnd int64, when string) {
	x.t.Helper()
	if o.delay < 0 || o.delay > within || o.longest < onEnd {
		x.t.Errorf("%s, %s: first reported after %d s and for %d s on end; want %d and %d", x.name, when, o.delay, o.longest, within, onEnd)
	}
}

const (
	aMinute = int64(60)
	anHour  = 60 * aMinute
	aDay    = 24 * anHour
)

func flat(mean, sigma float64) func(int64, *rand.Rand) float64 {
	return func(_ int64, r *rand.Rand) float64 { return mean + sigma*r.NormFloat64() }
}

func to(level float64) func(float64, int64) float64 {
	return func(float64, int64) float64 { return level }
}

func by(shift float64) func(float64, int64) float64 {
	return func(v float64, _ int64) float64 { return v + shift }
}

func times(factor float64) func(float64, int64) float64 {
	return func(v float64, _ int64) float64 { return v * factor }
}

// business is traffic of working days, with 9 to 17 as its day.
func business(at int64, r *rand.Rand) float64 {
	sod := float64(at % aDay / 60)
	v := 100.0
	if at/aDay%7 != 2 && at/aDay%7 != 3 { // day 0 was a Thursday
		v += 900 * math.Exp(-math.Pow((sod-13*60)/200, 4))
	}
	return v * (1 + 0.04*r.NormFloat64())
}

// TestSituations is what an on-call engineer expects of a detector.
func TestSituations(t *testing.T) {
	arithmetic(t)
	t.Run("a glitch blinds nobody", func(t *testing.T) {
		for _, glitch := range []float64{1 << 32, 1e9, 1 << 62 * 4, -1e12, 110} {
			for name, incident := range map[string]func(float64, int64) float64{"a spike": by(60), "zeros": to(0), "three times": times(3)} {
				x := situate(t, name, 1, 60, flat(100, 5))
				x.pass(7*aDay, nil)
				x.pass(x.step, to(glitch))
				x.quiet(x.pass(2*anHour, nil), 1, "after the glitch")
				x.told(x.pass(10*aMinute, incident), aMinute, 5*aMinute, "after a glitch")
				if w := x.s.Step(Point{x.at * 1000, 100}); w.Upper-w.Lower > 200 {
					t.Errorf("%s: a band of %v to %v", name, w.Lower, w.Upper)
				}
			}
		}
	})
	t.Run("a nightly backup and an hourly job are expected", func(t *testing.T) {
		x := situate(t, "a backup", 2, 60, func(at int64, r *rand.Rand) float64 {
			v := 20 + r.NormFloat64()
			if m := at % aDay / 60; m >= 150 && m < 195 {
				v += 50
			}
			return v
		})
		x.pass(5*aDay, nil)
		x.quiet(x.pass(10*aDay, nil), 1, "from the sixth night on")
		x = situate(t, "an hourly job", 3, 60, func(at int64, r *rand.Rand) float64 {
			v := 20 + r.NormFloat64()
			if at%anHour/60 < 4 {
				v += 50
			}
			return v
		})
		x.pass(4*aDay, nil)
		x.quiet(x.pass(7*aDay, nil), 1, "from the fifth day on")
	})
	t.Run("a job is expected from its fourth run on", func(t *testing.T) {
		for _, every := range []int64{anHour, 2 * anHour, 6 * anHour, aDay} {
			for _, lasts := range []int64{4 * aMinute, 20 * aMinute} {
				x := situate(t, fmt.Sprintf("a new job every %d s for %d s", every, lasts), 3, 60, flat(20, 1))
				x.pass(10*aDay, nil)
				job := func(v float64, _ int64) float64 {
					if (x.at+x.r.Int63n(2)*aMinute)%every < lasts {
						v += 50
					}
					return v
				}
				x.quiet(x.pass(max(3*every, aDay), job), 8, "of its first runs")
				x.quiet(x.pass(7*aDay, job), 16, "a week")
			}
		}
	})
	t.Run("what does not come is missed", func(t *testing.T) {
		for _, step := range []int64{60, 300} {
			x := situate(t, "a working day", 4, step, business)
			x.pass(28*aDay, nil)
			x.told(x.pass(18*anHour, times(0.1)), 11*anHour, 4*anHour, "that does not come")
			x = situate(t, "a working day at weekend level", 5, step, business)
			x.pass(29*aDay, nil)
			// Traffic comes between nine and eleven.
			x.told(x.pass(18*anHour, func(_ float64, _ int64) float64 { return 100 * (1 + 0.04*x.r.NormFloat64()) }), 12*anHour+30*aMinute, 4*anHour, "all day")
		}
	})
	t.Run("a lasting shift is above 1 for as long as an alert waits", func(t *testing.T) {
		for _, step := range []int64{15, 60, 300} {
			for name, shift := range map[string]float64{"30 % up": 30, "30 % down": -30, "6 sigma": 24, "6 sigma down": -24} {
				x := situate(t, name, 6, step, flat(100, 4))
				x.pass(7*aDay, nil)
				x.told(x.pass(3*anHour, by(shift)), max(3*aMinute, step), 2*anHour, "for three hours")
				x.pass(21*anHour, nil)
				x.told(x.pass(3*anHour, by(shift)), max(3*aMinute, step), 2*anHour, "the next day")
			}
		}
	})
	t.Run("a leak is reported on every day", func(t *testing.T) {
		for _, step := range []int64{60, 300} {
			x := situate(t, "a leak", 7, step, flat(100, 2))
			x.pass(10*aDay, nil)
			o := x.pass(3*aDay, func(v float64, into int64) float64 { return v + 100*float64(into)/float64(3*aDay) })
			x.told(o, 12*anHour, aDay, "that doubles in three days")
			for day, told := range o.days {
				if !told {
					t.Errorf("a leak every %d s: nothing on day %d", step, day)
				}
			}
		}
	})
	t.Run("the same outage is reported again", func(t *testing.T) {
		for name, pause := range map[string]int64{"an hour": anHour, "six hours": 6 * anHour, "a day": aDay, "a week": 7 * aDay} {
			x := situate(t, "again after "+name, 8, 60, flat(100, 5))
			x.pass(10*aDay, nil)
			for k := range 3 {
				x.told(x.pass(20*aMinute, to(10)), aMinute, 15*aMinute, "outage")
				if o := x.pass(pause, nil); o.above > 15*aMinute || o.begun > 1 {
					t.Errorf("%s: after outage %d above 1 for %d s, %d times", x.name, k, o.above, o.begun)
				}
			}
		}
	})
	t.Run("noise is quiet at any step", func(t *testing.T) {
		for _, step := range []int64{15, 60, 300} {
			sum := 0
			for seed := range int64(4) {
				x := situate(t, "noise", 10+seed, step, flat(100, 5))
				x.pass(7*aDay, nil)
				sum += x.pass(14*aDay, nil).begun
			}
			if sum > 6 { // the budget is 2 in 56 days
				t.Errorf("noise every %d s: %d alerts in 56 days", step, sum)
			}
		}
	})
	t.Run("an event in a constant series leaves a sane band", func(t *testing.T) {
		x := situate(t, "a constant", 9, 60, flat(12, 0))
		x.pass(7*aDay, nil)
		x.told(x.pass(10*aMinute, to(300)), aMinute, 5*aMinute, "an event")
		for range 60 {
			if o := x.pass(aMinute, nil); o.last.Upper-o.last.Lower > 24 || o.last.Lower < 0 {
				t.Fatalf("a band of %v to %v around 12", o.last.Lower, o.last.Upper)
			}
		}
	})
	t.Run("a constant that changes by its precision is constant", func(t *testing.T) {
		for _, level := range []float64{1, 12, 1e9, -3e-5} {
			x := situate(t, "a constant", 9, 60, flat(level, 0))
			x.pass(7*aDay, nil)
			x.quiet(x.pass(anHour, times(1+1e-11)), 0, "changed by 1e-11 of itself")
			x.quiet(x.pass(7*aDay, nil), 0, "back again")
			x.quiet(x.pass(anHour, func(v float64, into int64) float64 { return v * (1 + 1e-11*float64(into%3)) }), 0, "shaken by that")
		}
	})
}
