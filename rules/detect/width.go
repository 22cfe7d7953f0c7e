package detect

import "math"

// beyondUse is the magnitude from which values are no measurements any more:
// their squares would overflow. They are scored and not learned.
const beyondUse = 1e100

// beyondTime bounds times, milliseconds, to those that a float64 holds exactly.
const beyondTime = 1 << 53

// usable tells whether a model whose newest point is at last can learn p.
func usable(p Point, n, last int64) bool {
	return math.Abs(p.V) < beyondUse && p.T > -beyondTime && p.T < beyondTime && (n == 0 || p.T > last)
}

// errorWidth is the standard deviation of a model's errors around zero, weighted
// by time. What it learns is clipped at widthClip of them (P. Huber, Robust
// estimation of a location parameter, Annals of Mathematical Statistics 35
// (1964)), so that one outlier widens the band a little and a new width is
// reached at the pace of a geometric series.
type errorWidth struct{ ew moments }

const widthClip = 4

// clip bounds an error of a value of the given magnitude.
func (w *errorWidth) clip(e, magnitude float64) float64 {
	s := w.sigma()
	if s <= 0 {
		return e
	}
	limit := max(widthClip*s, 1e-9*math.Abs(magnitude))
	return min(max(e, -limit), limit)
}

// learn takes an error in, dt milliseconds after the one before.
func (w *errorWidth) learn(e, dt, weight float64) { w.ew.add(e, dt, weight) }

// sigma is the root of the mean square, widened while few errors carry it.
func (w *errorWidth) sigma() float64 { return math.Hypot(w.ew.sigma(), w.ew.mean) }

// ownTail is how far out a model's border of normal is, in deviations: at its
// threshold, or farther where one deviation in six hundred of the series' own
// past went beyond. The noise of real series has heavier tails than the normal
// distribution that thresholds are thought for. Of points that come at a small
// weight, an incident, the first is learned.
type ownTail struct {
	past   calibrator
	damped bool // the newest point came at a small weight
}

func (t *ownTail) border(threshold float64) float64 { return max(threshold, t.past.border()) }

func (t *ownTail) learn(deviation, weight float64) {
	if weight >= 0.5 || !t.damped {
		t.past.learn(deviation)
	}
	t.damped = weight < 0.5
}

func (t *ownTail) write(w *writer) {
	t.past.write(w)
	w.bool(t.damped)
}

func (t *ownTail) read(r *reader) {
	t.past.read(r)
	t.damped = r.bool()
}

// normalBorder is how many standard deviations of a normal distribution lie
// around its middle with a probability.
func normalBorder(confidence float64) float64 {
	return math.Sqrt2 * math.Erfinv(min(max(confidence, 0), 1))
}

// interval is a forecast's band.
func interval(mid, half float64) (float64, float64, float64) { return mid, mid - half, mid + half }

// noForecast is what a model says that cannot look ahead yet.
func noForecast() (mid, lower, upper float64) {
	nan := math.NaN()
	return nan, nan, nan
}
