package auto

import "math"

// widths are how far values usually lie from what is expected, by the time of
// day, and from the value before.
type widths struct {
	quarter [quarters]float32 // mean absolute deviations by a quarter of an hour; 0: none yet
	all     float32
	hour    [hours]float32 // likewise of jumps, by hour
	jump    float32
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
	// leastInfluence is how many widths a deviation counts as at least, however far out.
	leastInfluence = 1.5
)

// of is the width of deviations at a civil time, and of jumps.
func (w *widths) of(civil int64, level float64, same *resting) (width, jump float64) {
	floor := leastOfLevel*math.Abs(level) + least
	if q := same.quantum(); q > 0 {
		floor = max(floor, q)
	}
	sod := floorMod(civil, day)
	i := int(sod / quarterLength)
	at := func(k int, otherwise float64) float64 {
		if v := w.quarter[(k+quarters)%quarters]; v > 0 {
			return float64(v)
		}
		return otherwise
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
	known := m.n > fewPoints
	if known {
		d, j = m.countedIn(d, s.width), m.countedIn(j, s.jumpWidth)
	}
	n := float64(m.n)
	sod := floorMod(s.civil, day)
	if m.kind == counter {
		n -= stepPoints // it has begun anew
	}
	w.all += float32(max(min(m.step/allMemory, 1), 1/n) * (d - float64(w.all)))
	if known {
		teach(m, &w.quarter[sod/quarterLength], w.all, d, sod, quarterLength)
	}
	if n > 4 {
		w.jump += float32(max(min(m.step/allMemory, 1), 1/(n-3)) * (j - float64(w.jump)))
		if known {
			teach(m, &w.hour[sod/hourLength], w.jump, j, sod, hourLength)
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
// and then as a plain one: it has been visited on every day so far.
func teach(m *Model, mean *float32, all float32, x float64, sod, length int64) {
	a := float64(length) / m.step // values in a visit
	seen := math.Floor(m.age()/day)*a + math.Floor(float64(sod%length)/m.step)
	rate := max(min(1/(visits*a), 1/visits), 1/(seen+1+firstVisit))
	if *mean == 0 {
		*mean = all
	}
	*mean += float32(rate * (x - float64(*mean)))
}

// scale multiplies all widths, when a level with another noise is accepted.
func (w *widths) scale(f float64) {
	for _, a := range [][]float32{w.quarter[:], w.hour[:], {}} {
		for i := range a {
			a[i] *= float32(f)
		}
	}
	w.all *= float32(f)
	w.jump *= float32(f)
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
		if !m.ep.on {
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
