package auto

import "math"

// episode is what the model keeps of an anomaly while it lasts: how it began,
// the level that was expected then, and how the deviations have gone since. When
// a level has held for as long as the rule says, or for a part of that in a
// series whose levels change often, it becomes the expected one. A level that
// still grows is not accepted.
type episode struct {
	on    bool
	how   int8 // the statistic that began it
	sign  int8
	lead  uint8
	flips int8 // times that it has changed sides
	still int8 // parts on end that have not grown
	// told is whether the level has been accepted while the series is still called
	// anomalous. It outlives the episode, as changes do.
	told  bool
	below uint8   // bits: the sides of peak
	since int64   // milliseconds
	level float64 // expected, of expectations that are levels
	off   float32 // deviation before it
	first float32 // size of the jump that began it
	peak  [stats]float32

	// Of the deviations since then, the sums in the order that takes the least room.
	part  [parts]float32 // means in parts of the time to accept, the newest first
	partN [parts]uint16
	sumET float32 // sum of what was expected by time, in days since the beginning
	moves float32 // sum of the distances between values that follow each other
	sumEE float32 // sum of the squares of what was expected, less level,
	sumED float32 // and of its products with the deviations
	changes
	partFrom int64   // milliseconds
	sum      float64 // of the deviations,
	sumT     float64 // of them by time,
	sumE     float64 // and of what was expected
	num      float64 // values
}

// changes is what is known of levels that have been accepted.
type changes struct {
	accepted float32 // how many, of late
	jump     float32 // usual size of the jumps to them
	shift    float32 // and of the deviations there
	times    float32 // the newest one is what was expected before, so many times; 0: none
	plus     float32 // and so much more
}

const (
	parts       = 13
	partsOfTime = 8 // of the time after which a level is accepted
	grownWidths = 2
	// What grows so slowly that a day hardly shows it does so by a line: a part of
	// the mean deviation a day, and so many standard errors.
	slowlyGrown, slowlyCertain = 0.03, 6
	stillParts                 = 3  // on end that must not have grown: the noise of one may hide it
	longestTimes               = 30 // the time to accept, for what grows
	// returnWidths, and returnShare of the way back, is how near a level must be to one
	// that was usual before, flatCertain how many standard errors a level that holds may
	// have grown by and be flat.
	returnWidths, returnShare, flatCertain = 3, 0.25, 2
	// returnDays is for how long the level before may return.
	returnDays = 5
	// movesOfJumps is the mean distance of two values that follow each other, in mean jumps
	// from the middle of three, of independent values.
	movesOfJumps = 1.18
	// usualMove is the mean distance of independent normal values that follow each other, in
	// mean deviations.
	usualMove = 1.414
	// The first few distances of an episode are those of its beginning. Others count so many
	// mean ones at most: a glitch must not widen the level that is accepted.
	firstMoves, moveClip = 3, 30
	// wayBack is how much the return counts as a level of its own.
	wayBack = 0.5
	// flatAfter is after how many times the time to accept a level that is flat is accepted:
	// a day that is different may well last a little longer.
	flatAfter = 1.1
	// mostTimes is how many times larger or smaller a level may become whose widths, and
	// whose movement over the day, become so, too; leastTimes what is left at least of a
	// movement that has ended, for there is a way back; and fitWidths how much of one there
	// must have been to tell, in widths.
	mostTimes, leastTimes, fitWidths = 20.0, 0.003, 2
	// oftenAccepted is from how many accepted levels on, of late, more are
	// accepted sooner, and acceptedMemory what of late means, in seconds.
	oftenAccepted  = 2
	usualAge       = 8 * day // before, weekends are accepted, too
	soonerAccepted = 1.5
	mostSooner     = 16
	acceptedMemory = 40 * day
	leastAccept    = 3600 // seconds
	// A series that is expected to follow its newest values may be so at a new
	// level after a fifth of the time; another spread is accepted after ten hours.
	followShare = 5
	// jumpSeconds, or jumpSteps, is for how long a jump is looked at from where
	// it started.
	jumpSeconds, jumpSteps = 1800, 10
	flipWidths, mostFlips  = 2.5, 3
	over                   = 0.5 // of Hold: the values are back
	holdJump               = 8
	// marginal alerts raise the threshold a little: one that is hardly crossed
	// again and again is too low.
	marginal, marginalJump = 1.4, 1.12
	mostCaution            = 1
)

