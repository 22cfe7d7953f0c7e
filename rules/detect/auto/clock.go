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
	// A series that has only risen, kindFew times, is taken for a counter at once,
	// and judged as one from kindBlind points later on. One that has fallen, too, is
	// taken for one or the other after kindPoints, and kindMoves up or down: a
	// counter falls once in kindShare moves at most.
	kindFew, kindBlind = 9, 12
	kindPoints         = 150
	kindMoves          = 100
	kindShare          = 20
	// What was taken for a counter is none when one of gaugeShare moves is a fall,
	// and gaugeFalls have been, of kindMemory moves at most.
	gaugeFalls, gaugeShare = 4, 10
	kindMemory             = 512
	// counterUnit is the time, in seconds, that increases are of: the step may change.
	counterUnit = 60
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
	return (v - m.raw) / dt * counterUnit, false
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

// muchFiner is how many times shorter buckets must have become for the model to
// start anew in terms of them.
const muchFiner = 4

// keepPace follows a series whose step changes. What is remembered stays as it is, in
// buckets of the step that there was: scrapes that fail for hours, in the middle of an
// outage too, must not cost what days have taught. Only where values come much more
// often than could be remembered it starts anew.
func (m *Model) keepPace(dt float64) {
	if m.repace(dt) && !m.ep.on && bucketOf(m.step)*muchFiner <= m.past.bucket {
		m.begin(m.kind, settled)
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
		m.begin(gauge, settled) // it only rose all the time at first
	case m.kind == unsure && m.rises >= kindFew && m.falls == 0 && v >= 0:
		m.count()
	case m.kind == unsure && m.n >= kindPoints && moves >= kindMoves:
		m.kind = gauge
		if m.falls*kindShare <= moves && v >= 0 {
			m.count()
		}
	}
}

// count takes the series for a counter.
func (m *Model) count() {
	if m.same.share <= mostly || m.past.bucket == 0 {
		m.begin(counter, kindBlind)
		return
	}
	// It has rested most of the time, so what its increase was is known: nothing. An
	// incident that made it count goes on.
	was, p := m.ep, m.past
	m.same.size *= float32(counterUnit / m.step) // it has been that of values
	*m = Model{
		weigher: weigher{c: m.c, now: m.now, n: m.n, last: m.last, step: m.step, gaps: m.gaps, pace: m.pace, off: m.off, same: m.same},
		past:    p, kind: counter, rises: m.rises, falls: m.falls,
	}
	p.change(func(float64) float64 { return 0 }, p.now, 0, max(float64(m.same.size)/unitParts, least))
	p.sum, p.n, p.recent, p.widths = 0, 0, [len(p.recent)]float64{}, timely{}
	for b := range m.expect.lead {
		m.expect.lead[b] = byLevel
	}
	if was.on {
		m.ep = episode{on: true, how: int8(ofThree), sign: 1, lead: byLevel, since: was.since, partFrom: m.last}
	}
}

// begin starts anew in terms of what a kind sees, and judges after so many points.
func (m *Model) begin(k kind, blind uint8) {
	*m = Model{
		weigher: weigher{c: m.c, now: m.now, n: stepPoints + 1, step: m.step, gaps: m.gaps},
		past:    &past{}, kind: k, rises: m.rises, falls: m.falls, blind: blind,
	}
	m.same.positive = k == counter
	m.past.start(m.step)
}
