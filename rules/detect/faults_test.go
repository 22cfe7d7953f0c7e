package detect

import (
	"bytes"
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"
)

// Faults that were found by attack, each as an example of its kind. seeds lets f look
// for one over some seeds, and say what it saw.
func seeds(t *testing.T, name string, f func(seed int64) string) {
	t.Helper()
	for seed := range int64(2) {
		if s := f(seed + 1); s != "" {
			t.Errorf("%s, seed %d: %s", name, seed+1, s)
		}
	}
}

// judged is auto, or one of the models that are weighed by a budget.
func judged(name string) Model {
	if name == "auto" {
		return must(NewAuto(AutoConfig{}))
	}
	return inDefault(name, 1.0/30)
}

var byBudget = []string{"auto", "zscore", "mad", "seasonal", "holtwinters", "prophet", "quantile"}

// TestACounterThatBeginsToCount: errors that nobody has seen for a week are reported for
// as long as they come, and a constant that begins to grow likewise.
func TestACounterThatBeginsToCount(t *testing.T) {
	arithmetic(t)
	for _, step := range []int64{15, 60, 300} {
		seeds(t, fmt.Sprintf("errors every %d s", step), func(seed int64) string {
			sum, errors := 17.0, 0
			x := situate(t, "", seed, step, func(_ int64, r *rand.Rand) float64 {
				if errors > 0 {
					sum += float64(errors + r.Intn(errors))
				}
				return sum
			})
			x.pass(7*aDay, nil)
			errors = 5
			if o := x.pass(4*anHour, nil); o.above < 3*anHour {
				return fmt.Sprintf("of four hours of errors, above 1 for %d min", o.above/60)
			}
			return ""
		})
	}
}

// TestGlitchesOfAConstant: single values, however large, do not make anything usual.
func TestGlitchesOfAConstant(t *testing.T) {
	arithmetic(t)
	for _, name := range byBudget {
		for _, glitch := range []float64{22, 1e9} {
			x := situate(t, name, 1, 60, flat(12, 0))
			x.s = NewScorer(judged(name), ScorerConfig{})
			x.pass(8*aDay, nil)
			for range 2 {
				x.pass(60, to(glitch))
				x.pass(aDay, nil)
			}
			if o := x.pass(anHour, to(300)); o.above < anHour/2 {
				t.Errorf("%s: 12 for days, two single values of %g: an hour of 300 is above 1 for %d min; band %.3g to %.3g", name, glitch, o.above/60, o.last.Lower, o.last.Upper)
			}
		}
	}
}

// TestAGlitchAmongTheFirstValues blinds for no longer than one of ten deviations.
func TestAGlitchAmongTheFirstValues(t *testing.T) {
	arithmetic(t)
	for _, name := range byBudget {
		for at := range int64(4) {
			seeds(t, fmt.Sprintf("%s: value %d", name, at+1), func(seed int64) string {
				x := situate(t, "", seed, 60, flat(100, 5))
				x.s = NewScorer(judged(name), ScorerConfig{})
				x.pass(at*60, nil)
				x.pass(60, to(1e9))
				x.pass(7*aDay, nil)
				if o := x.pass(anHour, by(200)); o.above < anHour/2 {
					return fmt.Sprintf("seven days later 40 sigma for an hour are above 1 for %d min; band %.3g to %.3g", o.above/60, o.last.Lower, o.last.Upper)
				}
				return ""
			})
		}
	}
	s, r, above := NewVectorScorer(must2(NewJoint(JointConfig{Inputs: 3})), ScorerConfig{}), rand.New(rand.NewSource(1)), 0
	for k := range 7*1440 + 60 {
		v := []float64{100 + 5*r.NormFloat64(), 100 + 5*r.NormFloat64(), 100 + 5*r.NormFloat64()}
		if k == 0 {
			v[1] = 1e9
		}
		if k >= 7*1440 {
			v[1] += 60
		}
		if w := s.Step(Vector{int64(k) * minute, v}, nil); w.Score > 1 && k >= 7*1440 {
			above++
		}
	}
	if above < 30 {
		t.Errorf("three inputs: seven days later 12 sigma for an hour are above 1 for %d min", above)
	}
}

