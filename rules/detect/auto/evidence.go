package auto

import "math"

// Statistics of the deviations, each over a horizon of its own.
const (
	ofJump   = iota // the jump of one value from those before
	ofThree         // the middle one of three deviations
	ofFive          // mean over five minutes
	ofHalf          // over half an hour
	ofHours         // over three hours
	ofDay           // over a day
	ofSpread        // mean of the deviations' sizes over twenty minutes
	stats
)

// ofRest is what begins an episode of a series that is stuck.
const ofRest int8 = 9

var (
	// horizon is the time constant of each mean, in seconds.
	horizon = [stats]float64{ofFive: 300, ofHalf: 1800, ofHours: 3 * 3600, ofDay: day, ofSpread: 1200}
	// leastEffect is what each must be at least to be evidence, in widths: less is
	// a trifle, however rare. At the usual budget, and a step of so many seconds.
	leastEffect     = [stats]float64{4, 2.56, 1.84, 1.36, 1.04, 0.96, 0.72}
	leastEffectStep = 60.0
	// share is the part of the budget that one side of a statistic gets: over
	// these.
	share = [stats]float64{4, 4, 16, 16, 16, 16, 16}
)

const (
	leastSteps, spreadSteps = 3, 20 // of a horizon
	// While the spread is anomalous its mean is over so many seconds, and one value
	// counts so many thresholds at most: it is over within ten minutes.
	spreadOver, spreadMost = 300, 1.2
	// usualSpread is the mean size of deviations in widths, of a normal
	// distribution.
	usualSpread = 0.8
	statClip    = 8   // widths that one value adds to a mean,
	habitMean   = 1.5 // and what is a habit
	// meanReach is the part of statClip that no threshold of a mean is above: it could
	// not be crossed by what is far out for all of its time.
	meanReach = 0.95
	// usualChange is how much larger than the usual ones another change of level is.
	usualChange = 1.3
	// Evidence counts less on the first day, and of few points (see young).
	firstDay, firstPoints = day, 100
	learnFrom             = 0.4 * day // for tails
	misjudgedTimes        = 2         // widths, see align
)

// evidence is how the newest deviations look over each horizon, and how they
// have looked.
type evidence struct {
	z    [3]float32 // newest deviations, in widths
	off  [3]float64 // likewise in the units of values, of usual times
	lead uint8      // from whose expectation
	days uint8      // since a level was accepted
	// missed is how many episodes of ofMissing there have been of late, missedDays how many
	// days ago one was forgotten.
	missed, missedDays uint8
	wide               [2]float32 // widths of late, of jumps and of deviations,
	base               [2]float32 // and those that the tails are in terms of
	mean               [stats]float32
	tail               [stats][2]tail // above, below
	far                [stats][2]half // where each is as rare as the usual budget allows, whatever the rule's is
	run                [stats][2]half // the greatest of the newest values, all of which lie far out
	burst              [briefs][2]burst
}

// forget ends what is under way.
func (e *evidence) forget() {
	e.mean = [stats]float32{}
	e.z = [3]float32{}
}

// settle makes the newest deviations usual ones.
func (e *evidence) settle() {
	e.mean = [stats]float32{ofSpread: usualSpread}
	e.off = [3]float64{}
}

// rate is the weight of a value in the mean of a statistic.
func (m *weigher) rate(i int, dt float64) float32 {
	steps := float64(leastSteps)
	if i == ofSpread {
		steps = spreadSteps
	}
	dt = min(dt, longGapSteps*m.step)
	return float32(dt / (max(horizon[i], steps*m.step) + dt))
}

// mean is that of a statistic with one deviation more.
func (m *weigher) mean(i int, mean, z float32, dt float64) float32 {
	if i != ofSpread {
		return mean + m.rate(i, dt)*(z-mean)
	}
	z = max(z, -z)
	if mean == 0 {
		mean = usualSpread
	}
	if m.ep.on && m.ep.how == int8(ofSpread) { // what it takes for it to be over must not depend on how wild it was
		most := usualSpread + spreadMost*m.threshold(ofSpread, 0)
		dt = min(dt, longGapSteps*m.step)
		return min(mean, most) + float32(dt/(max(spreadOver, leastSteps*m.step)+dt))*(min(z, most)-min(mean, most))
	}
	return mean + m.rate(i, dt)*(z-mean)
}

// inserts is how many seconds lie between values of a statistic that do not
// depend on each other.
func (m *weigher) inserts(i int) float64 { return max(horizon[i]/4, m.step) }

// counted is what a deviation counts as in means. A habit that goes on for hours must not
// pass in the sum what one value of it does not.
func (s *scene) counted() float64 {
	if s.excused {
		return clip(s.z, habitMean)
	}
	return clip(s.z, statClip)
}