// minds takes in whether the series is anomalous, before the value is learned,
// and tells whether an episode begins.
func (m *Model) minds(s *scene, anomalous bool) (begins bool) {
	ep := &m.ep
	if ep.on && s.gap && s.dt > m.c.Accept.Seconds()/partsOfTime { // who knows what has been since
		m.forget()
		ep.told = true
	}
	if ep.told = ep.told && anomalous; ep.told && s.evidence <= 1 {
		anomalous = false // it has accepted the level already
	}
	switch {
	case anomalous && !ep.on:
		m.open(s)
		begins = true
	case !anomalous && ep.on:
		m.end(s)
	case ep.on && ep.how >= stats && s.which < stats && s.evidence > 1: // it is another one
		m.open(s)
	}
	ep.accepted -= ep.accepted * float32(min(m.step/acceptedMemory, 1))
	if ep.on {
		ep.note(&m.weigher, s)
		ep.gather(m, s)
		if m.acceptable(s) {
			m.accept(s)
		}
	}
	return begins
}

// open begins an episode.
func (m *weigher) open(s *scene) {
	ep := &m.ep
	if s.which == ofMissing {
		m.ev.missed += min(1, 255-m.ev.missed)
	}
	*ep = episode{
		on: true, how: s.which, sign: s.sign, lead: s.lead, since: s.t, level: s.expected, off: float32(clip(middle(m.ev.off), math.MaxFloat32/4)),
		partFrom: s.t, changes: ep.changes,
	}
	if s.which == ofJump {
		ep.first = float32(math.Abs(float64(s.stat[ofJump])))
	}
}

// holds is how far the values are still out, in thresholds of what began.
func (m *weigher) holds(s *scene) float64 {
	ep := &m.ep
	side := 0
	if ep.sign < 0 {
		side = 1
	}
	sign := float64(ep.sign)
	switch ep.how {
	case ofRest:
		if s.repeats {
			return 1
		}
		return 0
	case ofMissing:
		if s.missing {
			return 1
		}
		return 0
	case ofSpread:
		return sign * float64(s.stat[ofSpread]) / float64(m.threshold(ofSpread, side))
	case ofJump:
		out := sign * (s.off - float64(ep.off))
		if back := math.Abs(s.off); back < out { // it has jumped to where it is expected
			out = back
		}
		return out / s.jumpWidth / min(float64(m.threshold(ofJump, side)), holdJump)
	}
	v := s.stat[ofThree]
	if ep.how >= int8(ofFive) && m.step < 200 {
		v = s.stat[ofFive]
	}
	if ep.how >= int8(ofHours) && m.step < 4000 {
		v = s.stat[ofHalf]
	}
	if other := -sign * float64(v) / float64(m.threshold(int(ep.how), 1-side)); other > 1 { // it has changed sides
		return other
	}
	return sign * float64(v) / min(float64(m.threshold(int(ep.how), side)), holdMost)
}

// note takes a value of the episode in.
func (ep *episode) note(m *weigher, s *scene) {
	for i, v := range s.stat {
		side := uint8(0)
		if v < 0 {
			v, side = -v, 1
		}
		if v > ep.peak[i] {
			ep.peak[i] = v
			ep.below = ep.below&^(1<<i) | side<<i
		}
	}
	if ep.how == int8(ofThree) && float64(ep.sign)*s.z < -flipWidths {
		if ep.flips++; ep.flips >= mostFlips {
			ep.how, ep.sign = int8(ofSpread), 1
		}
	}
	if ep.how == int8(ofJump) && float64(s.t-ep.since) > 1000*max(jumpSeconds, jumpSteps*m.step) {
		ep.how = int8(ofThree)
	}
}

