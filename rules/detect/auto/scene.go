package auto

import (
	"math"
	"sync"
)

// scene is one value as it looks before it is learned.
type scene struct {
	leasts leasts // it outlives the value

	valid bool
	at    int64 // points learned before it
	t     int64 // milliseconds
	raw   float64

	skip bool // it says nothing: a counter was reset
	gap  bool // what was under way is over
	// repeats tells of a value that is the one before, stuck of one that is so for
	// much longer than ever.
	repeats, stuck bool
	missing        bool // something that should be there is not
	excused        bool // it is a habit
	dt             float64
	civil          int64 // seconds
	block          int64
	x              float64 // what the model sees of raw

	say          [expected]float64
	have         [expected]bool
	lead         uint8
	expected     float64
	off          float64 // from expected, edges allowed for
	jump         float64 // of off from those before
	led          float64 // what those are farther off because another expectation leads now
	width        float64
	jumpWidth    float64
	z, zJump     float64 // bounded
	stat         [stats]float32
	evidence     float64
	which        int8
	sign         int8
	hold, rank   float64
	below, above float64 // where a single value would be evidence of 1, from expected
}

// mostWidths bounds deviations: farther out, one is as bad as another.
const mostWidths = 300

// scenes are scratch: a model needs one between the judging of a value and its
// learning only.
var scenes = sync.Pool{New: func() any { return new(scene) }}

// Release frees what a verdict has left for the learning of the same value,
// when that will not be learned.
func (m *weigher) Release() {
	if m.now != nil {
		scenes.Put(m.now)
		m.now = nil
	}
}

// scene is that of a value, and whether it has been made already.
func (m *weigher) scene(t int64, raw float64) (s *scene, made bool) {
	if s = m.now; s == nil {
		s = scenes.Get().(*scene) //nolint:forcetypeassert // nothing else is put there
		s.valid = false
		m.now = s
	}
	if s.valid && s.at == m.n && s.t == t && math.Float64bits(s.raw) == math.Float64bits(raw) {
		return s, true
	}
	*s = scene{leasts: s.leasts, valid: true, at: m.n, t: t, raw: raw, dt: m.step}
	if m.n > 0 {
		s.dt = max(float64(t-m.last)/1000, leastGap)
	}
	return s, false
}

// look makes the scene of a value, at most once.
func (m *Model) look(t int64, raw float64) *scene {
	s, seen := m.scene(t, raw)
	if seen {
		return s
	}
	if s.x, s.skip = m.value(raw, s.dt); s.skip {
		if m.ep.on {
			s.hold = 1 // nothing is known of it
		}
		return s
	}
	s.repeats = m.repeats(s)
	s.stuck = m.same.stuck(&m.weigher, s)
	s.gap = s.dt > longGapSteps*m.step && s.dt > longGapSeconds
	s.civil = m.civil.seconds(t, m.c.Location)
	s.block = floorMod(s.civil, day) / blockLength
	m.expectations(s)
	s.width, s.jumpWidth = m.widthsAt(s.civil)
	flank := m.flank(s)
	s.off = flank.edge(s.x-s.expected, s.width)
	if s.lead != m.ev.lead && !m.ep.on {
		s.led = s.say[m.ev.lead] - s.expected
	}
	s.jump = flank.edge(s.x-s.expected, s.jumpWidth) - middle(m.ev.off) - s.led
	s.jump = m.own(s)
	s.z = clip(s.off/s.width, mostWidths)
	s.zJump = clip(away(s.jump, s.off, s.width)/s.jumpWidth, mostWidths)
	m.allowHabits(s)
	s.missing = m.misses(s)
	m.weigh(s)
	s.rank = m.rank.of(s)
	return s
}

// misses tells whether something that should be there is not.
func (m *Model) misses(s *scene) bool {
	if m.ev.missed >= missedMost && m.ep.how != ofMissing {
		return false
	}
	if m.unreset(s.t) {
		return true
	}
	if m.missing == 0 || m.weekly && s.lead == byTime+byWeek { // who leads knows of it
		return false
	}
	return float64(m.missing)*s.off < missedWidths*missedShare*s.width // of a habit, too
}

// Habits: what was seen at this time on several of the last days, or in other
// weeks, is no surprise, whatever leads.
const (
	habitDays, habitWeeks = 3, 3
	// What was seen is the same when it is so near, in widths, and in parts of the
	// deviation: usual noise excuses none.
	habitShare = 0.6
	// Smaller deviations need no excuse.
	habitFrom, habitJump = 2.5, 3.5
	habitAge             = 3 * day
	habitWeekAge         = 15 * day
	// mostDiluted bounds how many times larger than the mean of its bucket a habit
	// may be: a bucket that was full of it would excuse far more.
	mostDiluted = 4
)

func (m *Model) allowHabits(s *scene) {
	age, scale := m.age(), m.leastOf(ofThree)/leastEffect[ofThree]
	if m.past.bucket == 0 || math.Abs(s.z) <= habitFrom*scale && math.Abs(s.zJump) <= habitJump*scale {
		return
	}
	tolerance := min(habitTolerance*scale*s.width, habitShare*math.Abs(s.x-s.expected))
	if m.same.share > mostly {
		tolerance = min(tolerance, float64(m.same.size)/2)
	}
	bucket := m.past.bucketOf(s.civil)
	w := sought{s.x, s.expected, tolerance, max(1, min(mostDiluted, float64(m.past.bucket)/m.step))}
	allowed := m.past.pulse(bucket, w)
	if !allowed && age > habitAge {
		daily, weeks := m.past.habit(bucket, w, m.expect.timed(s), s.lead == byTime+byWeek)
		allowed = daily || weeks >= habitWeeks && age > habitWeekAge
	}
	if allowed {
		s.excused = true
		s.z = clip(s.z, habitWidths*scale)
		s.zJump = clip(s.zJump, habitWidths*scale)
	}
}

// own is the part of a jump towards what is expected that the value has made itself, and
// not the expectation: where a short job is remembered in a bucket, the end of the bucket is
// no news.
func (m *Model) own(s *scene) float64 {
	newest := &m.past.recent
	n := int64(len(newest))
	if m.kind == counter || s.lead < byTime || m.n < n || math.Abs(s.off) >= math.Abs(s.off-s.jump) {
		return s.jump
	}
	own := s.x - middle([3]float64{newest[(m.n-1)%n], newest[(m.n-2)%n], newest[(m.n-3)%n]})
	if own*s.jump < 0 {
		return 0
	}
	if math.Abs(own) < math.Abs(s.jump) {
		return own
	}
	return s.jump
}

// nearWidths is how near what is expected, in widths, a value may be and still have
// jumped there.
const nearWidths = 3

// away is the part of a jump that leads away from what is expected, with the usual
// deviation on its other side; to come back from farther out than that is no jump.
func away(jump, off, width float64) float64 {
	near := nearWidths * width
	if math.Abs(off-jump) > near {
		near = 0
	}
	if jump > 0 {
		return max(0, min(jump, off+near))
	}
	return min(0, max(jump, off-near))
}

// middle is the median of three.
func middle[F float32 | float64](a [3]F) F {
	return max(min(a[0], a[1]), min(max(a[0], a[1]), a[2]))
}
