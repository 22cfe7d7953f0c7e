package auto

import "math"

// Judge weighs how far values are from what somebody else expects of them. It
// remembers nothing of the series but how its deviations are. It is not safe
// for concurrent use.
type Judge struct {
	weigher // of values of which something was expected: n counts these

	points int64 // all, since there has been any

	size float64 // mean absolute deviation, bounded
	jump float64 // likewise of jumps
	told int64   // deviations in the two
	row  int64   // values on end of which something was expected, up to a few; a gap ends them

	given Expectation // of the value under way; scratch
}

// Expectation is what somebody expects of a value: Below and Above are standard
// deviations to either side, and Low and High what is expected a little before or
// after, or nothing else than Value.
type Expectation struct{ Value, Below, Above, Low, High float64 }

// edge is what is left of a deviation where another value is expected soon, or was
// just before: what comes a little early, or stays a little longer, is on time. Of
// the difference a width is usual noise and no edge.
func (e Expectation) edge(off, width float64) float64 {
	if off > 0 {
		return max(0, off-max(0, e.High-e.Value-width))
	}
	return min(0, off+max(0, e.Value-e.Low-width))
}

// known tells whether anything is expected.
func (e Expectation) known() bool { return e.Value-e.Value == 0 }

// NewJudge makes a judge that has seen nothing. Location has no meaning.
func NewJudge(c Config) *Judge { return &Judge{weigher: weigher{c: c.complete(), step: 60}} }

// Judge tells what v at t, in milliseconds, looks like. It changes nothing.
func (j *Judge) Judge(t int64, v float64, e Expectation) Verdict {
	s := j.look(t, v, e)
	return Verdict{
		Known: true, Evidence: s.evidence, Side: j.side(s), Hold: s.hold,
		Expected: e.Value, Lower: e.Value - s.below, Upper: e.Value + s.above,
	}
}

// Bound is what whoever expects e of v at t learns of it, which is learned next:
// bounded, and not so far out that it would hide what comes after it.
func (j *Judge) Bound(t int64, v float64, e Expectation, bounded float64) float64 {
	if !e.known() {
		return bounded
	}
	far := widthClip * j.look(t, v, e).width
	return max(e.Value-far, min(e.Value+far, bounded))
}

// Learn takes v at t in. anomalous tells whether the series is, with this value.
// As long as nothing is expected only the pace of the series is learned.
func (j *Judge) Learn(t int64, v float64, e Expectation, anomalous bool) {
	if j.points > 0 && t <= j.last || !(math.Abs(v) < beyondUse) {
		return
	}
	s := j.look(t, v, e)
	if s.gap {
		j.ev.forget()
		j.row = 0
	}
	begins := false
	if e.known() {
		begins = j.minds(s, anomalous)
	}
	j.pass(t, v, s)
	if e.known() {
		j.learn(s, begins)
	} else {
		j.startOver()
	}
	j.Release()
}

// pass takes in how the series goes on, whether or not anything is expected of it.
func (j *Judge) pass(t int64, v float64, s *scene) {
	judged := j.n
	j.n = j.points
	j.same.learn(&j.weigher, s, false)
	j.n++
	j.measureStep(float64(t-j.last) / 1000)
	j.n, j.points = judged, j.n
	j.last, j.raw = t, v
}

// learn takes a deviation in.
func (j *Judge) learn(s *scene, begins bool) {
	j.ev.learn(&j.weigher, s, begins)
	j.n++
	if !j.ep.on || begins {
		j.widen(s)
		j.align(s.jumpWidth, s.width)
	}
	if !j.ep.on {
		j.row = min(j.row+1, int64(len(j.ev.off)))
	}
}

// startOver forgets how deviations are. Whoever expects something from the next
// value on deviates in its own way, and how much is known of that is counted from
// there, not from the first value of the series.
func (j *Judge) startOver() {
	j.n, j.size, j.jump, j.told, j.row = 0, 0, 0, 0, 0
	j.ev, j.ep = evidence{}, episode{}
}

// Accept tells that what is anomalous now is usual from here on.
func (j *Judge) Accept() {
	if j.ep.on && j.ep.how == ofRest {
		j.same.accept()
	}
}