// gather adds a value's deviation to the newest part.
func (ep *episode) gather(m *Model, s *scene) {
	if s.t-ep.partFrom >= m.c.Accept.Milliseconds()/partsOfTime {
		copy(ep.part[1:], ep.part[:])
		copy(ep.partN[1:], ep.partN[:])
		ep.part[0], ep.partN[0], ep.partFrom = 0, 0, s.t
	}
	moved := 0.0
	if ep.num >= firstMoves {
		moved = float64(ep.moves) / ep.num
	}
	d := clip(s.x-s.expected, rememberClip*max(s.width, moved)) // a constant has no width
	if ep.partN[0] < math.MaxUint16 {
		ep.partN[0]++
	}
	ep.part[0] += (float32(d) - ep.part[0]) / float32(ep.partN[0])
	ep.num++
	ep.sumE += s.expected
	ep.sum += d
	days := ep.days(s)
	ep.sumT += d * days
	ep.sumET += float32(s.expected * days)
	e := s.expected - ep.level
	ep.sumEE += float32(e * e)
	ep.sumED += float32(e * d)
	if m.kind != counter && ep.num > firstMoves {
		ep.moves += float32(min(math.Abs(s.x-clip(m.raw, mostValue)), moveClip*max(moved, s.jumpWidth)))
	}
}

// acceptable tells whether the level has held for long enough.
func (m *weigher) acceptable(s *scene) bool {
	ep := &m.ep
	if s.hold < over {
		return false
	}
	age := float64(s.t-ep.since) / 1000
	full, known := m.c.Accept.Seconds(), m.age()-age
	after := full
	if s.lead == byFollow {
		after /= followShare
	}
	after = min(after, max(known, leastAccept)) // what lasts longer than all before it is as usual as that
	if ep.accepted > soonerAccepted {
		after /= min(mostSooner, math.Exp2(float64(ep.accepted)-1))
	}
	switch {
	case ep.how == ofRest || ep.how == ofMissing:
		return age > full
	case ep.how == int8(ofSpread):
		return age > min(after, spreadAccept)
	case age > max(leastAccept, leastSteps*m.step) && m.returned(s):
		return true
	case after < full:
		return age > after
	case age >= flatAfter*full && ep.flat(s):
		return true
	}
	part := full / partsOfTime
	if s.t != ep.partFrom && m.step < part { // only at the end of a part
		return false
	}
	// The newest parts against those of a day before: the time of day matters.
	w := 2
	if m.step*6 > part {
		w = 4
	}
	if age < full*(1+float64(w+1)/partsOfTime) {
		return false
	}
	newest, n := ep.mean(1, w)
	before, k := ep.mean(1+partsOfTime, w)
	if n == 0 || k == 0 {
		return true
	}
	by := newest - before
	noise := s.width / math.Sqrt(min(n, 16))
	sharp := float64(ep.sign)*by > grown*math.Abs(before) && math.Abs(by) > grownWidths*noise
	slope, certain := ep.slope(s)
	slow := slope > slowlyGrown*math.Abs(ep.sum/ep.num) && certain > slowlyCertain && float64(ep.sign)*by > slope/4*full/day
	if sharp || slow {
		ep.still = 0
		return age > min(longestTimes*full, max(2*known, 3*full)) // a weekend is over then
	}
	ep.still++
	return ep.still >= stillParts
}

// days is for how long it has gone on.
func (ep *episode) days(s *scene) float64 { return float64(s.t-ep.since) / (1000 * day) }

// returned tells whether the level is the one that there was before another was accepted,
// some days ago: it is no news that it is usual. Later the other one is.
func (m *weigher) returned(s *scene) bool {
	ep := &m.ep
	if ep.times == 0 || m.ev.days > returnDays {
		return false
	}
	was := (s.expected - float64(ep.plus)) / float64(ep.times)
	by, n := ep.mean(0, parts)
	back := was - s.expected
	return n > 0 && math.Abs(by-back) < max(returnWidths*s.width, returnShare*math.Abs(back))
}

