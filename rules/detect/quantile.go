package detect

import (
	"fmt"
	"math"
	"time"
)

// QuantileConfig configures NewQuantile.
type QuantileConfig struct {
	// Lower and Upper are the quantiles of the band, parts of one: below and
	// above 0.5. Both 0: 0.01 and 0.99.
	Lower, Upper float64
	// Margin is how far the border of normal lies beyond a quantile, in
	// distances of the quantile from the median. NaN: 0.6. With 0 the border is
	// the quantile, and so many points lie outside.
	Margin float64
	// Window is how far back the quantiles look: 86 % of their weight lies
	// within it. 0: 6h; with a season at least 8 seasons.
	Window time.Duration
	// Season gives each 24th of a season quantiles of its own. 0: none.
	Season time.Duration
	// Alerts is how many false alerts a day are allowed. 0: the quantiles and
	// Margin say where the border is.
	Alerts float64
}

const (
	quantileDelta       = 64
	quantileSlots       = 24
	quantileSeasonDelta = 20
	// quantileReady is how many points a quantile near the end needs at least.
	quantileReady = 30
	// DefaultMargin is the margin of a quantile model that is not told one.
	DefaultMargin = 0.6
)

// Quantile expects values between two quantiles of the past, for skewed data:
// the band reaches as far to each side as the data do. Quantiles are those of
// a t-digest that forgets with time; see digest for the source.
type Quantile struct {
	c     QuantileConfig
	all   digest
	edges quantiles
	slots []quantileSlot

	n, first, last int64
}

// quantiles are the lower one, the median and the upper one, and the weight of
// the points that they come from.
type quantiles struct{ lower, median, upper, weight float64 }

type quantileSlot struct {
	digest digest
	edges  quantiles
}

// NewQuantile makes a quantile model.
func NewQuantile(c QuantileConfig) (*Budgeted, error) {
	if c.Lower == 0 && c.Upper == 0 {
		c.Lower, c.Upper = 0.01, 0.99
	}
	if math.IsNaN(c.Margin) {
		c.Margin = DefaultMargin
	}
	if c.Window == 0 {
		c.Window = 6 * time.Hour
	}
	switch {
	case !(c.Lower >= 0 && c.Lower < 0.5 && c.Upper > 0.5 && c.Upper <= 1):
		return nil, fmt.Errorf("cannot make a quantile model: quantiles %v and %v do not lie around 0.5", c.Lower, c.Upper)
	case !(c.Margin >= 0) || math.IsInf(c.Margin, 0):
		return nil, fmt.Errorf("cannot make a quantile model: a margin of %v is not 0 or more", c.Margin)
	case c.Season < 0 || c.Season > 0 && c.Season < quantileSlots*time.Millisecond:
		return nil, fmt.Errorf("cannot make a quantile model: a season of %v is too short", c.Season)
	}
	c.Window = max(c.Window, 8*c.Season)
	if err := checkBand(c.Window, 1); err != nil {
		return nil, fmt.Errorf("cannot make a quantile model: %w", err)
	}
	tau := float64(c.Window.Milliseconds()) / 2
	m := &Quantile{c: c, all: newDigest(quantileDelta, tau)}
	if c.Season > 0 {
		m.slots = make([]quantileSlot, quantileSlots)
		for i := range m.slots {
			m.slots[i].digest = newDigest(quantileSeasonDelta, tau)
		}
	}
	return newBudgeted(m, c.Alerts)
}

// Name is quantile.
func (*Quantile) Name() string { return "quantile" }

// State is Ready after 30 points and, with a season, the first one.
func (m *Quantile) State() State {
	switch {
	case m.n == 0:
		return Cold
	case m.n < quantileReady || m.last-m.first < m.c.Season.Milliseconds() || !(m.edges.weight > 0):
		return Learning
	}
	return Ready
}

// at is the quantiles for t: of the season's slots around it, or of all.
func (m *Quantile) at(t int64) quantiles {
	if m.slots == nil {
		return m.edges
	}
	x := phase(t, m.c.Season.Milliseconds())*quantileSlots - 0.5
	k := math.Floor(x)
	part := x - k
	a, b := m.slot(int(k)), m.slot(int(k)+1)
	return quantiles{
		a.lower*(1-part) + b.lower*part, a.median*(1-part) + b.median*part,
		a.upper*(1-part) + b.upper*part, a.weight*(1-part) + b.weight*part,
	}
}

