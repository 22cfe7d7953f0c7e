package detect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// ProphetConfig configures NewProphet.
type ProphetConfig struct {
	// Seasons are the lengths of the seasons, up to four. Empty: a day and a week.
	Seasons []time.Duration
	// Order is how many sine waves make a season's shape, 1 to 10. 0: 4.
	Order int
	// Holidays are days on which the seasons do not hold, as 2026-12-25, or
	// 12-25 for every year.
	Holidays []string
	// Location is where days and weeks begin. nil: UTC.
	Location *time.Location
	// Threshold is the border of normal in standard deviations of the forecast.
	// 0: 3.5.
	Threshold float64
	// Alerts is how many false alerts a day are allowed. 0: Threshold says where
	// the border is.
	Alerts float64
}

// Prophet expects a trend that changes, smooth seasons, and days that are
// unlike others: the model of S. Taylor and B. Letham, Forecasting at scale,
// The American Statistician 72 (2018), as the state of a Kalman filter that
// takes one sample at a time (A. Harvey, Forecasting, structural time series
// models and the Kalman filter, 1989): a local linear trend, the coefficients
// of Fourier terms of civil time, and the effect of holidays. Variances are
// in units of that of the samples' noise, which is measured by the standardized errors.
//
// Errors are clipped before they are learned. When they lie on one side for
// about changeAfter points, the trend has changed: the filter gives up its
// level, which the next point sets anew.
type Prophet struct {
	c        ProphetConfig
	periods  []int64      // milliseconds, the shortest first
	unit     float64      // milliseconds of the shortest
	holidays map[int]bool // as year·10⁴ + month·100 + day, or without the year

	x    []float64 // level, slope a unit, sine and cosine of each wave, holidays
	p    []float64 // covariance, row by row
	errs errorWidth
	tail ownTail // of errors in deviations
	lean float64 // mean of the clipped errors in deviations

	n, first, last int64
	rhythm         float64 // mean units between points
	free           bool    // the newest point lay on a holiday

	h, ph []float64 // scratch: regressors of asked, and p times them
	asked int64
	fit   bool // h and ph are those of asked
	mean  float64
	s     float64 // variance of the forecast for asked
}

const (
	maxOrder = 10
	// Deviations, in those of the noise, that are likely before anything is known.
	prophetSlope, prophetSeason, prophetLonger, prophetHoliday = 100, 100, 30, 100
	// Time constants, in shortest seasons, and for a season's shape in its own lengths.
	levelMemory, slopeMemory, shapeMemory = 1, 4, 8
	// holidayMemory is that of a holiday's effect, in shortest seasons: it has a
	// shape of its own, which is followed.
	holidayMemory = 1.0 / 24
	// holidayNoise is how much larger the variance is on a holiday.
	holidayNoise = 25
	// changeAfter is over how many points errors on one side are gathered, and
	// changeLean their mean that is a change.
	changeAfter, changeLean = 60, 2
)

