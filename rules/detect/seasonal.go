package detect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// SeasonalConfig configures NewSeasonal.
type SeasonalConfig struct {
	// Periods are the lengths of the seasons. Empty: a day and a week.
	Periods []time.Duration
	// Location is where days and weeks begin. nil: UTC.
	Location *time.Location
	// Threshold is the border of normal in robust standard deviations of the
	// remainder. 0: 3.5.
	Threshold float64
	// Alerts is how many false alerts a day are allowed. 0: Threshold says where
	// the border is.
	Alerts float64
}

// Slots of a season's profile: half an hour of a day, a bit over an hour and a
// half of a week.
const (
	seasonSlots = 48
	weekSlots   = 112
)

// maxPeriods bounds how many seasons one model may have.
const maxPeriods = 4

// Seasonal expects level + trend + one profile a season. Profiles are tables
// of slots of civil time, read with linear interpolation, so that a day has
// its shape whatever the steps of the series. What is learned is the remainder
// clipped to a few deviations (Huber's proposal, as robust STL does it:
// Cleveland et al. 1990 for the decomposition), one pass, constant state.
type Seasonal struct {
	c        SeasonalConfig
	profiles []profile

	level, slope float64 // slope per millisecond
	scale        float64 // mean absolute remainder, robust
	n            int64
	first, last  int64
	learned      int64   // milliseconds of the newest point that moved the level
	dt           float64 // mean milliseconds between points
}

// profile is the shape of one season around zero.
type profile struct {
	period  int64 // milliseconds
	value   []float32
	seen    []uint16 // weight learned in each slot, in 1/slotUnit, up to what fits
	covered int      // slots with any weight
}

