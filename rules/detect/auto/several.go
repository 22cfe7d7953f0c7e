package auto

import (
	"math"
	"time"
)

// Several judges several inputs of one thing together: a light judge of each,
// and the distance of all from what they have been, each and together (see
// distance.go). Both are held against tails of their own past, at a budget of
// alerts that all of them share. While something is anomalous next to nothing is
// learned, and levels that hold are accepted (severalepisode.go).
//
// It is not safe for concurrent use.
type Several struct {
	c      Config
	inputs []input
	far    distance
	ep     severalEpisode

	n     int64 // points learned
	first int64 // milliseconds of the oldest point
	last  int64 // and of the newest
	step  float64

	now severalScene // scratch
}

// SeveralVerdict is what the model thinks of a point.
type SeveralVerdict struct {
	// Evidence is 1 where a deviation, of one input or of all together, is as
	// rare as the budget of alerts allows.
	Evidence float64
	// Hold is how far the newest values are still outside, while something is
	// anomalous: above 0.5 it goes on.
	Hold float64
	// Rank orders points by how odd they are: from 0 to below 1.
	Rank float64
}

// severalScene is one point as it looks before it is learned.
type severalScene struct {
	valid, present, gap bool
	n, t                int64
	v                   []float64
	dt                  float64
	evidence, hold      float64
	which               int32
}

// What begins an episode: a statistic of the distance, or one of an input, by
// inputStats*input+statistic from here on.
const byInputs = distanceStats

const (
	// learnedSlowly is the weight of what is anomalous.
	learnedSlowly = 0.02
	// severalLeast is how many points there must be for a first verdict, and
	// two more for each input.
	severalLeast = 30
	// severalYoung is by how much more a deviation must be at first, less and less
	// on the first day, while spreads and correlations are hardly known: as much as
	// one series must. Statistics are bounded, and with more than that an incident
	// of one input could hardly be evidence.
	severalYoung = 1.5
	// distanceShare is the part of the budget that each distance gets: they often
	// cross their thresholds together. inputShare is divided among the inputs.
	distanceShare, inputShare = 0.8, 0.5
	// rankDistance is the distance at which the rank is half of mostRank. It is that
	// over five minutes, and rankMany times how many inputs are off.
	rankDistance, rankMany = 8, 0.5
	// nameInput is the part of the shares that the input gets whose deviation
	// alone is the evidence.
	nameInput = 0.5
)

// NewSeveral makes a model of so many inputs that has seen nothing.
func NewSeveral(c Config, inputs int) *Several {
	m := &Several{c: c.complete(), inputs: make([]input, inputs), far: newDistance(inputs), step: 60}
	m.now.v = make([]float64, inputs)
	m.far.factor()
	return m
}

// SetAccept sets after how long a level that holds is accepted.
func (m *Several) SetAccept(d time.Duration) {
	if d > 0 {
		m.c.Accept = d
	}
}

// Inputs is how many inputs there are.
func (m *Several) Inputs() int { return len(m.inputs) }

// Seen tells whether there has been a point.
func (m *Several) Seen() bool { return m.n > 0 }

// Ready tells whether the model can judge.
func (m *Several) Ready() bool { return m.n >= int64(severalLeast+2*len(m.inputs)) }

// Usual is the mean of an input.
func (m *Several) Usual(input int) float64 { return m.inputs[input].mean }

func (m *Several) age() float64 { return float64(m.n) * m.step }

// Judge tells what the values at t, in milliseconds, look like; those that are
// missing are NaN. It fills share, when it is not nil, with the inputs' parts of
// the evidence. It changes nothing. It is not ok when there is no value.
func (m *Several) Judge(t int64, v, share []float64) (out SeveralVerdict, ok bool) {
	s := m.look(t, v)
	if !s.present {
		return out, false
	}
	if share != nil {
		m.far.shares(share, int(s.which))
		if i := int(s.which) - byInputs; i >= 0 {
			for k := range share {
				share[k] *= 1 - nameInput
			}
			share[i/inputStats] += nameInput
		}
	}
	return SeveralVerdict{
		Evidence: s.evidence, Hold: s.hold,
		Rank: mostRank / (1 + rankDistance/max(float64(m.far.stat[ofShort]+rankMany*m.far.stat[ofMany]), least)),
	}, true
}

// look makes the scene of a point, at most once.
func (m *Several) look(t int64, v []float64) *severalScene {
	s := &m.now
	if s.valid && s.n == m.n && s.t == t && sameBits(s.v, v) {
		return s
	}
	*s = severalScene{valid: true, n: m.n, t: t, v: s.v, dt: m.step}
	copy(s.v, v)
	if m.n > 0 {
		s.dt = max(float64(t-m.last)/1000, leastGap)
	}
	s.gap = s.dt > longGapSteps*m.step && s.dt > longGapSeconds
	dt := min(s.dt, longGapSteps*m.step)
	for i, x := range v {
		in := &m.inputs[i]
		in.daily.at(t)
		m.far.z[i], m.far.timely[i] = 0, 0 // what is missing is as expected
		if !math.IsNaN(x) {
			s.present = true
			m.far.z[i], m.far.timely[i] = in.deviation(x), in.timely(x)
		}
		in.look(m, x, dt, s.gap)
	}
	m.far.look(m, dt, s.gap)
	m.far.goesOn(m, dt)
	m.weigh(s)
	return s
}