// TestBurstsFromTheFirstDay: glitches of three values again and again move no level and
// hide nothing that lasts.
func TestBurstsFromTheFirstDay(t *testing.T) {
	arithmetic(t)
	for _, glitch := range []float64{150, 1e9} {
		x := situate(t, "", 1, 60, flat(100, 5))
		for range 24 {
			x.pass(94*aMinute, nil)
			x.pass(3*aMinute, to(glitch))
		}
		x.pass(5*aDay, nil)
		if o := x.pass(anHour, by(200)); o.above < anHour/2 {
			t.Errorf("glitches of %g: 40 sigma for an hour are above 1 for %d min, band %g", glitch, o.above/60, o.last.Upper-o.last.Lower)
		}
	}
}

// secondMode is noise of which a share of the values lies higher.
func secondMode(share, by, sigma float64) func(int64, *rand.Rand) float64 {
	return func(_ int64, r *rand.Rand) float64 {
		v := 100 + sigma*r.NormFloat64()
		if r.Float64() < share {
			v += by
		}
		return v
	}
}

// TestASecondMode: flags, rare errors and batches stay within three times the budget, and
// do not stretch the band far beyond what was seen.
func TestASecondMode(t *testing.T) {
	arithmetic(t)
	for _, step := range []int64{60, 300} {
		for name, u := range map[string]func(int64, *rand.Rand) float64{
			"1 % higher by 60": secondMode(0.01, 60, 3), "5 % higher by 60": secondMode(0.05, 60, 3), "a flag up for 3 %": secondMode(0.03, 1, 0),
			"a flag up for 1 in 300": secondMode(0.0033, 1, 0),
		} {
			begun, most := 0, 0.0
			for seed := range int64(4) {
				x := situate(t, "", seed+1, step, u)
				x.pass(30*aDay, nil)
				for range 30 {
					o := x.pass(aDay, nil)
					begun += o.begun
					most = max(most, o.last.Upper)
				}
			}
			if begun > 12 {
				t.Errorf("every %d s, %s: in days 30 to 60 of four series %d states began; the budget is 4", step, name, begun)
			}
			if most > 600 {
				t.Errorf("every %d s, %s: the band reaches to %v", step, name, most)
			}
		}
	}
}

// TestAWeeklyJob of an hour is expected from the fourth time on, and missed.
func TestAWeeklyJob(t *testing.T) {
	arithmetic(t)
	for _, step := range []int64{60, 300} {
		runs, told, missed := 0, 0, 0
		for seed := range int64(4) {
			off, last, shift := false, int64(-1), int64(0)
			x := situate(t, "", seed+1, step, func(at int64, r *rand.Rand) float64 {
				v, p := 60+r.NormFloat64(), at-situationStart
				if k := p / (7 * aDay); k != last {
					last, shift = k, r.Int63n(4*aMinute)
				}
				if p = p%(7*aDay) - 6*aDay - 3*anHour - shift; p >= 0 && p < anHour && !off {
					v += 50
				}
				return v
			})
			for k := range 9 {
				if o := x.pass(7*aDay, nil); k >= 3 {
					if runs++; o.begun > 0 {
						told++
					}
				}
			}
			off = true
			if x.pass(7*aDay, nil).begun == 0 {
				missed++
			}
		}
		if told > runs/3 || missed > 1 {
			t.Errorf("every %d s: %d of %d runs are reported from the fourth on, and the absence is not in %d of 4", step, told, runs, missed)
		}
	}
}

// TestAJobOfTheDayIsMissed, several times a day, when it does not come.
func TestAJobOfTheDayIsMissed(t *testing.T) {
	arithmetic(t)
	for _, step := range []int64{15, 60, 300} {
		for _, every := range []int64{anHour, 2 * anHour, 6 * anHour} {
			runs, told := 0, 0
			for seed := range int64(2) {
				off := false
				x := situate(t, "", seed+1, step, func(at int64, r *rand.Rand) float64 {
					v := 100 + 2*r.NormFloat64()
					if (at-situationStart)%every < every/6 && !off {
						v += 80
					}
					return v
				})
				x.pass(5*aDay, nil)
				for range 3 * aDay / every {
					if runs++; x.pass(every, nil).begun > 0 {
						told++
					}
				}
				off = true
				if o := x.pass(3*every, nil); o.begun == 0 {
					t.Errorf("every %d s, a job every %d min, seed %d: that it does not come is not reported", step, every/60, seed+1)
				}
			}
			if told > runs/5 {
				t.Errorf("every %d s, a job every %d min: %d of %d runs are reported", step, every/60, told, runs)
			}
		}
	}
}

