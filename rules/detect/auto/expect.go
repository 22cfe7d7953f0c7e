package auto

import "math"

// Expectations, from those that follow the newest values to those that know
// the time of week.
const (
	byFollow = iota // median of the newest five values
	byHour          // mean of about an hour
	byLevel         // mean of about a day
	byTime          // and from here on analogs of the past
	expected = byTime + analogs
)

var names = [expected]string{"follow", "hour", "level", "day", "weekday", "week"}

const (
	// blocks of the day choose who leads on their own.
	blocks      = 8
	blockLength = day / blocks
	errorClip   = 6 // widths
	// Followers win by their next value, and hide incidents. So they are
	// measured by what they said followLag seconds before, and have to be better
	// by a margin. So does the week.
	followLag        = 7200
	hourMargin       = 1.1
	leadMargin       = 0.93 // of an expectation that would take over
	timedMargin      = 0.8  // of the level's errors
	youngMargin      = 1.1  // of analogs while they know little
	young            = 3 * day
	correctionMemory = 2 * day
	correctionClip   = 2 // widths
)

// expectations knows how well each has predicted.
type expectations struct {
	err     [blocks][expected]float32
	lead    [blocks]uint8
	correct [analogs]float32 // what the newest days differ from the analogs by
	oldErr  float32          // of what byFollow said a day ago
	lag     [2][byLevel]float64
	lagAt   int64      // milliseconds
	old     [2]float32 // what byFollow said a day ago, and since
	oldAt   int64
}

// cached is what the past says of one bucket and its neighbours.
type cached struct {
	bucket  int64
	changes uint32
	valid   bool
	a       [3]analog // before, now, after
}

// of asks the past at most once for each bucket.
func (c *cached) of(p *past, b int64) *[3]analog {
	if !c.valid || c.bucket != b || c.changes != p.changes {
		*c = cached{bucket: b, changes: p.changes, valid: true}
		of := p.under(b)
		c.a[1] = p.analog(b, of)
		if p.bucket <= fine {
			c.a[0], c.a[2] = p.analog(b-1, of), p.analog(b+1, of)
		}
	}
	return &c.a
}

// expected fills in what each expectation says.
func (m *Model) expectations(s *scene) {
	for i, v := range m.follows.mean {
		s.say[i], s.have[i] = v, true
	}
	if m.past.bucket > 0 {
		a := &m.analogs.of(m.past, m.past.bucketOf(s.civil))[1]
		for k := range analogs {
			s.have[byTime+k] = a.ok[k]
			s.say[byTime+k] = a.v[k] + float64(m.expect.correct[k])
		}
	}
	for k := byTime; k < expected; k++ {
		if !s.have[k] {
			s.say[k] = s.say[k-1]
		}
	}
	s.lead = m.expect.lead[s.block]
	if m.ep.on {
		s.lead = m.ep.lead
	}
	for s.lead >= byTime && !s.have[s.lead] {
		s.lead--
	}
	s.expected = s.say[s.lead]
	if m.ep.on && s.lead < byTime {
		s.expected = m.ep.level
	}
}

// flank is how far the expectation rises and falls towards the bucket before and the one
// after.
type flank struct{ up, down float64 }

func (m *Model) flank(s *scene) (f flank) {
	if s.lead < byTime || m.past.bucket > fine {
		return f
	}
	a := m.analogs.of(m.past, m.past.bucketOf(s.civil))
	k := s.lead - byTime
	for _, i := range [2]int{0, 2} {
		if a[i].ok[k] {
			d := a[i].v[k] - a[1].v[k]
			f.up, f.down = max(f.up, d), min(f.down, d)
		}
	}
	return f
}

// edge is what is left of a deviation r where the expectation jumps: who comes to work
// five minutes early is on time.
func (f flank) edge(r, width float64) float64 {
	switch {
	case r > 0 && f.up > 2*width:
		return max(0, r-f.up)
	case r < 0 && f.down < -2*width:
		return min(0, r-f.down)
	}
	return r
}

// learn measures the expectations and chooses who leads.
func (e *expectations) learn(m *Model, s *scene) {
	lag := int64(1000 * max(followLag, 3*m.step))
	if now := [byLevel]float64(m.follows.mean[:byLevel]); m.n == 1 || e.lagAt == 0 {
		e.lag, e.lagAt = [2][byLevel]float64{now, now}, s.t
	} else if s.t-e.lagAt >= lag {
		e.lag[0], e.lag[1], e.lagAt = e.lag[1], now, s.t
	}
	if follow := float32(m.follows.mean[byFollow]); m.n == 1 || e.oldAt == 0 {
		e.old, e.oldAt = [2]float32{follow, follow}, s.t
	} else if s.t-e.oldAt >= 1000*day {
		e.old, e.oldAt = [2]float32{e.old[1], follow}, s.t
	}
	for k := range analogs {
		if s.have[byTime+k] && !m.ep.on {
			e.correct[k] += float32(min(m.step/correctionMemory, 1) * clip(s.x-s.say[byTime+k], correctionClip*s.width))
		}
	}
	age := m.age()
	rate := min(m.step/errorMemory, 1)
	if age < young {
		rate = max(rate, min(1, m.step*8/age))
	}
	if m.ep.on {
		rate *= anomalousRate
	}
	err := &e.err[s.block]
	for i := range err {
		say := s.say[i]
		if i < byLevel {
			say = e.lag[0][i]
		}
		d := min(math.Abs(s.x-say), errorClip*s.width)
		err[i] += float32(rate * (d - float64(err[i])))
	}
	if rest := min(math.Abs(s.x-float64(e.old[0])), errorClip*s.width); e.oldErr == 0 {
		e.oldErr = float32(rest)
	} else {
		e.oldErr += float32(rate / blocks * (rest - float64(e.oldErr)))
	}
	e.choose(m, s, age)
}

