package detect

import "math"

// outlier tells how far out a value lies among all that the series has been
// over weeks: from its mean, from the point before, and from the same time of
// day. These deviations only rank; they do not decide what is news. So they can
// afford a long memory, and widths that an incident does not stretch: an
// incident of a day would hide itself and the next one.
type outlier struct {
	place sturdy // of values
	step  sturdy // of differences between neighbours
	off   sturdy // of values from those of the time of day
	day   hours
}

// What an outlier is measured from.
const (
	outPlace = iota
	outStep
	outDay
	outCount
)

const (
	// outPast is how many points place and step remember and dayPast off: at a
	// point a minute, six weeks and two.
	outPast = 60000
	dayPast = 20000
	// mostOut bounds a deviation, in widths: more would only tell how wild the
	// wildest is.
	mostOut = 300
)

// outWeight is the weight of a deviation's square.
var outWeight = [outCount]float64{outPlace: 2, outStep: 1, outDay: 1}

func newOutlier() outlier {
	return outlier{place: sturdy{tau: outPast}, step: sturdy{tau: outPast}, off: sturdy{tau: dayPast}}
}

// at lays out the deviations for a time; last is the newest value.
func (o *outlier) at(t int64, last float64) (c [outCount]sight) {
	c[outPlace] = plain(o.place.mean, around(o.place.width(), o.place.mean))
	c[outStep] = plain(last, around(o.step.width(), last))
	c[outDay] = blind
	if expected, width, ok := o.day.expect(t); ok && o.off.n >= minPoints {
		all := o.off.width()
		c[outDay] = plain(expected, around(math.Sqrt((width*width+all*all)/2), expected))
	}
	return c
}

// far joins the deviations of v, in widths.
func far(c *[outCount]sight, v float64, on side) float64 {
	sum := 0.0
	for i := range c {
		if d := min(c[i].deviation(v, on), mostOut); d > 0 {
			sum += outWeight[i] * d * d
		}
	}
	return math.Sqrt(sum)
}

// learn takes v in at t; jump is its step from the point before.
func (o *outlier) learn(t int64, v, jump, steps float64) {
	if expected, _, ok := o.day.expect(t); ok {
		e := v - expected
		width := o.off.width()
		if o.off.n >= minPoints {
			v = expected + max(-hourClip*width, min(hourClip*width, e))
		}
		o.day.learn(t, v, min(math.Abs(e), hourClip*width))
		o.off.add(e, steps)
		v = expected + e
	} else {
		o.day.learn(t, v, 0)
	}
	o.place.add(v, steps)
	o.step.add(jump, steps)
}

// hourClip bounds what an hour learns of a deviation, in widths.
const hourClip = 3

// sturdy is an average whose width large values hardly stretch: they count as
// clipped to a few widths (Huber's proposal), though never for less than a
// tenth of what they are.
type sturdy struct {
	tau                  float64
	mean, spread         float64 // of clipped values
	wildMean, wildSpread float64 // of all values
	n                    float64 // points, up to tau
}

const (
	sturdyClip  = 3
	sturdyShare = 0.1
)

func (a *sturdy) width() float64 {
	return math.Sqrt(max(a.spread, sturdyShare*sturdyShare*a.wildSpread))
}

func (a *sturdy) add(x, steps float64) {
	share := max(1/(a.n+1), steps/(steps+a.tau))
	d := x - a.wildMean
	a.wildMean += share * d
	a.wildSpread = (1 - share) * (a.wildSpread + share*d*d)
	d = x - a.mean
	const nothing = 1e8 // a scale next to zero clips nothing
	if most := sturdyClip * math.Sqrt(a.spread); a.n >= 2*minPoints && math.Abs(d) < nothing*most {
		d = max(-most, min(most, d))
	}
	a.mean += share * d
	a.spread = (1 - share) * (a.spread + share*d*d)
	if a.n < a.tau {
		a.n++
	}
	if math.IsNaN(a.wildSpread-a.wildSpread) || math.IsNaN(a.wildMean-a.wildMean) { // numbers too large to count
		*a = sturdy{tau: a.tau}
	}
}