// look makes the scene of a value, at most once.
func (j *Judge) look(t int64, v float64, e Expectation) *scene {
	s, made := j.scene(t, v)
	if made && j.given == e {
		return s
	}
	j.given = e
	s.x, s.expected, s.lead = v, e.Value, byLevel
	s.repeats = j.points > 0 && v == j.raw
	if j.points > 0 {
		s.dt = max(float64(t-j.last)/1000, leastGap)
	}
	if s.gap = s.dt > longGapSteps*j.step && s.dt > longGapSeconds; s.gap {
		s.dt = j.step // what is under way begins with this value, which stands for no more than any other
	}
	if !e.known() {
		return s
	}
	s.stuck = j.same.stuck(&j.weigher, s)
	s.off = v - e.Value
	floor := max(leastOfLevel*math.Abs(e.Value)+least, j.same.quantum())
	width := e.Above
	if s.off < 0 {
		width = e.Below
	}
	s.width = max(width, leastOfAll*sigma*j.size, floor)
	off := e.edge(s.off, s.width) // what usual deviations are is learned without it
	s.jumpWidth = max(j.jumpWidth(width), floor)
	if j.jumps(s) {
		s.jump = s.off - middle(j.ev.off)
	}
	s.z = clip(off/s.width, mostWidths)
	s.zJump = clip(away(s.jump, off, s.width)/s.jumpWidth, mostWidths)
	j.weigh(s)
	return s
}

// jumps tells whether there are values that this one may have jumped from.
func (j *Judge) jumps(s *scene) bool { return !s.gap && j.row == int64(len(j.ev.off)) }

// jumpWidth is the standard deviation of jumps, of which those of independent
// values are somewhat wider than deviations: it counts like a few jumps, so that
// the first ones are not measured by a mean of none.
func (j *Judge) jumpWidth(width float64) float64 {
	known := float64(j.told)
	return (known*sigma*j.jump + priorJumps*usualJump*width) / (known + priorJumps)
}

// usualJump is the standard deviation of the jumps of independent normal values,
// in that of the values: the middle one of three has a variance of 0.45.
const usualJump, priorJumps = 1.2, 10

// minds takes in whether the series is anomalous, before the value is learned,
// and tells whether an episode begins.
func (j *Judge) minds(s *scene, anomalous bool) (begins bool) {
	switch {
	case anomalous && !j.ep.on:
		j.open(s)
		begins = true
	case !anomalous && j.ep.on:
		j.learnPeaks()
		j.ev.settle()
		j.ep = episode{}
	}
	if j.ep.on {
		j.ep.note(&j.weigher, s)
	}
	return begins
}

// widen takes a deviation and a jump in, bounded.
func (j *Judge) widen(s *scene) {
	d, jump := math.Abs(s.off), math.Abs(s.jump)
	if !j.jumps(s) { // it is none
		s.jumpWidth = j.jumpWidth(s.width)
		jump = s.jumpWidth / sigma
	}
	if j.told++; j.told > 3 {
		d, jump = min(d, widthClip*s.width), min(jump, widthClip*s.jumpWidth)
	}
	rate := max(min(j.step/allMemory, 1), 1/float64(j.told))
	j.size += rate * (d - j.size)
	j.jump += rate * (jump - j.jump)
}

// AppendBinary appends the whole state.
func (j *Judge) AppendBinary(b []byte) ([]byte, error) {
	c := coder{b: b}
	j.code(&c)
	return c.b, nil
}

// UnmarshalBinary restores the state of a judge with the same configuration, but
// for the budget. On an error the judge must not be used further.
func (j *Judge) UnmarshalBinary(b []byte) error {
	c := coder{b: b, reading: true}
	*j = Judge{weigher: weigher{c: j.c}}
	j.code(&c)
	return c.end(func() bool {
		return j.sound() && j.size >= 0 && j.jump >= 0 && j.row >= 0 && j.told >= 0 && j.told <= j.n && j.n <= j.points && j.points < 1<<53
	})
}

func (j *Judge) code(c *coder) {
	j.weigher.code(c)
	c.float(&j.size, &j.jump)
	c.int(&j.points, &j.told, &j.row)
}