// choose lets a follower lead only where no other explains the movement, over
// all the day; else the best one of this block leads.
func (e *expectations) choose(m *Model, s *scene, age float64) {
	margin := [expected]float64{followMargin, hourMargin, 1, 1, 1, weekMargin}
	if age < 2*day {
		margin[byTime], margin[byTime+1], margin[byTime+2] = youngMargin, youngMargin, youngMargin
	}
	var all [expected]float64
	for b := range e.err {
		for i, v := range e.err[b] {
			all[i] += float64(v) * margin[i]
		}
	}
	best := all[byLevel]
	for i := byTime; i < expected; i++ {
		best = min(best, all[i]/margin[i])
	}
	if age > 3*day { // who follows must be better than who stays where it was
		best = min(best, blocks*float64(e.oldErr))
	}
	lead := &e.lead[s.block]
	stay := 1.0
	if *lead < byLevel {
		stay = leadMargin
	}
	switch {
	case all[byFollow]*stay < best && all[byFollow] < all[byHour]:
		*lead = byFollow
		return
	case all[byHour]*stay < best:
		*lead = byHour
		return
	}
	*lead = max(*lead, byLevel)
	if m.n < fewPoints {
		return
	}
	err := &e.err[s.block]
	least := float64(err[*lead]) * margin[*lead] * leadMargin
	for i := byLevel; i < expected; i++ {
		if v := float64(err[i]) * margin[i]; v < least && (i < byTime || s.have[i]) {
			*lead, least = uint8(i), v
		}
	}
}

// timed tells whether the one that leads knows the time of day, and not only what
// any other knows.
func (e *expectations) timed(s *scene) bool {
	err := &e.err[s.block]
	return s.lead >= byTime && err[s.lead] < timedMargin*err[byLevel]
}

// levels are the expectations that know no time.
type levels struct{ mean [byTime]float64 }

const (
	hourMemory = 3600 // seconds, or
	hourPoints = 8
	dayPoints  = 24
	levelClip  = 12 // widths
)

func (l *levels) reset(x float64) { l.mean = [byTime]float64{x, x, x} }

// learn follows the newest values.
func (l *levels) learn(m *Model, s *scene) {
	if m.kind == counter {
		if m.n <= stepPoints+6 {
			l.reset(s.x)
		}
		l.mean[byFollow] += 0.4 * clip(s.x-l.mean[byFollow], 6*s.width+0.5*math.Abs(l.mean[byFollow]))
	} else {
		five := m.past.recent
		k := min(m.n, int64(len(five)))
		for i := 1; i < int(k); i++ {
			for j := i; j > 0 && five[j] < five[j-1]; j-- {
				five[j], five[j-1] = five[j-1], five[j]
			}
		}
		l.mean[byFollow] = five[k/2]
	}
	if m.ep.on {
		return
	}
	for i, memory := range [...]float64{byHour: max(hourMemory, hourPoints*m.step), byLevel: max(day, dayPoints*m.step)} {
		if i < byHour {
			continue
		}
		d := l.mean[byFollow] - l.mean[i]
		if m.n > settled {
			d = clip(d, levelClip*s.width)
		}
		l.mean[i] += min(1, max(m.step/memory, 1/float64(m.n))) * d
	}
}

func clip(x, most float64) float64 { return max(-most, min(most, x)) }

// Forecast is what is expected at t, later than the newest point, and the
// standard deviation of what comes from that. It is not ok where nothing that
// recurs leads.
func (m *Model) Forecast(t int64) (mid, sigma float64, ok bool) {
	if !m.Ready() || m.past.bucket == 0 {
		return 0, 0, false
	}
	seconds := m.civil.seconds(t, m.c.Location)
	lead := m.expect.lead[floorMod(seconds, day)/blockLength]
	if lead < byTime {
		return 0, 0, false
	}
	b := m.past.bucketOf(seconds)
	a := m.past.analog(b, m.past.under(b))
	for lead >= byTime && !a.ok[lead-byTime] {
		lead--
	}
	if lead < byTime {
		return 0, 0, false
	}
	mid = a.v[lead-byTime] + float64(m.expect.correct[lead-byTime])
	sigma, _ = m.widthsAt(seconds)
	if m.kind == counter { // in terms of what is received
		units := float64(t-m.last) / 1000 / counterUnit
		mid, sigma = m.raw+mid*units, sigma*units
	}
	return mid, sigma, true
}
