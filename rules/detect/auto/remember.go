package auto

import "math"

const (
	// rememberClip is how far from what was expected a value is remembered at
	// most, in widths.
	rememberClip = 300
	// What is anomalous is remembered as it is for two days and a half, so that a
	// weekend is learned; what came slowly, for a day. After that it would become
	// expected by itself, and what was expected is remembered in its place.
	rememberAnomaly, rememberSlow = 2.5 * day, day
	// The unit of what is remembered is a part of the width of all day. It is
	// changed when it is off by unitOff, or the level by levelOff units.
	unitParts, unitOff, levelOff = 16, 100, 20000
	unitEvery                    = 64 // points
)

// advance closes the bucket before the one of s.
func (m *Model) advance(s *scene) {
	p := m.past
	if p.unit == 0 {
		p.base, p.unit = s.x, max(math.Abs(s.x), 1e-6)/1000
	}
	b := p.bucketOf(s.civil)
	if p.started && b <= p.now {
		return
	}
	instead := math.NaN()
	if ep := &m.ep; ep.on && p.started {
		age := float64(m.last-ep.since) / 1000
		if age > rememberAnomaly || ep.how >= int8(ofHours) && ep.how < stats && age > rememberSlow {
			if a := m.analogs.of(p, p.now)[1]; a.ok[byDay] {
				instead = a.v[byDay]
			} else {
				instead = ep.level
			}
		}
	}
	if p.started && floorDiv(b*p.bucket, day) != floorDiv(p.now*p.bucket, day) {
		m.ev.nextDay()
	}
	p.advance(b, instead)
	m.missing, m.weekly = p.missing(sigma * float64(m.width.all))
	if m.n%unitEvery == 0 && m.width.all > 0 {
		want := sigma * float64(m.width.all) / unitParts
		level := m.follows.mean[byLevel]
		if want > unitOff*p.unit || unitOff*want < p.unit || math.Abs(level-p.base) > levelOff*p.unit {
			p.change(func(x float64) float64 { return x }, p.now, level, want)
		}
	}
}

// remember adds a value to its bucket.
func (m *Model) remember(s *scene) {
	p := m.past
	if p.bucket == 0 || !p.started || p.bucketOf(s.civil) != p.now {
		return
	}
	x := s.x
	if m.age() > day {
		x = s.expected + clip(x-s.expected, rememberClip*s.width)
	}
	p.sum += x
	p.n++
}
