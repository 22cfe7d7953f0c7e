package auto

import "math"

// daily is by how much an input is usually off its mean at each hour of the day,
// and how far values are from that. Where it has shown that it explains a part of
// the spread, it is expected. It is in UTC: what shifts by an hour twice a year is
// learned anew within days.
type daily struct {
	off  [dayParts]float64 // means of values, less the input's mean
	n    [dayParts]float32 // that a mean stands for, at most those of dailyMemory days
	rest float64           // variance of what it does not explain
	used bool

	now float64 // what is expected at the point under way; scratch
}

const (
	dayParts    = 24
	dailyMemory = 7 // days
	// dailyTried is after how many days the rest is learned, dailyKnown after how
	// many it counts, and dailyLeast the part of the variance that it may be at most.
	dailyTried, dailyKnown = 2, 4
	dailyLeast             = 0.9
)

// dayPart is the part of the day at t, in milliseconds.
func dayPart(t int64) int { return int(floorMod(floorDiv(t, 1000), day) * dayParts / day) }

// at sets what is expected at t.
func (d *daily) at(t int64) {
	d.now = 0
	if d.used {
		d.now = d.off[dayPart(t)]
	}
}

// timely is the deviation of x from what is usual at the time of day, bounded.
func (in *input) timely(x float64) float64 {
	return bounded((x - in.mean - in.daily.now) / in.timelySigma())
}

func (in *input) timelySigma() float64 {
	if in.daily.used {
		return in.sigmaOf(in.daily.rest, restOfRange)
	}
	return in.sigma(restOfRange)
}

// learnDaily takes in that x came at t, in a model of that age in seconds. weight
// is that in the mean of so many points, and most how many values a part's mean
// stands for at most.
func (in *input) learnDaily(x float64, t int64, age, weight, points, most float64) {
	d := &in.daily
	part := dayPart(t)
	off := x - in.mean
	switch {
	case age <= dailyTried*day:
		d.rest = in.spread
	default:
		sigma := in.timelySigma()
		r, w := clip(off-d.off[part], mostLearned*sigma), weight
		if z := math.Abs(r) / sigma; z > fairDeviation {
			w *= fairDeviation / z
		}
		d.rest = (1 - w) * (d.rest + min(w*r*r, widened(weight)*sigma*sigma))
		d.used = age > dailyKnown*day && d.rest < dailyLeast*in.spread
	}
	far := fairDeviation * in.timelySigma()
	once := weight * points // 1, but for what is anomalous
	n := min(float64(d.n[part])+once, most)
	d.n[part] = float32(n)
	d.off[part] += once * clip(off-d.off[part], far) / max(1, n)
}