func sameBits(a, b []float64) bool {
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return false
		}
	}
	return true
}

// weigh makes the evidence of a scene.
func (m *Several) weigh(s *severalScene) {
	best := float32(0)
	for k, v := range m.far.stat {
		if r := v / m.far.threshold(k); r > best {
			best, s.which = r, int32(k) //nolint:gosec // few
		}
	}
	for i := range m.inputs {
		in := &m.inputs[i]
		for k, v := range in.stat {
			if r := max(v, -v) / in.threshold(k); r > best {
				best, s.which = r, int32(byInputs+i*inputStats+k) //nolint:gosec // few
			}
		}
	}
	s.evidence = float64(best)
	if known := m.known(); known < 1 {
		s.evidence /= 1 + severalYoung*(1-known)
	}
	switch {
	case m.ep.on:
		s.hold = m.holds()
	case s.evidence > 1:
		s.hold = s.evidence
	}
}

// known is how much of the time has passed in which a deviation must be larger: the
// first day, or until there are tails, where steps are so long that it takes longer.
func (m *Several) known() float64 {
	return m.age() / max(firstDay, learnFrom+bodyFewest*m.step)
}

// Learn takes the values at t in. anomalous tells whether they are.
func (m *Several) Learn(t int64, v []float64, anomalous bool) {
	if m.n > 0 && t <= m.last {
		return
	}
	s := m.look(t, v)
	if !s.present {
		return
	}
	switch m.n {
	case 0:
		m.first = t
	case 1:
		m.step = s.dt
	default:
		m.step += (min(s.dt, longGapSteps*m.step) - m.step) / 16
	}
	begins, ended := m.minds(s, anomalous)
	m.far.smooth, m.far.point, m.far.going = m.far.next, m.far.now, m.far.goingNext
	for i := range m.inputs {
		in := &m.inputs[i]
		in.z[m.n%3], in.half = float32(in.width(v[i])), in.stat[ofInputHalf]
	}
	if ended {
		m.settle()
	}
	m.n++
	m.last = t
	m.learnTails(s, begins)
	weight := 1.0
	if m.ep.on && !begins && t-m.ep.since <= m.ep.since-m.first {
		weight = learnedSlowly
	}
	points := min(m.far.points+1, distanceMemory)
	m.far.points = points
	m.far.correlate(weight / points)
	for i, x := range v {
		in := &m.inputs[i]
		if in.seen && math.Abs(x) < beyondUse {
			in.learnDaily(x, t, m.age(), weight/points, points, max(dailyMemory, dailyMemory*day/dayParts/m.step))
		}
		in.learn(x, weight/points, points)
	}
	if m.ep.on && m.note(s) {
		m.accept()
	}
	m.far.refactor()
	s.valid = false
}

// learnTails takes the statistics in; of an episode its begin.
func (m *Several) learnTails(s *severalScene, begins bool) {
	fresh := float64(s.t-m.ep.since) < 2500*m.step
	if m.age() <= learnFrom || m.ep.on && !fresh {
		return
	}
	// due tells whether a value stands for one of the times that do not depend on
	// each other.
	due := func(every float64, which int) bool {
		if every <= m.step || begins && int(m.ep.how) == which {
			return true
		}
		k := int64(every)
		return floorDiv(s.t/1000, k) != floorDiv(s.t/1000-int64(s.dt), k)
	}
	m.far.told -= m.far.told * float32(min(m.step*m.c.Alerts/day, 1))
	for k := range distanceStats {
		if due(m.every(distanceHorizon[k]), k) {
			m.far.teach(k, m.distanceRate(k), m.age() > firstDay)
		}
	}
	for i := range m.inputs {
		in := &m.inputs[i]
		in.told -= in.told * float32(min(m.step*m.c.Alerts/day, 1))
		if math.IsNaN(s.v[i]) {
			continue
		}
		for k := range inputStats {
			if due(m.every(inputHorizon[k]), byInputs+i*inputStats+k) {
				in.teach(k, m.inputRate(k))
			}
		}
	}
}

// every is how many seconds lie between values of a statistic that do not depend
// on each other.
func (m *Several) every(horizon float64) float64 { return max(horizon/4, m.step) }

// distanceRate is the part of the values of a distance that may be above its
// threshold.
func (m *Several) distanceRate(k int) float64 {
	return m.every(distanceHorizon[k]) * m.c.Alerts / day * distanceShare
}

// inputRate is that of an input's statistic. Inputs that move together share one
// part of the budget.
func (m *Several) inputRate(k int) float64 {
	return m.every(inputHorizon[k]) * m.c.Alerts / day * inputShare / (inputStats * m.far.independent)
}