// TestScrapesThatFail cost nothing of what is known, in an outage or not.
func TestScrapesThatFail(t *testing.T) {
	arithmetic(t)
	for _, c := range [][2]int64{{15, 240}, {60, 240}, {300, 600}} {
		seeds(t, fmt.Sprintf("every %d s, then %d s during an outage of 12 h", c[0], c[1]), func(seed int64) string {
			x := situate(t, "", seed, c[0], flat(100, 5))
			x.pass(14*aDay, nil)
			x.step = c[1]
			if o := x.pass(12*anHour, to(20)); o.above < 11*anHour {
				return fmt.Sprintf("above 1 for %d min of 720; expected then %.3g", o.above/60, o.last.Expected)
			}
			return ""
		})
		seeds(t, fmt.Sprintf("every %d s, 12 usual hours every %d s, 12 as before", c[0], c[1]), func(seed int64) string {
			x := situate(t, "", seed, c[0], flat(100, 5))
			x.pass(14*aDay, nil)
			x.step = c[1]
			x.pass(12*anHour, nil)
			x.step = c[0]
			x.pass(12*anHour, nil)
			if o := x.pass(3*anHour, by(40)); o.above < 2*anHour {
				return fmt.Sprintf("8 sigma for 3 h are above 1 for %d min; band %.3g to %.3g", o.above/60, o.last.Lower, o.last.Upper)
			}
			return ""
		})
	}
}

// TestAnOutageAndAStorm: a change of sides keeps the state, and it ends within ten
// evaluations of what is usual, or a tenth of its length.
func TestAnOutageAndAStorm(t *testing.T) {
	arithmetic(t)
	for _, name := range byBudget {
		for _, step := range []int64{60, 300} {
			seeds(t, fmt.Sprintf("%s every %d s", name, step), func(seed int64) string {
				x := situate(t, "", seed, step, flat(100, 5))
				x.s = NewScorer(judged(name), ScorerConfig{})
				x.pass(16*aDay, nil)
				x.pass(40*step, to(10))
				for k := range int64(10) {
					if v := x.pass(step, by(200)).last; !(v.Score > 1) {
						return fmt.Sprintf("the score is %.2f at value %d of the storm", v.Score, k+1)
					}
				}
				if o := x.pass(aDay, nil); o.above > 15*step {
					return fmt.Sprintf("above 1 for %d values more", o.above/step)
				}
				return ""
			})
		}
	}
}

// TestSeveralInputsEnd soon after one of them was off, for a point or for ten.
func TestSeveralInputsEnd(t *testing.T) {
	arithmetic(t)
	for _, n := range []int{3, 8, 38} {
		for _, lasts := range []int{1, 10} {
			seeds(t, fmt.Sprintf("%d inputs, one is off for %d", n, lasts), func(seed int64) string {
				s, r := NewVectorScorer(must2(NewJoint(JointConfig{Inputs: n})), ScorerConfig{}), rand.New(rand.NewSource(seed))
				from, after := 5*1440, 0
				for k := range from + lasts + 200 {
					v := make([]float64, n)
					for i := range v {
						v[i] = 100 + 5*r.NormFloat64()
					}
					switch {
					case k >= from && k < from+lasts && lasts == 1:
						v[0] = 150
					case k >= from && k < from+lasts:
						v[0] = 0
					}
					if w := s.Step(Vector{int64(k) * minute, v}, nil); w.Score > 1 && k >= from+lasts && k-from-lasts == after {
						after++
					}
				}
				if after > 15 {
					return fmt.Sprintf("above 1 for %d points after it", after)
				}
				return ""
			})
		}
	}
}

