package auto

import "math"

// widths are how far values usually lie from what is expected, and from the value
// before.
type widths struct {
	all  float32        // mean absolute deviation
	hour [hours]float32 // of jumps by hour; 0: none yet
	jump float32
}

// timely are widths by the time of day, which a model keeps with its past.
type timely struct {
	quarter [quarters]float32 // mean absolute deviations by a quarter of an hour; 0: none yet
	weekend [hours]float32    // and of weekends
}

const (
	quarters      = 96
	quarterLength = day / quarters
	hours         = 24
	hourLength    = day / hours
	// sigma is the standard deviation for each mean absolute one, of a normal
	// distribution.
	sigma = 1.25
	// leastOfLevel is the part of the level that no width falls below: less is
	// numbers' own precision.
	leastOfLevel = 1e-3
	least        = 1e-12
	neighbours   = 0.8
	firstVisit   = 4 // values that the width of all day counts for at a time of day
	allMemory    = 5 * day
	workdays     = 5.0 / 7 // the part of days that are no weekend
	// leastInfluence is how many widths a deviation counts as at least, however far out.
	leastInfluence = 1.5
)

// widthsAt is the width of deviations at a civil time, and of jumps. Weekends have their
// own where these are wider: what is expected of them is known later, and working days
// must not be judged by what that costs. What one day has shown of a time of day is no
// width of its own: another level was expected then.
func (m *Model) widthsAt(civil int64) (width, jump float64) {
	w, times, level := &m.width, &m.past.widths, m.follows.mean[byLevel]
	floor := leastOfLevel*math.Abs(level) + least
	if q := m.same.quantum(); q > 0 {
		floor = max(floor, q)
	}
	sod := floorMod(civil, day)
	i := int(sod / quarterLength)
	rest, once := weekend(weekday(civil)), m.age() < 2*day
	at := func(k int, otherwise float64) float64 {
		k = (k + quarters) % quarters
		v := float64(times.quarter[k])
		if rest {
			v = max(v, float64(times.weekend[k*hours/quarters]))
		}
		switch {
		case v == 0:
			return otherwise
		case once:
			return max(v, float64(w.all))
		}
		return v
	}
	a := at(i, float64(w.all))
	b, c := at(i+1, a), at(i-1, a)
	width = max((a+b+c)/3, neighbours*max(a, b, c), leastOfAll*float64(w.all))
	jump = float64(w.hour[sod/hourLength])
	if jump == 0 {
		jump = float64(w.jump)
	}
	jump = max(jump, leastOfAll*float64(w.jump))
	return max(sigma*width, floor), max(sigma*jump, floor)
}

// learn takes a deviation and a jump in, bounded; of an anomaly the first ones.
func (w *widths) learn(m *Model, s *scene, begins bool) {
	if m.ep.on && !begins {
		return
	}
	d, j := math.Abs(s.x-s.expected), math.Abs(s.jump)
	n, sod := float64(m.n), floorMod(s.civil, day)
	if m.kind != unsure {
		n -= stepPoints // it has begun anew
	}
	known := n > fewPoints
	switch {
	case known:
		d, j = m.countedIn(d, s.width), m.countedIn(j, s.jumpWidth)
	case m.kind != unsure: // nothing but the level tells how far increases may lie apart
		level := math.Abs(s.expected)
		d, j = min(d, widthClip*max(s.width, level)), min(j, widthClip*max(s.jumpWidth, level))
	}
	w.all += float32(max(min(m.step/allMemory, 1), 1/n) * (d - float64(w.all)))
	if known {
		if times := &m.past.widths; weekend(weekday(s.civil)) {
			teach(m, &times.weekend[sod/hourLength], w.all, d, sod, hourLength, 1-workdays)
		} else {
			teach(m, &times.quarter[sod/quarterLength], w.all, d, sod, quarterLength, workdays)
		}
	}
	if n > 4 {
		w.jump += float32(max(min(m.step/allMemory, 1), 1/(n-3)) * (j - float64(w.jump)))
		if known {
			teach(m, &w.hour[sod/hourLength], w.jump, j, sod, hourLength, 1)
		}
	}
}

// countedIn is what a deviation counts as in a width. On the first day, when thresholds
// are far out, the first values of an incident must not hide the next ones: what lies
// beyond the clip counts less the farther out it is, though never less than lets a width
// follow where all deviations have grown (F. Hampel, The influence curve and its role in
// robust estimation, Journal of the American Statistical Association 69, 1974).
func (m *Model) countedIn(d, width float64) float64 {
	most := widthClip * width
	if d <= most || m.n < settled || m.age() > firstDay {
		return min(d, most)
	}
	return max(most*most/d, leastInfluence*width)
}