// NewSeasonal makes a seasonal model.
func NewSeasonal(c SeasonalConfig) (*Budgeted, error) {
	if len(c.Periods) == 0 {
		c.Periods = []time.Duration{24 * time.Hour, 7 * 24 * time.Hour}
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	if c.Threshold == 0 {
		c.Threshold = 3.5
	}
	if len(c.Periods) > maxPeriods {
		return nil, fmt.Errorf("cannot make a seasonal model of %d seasons: at most %d", len(c.Periods), maxPeriods)
	}
	m := &Seasonal{c: c}
	periods := slices.Clone(c.Periods)
	slices.Sort(periods)
	for i, p := range periods {
		if err := checkBand(p, c.Threshold); err != nil {
			return nil, fmt.Errorf("cannot make a seasonal model: %w", err)
		}
		if i > 0 && p == periods[i-1] {
			return nil, errors.New("cannot make a seasonal model: a season stands twice")
		}
		slots := seasonSlots
		if p >= 2*24*time.Hour {
			slots = weekSlots
		}
		m.profiles = append(m.profiles, profile{period: p.Milliseconds(), value: make([]float32, slots), seen: make([]uint16, slots)})
	}
	return newBudgeted(m, c.Alerts)
}

// Name is seasonal.
func (*Seasonal) Name() string { return "seasonal" }

// State is Ready once the shortest season has been seen, or most of its slots.
func (m *Seasonal) State() State {
	if m.n == 0 {
		return Cold
	}
	p := &m.profiles[0]
	if m.n < minPoints || m.last-m.first < p.period || p.covered*2 < min(len(p.value), int(m.n)) {
		return Learning
	}
	return Ready
}

// Score is the distance from the expectation in thresholds of deviations.
func (m *Seasonal) Score(p Point) Verdict {
	s := m.State()
	if s != Ready || math.IsNaN(p.V) {
		return unknown(s)
	}
	return band(p.V, m.expect(p.T), m.c.Threshold*m.sigma(), s)
}

// sigma is the standard deviation: 1.2533 mean absolute ones.
func (m *Seasonal) sigma() float64 { return 1.2533 * m.scale }

func (m *Seasonal) expects(t int64) (value, below, above float64) {
	return m.expect(t), m.sigma(), m.sigma()
}

func (m *Seasonal) beside(t, slots int64) float64 {
	return m.expect(t + slots*m.profiles[0].period/int64(len(m.profiles[0].value)))
}

func (m *Seasonal) expect(t int64) float64 {
	v := m.level + m.drift(t)
	for i := range m.profiles {
		if m.whole(i) {
			v += m.profiles[i].at(m.phase(t, m.profiles[i].period))
		}
	}
	return v
}

// begun tells whether a season is learned at t: a longer one explains what the
// shortest cannot, once that is known.
func (m *Seasonal) begun(i int, t int64) bool {
	return i == 0 || t-m.first >= laterSeasons*m.profiles[0].period
}

// whole tells whether a season is expected: a longer one is when all of it has been
// seen. While level and shape of the day stand alone for some days and not for
// others, each of these days would have to be learned anew.
func (m *Seasonal) whole(i int) bool {
	return i == 0 || m.last-m.first >= laterSeasons*m.profiles[0].period+m.profiles[i].period
}

// drift is what the trend adds since the newest point that was learned; not beyond a season,
// for a trend says little about a far future.
func (m *Seasonal) drift(t int64) float64 {
	return m.slope * float64(min(max(t-m.learned, 0), m.profiles[0].period))
}

// phase is where t stands in a season, from 0 to below 1, in civil time for
// whole days and weeks.
func (m *Seasonal) phase(t, period int64) float64 {
	const day = 24 * 3600 * 1000
	if m.c.Location != time.UTC && period%day == 0 {
		_, offset := time.UnixMilli(t).In(m.c.Location).Zone()
		t += int64(offset) * 1000
	}
	if period%(7*day) == 0 {
		t += 3 * day // the epoch was a Thursday; weeks begin on Monday
	}
	at := t % period
	if at < 0 {
		at += period
	}
	return float64(at) / float64(period)
}

// slots gives the two slots around a phase and the part of the second.
func (p *profile) slots(phase float64) (a, b int, part float64) {
	x := phase*float64(len(p.value)) - 0.5
	if x < 0 {
		x += float64(len(p.value))
	}
	a = int(x) % len(p.value)
	return a, (a + 1) % len(p.value), x - math.Floor(x)
}

func (p *profile) at(phase float64) float64 {
	a, b, part := p.slots(phase)
	switch { // a slot that was never seen takes its neighbour's value
	case p.seen[a] == 0:
		return float64(p.value[b])
	case p.seen[b] == 0:
		return float64(p.value[a])
	}
	return float64(p.value[a])*(1-part) + float64(p.value[b])*part
}

// learn moves the two slots around the phase by their share of the remainder:
// fully while a slot is new, by a quarter a season later.
func (p *profile) learn(phase, remainder, weight float64) {
	a, b, part := p.slots(phase)
	for _, s := range [2]struct {
		slot  int
		share float64
	}{{a, (1 - part) * weight}, {b, part * weight}} {
		if s.share <= 0 {
			continue
		}
		if p.seen[s.slot] == 0 {
			p.covered++
		}
		seen := float64(p.seen[s.slot])/slotUnit + s.share
		p.seen[s.slot] = uint16(max(1, min(seen*slotUnit+0.5, math.MaxUint16)))
		// The first share of a slot must not take the whole remainder: the
		// forecast hardly reads the slot there.
		shift(&p.value[s.slot], remainder*s.share/max(seen, 1))
	}
}

// doubt has the first visit of every slot count less: it was measured from a level
// that was only being found. Else it would take a week of visits to correct.
func (p *profile) doubt() {
	for i, s := range p.seen {
		p.seen[i] = (s + firstVisitPart - 1) / firstVisitPart
	}
}

const (
	// firstVisitPart is the part for which the first season counts.
	firstVisitPart = 4
	// laterSeasons is after how many of the shortest season longer ones are learned.
	laterSeasons = 2
)

// gapSteps is how many usual steps a value stands for at most.
const gapSteps = 4

// shift moves x, but not out of what fits.
func shift(x *float32, by float64) {
	if m := float64(*x) + by; math.Abs(m) <= math.MaxFloat32 {
		*x = float32(m)
	}
}

// slotUnit makes a slot's past weigh as much as 64 points at most.
const slotUnit = 1024

// Learn moves level, trend, profiles and scale.
func (m *Seasonal) Learn(p Point, weight float64) {
	if !usable(p, m.n, m.last) {
		return
	}
	if weight <= 0 {
		m.last = p.T
		return
	}
	if m.n == 0 {
		m.first, m.last, m.learned, m.level, m.n = p.T, p.T, p.T, p.V, 1
		return
	}
	dt := float64(p.T - m.last)
	if m.dt == 0 {
		m.dt = dt
	}
	dt = min(dt, gapSteps*m.dt) // the first value after a gap does not stand for all of it
	m.dt += (dt - m.dt) / 16
	remainder := p.V - m.expect(p.T)
	warm := m.State() == Ready
	if warm && m.scale > 0 { // clip what a few deviations do not explain
		limit := 4 * m.scale
		remainder = min(max(remainder, -limit), limit)
	}
	period := float64(m.profiles[0].period)
	// Level and trend are slow against the shortest season, or they would
	// take its shape for their own.
	fast := 1 - math.Exp(-dt*weight/(period/2))
	if !warm {
		fast = max(fast, weight/float64(m.n+1))
	}
	m.level += m.drift(p.T) + fast*remainder
	m.slope += (fast*remainder/max(dt, 1) - m.slope) * (1 - math.Exp(-dt*weight/(8*period)))
	for i := range m.profiles {
		q := &m.profiles[i]
		if !m.begun(i, p.T) {
			break
		}
		phase, rest := m.phase(p.T, q.period), remainder
		if !m.whole(i) { // it is not part of what was expected
			rest -= q.at(phase)
		}
		q.learn(phase, rest*(1-fast), weight)
	}
	rate := max(1-math.Exp(-dt*weight/period), weight/float64(min(m.n, 1<<20)+1))
	m.scale += (math.Abs(remainder) - m.scale) * rate
	m.n++
	m.last, m.learned = p.T, p.T
	if !warm && m.State() == Ready {
		m.profiles[0].doubt()
	}
}

// AppendBinary appends the state.
func (m *Seasonal) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idSeasonal, 3)
	w.floats([]float64{m.level, m.slope, m.scale, m.dt})
	w.int(m.n)
	w.int(m.first)
	w.int(m.last)
	w.int(m.learned)
	for i := range m.profiles {
		w.float32s(m.profiles[i].value)
		w.counts(m.profiles[i].seen)
	}
	return w.b, nil
}

// UnmarshalBinary restores the state.
func (m *Seasonal) UnmarshalBinary(b []byte) error {
	r := newReader(b, idSeasonal, 3)
	var f [4]float64
	r.floats(f[:])
	m.level, m.slope, m.scale, m.dt = f[0], f[1], f[2], f[3]
	m.n, m.first, m.last, m.learned = r.count(), r.int(), r.int(), r.int()
	if !(m.scale >= 0 && m.dt >= 0) || m.first > m.last || m.learned > m.last {
		r.fail("a scale or times that cannot be")
	}
	for i := range m.profiles {
		p := &m.profiles[i]
		r.float32s(p.value)
		for _, v := range p.value {
			if !(math.Abs(float64(v)) <= math.MaxFloat32) {
				r.fail("a number that cannot be")
			}
		}
		r.counts(p.seen)
		p.covered = 0
		for _, s := range p.seen {
			if s > 0 {
				p.covered++
			}
		}
	}
	return r.done()
}