// hours knows the mean and the width of each half hour of the day, over some
// ten days.
type hours struct {
	mean, size [dayPlaces]float32 // size: mean absolute deviation
	seen       [dayPlaces]uint8   // visits, up to hourMemory
	base       float64            // means are relative to it
	now        int64              // number of the half hour that is being visited, since 1970
	sum, off   float64            // of its values and of their deviations
	n          float64            // points in it
}

const (
	hourMemory = 10 // visits
	// hourWidth is the standard deviation for each mean absolute one, for a normal distribution.
	hourWidth = 1.25
)

// expect gives mean and width at t, between the middles of two half hours.
func (h *hours) expect(t int64) (mean, width float64, ok bool) {
	i, j, share := between(t, dayLength, dayPlaces)
	if h.seen[i] == 0 || h.seen[j] == 0 {
		return 0, 0, false
	}
	mean = h.base + float64(h.mean[i])*(1-share) + float64(h.mean[j])*share
	width = float64(h.size[i])*(1-share) + float64(h.size[j])*share
	return mean, width * hourWidth, true
}

// learn takes v and its deviation in at t.
func (h *hours) learn(t int64, v, off float64) {
	now := t / (dayLength / dayPlaces)
	if h.n > 0 && now != h.now {
		h.close()
	}
	h.now = now
	h.sum += v
	h.off += off
	h.n++
}

// close ends the visit of a half hour.
func (h *hours) close() {
	i := int((h.now%dayPlaces + dayPlaces) % dayPlaces)
	mean := h.sum / h.n
	if h.base == 0 {
		h.base = mean
	}
	if h.seen[i] < hourMemory {
		h.seen[i]++
	}
	rate := 1 / float64(h.seen[i])
	shift(&h.mean[i], (mean-h.base-float64(h.mean[i]))*rate)
	if h.size[i] == 0 {
		rate = 1
	}
	shift(&h.size[i], (h.off/h.n-float64(h.size[i]))*rate)
	h.sum, h.off, h.n = 0, 0, 0
}

// shift moves x, but not out of what fits.
func shift(x *float32, by float64) {
	if m := float64(*x) + by; math.Abs(m) <= math.MaxFloat32 {
		*x = float32(m)
	}
}

func (a *sturdy) write(w *writer) {
	for _, v := range []float64{a.mean, a.spread, a.wildMean, a.wildSpread, a.n} {
		w.float(v)
	}
}

func (a *sturdy) read(r *reader) {
	for _, v := range []*float64{&a.mean, &a.spread, &a.wildMean, &a.wildSpread, &a.n} {
		*v = r.float()
	}
	if r.err == nil && !(a.n >= 0 && a.n <= a.tau+1 && a.spread >= 0 && a.wildSpread >= 0) {
		r.fail("a width that cannot be")
	}
}

func (o *outlier) write(w *writer) {
	for _, a := range []*sturdy{&o.place, &o.step, &o.off} {
		a.write(w)
	}
	h := &o.day
	w.float32s(h.mean[:])
	w.float32s(h.size[:])
	w.b = append(w.b, h.seen[:]...)
	w.int(h.now)
	for _, v := range []float64{h.base, h.sum, h.off, h.n} {
		w.float(v)
	}
}

func (o *outlier) read(r *reader) {
	for _, a := range []*sturdy{&o.place, &o.step, &o.off} {
		a.read(r)
	}
	h := &o.day
	r.float32s(h.mean[:])
	r.float32s(h.size[:])
	r.bytes(h.seen[:])
	h.now = r.int()
	for _, v := range []*float64{&h.base, &h.sum, &h.off, &h.n} {
		*v = r.float()
	}
	if !(h.n >= 0) {
		r.fail("a count that cannot be")
	}
}
