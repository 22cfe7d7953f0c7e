package detect

import (
	"fmt"
	"math"
	"time"
)

// HoltWintersConfig configures NewHoltWinters.
type HoltWintersConfig struct {
	// Season is the length of the season. 0: 24h.
	Season time.Duration
	// Alpha, Beta and Gamma are the weights of the newest step in level, trend
	// and season, above 0 and at most 1. 0: 0.2, 0.02 and 0.3.
	Alpha, Beta, Gamma float64
	// Multiplicative scales the season with the level instead of adding it;
	// for positive series.
	Multiplicative bool
	// Threshold is the border of normal in standard deviations of the error.
	// 0: 3.
	Threshold float64
	// Alerts is how many false alerts a day are allowed. 0: Threshold says where
	// the border is.
	Alerts float64
}

// HoltWinters is triple exponential smoothing over steps of a 48th of the
// season: the mean of a step's points moves level, trend and seasonal factor,
// and points are compared with the forecast for their step. Steps without
// points move along the trend. Sources: C. Holt, Forecasting seasonals and
// trends by exponentially weighted averages (1957); P. Winters, Forecasting
// sales by exponentially weighted moving averages, Management Science 6 (1960).
type HoltWinters struct {
	c    HoltWintersConfig
	step int64 // milliseconds

	level, trend float64
	season       [seasonSlots]float64
	covered      [seasonSlots]float64 // 1 where the first season had points
	errs         moments              // of points against their forecast
	current      int64                // number of the open step since the epoch
	sum, weight  float64              // of the open step's points
	steps        int64                // closed since the first point
	n, last      int64
}

// NewHoltWinters makes a model.
func NewHoltWinters(c HoltWintersConfig) (*Budgeted, error) {
	if c.Season == 0 {
		c.Season = 24 * time.Hour
	}
	if c.Threshold == 0 {
		c.Threshold = 3
	}
	for _, f := range []struct {
		name  string
		value *float64
		def   float64
	}{{"alpha", &c.Alpha, 0.2}, {"beta", &c.Beta, 0.02}, {"gamma", &c.Gamma, 0.3}} {
		if *f.value == 0 {
			*f.value = f.def
		}
		if !(*f.value > 0 && *f.value <= 1) {
			return nil, fmt.Errorf("cannot make a holtwinters model: %s of %v is not above 0 and at most 1", f.name, *f.value)
		}
	}
	if err := checkBand(c.Season/seasonSlots, c.Threshold); err != nil {
		return nil, fmt.Errorf("cannot make a holtwinters model: %w", err)
	}
	return newBudgeted(&HoltWinters{
		c: c, step: c.Season.Milliseconds() / seasonSlots,
		errs: moments{tau: float64(c.Season.Milliseconds())},
	}, c.Alerts)
}

// Name is holtwinters.
func (*HoltWinters) Name() string { return "holtwinters" }

// State is Ready after a season, which sets level and factors, and a tenth of
// the next, which measures the error.
func (m *HoltWinters) State() State {
	switch {
	case m.n == 0:
		return Cold
	case m.steps < seasonSlots+seasonSlots/10 || m.errs.weight*m.errs.weight < minPoints*m.errs.squares:
		return Learning
	}
	return Ready
}

// Score is the distance from the forecast in thresholds of the error's
// standard deviation.
func (m *HoltWinters) Score(p Point) Verdict {
	s := m.State()
	if s != Ready || math.IsNaN(p.V) {
		return unknown(s)
	}
	return band(p.V, m.forecast(p.T), m.c.Threshold*m.sigma(), s)
}

// sigma is the standard deviation of points from their forecast.
func (m *HoltWinters) sigma() float64 { return math.Hypot(m.errs.sigma(), m.errs.mean) }

func (m *HoltWinters) expects(t int64) (value, below, above float64) {
	return m.forecast(t), m.sigma(), m.sigma()
}

func (m *HoltWinters) beside(t, slots int64) float64 { return m.forecast(t + slots*m.step) }

// forecast interpolates between the middles of the steps around t.
func (m *HoltWinters) forecast(t int64) float64 {
	x := float64(t)/float64(m.step) - 0.5
	k := math.Floor(x)
	part := x - k
	return m.at(int64(k))*(1-part) + m.at(int64(k)+1)*part
}

// at is the forecast for step k.
func (m *HoltWinters) at(k int64) float64 {
	ahead := min(k-(m.current-1), seasonSlots) // level is that of the last closed step
	base := m.level + m.trend*float64(ahead)
	f := m.season[slot(k)]
	if m.c.Multiplicative {
		return base * f
	}
	return base + f
}

func slot(k int64) int { return int(((k % seasonSlots) + seasonSlots) % seasonSlots) }

