package auto

import "math"

// severalEpisode is what the model keeps of an anomaly while it lasts.
type severalEpisode struct {
	on    bool
	how   int32 // what began it
	since int64 // milliseconds
	peak  float32
	// told is whether the levels have been accepted while the scorer still calls
	// the inputs anomalous.
	told bool

	part  int64 // milliseconds of the begin of the part under way
	partN float64
}

const (
	// heldParts is how many parts of the time to accept are kept, of which it has
	// heldOfTime: the newest is compared with the one at the same time before.
	heldParts, heldOfTime = 5, 4
	// heldWidths is the part of an input's spread by which it may grow.
	heldWidths = 2
	// acceptedFade divides what tails have counted, when levels are accepted:
	// they are learned anew.
	acceptedFade = 8
)

// minds takes in whether the inputs are anomalous, before they are learned, and
// tells whether an episode begins or has ended.
func (m *Several) minds(s *severalScene, anomalous bool) (begins, ended bool) {
	ep := &m.ep
	if ep.told = ep.told && anomalous; ep.told && s.evidence <= 1 {
		anomalous = false // the levels are accepted
	}
	switch {
	case anomalous && !ep.on:
		*ep = severalEpisode{on: true, how: s.which, since: s.t, part: s.t}
		for i := range m.inputs {
			m.inputs[i].held, m.inputs[i].square = [heldParts]float64{}, 0
		}
		if i := int(ep.how) - byInputs; i >= 0 {
			in := &m.inputs[i/inputStats]
			in.told = min(in.told+1, mostTold)
		}
		begins = true
	case !anomalous && ep.on:
		ep.on = false
		ended = true
		m.mindCaution()
	}
	if ep.on {
		v := m.statOf(int(ep.how))
		ep.peak = max(ep.peak, v, -v)
	}
	return begins, ended
}

func (m *Several) statOf(which int) float32 {
	if which < byInputs {
		return m.far.stat[which]
	}
	which -= byInputs
	return m.inputs[which/inputStats].stat[which%inputStats]
}

// mindCaution raises a threshold that was hardly crossed, and that of the distance
// over five minutes when it was crossed within the time of one alert of the budget
// already: a job that comes again and again is no news.
func (m *Several) mindCaution() {
	if m.ep.how >= byInputs {
		return
	}
	how := m.ep.how
	t := &m.far.tail[how]
	at := t.at * (1 + t.caution)
	again := false
	if how == ofShort {
		m.far.told = min(m.far.told+1, mostTold)
		again = m.far.told > toldOften
	}
	by := float32(1)
	switch {
	case t.at == 0 || m.ep.peak <= at:
	case again:
		by = float32(math.Sqrt(float64(m.ep.peak / at)))
	case m.ep.peak < marginal*at:
		by = 1 + distanceCaution[how]
	}
	t.caution = max(t.caution, min((1+t.caution)*by-1, mostCaution))
}

// holds is how far the values are still out, in thresholds of what began.
func (m *Several) holds() float64 {
	if m.ep.how < byInputs {
		return m.far.holds(int(m.ep.how))
	}
	which := int(m.ep.how) - byInputs
	in := &m.inputs[which/inputStats]
	v := in.stat[ofInputThree]
	return float64(max(v, -v)) / min(float64(in.threshold(which%inputStats)), holdMost)
}

// note takes a point of the episode in, and tells whether the levels have held
// for long enough: at the end of a part, when none of them still grows.
func (m *Several) note(s *severalScene) (accepted bool) {
	ep := &m.ep
	full := m.c.Accept.Milliseconds()
	if s.t-ep.part >= full/heldOfTime {
		if age := s.t - ep.since; ep.partN > 0 && age >= full*heldParts/heldOfTime {
			accepted = age >= longestTimes*full || m.rests()
		}
		if accepted {
			return true
		}
		for i := range m.inputs {
			in := &m.inputs[i]
			copy(in.held[1:], in.held[:])
			in.held[0], in.square = 0, 0
		}
		ep.part, ep.partN = s.t, 0
	}
	ep.partN++
	for i, x := range s.v {
		if in := &m.inputs[i]; math.Abs(x) < beyondUse {
			d := x - in.mean
			in.held[0] += (d - in.held[0]) / ep.partN
			in.square += (d*d - in.square) / ep.partN
		}
	}
	return false
}

// rests tells whether no input goes on moving away.
func (m *Several) rests() bool {
	for i := range m.inputs {
		in := &m.inputs[i]
		newest, before := in.held[0], in.held[heldOfTime]
		growth := math.Abs(newest) - math.Abs(before)
		if (newest < 0) == (before < 0) && growth > grown*math.Abs(newest) && growth > heldWidths*in.sigma(restOfRange) {
			return false
		}
	}
	return true
}

// accept makes the newest levels and spreads the expected ones.
func (m *Several) accept() {
	for i := range m.inputs {
		in := &m.inputs[i]
		by := in.held[0]
		in.mean, in.low, in.high = in.mean+by, in.low+by, in.high+by
		in.spread = max(in.spread, in.square-by*by)
		in.daily.rest = max(in.daily.rest, in.square-by*by)
		for k := range in.tail {
			in.tail[k].fade()
		}
	}
	for k := range m.far.tail {
		m.far.tail[k].fade()
	}
	// What comes weighs as much as what was, after as long as it took.
	m.far.points = max(severalLeast, min(m.far.points, m.c.Accept.Seconds()/m.step))
	m.ep = severalEpisode{told: true}
	m.settle()
}

// fade makes a tail learn anew.
func (t *tail) fade() {
	t.n = 0
	for i := range t.count {
		t.count[i] /= acceptedFade
		t.n += t.count[i]
	}
}

// settle forgets what was under way.
func (m *Several) settle() {
	m.far.settle()
	for i := range m.inputs {
		m.inputs[i].settle()
	}
}