// flat tells whether the level holds for certain: as the same deviation, or as the same
// part of what is expected.
func (ep *episode) flat(s *scene) bool {
	days := ep.days(s)
	squares := ep.num * days * days / 12
	if squares == 0 {
		return false
	}
	slope := math.Abs(ep.sumT-ep.sum*days/2) / squares
	if ep.sumE != 0 {
		slope = min(slope, math.Abs(ep.sumT-ep.sum/ep.sumE*float64(ep.sumET))/squares)
	}
	return slope+flatCertain*s.width/math.Sqrt(squares) < grown*math.Abs(ep.sum/ep.num)
}

// slope is by how much the deviation has grown a day, and in how many standard
// errors, if the values have come at a constant pace.
func (ep *episode) slope(s *scene) (slope, certain float64) {
	days := ep.days(s)
	squares := ep.num * days * days / 12
	if squares == 0 {
		return 0, 0
	}
	slope = float64(ep.sign) * (ep.sumT - ep.sum*days/2) / squares
	return slope, slope * math.Sqrt(squares) / s.width
}

// mean is that of w parts, and of how many values.
func (ep *episode) mean(from, w int) (mean, n float64) {
	for i := from; i < min(from+w, parts); i++ {
		k := float64(ep.partN[i])
		mean += float64(ep.part[i]) * k
		n += k
	}
	return mean / max(n, 1), n
}

// end ends the episode: the values are back.
func (m *Model) end(s *scene) {
	m.learnPeaks()
	m.settle(s)
}

// learnPeaks has the tails learn how far the episode went.
func (m *weigher) learnPeaks() {
	ep := &m.ep
	for i := range ep.peak {
		side := int(ep.below >> i & 1)
		t := &m.ev.tail[i][side]
		top := float32(marginal)
		if i == ofJump { // the same step comes again where there are few
			top = 1
			if m.same.share > mostly {
				top = marginalJump
			}
		}
		if at := max(t.at*(1+t.caution), float32(m.leastOf(i))); t.at > 0 && ep.peak[i] > at {
			t.alerted(ep.peak[i] < top*at)
		}
		m.teach(i, side, ep.peak[i])
		if horizon[i] < 2000 {
			m.teach(i, side, ep.peak[i])
		}
	}
}

// settle leaves the episode: the values are where they are expected.
func (m *Model) settle(s *scene) {
	if m.kind != counter {
		for i := range m.past.recent {
			m.past.recent[i] = s.x
		}
	} else {
		m.follows.mean[byFollow] = s.x
	}
	m.forget()
}

// forget leaves the episode, whatever the values are.
func (m *Model) forget() {
	m.ev.settle()
	m.ep = episode{changes: m.ep.changes, told: m.ep.told}
}

// accept makes the level of the episode the expected one: what is remembered of
// the time before is moved there, by what fits.
func (m *Model) accept(s *scene) {
	ep := &m.ep
	m.learnPeaks()
	back := m.returned(s)
	if ep.how < int8(ofSpread) && (m.age() > usualAge || s.lead == byFollow) {
		if back {
			ep.accepted += wayBack
		} else {
			ep.accepted++
		}
		usual(&ep.jump, ep.first)
		usual(&ep.shift, ep.peak[ofThree])
	}
	moved := float64(ep.moves) / ep.num
	switch ep.how {
	case ofMissing:
		m.past.falls.accept()
	case ofRest:
	case int8(ofSpread):
		m.rescale(min(4, max(0.3, (float64(s.stat[ofSpread])+usualSpread)/usualSpread)), moved)
	default:
		m.rescale(m.move(s, back), moved)
	}
	m.same.accept()
	m.ev.z = [3]float32{}
	ep.told = true
	m.settle(s)
	m.past.changes++
	s.valid = false
	m.look(s.t, s.raw) // as it looks from here
}

