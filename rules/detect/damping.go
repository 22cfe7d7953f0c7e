package detect

import "math"

// Damping: a point of an anomaly is learned at a small weight that grows while
// the anomaly lasts, so that a short one leaves no mark and a new shape is
// normal again after about patience points.
const (
	dampedWeight = 0.05
	patience     = 60 // in mean distances between points
	longestGap   = 16 // in mean distances; a longer one tells nothing of the next
)

// damping knows the times of the points, and at what small weight those of an
// anomaly are learned.
type damping struct {
	first, last int64   // milliseconds of the first and the newest point; valid when seen
	strange     float64 // milliseconds for which the points have been anomalous
	rhythm      float64 // mean milliseconds between points
	seen        bool
	adopted     bool // what was learned is another one's, and no point of its own has come yet
}

// begin notes the first point.
func (d *damping) begin(t int64) {
	if !d.seen {
		d.first, d.last, d.seen = t, t-1, true
	}
}

// pass notes the time of a point and returns its distance from the one before.
func (d *damping) pass(t int64) float64 {
	dt := float64(t - d.last)
	if d.last >= d.first { // not the first point
		if d.rhythm == 0 {
			d.rhythm = dt
		}
		d.rhythm += (min(dt, longestGap*d.rhythm) - d.rhythm) / 16
	}
	d.last = t
	return dt
}

// damp is the weight of a point whose time is noted, dt after the one before.
func (d *damping) damp(dt float64, anomalous bool) float64 {
	if !anomalous {
		d.strange = max(0, d.strange-2*dt)
		return 1
	}
	d.strange += min(dt, 4*max(d.rhythm, 1))
	return min(1, max(dampedWeight, d.strange/(patience*max(d.rhythm, 1))))
}

func (d *damping) write(w *writer) {
	w.int(d.first)
	w.int(d.last)
	w.bool(d.seen)
	w.float(d.strange)
	w.float(d.rhythm)
	w.bool(d.adopted)
}

func (d *damping) read(r *reader) {
	d.first, d.last, d.seen = r.int(), r.int(), r.bool()
	d.strange, d.rhythm, d.adopted = r.float(), r.float(), r.bool()
	if math.IsNaN(d.strange) || math.IsNaN(d.rhythm) {
		r.fail("a number is missing")
	}
}
