package detect

import (
	"fmt"
	"math"
	"time"
)

// ZScoreConfig configures NewZScore.
type ZScoreConfig struct {
	// Window is how far back the mean and the variance look: 86 % of their
	// weight lies within it. 0: 6h.
	Window time.Duration
	// Threshold is the border of normal in standard deviations. 0: 3.
	Threshold float64
	// Alerts is how many false alerts a day are allowed. 0: Threshold says where
	// the border is.
	Alerts float64
}

// ZScore compares a point with the exponentially weighted mean and variance of
// the points before it, weighted by time, so irregular steps and gaps are what
// they are. Source: D. H. D. West, Updating mean and variance estimates,
// Communications of the ACM 22 (1979), with weights that decay.
type ZScore struct {
	c    ZScoreConfig
	ew   moments
	n    int64
	last int64
}

// minPoints is how many points a model needs before it can score at all.
const minPoints = 10

// NewZScore makes a z-score model.
func NewZScore(c ZScoreConfig) (*Budgeted, error) {
	if c.Window == 0 {
		c.Window = 6 * time.Hour
	}
	if c.Threshold == 0 {
		c.Threshold = 3
	}
	if err := checkBand(c.Window, c.Threshold); err != nil {
		return nil, fmt.Errorf("cannot make a zscore model: %w", err)
	}
	return newBudgeted(&ZScore{c: c, ew: moments{tau: float64(c.Window.Milliseconds()) / 2}}, c.Alerts)
}

// checkBand refuses windows and thresholds that mean nothing.
func checkBand(window time.Duration, threshold float64) error {
	if window < time.Millisecond {
		return fmt.Errorf("a window of %v is too short", window)
	}
	if !(threshold > 0) || math.IsInf(threshold, 0) {
		return fmt.Errorf("a threshold of %v is not above 0", threshold)
	}
	return nil
}

// Name is zscore.
func (*ZScore) Name() string { return "zscore" }

// State is Ready after minPoints points.
func (m *ZScore) State() State { return stateAfter(m.n) }

func stateAfter(n int64) State {
	switch {
	case n == 0:
		return Cold
	case n < minPoints:
		return Learning
	}
	return Ready
}

// Score is the distance from the mean in thresholds of standard deviations.
func (m *ZScore) Score(p Point) Verdict {
	s := m.State()
	if s != Ready || math.IsNaN(p.V) {
		return unknown(s)
	}
	return band(p.V, m.ew.mean, m.c.Threshold*m.ew.sigma(), s)
}

func (m *ZScore) expects(int64) (value, below, above float64) {
	return m.ew.mean, m.ew.sigma(), m.ew.sigma()
}

// Learn moves mean and variance.
func (m *ZScore) Learn(p Point, weight float64) {
	if !usable(p, m.n, m.last) {
		return
	}
	if weight <= 0 {
		m.last = p.T
		return
	}
	dt := 0.0
	if m.n > 0 {
		dt = float64(p.T - m.last)
	}
	m.ew.add(p.V, dt, weight)
	m.n++
	m.last = p.T
}

// AppendBinary appends the state.
func (m *ZScore) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idZScore, 1)
	m.ew.write(w)
	w.int(m.n)
	w.int(m.last)
	return w.b, nil
}

// UnmarshalBinary restores the state.
func (m *ZScore) UnmarshalBinary(b []byte) error {
	r := newReader(b, idZScore, 1)
	m.ew.read(r)
	m.n, m.last = r.count(), r.int()
	return r.done()
}

// moments are an exponentially weighted mean and variance over time.
type moments struct {
	tau float64 // time constant in milliseconds

	weight  float64 // sum of the weights
	squares float64 // sum of the squared weights, for the effective count
	mean    float64
	spread  float64 // weighted sum of squared deviations
}

// add takes x in, dt milliseconds after the one before.
func (m *moments) add(x, dt, weight float64) {
	decay := math.Exp(-dt / m.tau)
	m.weight = m.weight*decay + weight
	m.squares = m.squares*decay*decay + weight*weight
	m.spread *= decay
	if m.weight <= 0 {
		return
	}
	d := x - m.mean
	m.mean += d * weight / m.weight
	m.spread += weight * d * (x - m.mean)
}

// sigma is the standard deviation, widened while few points carry it: the
// error of a mean and a variance estimated from n points.
func (m *moments) sigma() float64 {
	if m.weight <= 0 {
		return 0
	}
	n := m.weight * m.weight / m.squares // effective count
	if n <= 1 {
		return 0
	}
	variance := max(m.spread, 0) / m.weight * n / (n - 1)
	return math.Sqrt(variance*(1+1/n)) * (1 + 1/n)
}

func (m *moments) write(w *writer) {
	w.floats([]float64{m.weight, m.squares, m.mean, m.spread})
}

// mostCounted is an effective count that no series reaches.
const mostCounted = 1e18

func (m *moments) read(r *reader) {
	var f [4]float64
	r.floats(f[:])
	m.weight, m.squares, m.mean, m.spread = f[0], f[1], f[2], f[3]
	if !(m.weight >= 0 && m.squares >= 0) || m.weight > 0 && !(m.weight*m.weight/m.squares < mostCounted) {
		r.fail("weights that cannot be")
	}
}