// wider is how many times wider deviations are at a level that is so many times as large:
// by how the values have moved there, they have grown with it, or stayed as they were.
func (m *Model) wider(factor float64) float64 {
	usual := movesOfJumps * float64(m.width.jump) * m.ep.num
	if m.kind == counter || usual == 0 {
		return factor
	}
	return max(min(1, factor), min(max(1, factor), float64(m.ep.moves)/usual))
}

// usual takes a size that was accepted in.
func usual(mean *float32, size float32) {
	switch {
	case size == 0:
	case *mean == 0:
		*mean = size
	case size > *mean:
		*mean = min(size, 3**mean)
	default:
		*mean += (size - *mean) / 8
	}
}

// fit is what has become of what was expected: so many times of it, and so much more. It
// is known where the level holds and what is expected has moved much.
func (ep *episode) fit(s *scene) (times, plus float64, ok bool) {
	e, d := ep.sumE/ep.num-ep.level, ep.sum/ep.num
	moved := float64(ep.sumEE)/ep.num - e*e
	if !(ep.sumEE < math.MaxFloat32 && math.Abs(float64(ep.sumED)) < math.MaxFloat32) { // of values too large for squares of 32 bits
		return 1, 0, false
	}
	if ep.days(s) < 1 || ep.sumE <= 0 || moved < math.Pow(fitWidths*s.width, 2) || !ep.flat(s) {
		return 1, 0, false
	}
	// Where the mean has become twice as large, movements may have, too, but not more.
	usual := e + ep.level
	ratio := max(leastTimes, min(mostTimes, (usual+d)/usual))
	times = max(min(1, ratio), min(max(1, ratio), 1+(float64(ep.sumED)/ep.num-e*d)/moved))
	return times, usual + d - times*usual, true
}

// becomes is what becomes of what was expected: so many times of it, and so much more.
func (m *Model) becomes(s *scene) (times, plus float64) {
	ep := &m.ep
	if times, plus, ok := ep.fit(s); ok {
		return times, plus
	}
	by, _ := ep.mean(0, 5)
	if ep.sumE > 0 && ep.sumE+ep.sum > 0 && m.follows.mean[byFollow] > 0 {
		if f := (ep.sumE + by*ep.num) / ep.sumE; f > 1/mostTimes && f < mostTimes {
			return f, 0
		}
	}
	return 1, by
}

// move moves everything that is expected to the level of the episode, or back to the one
// before it, and tells how many times wider widths become.
func (m *Model) move(s *scene, back bool) (wider float64) {
	ep := &m.ep
	var times, by float64
	if back { // what was accepted for some days is not what was usual before
		times = 1 / float64(ep.times)
		by = -float64(ep.plus) * times
		ep.times, ep.plus = 0, 0
	} else {
		times, by = m.becomes(s)
		ep.times, ep.plus = float32(times), float32(by)
	}
	to := func(x float64) float64 { return x*times + by }
	m.ev.days = 0
	follow := m.follows.mean[byFollow]
	m.follows.mean[byHour], m.follows.mean[byLevel] = follow, follow
	if m.age() < usualAge { // it may be the first weekend: what is remembered is true, but does not lead
		for b := range m.expect.lead {
			m.expect.lead[b] = byLevel
			for k := byTime; k < expected; k++ {
				m.expect.err[b][k] = max(m.expect.err[b][k], 2*m.expect.err[b][byLevel])
			}
		}
		return 1
	}
	if m.past.bucket > 0 {
		m.past.change(to, m.past.bucketOf(m.civil.seconds(ep.since, m.c.Location)), to(m.past.base), m.past.unit*times)
	}
	if times == 1 {
		return 1
	}
	for i := range m.expect.correct {
		m.expect.correct[i] *= float32(times)
	}
	return max(m.wider(times), 1/mostTimes)
}