// slot is the quantiles of a slot, or of all points while it has seen few.
func (m *Quantile) slot(i int) quantiles {
	if e := m.slots[(i+quantileSlots)%quantileSlots].edges; e.weight >= minPoints {
		return e
	}
	return m.edges
}

// phase is where t stands in a period since the epoch, from 0 to below 1.
func phase(t, period int64) float64 {
	at := t % period
	if at < 0 {
		at += period
	}
	return float64(at) / float64(period)
}

// Score is the distance from the median in distances of the border.
func (m *Quantile) Score(p Point) Verdict {
	s := m.State()
	if s != Ready || math.IsNaN(p.V) {
		return unknown(s)
	}
	q := m.at(p.T)
	// Few points show less of a tail than there is.
	beyond := (1 + m.c.Margin) * (1 + min(5/q.weight, 1))
	below := max((q.median-q.lower)*beyond, 1e-9*math.Abs(q.median), math.SmallestNonzeroFloat64)
	above := max((q.upper-q.median)*beyond, 1e-9*math.Abs(q.median), math.SmallestNonzeroFloat64)
	v := Verdict{Expected: q.median, Lower: q.median - below, Upper: q.median + above, State: s}
	if p.V < q.median {
		v.Score = (q.median - p.V) / below
	} else {
		v.Score = (p.V - q.median) / above
	}
	v.Score = min(v.Score, maxScore)
	v.Hold = v.Score
	return v
}

// expects takes the distance of each quantile from the median for so many
// standard deviations as it would be of a normal distribution.
func (m *Quantile) expects(t int64) (value, below, above float64) {
	q := m.at(t)
	few := 1 + min(5/q.weight, 1)
	return q.median, (q.median - q.lower) * few / normalBorder(1-2*m.c.Lower), (q.upper - q.median) * few / normalBorder(2*m.c.Upper-1)
}

func (m *Quantile) beside(t, slots int64) float64 {
	return m.at(t + slots*m.c.Season.Milliseconds()/quantileSlots).median
}

// Learn adds the point to the digests.
func (m *Quantile) Learn(p Point, weight float64) {
	if !usable(p, m.n, m.last) {
		return
	}
	if !(weight > 0) {
		m.wait(p.T)
		return
	}
	if m.n == 0 {
		m.first = p.T
	}
	m.n++
	m.last = p.T
	if m.all.add(p, weight) {
		m.edges = m.measure(&m.all)
	}
	if m.slots == nil {
		return
	}
	s := &m.slots[int(phase(p.T, m.c.Season.Milliseconds())*quantileSlots)]
	if s.digest.add(p, weight) {
		s.edges = m.measure(&s.digest)
	}
}

// wait lets time pass up to t without that anything is forgotten.
func (m *Quantile) wait(t int64) {
	if m.n == 0 {
		return
	}
	m.all.since += t - m.last
	for i := range m.slots {
		m.slots[i].digest.since += t - m.last
	}
	m.last = t
}

// measure reads the quantiles of a digest; those of an empty one are 0.
func (m *Quantile) measure(d *digest) quantiles {
	if len(d.means) == 0 {
		return quantiles{}
	}
	return quantiles{d.quantile(m.c.Lower), d.quantile(0.5), d.quantile(m.c.Upper), d.weight()}
}

func (m *Quantile) reserve() {
	m.all.reserve()
	for i := range m.slots {
		m.slots[i].digest.reserve()
	}
}

const quantileVersion = 2

// AppendBinary appends the state.
func (m *Quantile) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idQuantile, quantileVersion)
	for _, v := range []int64{m.n, m.first, m.last} {
		w.int(v)
	}
	m.all.write(w)
	for i := range m.slots {
		m.slots[i].digest.write(w)
	}
	return w.b, nil
}

// UnmarshalBinary restores the state. The edges are measured again, at this
// model's quantiles: they are those of the digests at any time.
func (m *Quantile) UnmarshalBinary(b []byte) error {
	r := newReader(b, idQuantile, quantileVersion)
	m.n, m.first, m.last = r.int(), r.int(), r.int()
	m.all.read(r)
	m.edges = m.measure(&m.all)
	for i := range m.slots {
		s := &m.slots[i]
		s.digest.read(r)
		s.edges = m.measure(&s.digest)
	}
	return r.done()
}