// TestAYoungCounterThatRestarts is still a counter.
func TestAYoungCounterThatRestarts(t *testing.T) {
	arithmetic(t)
	for _, c := range []struct {
		step int64
		at   [2]int64
	}{{15, [2]int64{8 * aMinute, 16 * aMinute}}, {60, [2]int64{30 * aMinute, 90 * aMinute}}, {300, [2]int64{3 * anHour, 8 * anHour}}, {3600, [2]int64{2 * aDay, 4 * aDay}}} {
		seeds(t, fmt.Sprintf("every %d s", c.step), func(seed int64) string {
			sum, rate, nan := 0.0, 1.0, int64(0)
			x := situate(t, "", seed, c.step, func(at int64, r *rand.Rand) float64 {
				if p := at - situationStart; p == c.at[0] || p == c.at[1] {
					sum = 0
				}
				sum += 10 * float64(c.step) * rate * (1 + 0.05*r.NormFloat64())
				return sum
			})
			for range 40 {
				if math.IsNaN(x.pass(c.step, nil).last.Score) {
					nan++
				}
			}
			if nan > 30 {
				return fmt.Sprintf("no score for %d of the first 40 values", nan)
			}
			x.pass(21*aDay, nil)
			rate = 0.5
			lasts := max(2*anHour, 8*c.step)
			if o := x.pass(lasts, nil); o.above < lasts/2 {
				return fmt.Sprintf("three weeks later half of the rate is above 1 for %d of %d min", o.above/60, lasts/60)
			}
			return ""
		})
	}
}

// TestTheSameOutageAtAWeekend is no habit after two of them.
func TestTheSameOutageAtAWeekend(t *testing.T) {
	arithmetic(t)
	for _, lasts := range []int64{10 * aMinute, 30 * aMinute} {
		seeds(t, fmt.Sprintf("%d min", lasts/60), func(seed int64) string {
			x := situate(t, "", seed, 60, flat(100, 5))
			x.pass(19*aDay+10*anHour, nil)
			for _, pause := range []int64{aDay, 6 * aDay} {
				x.pass(lasts, to(10))
				x.pass(pause-lasts, nil)
			}
			if o := x.pass(lasts, to(10)); o.above < lasts/2 {
				return fmt.Sprintf("the third one is above 1 for %d min", o.above/60)
			}
			return ""
		})
	}
}

// TestHoursOfInfinity leave a state that can be read.
func TestHoursOfInfinity(t *testing.T) {
	for _, name := range byBudget {
		x := situate(t, "", 1, 60, flat(100, 5))
		x.s = NewScorer(judged(name), ScorerConfig{Accept: 24 * time.Hour})
		x.pass(2*aDay, nil)
		x.pass(4*anHour, to(math.Inf(1)))
		state := must2(x.s.AppendBinary(nil))
		again := NewScorer(judged(name), ScorerConfig{})
		if err := again.UnmarshalBinary(state); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(state, must2(again.AppendBinary(nil))) {
			t.Errorf("%s: what was read is another state", name)
		}
	}
}

// TestAtTheTimeOfAJob what is many times as high is no habit.
func TestAtTheTimeOfAJob(t *testing.T) {
	arithmetic(t)
	seeds(t, "every 15 s", func(seed int64) string {
		x := situate(t, "", seed, 15, func(at int64, r *rand.Rand) float64 {
			v := 20 + r.NormFloat64()
			if at%anHour < 5*aMinute {
				v += 50
			}
			return v
		})
		x.pass(14*aDay, nil)
		if o := x.pass(10*aMinute, to(620)); o.above < 5*aMinute {
			return fmt.Sprintf("ten minutes of 620, where an hourly job is 70 for five: above 1 for %d s", o.above)
		}
		return ""
	})
}

