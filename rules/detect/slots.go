package detect

import "math"

// slots is the profile of a period: what the series was like at the same time
// of the last few days, or weeks. A slot follows its newest points, so it is
// near the last period and learns a change within one visit.
type slots struct {
	mean  []float32
	seen  []uint8 // points in a slot, up to slotMemory
	base  float64 // profiles are relative to it, so that float32 is enough
	based bool
	errs  average // of values against the profile
	blur  average // of the deviations, over the last few points
}

const (
	dayPlaces  = 48
	weekPlaces = 168
	// slotMemory is how many points a slot remembers, in a visit of
	// slotVisit points or fewer.
	slotMemory = 20
	slotVisit  = 30
	// slotClip bounds what a slot learns of a deviation, in widths.
	slotClip = 3

	dayLength  = 24 * 3600 * 1000
	weekLength = 7 * dayLength
)

func newSlots(n int, blur float64) slots {
	return slots{
		mean: make([]float32, n), seen: make([]uint8, n),
		errs: average{tau: longPast}, blur: average{tau: blur},
	}
}

// period is a day or a week, in milliseconds.
func (s *slots) period() int64 {
	if len(s.mean) == dayPlaces {
		return dayLength
	}
	return weekLength
}

// place is where t lies, in slots from the period's begin.
func (s *slots) place(t int64) float64 {
	p := s.period()
	return float64(((t%p)+p)%p) / float64(p) * float64(len(s.mean))
}

// between finds the two slots between whose middles t lies, and the share of
// the second.
func between(t, period int64, n int) (i, j int, share float64) {
	at := float64(((t%period)+period)%period)/float64(period)*float64(n) - 0.5
	if at < 0 {
		at += float64(n)
	}
	i = int(at)
	if j = i + 1; j == n {
		j = 0
	}
	return i, j, at - float64(i)
}

// profile reads the profile at t between the middles of two slots.
func (s *slots) profile(t int64) (float64, bool) {
	i, j, share := between(t, s.period(), len(s.mean))
	if s.seen[i] == 0 || s.seen[j] == 0 {
		return 0, false
	}
	return s.base + float64(s.mean[i])*(1-share) + float64(s.mean[j])*share, true
}

// expect gives what the profile says for t, and deviations for each unit.
func (s *slots) expect(t int64) (expected, gain float64, ok bool) {
	expected, ok = s.profile(t)
	return expected, around(s.errs.sigma(), expected), ok
}

// blurred is the sense of the mean deviation of the last few points.
func (s *slots) blurred(expected, gain, steps float64) sight {
	share := s.blur.share(steps)
	return sight{
		below: expected, above: expected, base: (1 - share) * s.blur.mean, gain: share * gain, most: share * mostBlurred,
	}
}

// learn takes v in. rhythm is the mean distance between points in milliseconds.
func (s *slots) learn(t int64, v, steps, rhythm float64, blur bool) {
	if !s.based {
		s.base, s.based = v, true
	}
	if expected, ok := s.profile(t); ok {
		e := v - expected
		width := s.errs.sigma()
		if blur {
			s.blur.add(min(math.Abs(e)*around(width, expected), mostBlurred), steps)
		}
		if width > 0 {
			v = expected + max(-slotClip*width, min(slotClip*width, e))
		}
		s.errs.add(e, steps)
	}
	i := min(int(s.place(t)), len(s.mean)-1)
	visit := float64(s.period()) / float64(len(s.mean)) / max(rhythm, 1)
	rate := min(1, slotVisit/visit) / slotMemory
	if s.seen[i] < slotMemory {
		s.seen[i]++
		rate = max(rate, 1/float64(s.seen[i]))
	}
	m := float64(s.mean[i]) + (v-s.base-float64(s.mean[i]))*rate
	if math.IsNaN(m - m) {
		m = 0
	}
	s.mean[i] = float32(m)
}

func (s *slots) write(w *writer) {
	w.float(s.base)
	w.bool(s.based)
	w.float32s(s.mean)
	w.b = append(w.b, s.seen...)
}

func (s *slots) read(r *reader) {
	s.base, s.based = r.float(), r.bool()
	r.float32s(s.mean)
	r.bytes(s.seen)
}

// bytes fills a slice of a known length.
func (r *reader) bytes(into []uint8) {
	if len(r.b) < len(into) {
		r.fail("it ends early")
		return
	}
	copy(into, r.b)
	r.b = r.b[len(into):]
}