// NewProphet makes a prophet model.
func NewProphet(c ProphetConfig) (*Budgeted, error) {
	if len(c.Seasons) == 0 {
		c.Seasons = []time.Duration{24 * time.Hour, 7 * 24 * time.Hour}
	}
	if c.Order == 0 {
		c.Order = 4
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	if c.Threshold == 0 {
		c.Threshold = 3.5
	}
	if len(c.Seasons) > maxPeriods || c.Order < 1 || c.Order > maxOrder {
		return nil, fmt.Errorf("cannot make a prophet model of %d seasons of order %d: at most %d and %d", len(c.Seasons), c.Order, maxPeriods, maxOrder)
	}
	m := &Prophet{c: c, holidays: map[int]bool{}, tail: ownTail{past: prior()}}
	for _, s := range slices.Sorted(slices.Values(c.Seasons)) {
		if err := checkBand(s, c.Threshold); err != nil {
			return nil, fmt.Errorf("cannot make a prophet model: %w", err)
		}
		m.periods = append(m.periods, s.Milliseconds())
	}
	if len(slices.Compact(slices.Clone(m.periods))) < len(m.periods) {
		return nil, errors.New("cannot make a prophet model: a season stands twice")
	}
	for _, text := range c.Holidays {
		day, err := time.Parse("2006-01-02", text)
		key := day.Year()*10000 + int(day.Month())*100 + day.Day()
		if err != nil { // 2000 has a 29th of February
			day, err = time.Parse("2006-01-02", "2000-"+text)
			key = int(day.Month())*100 + day.Day()
		}
		if err != nil {
			return nil, fmt.Errorf("cannot make a prophet model: holiday %q is no date such as 2026-12-25 or 12-25", text)
		}
		m.holidays[key] = true
	}
	m.unit = float64(m.periods[0])
	m.errs.ew.tau = 2 * m.unit
	size := 2 + 2*c.Order*len(m.periods)
	if len(m.holidays) > 0 {
		size++
	}
	m.x, m.p = make([]float64, size), make([]float64, size*size)
	m.h, m.ph = make([]float64, size), make([]float64, size)
	return newBudgeted(m, c.Alerts)
}

// Name is prophet.
func (*Prophet) Name() string { return "prophet" }

// State is Ready after the shortest season and some errors of good forecasts.
func (m *Prophet) State() State {
	switch w := m.errs.ew; {
	case m.n == 0:
		return Cold
	case m.n < minPoints || m.last-m.first < m.periods[0] || w.weight <= 0 || w.weight*w.weight < minPoints/2*w.squares:
		return Learning
	}
	return Ready
}

// holiday tells whether t lies on a known day.
func (m *Prophet) holiday(t int64) bool {
	if len(m.holidays) == 0 {
		return false
	}
	year, month, day := time.UnixMilli(t).In(m.c.Location).Date()
	key := int(month)*100 + day
	return m.holidays[key] || m.holidays[year*10000+key]
}

// civilPhase is where t stands in a period, from 0 to below 1, in civil time
// for whole days; weeks begin on Monday.
func civilPhase(t, period int64, location *time.Location) float64 {
	const day = 24 * 3600 * 1000
	if location != time.UTC && period%day == 0 {
		_, offset := time.UnixMilli(t).In(location).Zone()
		t += int64(offset) * 1000
	}
	if period%(7*day) == 0 {
		t += 3 * day
	}
	return phase(t, period)
}

// look fills h with the regressors at t, seen from the newest point, and works
// out mean and variance of the forecast.
func (m *Prophet) look(t int64) {
	if m.fit && m.asked == t {
		return
	}
	m.asked, m.fit = t, true
	ahead := float64(t-m.last) / m.unit
	m.h[0], m.h[1] = 1, ahead
	at := 2
	// What the walk of level, slope and shapes adds on the way.
	m.s = max(ahead, 0) * m.rhythm * (1.0/(levelMemory*levelMemory) + ahead*ahead/3/math.Pow(slopeMemory, 4))
	for _, period := range m.periods {
		sin, cos := math.Sincos(2 * math.Pi * civilPhase(t, period, m.c.Location))
		s, c := sin, cos
		for range m.c.Order {
			m.h[at], m.h[at+1] = s, c
			s, c = s*cos+c*sin, c*cos-s*sin
			at += 2
		}
		m.s += float64(m.c.Order) * m.shapeWalk(ahead, period)
	}
	noise := 1.0
	if at < len(m.h) {
		m.h[at] = 0
		if m.holiday(t) {
			m.h[at], noise = 1, holidayNoise
			m.s += m.holidayWalk(ahead, true)
		}
	}
	m.mean = 0
	n := len(m.h)
	for i, h := range m.h {
		m.mean += h * m.x[i]
		sum := 0.0
		for k, v := range m.p[i*n : i*n+n] {
			sum += v * m.h[k]
		}
		m.ph[i] = sum
		m.s += sum * h
	}
	m.s = max(m.s, 0) + noise
}

// shapeWalk is the variance that a coefficient gains in a time.
func (m *Prophet) shapeWalk(ahead float64, period int64) float64 {
	memory := shapeMemory * float64(period) / m.unit
	return max(ahead, 0) * m.rhythm / (memory * memory)
}

// holidayWalk is the variance that a holiday's effect gains in a time that ends
// on a holiday, or not. It may be unlike the last one.
func (m *Prophet) holidayWalk(ahead float64, free bool) float64 {
	switch {
	case !free:
		return 0
	case !m.free:
		return prophetHoliday * prophetHoliday
	}
	return max(ahead, 0) * m.rhythm * holidayNoise / (holidayMemory * holidayMemory)
}

// Score is the distance from the forecast in thresholds of its deviation.
func (m *Prophet) Score(p Point) Verdict {
	s := m.State()
	if s != Ready || math.IsNaN(p.V) {
		return unknown(s)
	}
	m.look(p.T)
	return band(p.V, m.mean, m.tail.border(m.c.Threshold)*m.errs.sigma()*math.Sqrt(m.s), s)
}

func (m *Prophet) expects(t int64) (value, below, above float64) {
	m.look(t)
	sigma := m.errs.sigma() * math.Sqrt(m.s)
	return m.mean, sigma, sigma
}

// Forecast is the filter's: noise, what is not known of trend and seasons, and
// how both may change until then.
func (m *Prophet) Forecast(t int64, confidence float64) (mid, lower, upper float64) {
	if m.State() != Ready {
		return noForecast()
	}
	m.look(t)
	return interval(m.mean, normalBorder(confidence)*m.errs.sigma()*math.Sqrt(m.s))
}

// Learn is one step of the filter.
func (m *Prophet) Learn(p Point, weight float64) {
	if !usable(p, m.n, m.last) {
		return
	}
	if weight <= 0 {
		m.wait(p.T)
		return
	}
	if m.n == 0 {
		m.begin(p)
		return
	}
	ahead := float64(p.T-m.last) / m.unit
	if m.n == 1 {
		m.rhythm = ahead
	}
	m.advance(ahead, p.T)
	dt := float64(p.T - m.last)
	m.last, m.fit = p.T, false
	m.n++
	m.look(p.T)
	if math.IsNaN(m.mean-m.mean) || math.IsNaN(m.s-m.s) { // what absurd times and values leave knows nothing
		m.restart(p)
		return
	}
	m.update(p, dt, weight)
	m.rhythm += (min(ahead, 16*m.rhythm) - m.rhythm) / 16
	m.fit = false
}

// wait lets time pass up to t: the filter predicts, and is not corrected.
func (m *Prophet) wait(t int64) {
	if m.n == 0 {
		return
	}
	m.advance(float64(t-m.last)/m.unit, t)
	m.last, m.fit = t, false
	if m.look(t); math.IsNaN(m.mean-m.mean) || !(m.s < beyondUse) { // what absurd times leave knows nothing
		m.restart(Point{T: t})
		m.n = 0
	}
}

// restart begins anew at p.
func (m *Prophet) restart(p Point) {
	clear(m.x)
	clear(m.p)
	m.errs.ew = moments{tau: m.errs.ew.tau}
	m.tail, m.lean, m.rhythm = ownTail{past: prior()}, 0, 0
	m.begin(p)
}

// begin sets the prior around the first point.
func (m *Prophet) begin(p Point) {
	m.first, m.last, m.n = p.T, p.T, 1
	m.x[0] = p.V
	n := len(m.x)
	m.p[0] = 1
	m.p[n+1] = prophetSlope * prophetSlope
	at := 2
	for i := range m.periods {
		wide := float64(prophetSeason)
		if i > 0 {
			wide = prophetLonger
		}
		for k := range m.c.Order {
			v := wide / float64(k+1)
			m.p[at*n+at], m.p[(at+1)*n+at+1] = v*v, v*v
			at += 2
		}
	}
	m.free = m.holiday(p.T)
	if at < n {
		m.p[at*n+at] = prophetHoliday * prophetHoliday
	}
	m.fit = false
}

// advance moves the state on in time: the level along the slope, and what is
// known of all becomes a little less.
func (m *Prophet) advance(ahead float64, t int64) {
	n := len(m.x)
	m.x[0] += ahead * m.x[1]
	for k := range n { // F·P
		m.p[k] += ahead * m.p[n+k]
	}
	for k := range n { // ·Fᵀ
		m.p[k*n] += ahead * m.p[k*n+1]
	}
	for k := 1; k < n; k++ { // the same to the bit
		m.p[k*n] = m.p[k]
	}
	walk := ahead * m.rhythm
	m.p[0] += walk * (1.0/(levelMemory*levelMemory) + ahead*ahead/3/math.Pow(slopeMemory, 4))
	m.p[n+1] += walk / math.Pow(slopeMemory, 4)
	at := 2
	for _, period := range m.periods {
		v := m.shapeWalk(ahead, period)
		for range 2 * m.c.Order {
			m.p[at*n+at] += v
			at++
		}
	}
	free := m.holiday(t)
	if at < n {
		m.p[at*n+at] += m.holidayWalk(ahead, free)
	}
	m.free = free
}

// mostJump bounds, in deviations, how unsure a change makes the level: the gain
// is next to 1 from far less on, and of a larger square nothing of the other
// variances would be left in 64 bits.
const mostJump = 1e6

// update takes the value in.
func (m *Prophet) update(p Point, dt, weight float64) {
	e, root := p.V-m.mean, math.Sqrt(m.s)
	clipped := e
	if m.State() == Ready {
		clipped = m.errs.clip(e/root, p.V/root) * root
	}
	s := m.s
	if sigma := m.errs.sigma(); sigma > 0 && m.State() == Ready && !m.free {
		m.tail.learn(math.Abs(e)/root/sigma, weight)
		z := clipped / root / sigma
		if m.lean += (z*weight - m.lean*weight) / changeAfter; math.Abs(m.lean) > changeLean {
			far := min(math.Abs(e/sigma), mostJump)
			wide := far * far
			m.lean, clipped = 0, e
			m.p[0] += wide
			m.ph[0] += wide // h is 1 there
			s += wide
		}
	}
	// Forecasts that know little say little about the noise.
	m.errs.learn(m.errs.clip(e/root, p.V/root), dt, weight/m.s)
	s += 1/weight - 1
	n := len(m.x)
	for i := range n {
		m.x[i] += m.ph[i] / s * clipped
		for k := range n {
			m.p[i*n+k] -= m.ph[i] * m.ph[k] / s
		}
	}
}

// AppendBinary appends the state.
func (m *Prophet) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idProphet, 2)
	for _, v := range []int64{m.n, m.first, m.last} {
		w.int(v)
	}
	w.bool(m.free)
	w.floats([]float64{m.lean, m.rhythm})
	m.errs.ew.write(w)
	m.tail.write(w)
	w.floats(m.x)
	for i := range m.x {
		w.floats(m.p[i*len(m.x) : i*len(m.x)+i+1])
	}
	return w.b, nil
}

// UnmarshalBinary restores the state.
func (m *Prophet) UnmarshalBinary(b []byte) error {
	r := newReader(b, idProphet, 2)
	m.n, m.first, m.last, m.free = r.count(), r.int(), r.int(), r.bool()
	var f [2]float64
	r.floats(f[:])
	m.lean, m.rhythm = f[0], f[1]
	m.errs.ew.read(r)
	m.tail.read(r)
	r.floats(m.x)
	n := len(m.x)
	for i := range n {
		r.floats(m.p[i*n : i*n+i+1])
		for k := range i {
			v := m.p[i*n+k]
			if !(v*v <= 1.01*m.p[i*n+i]*m.p[k*n+k]+1e-6) { // Cauchy and Schwarz
				r.fail("a covariance that cannot be")
			}
			m.p[k*n+i] = v
		}
		if !(math.Abs(m.x[i]) <= math.MaxFloat64) || !(m.p[i*n+i] >= 0) {
			r.fail("a state that cannot be")
		}
	}
	m.fit = false
	return r.done()
}