// TestTheWayBack: once an outage of days has been accepted, the level that was usual for
// weeks before is so again at once, and a level that holds is accepted after a day.
func TestTheWayBack(t *testing.T) {
	arithmetic(t)
	for _, hours := range []int64{30, 48, 62} {
		seeds(t, fmt.Sprintf("%d h", hours), func(seed int64) string {
			x := situate(t, "", seed, 60, flat(100, 5))
			x.pass(18*aDay+18*anHour, nil)
			o := x.pass(hours*anHour, to(5))
			if p := x.pass(5*aDay, nil); p.above > hours*anHour/10 {
				return fmt.Sprintf("the outage is above 1 for %d h, and the usual level after it for %d h", o.above/3600, p.above/3600)
			}
			return ""
		})
	}
	for _, step := range []int64{60, 300} {
		seeds(t, fmt.Sprintf("daily traffic every %d s, half as much again for ever", step), func(seed int64) string {
			x := situate(t, "", seed, step, dailyTraffic)
			x.pass(8*aDay, nil)
			if o := x.pass(4*aDay, times(1.5)); o.begun != 1 || o.above < 24*anHour || o.above > 30*anHour {
				return fmt.Sprintf("%d states, above 1 for %d h", o.begun, o.above/3600)
			}
			return ""
		})
	}
}

// TestWhatADirectionIsSilentAbout is not learned: its end is no news.
func TestWhatADirectionIsSilentAbout(t *testing.T) {
	arithmetic(t)
	for _, name := range byBudget {
		for _, lasts := range []int64{20 * aMinute, 3 * anHour, 8 * anHour} {
			for d, change := range map[Direction]func(float64, int64) float64{Above: times(0.3), Below: times(1.5)} {
				seeds(t, fmt.Sprintf("%s, direction %v, %d min", name, d, lasts/60), func(seed int64) string {
					x := situate(t, "", seed, 60, flat(100, 2))
					x.s = NewScorer(judged(name), ScorerConfig{Direction: d})
					x.pass(8*aDay, nil)
					o, p := x.pass(lasts, change), x.pass(anHour, nil)
					if o.begun > 0 || p.begun > 0 {
						return fmt.Sprintf("%d states begin in it, and %d in the hour after it", o.begun, p.begun)
					}
					if p = x.pass(aDay, nil); p.above > 20*aMinute {
						return fmt.Sprintf("on the day after it the score is above 1 for %d min", p.above/60)
					}
					return ""
				})
			}
		}
	}
}

func dailyTraffic(at int64, r *rand.Rand) float64 {
	return (500 + 400*math.Sin(2*math.Pi*(float64(at)/86400-0.25))) * (1 + 0.03*r.NormFloat64())
}

// TestTheSameOutageAfterOneThatWasAccepted is reported all through, days and weeks later.
func TestTheSameOutageAfterOneThatWasAccepted(t *testing.T) {
	arithmetic(t)
	for name, usual := range map[string]func(int64, *rand.Rand) float64{"flat": flat(100, 5), "daily": dailyTraffic, "business": business} {
		for _, days := range []int64{3, 21} {
			seeds(t, fmt.Sprintf("%s, %d days later", name, days), func(seed int64) string {
				x := situate(t, "", seed, 60, usual)
				x.pass(21*aDay+9*anHour, nil)
				x.pass(30*anHour, times(0.1))
				x.pass(days*aDay, nil)
				o := x.pass(5*anHour, times(0.1))
				if p := x.pass(aDay, nil); o.above < 4*anHour || p.above > anHour/2 {
					return fmt.Sprintf("above 1 for %d of 300 min, and for %d after it", o.above/60, p.above/60)
				}
				return ""
			})
		}
	}
	seeds(t, "traffic doubled for good, then half of it is lost again and again", func(seed int64) string {
		x := situate(t, "", seed, 60, dailyTraffic)
		x.pass(21*aDay+8*anHour, nil)
		x.pass(7*aDay, times(2))
		for k := range 5 {
			if o := x.pass(2*anHour, nil); o.above < 90*aMinute {
				return fmt.Sprintf("time %d is above 1 for %d of 120 min", k+1, o.above/60)
			}
			x.pass(4*aDay-2*anHour, times(2))
		}
		return ""
	})
}

