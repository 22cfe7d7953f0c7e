package detect

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// MADConfig configures NewMAD.
type MADConfig struct {
	// Window is how far back the median looks. 0: 6h.
	Window time.Duration
	// Threshold is the border of normal in robust standard deviations, 1.4826
	// times the median absolute deviation. 0: 3.5, as Iglewicz and Hoaglin
	// advise.
	Threshold float64
	// Alerts is how many false alerts a day are allowed. 0: Threshold says where
	// the border is.
	Alerts float64
}

// madSlots is how many points stand for the window.
const madSlots = 61

// MAD compares a point with the median of the window before it, measured in
// its median absolute deviation: half of the window may be outliers and the
// band does not move. Source: B. Iglewicz, D. Hoaglin, How to detect and
// handle outliers, ASQC (1993).
//
// The window is held as madSlots points at even distances in time: an exact
// median of a subsample in constant memory. A quantile sketch would hold all
// points, but forget none. Until the window has filled they lie evenly in the
// time that there has been.
type MAD struct {
	c    MADConfig
	slot int64 // milliseconds between the points that are kept

	ring   [madSlots]float64 // in order of arrival, the oldest at next once full
	times  [madSlots]int64
	sorted [madSlots]float64
	size   int
	next   int
	n      int64
	last   int64
	kept   int64 // time of the newest point that is kept
	every  int64 // milliseconds between the points of the first half of a window, up to slot

	median, mad float64
}

// NewMAD makes a median model.
func NewMAD(c MADConfig) (*Budgeted, error) {
	if c.Window == 0 {
		c.Window = 6 * time.Hour
	}
	if c.Threshold == 0 {
		c.Threshold = 3.5
	}
	if err := checkBand(c.Window, c.Threshold); err != nil {
		return nil, fmt.Errorf("cannot make a mad model: %w", err)
	}
	return newBudgeted(&MAD{c: c, slot: max(c.Window.Milliseconds()/madSlots, 1)}, c.Alerts)
}

// Name is mad.
func (*MAD) Name() string { return "mad" }

// State is Ready after minPoints points.
func (m *MAD) State() State {
	if m.n > 0 && m.size < minPoints {
		return Learning
	}
	return stateAfter(m.n)
}

// Score is the distance from the median in thresholds of robust deviations.
func (m *MAD) Score(p Point) Verdict {
	s := m.State()
	if s != Ready || math.IsNaN(p.V) {
		return unknown(s)
	}
	return band(p.V, m.median, m.c.Threshold*m.sigma(), s)
}

// sigma is the robust standard deviation, widened while few points carry it.
func (m *MAD) sigma() float64 { return 1.4826 * m.mad * (1 + 2/float64(m.size)) }

func (m *MAD) expects(int64) (value, below, above float64) { return m.median, m.sigma(), m.sigma() }

// Learn keeps a point of every slot. The first ones are all kept, so that a model
// is ready after minPoints points whatever its window, and then ever fewer of
// them. An anomalous point, which comes at a small weight, is passed by.
func (m *MAD) Learn(p Point, weight float64) {
	if !usable(p, m.n, m.last) {
		return
	}
	if weight <= 0 {
		m.wait(p.T)
		return
	}
	m.cross(p.T)
	m.n++
	m.last = p.T
	if weight < 0.5 || m.size > 0 && p.T-m.kept < m.distance() {
		return
	}
	m.keep(p)
}

// distance is how far the next point that is kept must be from the newest one: a
// slot, once half of the window has been seen.
func (m *MAD) distance() int64 {
	if m.size >= madSlots/2 && m.kept-m.times[m.oldest()] >= m.c.Window.Milliseconds()/2 {
		return m.slot
	}
	return m.every
}

// cross lets a gap before t pass, of which some steps count. If all of it did, the
// few points after a gap would have to say alone what is usual.
func (m *MAD) cross(t int64) {
	if m.size < minPoints {
		return
	}
	most := gapSteps * (m.kept - m.times[m.oldest()]) / int64(m.size-1)
	if t-m.last > most {
		m.wait(t - most)
	}
}

// wait lets time pass up to t without that a point gets older.
func (m *MAD) wait(t int64) {
	if m.n == 0 {
		return
	}
	for i := range m.times {
		m.times[i] += t - m.last
	}
	m.kept += t - m.last
	m.last = t
}