// weigh makes the evidence of a scene.
func (m *weigher) weigh(s *scene) {
	e := &m.ev
	mean, z := e.mean, e.z
	if s.gap {
		mean, z = [stats]float32{}, [3]float32{}
	}
	z[m.n%3] = float32(s.z)
	clipped := float32(s.counted())
	s.stat[ofJump] = float32(s.zJump)
	s.stat[ofThree] = middle(z)
	for i := ofFive; i < stats; i++ {
		s.stat[i] = m.mean(i, mean[i], clipped, s.dt)
		if i != ofSpread {
			continue
		}
		s.stat[i] -= usualSpread
		if s.stat[i] > 0 && !m.ep.on { // a shift is no spread
			s.stat[i] = max(0, s.stat[i]-float32(math.Abs(float64(mean[ofHalf]))))
		}
	}
	best, age, young := float32(0), m.age(), m.young()
	for i, v := range s.stat {
		if i == ofSpread && v < 0 { // an expectation has become better, or ofRest tells
			continue
		}
		side, sign := 0, int8(1)
		if v < 0 {
			v, side, sign = -v, 1, -1
		}
		known := m.threshold(i, side)
		at := known * float32(young)
		if i == ofJump && age < firstDay { // a tail is known last
			at *= float32(young)
		}
		if i <= ofThree { // however little is known, what is off the scale is strange
			at = max(known, min(at, mostWidths/2))
		}
		if r := v / at; r > best {
			best, s.which, s.sign = r, int8(i), sign
		}
	}
	s.evidence = float64(best)
	if best <= 1 && s.stuck {
		s.evidence, s.which = 1.05, ofRest
	}
	if best <= 1 && s.missing {
		s.evidence, s.which = 1.05, ofMissing
	}
	s.hold = s.evidence
	if m.ep.on {
		s.hold = m.holds(s)
		if now := m.outNow(s); now > 1 { // it may have gone to the other side
			s.hold = max(s.hold, now)
		}
		s.hold = clip(s.hold, mostWidths) // of an infinite value, too
	}
	s.above = s.width * float64(m.threshold(ofThree, 0)) * young
	s.below = s.width * float64(m.threshold(ofThree, 1)) * young
}

// side is that of the values which the evidence of a scene is of, 0 where it is of none.
func (m *weigher) side(s *scene) int8 {
	switch {
	case s.which < int8(ofSpread) && (s.evidence > 1 || !m.ep.on):
		return s.sign
	case m.ep.on && m.ep.how < int8(ofSpread):
		return m.ep.sign
	}
	return 0
}

// outNow is how far the newest values alone are out, to either side, in thresholds.
func (m *weigher) outNow(s *scene) (most float64) {
	for i := ofJump; i <= ofThree; i++ {
		side, v := 0, s.stat[i]
		if v < 0 {
			side, v = 1, -v
		}
		if i == ofJump { // where it is expected it has not gone anywhere, whatever it jumped from
			v = min(v, float32(math.Abs(s.off)/s.jumpWidth))
		}
		most = max(most, float64(v)/float64(max(m.threshold(i, side), 1)))
	}
	return most
}

// young is how many times wider thresholds are while tails, and widths, are known
// by a prior more than by the series: two and a half times at first, once after a
// day and a hundred points, and twice that for a series of twenty points.
func (m *weigher) young() float64 {
	f := 1 + settled/float64(max(m.n, 1))
	if known := min(m.age()/firstDay, float64(m.n)/firstPoints); known < 1 {
		return f * (1 + youngFactor*(1-known))
	} else if m.n > 100*settled {
		return 1
	}
	return f
}

// threshold is where a statistic is evidence of 1.
func (m *weigher) threshold(i, side int) float32 {
	t := &m.ev.tail[i][side]
	at := t.at
	if at == 0 { // nothing has been learned
		at = float32(unknownFactor * m.leastOf(i))
	}
	at *= 1 + t.caution
	if i < briefs {
		at = max(at, m.ev.burst[i][side].usual(i))
	} else {
		at = min(at, meanReach*statClip)
	}
	if m.ep.accepted > oftenAccepted { // this series is used to changes of some size
		switch {
		case i == ofJump:
			at = max(at, usualChange*m.ep.jump)
		case i != ofSpread:
			at = max(at, usualChange*m.ep.shift)
		}
	}
	return max(at, float32(m.leastOf(i)))
}

// rarity is the probability with which a value of a statistic may exceed its
// threshold.
func (m *weigher) rarity(i int) float64 { return m.rarityBy(i, m.c.Alerts) }

func (m *weigher) rarityBy(i int, alerts float64) float64 {
	return m.inserts(i) * alerts / (share[i] * day)
}

// leastOf is the least effect of a statistic. What may come more often, because
// of a larger budget or of fewer values, is smaller, as it is of a normal
// distribution.
func (m *weigher) leastOf(i int) float64 {
	if m.now == nil {
		return m.leastBy(i, m.c.Alerts)
	}
	l := &m.now.leasts
	if l.step != m.step || l.alerts != m.c.Alerts {
		l.step, l.alerts = m.step, m.c.Alerts
		for k := range l.of {
			l.of[k] = m.leastBy(k, m.c.Alerts)
		}
	}
	return l.of[i]
}

// leasts are the least effects at a step and a budget, which most series share: they
// cost more than all else that is done with a value.
type leasts struct {
	step, alerts float64
	of           [stats]float64
}