// TestALevelThatIsAdded does not change the noise, there or on the way back.
func TestALevelThatIsAdded(t *testing.T) {
	arithmetic(t)
	seeds(t, "100, 400 for two weeks, 100", func(seed int64) string {
		x := situate(t, "", seed, 60, flat(100, 5))
		x.pass(21*aDay, nil)
		a := x.pass(14*aDay, by(300))
		b := x.pass(7*aDay+10*anHour, nil)
		i := x.pass(3*anHour, times(0.5))
		if a.begun > 3 || b.begun > 3 || i.above < 2*anHour {
			return fmt.Sprintf("%d states there, %d on the way back, half of it is above 1 for %d of 180 min", a.begun, b.begun, i.above/60)
		}
		return ""
	})
}

// TestACounterWhoseStepChanges is judged by its rate, whatever the step.
func TestACounterWhoseStepChanges(t *testing.T) {
	arithmetic(t)
	for _, c := range [][2]int64{{60, 15}, {15, 60}, {300, 60}} {
		seeds(t, fmt.Sprintf("every %d s, then every %d", c[0], c[1]), func(seed int64) string {
			sum, last, part := 0.0, int64(situationStart), 1.0
			x := situate(t, "", seed, c[0], func(at int64, r *rand.Rand) float64 {
				sum += float64(at-last) * part * 10 * (1 + 0.05*r.NormFloat64())
				last = at
				return sum
			})
			x.pass(14*aDay, nil)
			x.step = c[1]
			o := x.pass(4*aDay, nil)
			part = 0.4
			if p := x.pass(3*anHour, nil); o.above > anHour || p.above < 2*anHour {
				return fmt.Sprintf("the new step is above 1 for %d min, 60 %% less for %d of 180", o.above/60, p.above/60)
			}
			return ""
		})
	}
}

// TestWhatComesMostOfTheTime: absences that go on and on are how a job is, and the flank
// of a day is none.
func TestWhatComesMostOfTheTime(t *testing.T) {
	arithmetic(t)
	seeds(t, "an hourly job that is left out one time in ten", func(seed int64) string {
		last, come := int64(-1), true
		x := situate(t, "", seed, 60, func(at int64, r *rand.Rand) float64 {
			if k := at / anHour; k != last {
				last, come = k, r.Float64() >= 0.1
			}
			v := 20 + r.NormFloat64()
			if come && at%anHour < 900 {
				v += 50
			}
			return v
		})
		return x.calm(28*aDay, 14*aDay, 6)
	})
	for _, step := range []int64{60, 300, 900} {
		seeds(t, fmt.Sprintf("two peaks a day, every %d s", step), func(seed int64) string {
			x := situate(t, "", seed, step, func(at int64, r *rand.Rand) float64 {
				h := float64(at%aDay) / 3600
				return (100 + 400*math.Exp(-math.Pow((h-9)/1.5, 2)) + 500*math.Exp(-math.Pow((h-20)/2, 2))) * (1 + 0.04*r.NormFloat64())
			})
			return x.calm(14*aDay, 28*aDay, 3)
		})
	}
}

// TestTheBucketAfterAJob: what is remembered of a job ends with a bucket, and that is no
// news at short steps.
func TestTheBucketAfterAJob(t *testing.T) {
	arithmetic(t)
	seeds(t, "ten minutes every twelve hours, every 15 s", func(seed int64) string {
		x := situate(t, "", seed, 15, func(at int64, r *rand.Rand) float64 {
			v := 20 + r.NormFloat64()
			if (at-situationStart)%(12*anHour) < 600 {
				v += 50
			}
			return v
		})
		return x.calm(14*aDay, 7*aDay, 2)
	})
}

// TestAGlitchAfterAStart from another series' model is bounded.
func TestAGlitchAfterAStart(t *testing.T) {
	arithmetic(t)
	for _, name := range byBudget {
		x := situate(t, "", 1, 60, flat(100, 5))
		x.s = NewScorer(judged(name), ScorerConfig{})
		x.pass(8*aDay, nil)
		young := NewScorer(judged(name), ScorerConfig{})
		if err := young.StartFrom(x.s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		x.s = young
		x.pass(60, to(1e9))
		p := x.pass(aDay, nil)
		if o := x.pass(anHour, by(200)); p.above > anHour/2 || o.above < anHour/2 {
			t.Errorf("%s: after it above 1 for %d min, and 40 sigma for an hour for %d; band to %v", name, p.above/60, o.above/60, o.last.Upper)
		}
	}
}