func (m *MAD) keep(p Point) {
	if m.size == madSlots && m.every < m.slot && p.T-m.times[m.oldest()] < m.c.Window.Milliseconds() {
		m.thin()
	}
	for m.size > 0 && (m.size == madSlots || p.T-m.times[m.oldest()] > m.c.Window.Milliseconds() && m.size > minPoints) {
		m.drop()
	}
	p.V = unsigned(p.V)
	m.ring[m.next], m.times[m.next] = p.V, p.T
	m.next = (m.next + 1) % madSlots
	at, _ := slices.BinarySearch(m.sorted[:m.size], p.V)
	copy(m.sorted[at+1:m.size+1], m.sorted[at:m.size])
	m.sorted[at] = p.V
	m.size++
	m.kept = p.T
	m.measure()
}

// unsigned takes the sign off zero: the two zeros sort as equals, and which one
// is the median must not depend on the order in which they came.
func unsigned(v float64) float64 {
	if v == 0 {
		return 0
	}
	return v
}

func (m *MAD) oldest() int { return (m.next - m.size + madSlots) % madSlots }

// thin drops every other point, so that those of the first minutes are not half of
// what is known for half a window, and keeps points at twice the distance.
func (m *MAD) thin() {
	var ring [madSlots]float64
	var times [madSlots]int64
	span, n := m.kept-m.times[m.oldest()], 0
	for i := 0; i < m.size; i += 2 {
		at := (m.oldest() + i) % madSlots
		ring[n], times[n] = m.ring[at], m.times[at]
		n++
	}
	m.every = min(max(2*m.every, 2*span/int64(m.size-1)), m.slot)
	m.ring, m.times, m.size, m.next = ring, times, n, n
	copy(m.sorted[:n], ring[:n])
	slices.Sort(m.sorted[:n])
}

func (m *MAD) drop() {
	at, _ := slices.BinarySearch(m.sorted[:m.size], m.ring[m.oldest()])
	copy(m.sorted[at:m.size-1], m.sorted[at+1:m.size])
	m.size--
}

// measure finds the median and the median absolute deviation. Deviations to
// both sides are sorted already: the median one is found by walking outwards.
func (m *MAD) measure() {
	s := m.sorted[:m.size]
	m.median = middle(s)
	lo := m.size/2 - 1
	if m.size%2 == 1 {
		lo = m.size / 2
	}
	hi := lo + 1
	var d, before float64
	for range m.size/2 + 1 {
		before = d
		switch {
		case lo < 0:
			d, hi = s[hi]-m.median, hi+1
		case hi >= m.size || m.median-s[lo] <= s[hi]-m.median:
			d, lo = m.median-s[lo], lo-1
		default:
			d, hi = s[hi]-m.median, hi+1
		}
	}
	m.mad = d
	if m.size%2 == 0 {
		m.mad = (before + d) / 2
	}
}

// middle is the median of sorted values.
func middle(s []float64) float64 {
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return s[len(s)/2-1]/2 + s[len(s)/2]/2
}

const madVersion = 2

// AppendBinary appends the state.
func (m *MAD) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idMAD, madVersion)
	w.int(m.n)
	w.int(m.last)
	w.int(m.kept)
	w.int(m.every)
	w.int(int64(m.size))
	for i := range m.size {
		at := (m.oldest() + i) % madSlots
		w.float(m.ring[at])
		w.int(m.times[at])
	}
	return w.b, nil
}

// UnmarshalBinary restores the state.
func (m *MAD) UnmarshalBinary(b []byte) error {
	r := newReader(b, idMAD, madVersion)
	m.n, m.last, m.kept = r.int(), r.int(), r.int()
	if m.every = r.int(); m.every < 0 || m.every > m.slot {
		r.fail("a distance of points that cannot be")
	}
	m.size = r.index(madSlots + 1)
	m.next = m.size % madSlots
	for i := range m.size {
		m.ring[i], m.times[i] = unsigned(r.float()), r.int()
		if math.IsNaN(m.ring[i]) {
			r.fail("a kept point is NaN")
		}
		m.sorted[i] = m.ring[i]
	}
	slices.Sort(m.sorted[:m.size])
	if m.size > 0 {
		m.measure()
	}
	return r.done()
}