// teach takes x into the mean of a time of day, which starts as that of all day
// and then as a plain one: it has been visited on a share of the days so far.
func teach(m *Model, mean *float32, all float32, x float64, sod, length int64, share float64) {
	a := float64(length) / m.step // values in a visit
	seen := math.Floor(share*m.age()/day)*a + math.Floor(float64(sod%length)/m.step)
	rate := max(min(1/(visits*share*a), 1/(visits*share)), 1/(seen+1+firstVisit))
	if *mean == 0 {
		*mean = all
	}
	*mean += float32(rate * (x - float64(*mean)))
}

// rescale multiplies all widths, when a level with another noise is accepted, and makes
// them as wide at least as those of values that move by so much.
func (m *Model) rescale(times, move float64) {
	w, ofTime := &m.width, &m.past.widths
	f, deviation, jump := float32(times), float32(move/usualMove), float32(move/movesOfJumps)
	known := func(widths []float32, least float32) {
		for i, v := range widths {
			if v > 0 {
				widths[i] = max(v*f, least)
			}
		}
	}
	known(ofTime.quarter[:], deviation)
	known(ofTime.weekend[:], deviation)
	known(w.hour[:], jump)
	w.all, w.jump = max(w.all*f, deviation), max(w.jump*f, jump)
}

// resting knows series that stay where they are most of the time, and move by
// steps of some size: flags, replicas, settings.
type resting struct {
	share    float32 // of points equal to the one before
	size     float32 // mean of the others' steps
	steps    float32
	run      int32 // points equal to each other, newest ones
	longest  float32
	positive bool // no value has been negative
}

const (
	mostly = 0.5
	// quantumShare is the part of a usual step that is the least width of a
	// series that mostly rests.
	quantumShare = 0.2
	// firstSteps of a constant, up and down again, say nothing of its usual steps
	// when they are those of incidents; what goes on like that is sparse.
	firstSteps   = 4
	stuckSteps   = 100 // a series must have moved so often to be stuck
	stuckPoints  = 12
	stuckSeconds = 900
	stuckTimes   = 3 // the longest run
)

// quantum is the least width, 0 of a series that moves.
func (r *resting) quantum() float64 {
	if r.share > mostly {
		return quantumShare * float64(r.size)
	}
	return 0
}

// equal tells whether x repeats the value before.
func (m *Model) repeats(s *scene) bool {
	if m.kind == counter {
		return s.x == 0
	}
	return m.n > 0 && s.raw == m.raw
}

// stuck tells whether the series has rested for much longer than it ever has.
func (r *resting) stuck(m *weigher, s *scene) bool {
	run := float64(r.run + 1)
	return s.repeats && m.age() > day && r.steps > stuckSteps && run > stuckPoints &&
		run*m.step > stuckSeconds && run > stuckTimes*float64(r.longest)+3
}

// endless is the longest run while one is under way that has been accepted.
const endless = math.MaxFloat32

// accept makes the run that is under way a usual one, however long it becomes, where it is
// what is accepted.
func (r *resting) accept() {
	if float64(r.run) > stuckTimes*float64(r.longest) && r.run > stuckPoints {
		r.longest = endless
	}
}

func (r *resting) learn(m *weigher, s *scene, counter bool) {
	if m.n == 0 {
		r.positive = true
	}
	if s.x < 0 {
		r.positive = false
	}
	if s.repeats {
		r.run++
	} else {
		r.steps++
		switch {
		case r.longest == endless:
			r.longest = float32(r.run)
		case !m.ep.on:
			r.longest = max(r.longest, float32(r.run))
		}
		r.run = 0
	}
	if m.n == 0 {
		return
	}
	rate := float32(max(1/float64(m.n+1), 1.0/2000))
	step, level := math.Abs(s.raw-m.raw), min(math.Abs(s.raw), math.Abs(m.raw))
	if counter {
		step, level = s.x, 0
	}
	d := float32(min(step, math.MaxFloat32))
	if d == 0 {
		r.share += rate * (1 - r.share)
		return
	}
	r.share -= rate * r.share
	if r.size == 0 {
		if m.ep.on && r.steps <= firstSteps { // those of an incident are no usual ones
			return
		}
		if r.size = d; level > 0 { // of a constant its level is a measure for its steps: a glitch is none
			r.size = min(d, float32(level))
		}
	}
	r.size += max(1.0/200, 1/(r.steps+1)) * (min(d, 3*r.size) - r.size)
}