// Learn adds the point to its step.
func (m *HoltWinters) Learn(p Point, weight float64) {
	if !usable(p, m.n, m.last) {
		return
	}
	k := p.T / m.step
	if p.T < 0 {
		k--
	}
	if m.n == 0 {
		m.current = k
	}
	if weight <= 0 {
		m.wait(k)
		m.last = p.T
		return
	}
	m.close(k)
	if m.steps >= seasonSlots {
		m.errs.add(p.V-m.forecast(p.T), float64(p.T-m.last), weight)
	}
	m.sum += p.V * weight
	m.weight += weight
	m.n++
	m.last = p.T
}

// wait lets time pass up to step k, in which the trend rests: continued over
// hours without a look at the values it would lead away from them.
func (m *HoltWinters) wait(k int64) {
	if k <= m.current || m.steps < seasonSlots {
		return
	}
	if m.weight > 0 {
		m.settle()
		m.current++
	}
	m.steps += k - m.current
	m.current = k
}

// close ends the open step and those without points up to step k. A gap of
// more than a season brings the level to rest instead.
func (m *HoltWinters) close(k int64) {
	if k-m.current > 2*seasonSlots && m.steps >= seasonSlots {
		m.settle()
		m.steps += k - m.current - 1
		m.current = k
		return
	}
	for m.current < k {
		m.settle()
		m.current++
		if k-m.current > 4*seasonSlots { // a hole in the first season: begin again behind it
			*m = HoltWinters{c: m.c, step: m.step, errs: moments{tau: m.errs.tau}, current: k}
			return
		}
	}
}

// settle takes the open step's mean in.
func (m *HoltWinters) settle() {
	s, has := slot(m.current), m.weight > 0
	mean := 0.0
	if has {
		mean = m.sum / m.weight
	}
	learned := min(m.weight, 1) // a step of damped points moves less
	m.sum, m.weight = 0, 0
	m.steps++
	if m.steps <= seasonSlots {
		if has {
			m.season[s], m.covered[s] = mean, 1
		}
		if m.steps == seasonSlots {
			m.begin()
		}
		return
	}
	if !has {
		m.level += m.trend
		return
	}
	before, f := m.level, m.season[s]
	alpha, beta, gamma := m.c.Alpha*learned, m.c.Beta*learned, m.c.Gamma*learned
	if m.c.Multiplicative {
		m.level = alpha*mean/nonzero(f) + (1-alpha)*(before+m.trend)
		m.season[s] = gamma*mean/nonzero(m.level) + (1-gamma)*f
	} else {
		m.level = alpha*(mean-f) + (1-alpha)*(before+m.trend)
		m.season[s] = gamma*(mean-m.level) + (1-gamma)*f
	}
	m.trend = beta*(m.level-before) + (1-beta)*m.trend
}

// begin turns the first season's means into a level and factors. Steps without
// points lie between their neighbours.
func (m *HoltWinters) begin() {
	m.bridge()
	var sum, n float64
	for i, c := range m.covered {
		sum += m.season[i] * c
		n += c
	}
	m.level = sum / max(n, 1)
	for i := range m.season {
		if m.c.Multiplicative {
			m.season[i] /= nonzero(m.level)
		} else {
			m.season[i] -= m.level
		}
	}
}

// bridge fills steps without points in the first season.
func (m *HoltWinters) bridge() {
	neighbour := func(i, by int) (mean, away float64) {
		for n := 1; n < seasonSlots; n++ {
			if k := slot(int64(i + n*by)); m.covered[k] > 0 {
				return m.season[k], float64(n)
			}
		}
		return 0, 1
	}
	for i, c := range m.covered {
		if c == 0 {
			before, back := neighbour(i, -1)
			after, on := neighbour(i, 1)
			m.season[i] = (before*on + after*back) / (back + on)
		}
	}
}

// nonzero keeps a division from an infinite factor.
func nonzero(v float64) float64 {
	const least = 1e-12
	if math.Abs(v) < least {
		return math.Copysign(least, v)
	}
	return v
}

// AppendBinary appends the state.
func (m *HoltWinters) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idHoltWinters, 1)
	w.floats([]float64{m.level, m.trend, m.sum, m.weight})
	w.floats(m.season[:])
	w.floats(m.covered[:])
	m.errs.write(w)
	for _, v := range []int64{m.current, m.steps, m.n, m.last} {
		w.int(v)
	}
	return w.b, nil
}

// UnmarshalBinary restores the state.
func (m *HoltWinters) UnmarshalBinary(b []byte) error {
	r := newReader(b, idHoltWinters, 1)
	var f [4]float64
	r.floats(f[:])
	m.level, m.trend, m.sum, m.weight = f[0], f[1], f[2], f[3]
	r.floats(m.season[:])
	r.floats(m.covered[:])
	m.errs.read(r)
	m.current, m.steps, m.n, m.last = r.int(), r.count(), r.count(), r.int()
	if !(m.weight >= 0) || m.weight > 0 && !(math.Abs(m.sum)/m.weight < 2*beyondUse) {
		r.fail("a step's sum that cannot be")
	}
	return r.done()
}