func (m *weigher) leastBy(i int, alerts float64) float64 {
	usual := max(horizon[i]/4, leastEffectStep) * usualAlerts / (share[i] * day)
	return effect * leastEffect[i] * normalTail(m.rarityBy(i, alerts)) / normalTail(usual)
}

// normalTail is what a normal deviate exceeds with probability p, at least
// where a sixth does.
func normalTail(p float64) float64 { return math.Sqrt2 * math.Erfcinv(2*min(p, 0.16)) }

// learn takes the statistics in. Of an episode its begin is learned, so that
// tails know what they called rare.
func (e *evidence) learn(m *weigher, s *scene, begins bool) {
	e.z[m.n%3] = float32(s.z)
	for i := ofFive; i < stats; i++ {
		e.mean[i] = m.mean(i, e.mean[i], float32(s.counted()), s.dt)
	}
	for i := range e.off {
		e.off[i] += s.led
	}
	if e.lead = s.lead; !m.ep.on {
		e.off[m.n%3] = s.off
	}
	if m.age()+m.step < learnFrom {
		return
	}
	fresh := float64(s.t-m.ep.since) < 2500*m.step
	for i, v := range s.stat {
		every := m.inserts(i)
		began := begins && m.ep.how == int8(i)
		if i >= ofFive && every > m.step && !began {
			if k := int64(every); floorDiv(s.t/1000, k) == floorDiv(s.t/1000-int64(s.dt), k) {
				continue
			}
		}
		if m.ep.on && !(fresh && (i <= ofThree || began)) {
			continue
		}
		side := 0
		if v < 0 {
			v, side = -v, 1
		}
		m.gather(i, side, v)
		m.gather(i, 1-side, 0)
	}
}

// gather adds a value to a tail. Values far out that follow each other are one
// event, of which the greatest counts: budgets are of events, and what lasted
// once, before anybody could expect it, does not make it usual (M. R. Leadbetter,
// Extremes and local dependence in stationary sequences, Zeitschrift für
// Wahrscheinlichkeitstheorie 65, 1983).
func (m *weigher) gather(i, side int, v float32) {
	run := &m.ev.run[i][side]
	if far := m.ev.far[i][side]; far > 0 && float64(v) > clusterShare*far.float() {
		*run = max(*run, toHalf(float64(v)))
		if i < briefs {
			m.ev.burst[i][side].extend()
		}
		return
	}
	if *run > 0 {
		if far := m.ev.far[i][side].float(); float64(v) > clusterShare*far/2 { // not over yet
			return
		}
		m.teach(i, side, float32(run.float()))
		if i < briefs {
			m.ev.burst[i][side].end(run.float(), m.leastOf(i))
		}
		*run = 0
	}
	if i < briefs {
		m.ev.burst[i][side].fade(float32(m.step * m.c.Alerts / day))
	}
	m.teach(i, side, v)
}

// align keeps tails in terms of the widths that there are now, of jumps and of
// deviations. Where these have grown by a multiple, what seemed far out when less was
// known is not. Where they shrink, because the series is understood better, tails
// stay as they are.
func (m *weigher) align(jump, width float64) {
	for i, w := range [...]float64{jump, width} {
		wide, base := &m.ev.wide[i], &m.ev.base[i]
		w = min(w, math.MaxFloat32/4)
		*wide += float32(max(min(m.step/day, 1), 1/float64(m.n)) * (w - float64(*wide)))
		w = float64(*wide)
		switch {
		case *base == 0 || w < float64(*base):
			*base = float32(w)
		case w > misjudgedTimes*float64(*base):
			bins := min(int(math.Log2(w/float64(*base))*binsPerOctave), tailBins)
			m.shrink(i == 0, bins)
			*base *= float32(math.Exp2(float64(bins) / binsPerOctave))
		}
	}
}

// shrink divides what the tails of jumps, or of deviations, know by so many bins.
func (m *weigher) shrink(jumps bool, bins int) {
	for k := range m.ev.tail {
		if jumps != (k == ofJump) {
			continue
		}
		for side := range m.ev.tail[k] {
			for range bins {
				m.ev.tail[k][side].shrink()
				m.ev.far[k][side] = toHalf(m.ev.far[k][side].float() / binRatio)
			}
		}
	}
}

// teach adds a value, bounded, to a tail.
func (m *weigher) teach(i, side int, v float32) {
	t, far := &m.ev.tail[i][side], m.ev.far[i][side].float()
	if far == 0 {
		far = m.leastBy(i, usualAlerts)
	}
	t.add(min(v, float32(peakClip*far)))
	if t.due() {
		t.rest(m.rarity(i))
		m.measure(i, side)
	}
}

// measure finds where one side of a statistic is as rare as the budget allows.
func (m *weigher) measure(i, side int) {
	least := 0.02
	if i <= ofThree {
		least = -0.05
	}
	t := &m.ev.tail[i][side]
	t.measure(m.rarity(i), m.leastOf(i), least)
	m.ev.far[i][side] = toHalf(t.border(m.rarityBy(i, usualAlerts), m.leastBy(i, usualAlerts), least))
}
