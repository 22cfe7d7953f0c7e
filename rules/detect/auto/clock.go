package auto

import "time"

// stepPoints is how many distances between points the step is taken from.
const stepPoints = 9

// kind tells gauges from counters.
type kind uint8

const (
	unsure kind = iota
	gauge
	counter
)

const (
	// kindPoints, and kindMoves up or down, is after how many a series is taken
	// for one or the other: a counter has fallen once at most.
	kindPoints = 150
	kindMoves  = 100
	kindFalls  = 1
	// What was taken for a counter is none when one of gaugeShare moves is a fall,
	// and gaugeFalls have been, of kindMemory moves at most.
	gaugeFalls, gaugeShare = 4, 10
	kindMemory             = 512
	// longestIncrease is over how many steps an increase is still one of a step.
	longestIncrease = 3
	// longGap, in steps and seconds, is how long a gap must be for what was
	// under way before it to be over.
	longGapSteps, longGapSeconds = 4, 600
)

// civil is the time of day and week where the series lives.
type civil struct {
	from   int64 // milliseconds since 1970: offset holds from here on for zoneCheck
	offset int32 // seconds
	known  bool
}

// zoneCheck is how often zones may change their offset, in milliseconds.
const zoneCheck = 15 * 60 * 1000

// seconds is civil time in seconds since 1970.
func (c *civil) seconds(t int64, where *time.Location) int64 {
	if where == time.UTC {
		return floorDiv(t, 1000)
	}
	if !c.known || t < c.from || t >= c.from+zoneCheck {
		c.from, c.known = floorDiv(t, zoneCheck)*zoneCheck, true
		_, offset := time.UnixMilli(c.from).In(where).Zone()
		c.offset = int32(offset) //nolint:gosec // a day at most
	}
	return floorDiv(t, 1000) + int64(c.offset)
}

// value is what the model sees of v at dt seconds after the newest point.
func (m *Model) value(v, dt float64) (x float64, skip bool) {
	v = clip(v, mostValue)
	if m.kind != counter || m.n == 0 {
		return v, false
	}
	if v < m.raw || dt > longestIncrease*m.step {
		return 0, true // it was reset, or grew for longer than a step
	}
	return (v - m.raw) / dt * m.step, false
}

// pass ends the learning of a point.
func (m *Model) pass(t int64, v float64, s *scene) {
	if m.measureStep(s.dt) {
		m.past.start(m.step)
	}
	if m.n > 1 {
		m.tell(v)
	}
	m.keepPace(s.dt)
	m.last, m.raw = t, v
}

// keepPace follows a series whose step changes. Where what is remembered is of
// another step it starts anew.
func (m *Model) keepPace(dt float64) {
	if m.repace(dt) && m.past.bucket != bucketOf(m.step) {
		m.begin(m.kind)
	}
}

// tell tells counters from gauges.
func (m *Model) tell(v float64) {
	if m.rises+m.falls > kindMemory {
		m.rises, m.falls = m.rises/2, m.falls/2
	}
	switch {
	case v > m.raw:
		m.rises++
	case v < m.raw:
		m.falls++
	}
	moves := m.rises + m.falls
	switch {
	case m.kind == counter && m.falls >= gaugeFalls && m.falls*gaugeShare > moves:
		m.begin(gauge) // it only rose all the time at first
	case m.kind == unsure && m.n >= kindPoints && moves >= kindMoves:
		m.kind = gauge
		if m.falls <= kindFalls && v >= 0 {
			m.begin(counter)
		}
	}
}

// begin starts anew in terms of what a kind sees.
func (m *Model) begin(k kind) {
	*m = Model{
		weigher: weigher{c: m.c, now: m.now, n: stepPoints + 1, step: m.step, gaps: m.gaps},
		past:    &past{}, kind: k, rises: m.rises, falls: m.falls, blind: settled,
	}
	m.past.start(m.step)
}
