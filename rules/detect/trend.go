package detect

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// TrendConfig configures NewTrend.
type TrendConfig struct {
	// Window is how far back the line looks. 0: 6h.
	Window time.Duration
	// Threshold is the border of normal in standard deviations of the error of
	// the points against the line. 0: 3.5.
	Threshold float64
}

// trendSpans is how many spans of time stand for the window.
const trendSpans = 32

// Trend expects a straight line: leaks, fill-ups, anything that grows at a
// pace. The line is Theil's and Sen's: the median of the slopes between all
// pairs of means over equal spans of the window, through the median of what
// remains. Up to 29 % of the spans may be anything. Sources: H. Theil, A
// rank-invariant method of linear and polynomial regression analysis (1950);
// P. K. Sen, Estimates of the regression coefficient based on Kendall's tau,
// Journal of the American Statistical Association 63 (1968).
//
// At first every point is a span; when all spans are used up, neighbours are
// joined, until they are as long as a part of the window. The line is drawn
// again when a span ends.
type Trend struct {
	c     TrendConfig
	least float64 // milliseconds of a span of a full window

	spans [trendSpans]trendSpan // the newest last
	size  int
	span  float64 // milliseconds of a span; 0: of each point its own
	open  trendSpan
	begin int64 // of the open span

	line  trendLine
	errs  errorWidth
	tail  ownTail // of errors in deviations
	n     int64
	last  int64
	drawn bool
}

// trendSpan is the weighted mean of some points in time and value.
type trendSpan struct{ t, v, weight float64 }

// add joins another span.
func (s *trendSpan) add(o trendSpan) {
	if s.weight += o.weight; s.weight > 0 {
		s.t += (o.t - s.t) * o.weight / s.weight
		s.v += (o.v - s.v) * o.weight / s.weight
	}
}

// trendLine is level + slope·(t−center); spread is the robust deviation of the
// spans from it.
type trendLine struct {
	center, level, slope float64
	spread               float64
	times                float64 // sum of the squared distances in time from center
	n                    float64
}

// NewTrend makes a trend model.
func NewTrend(c TrendConfig) (*Trend, error) {
	if c.Window == 0 {
		c.Window = 6 * time.Hour
	}
	if c.Threshold == 0 {
		c.Threshold = 3.5
	}
	if err := checkBand(c.Window, c.Threshold); err != nil {
		return nil, fmt.Errorf("cannot make a trend model: %w", err)
	}
	window := float64(c.Window.Milliseconds())
	return &Trend{c: c, least: window / trendSpans, errs: errorWidth{moments{tau: window / 2}}, tail: ownTail{past: prior()}}, nil
}

// Name is trend.
func (*Trend) Name() string { return "trend" }

// State is Ready after minPoints points and as many errors against the line.
func (m *Trend) State() State {
	if m.n > 0 && (!m.drawn || m.errs.ew.weight == 0) {
		return Learning
	}
	return stateAfter(m.n / 2)
}

// Score is the distance from the line in thresholds of standard deviations.
func (m *Trend) Score(p Point) Verdict {
	s := m.State()
	if s != Ready || math.IsNaN(p.V) {
		return unknown(s)
	}
	return band(p.V, m.line.at(p.T), m.tail.border(m.c.Threshold)*m.width(p.T), s)
}

func (l *trendLine) at(t int64) float64 { return l.level + l.slope*(float64(t)-l.center) }

// doubt is the standard error of the line at t.
func (l *trendLine) doubt(t int64) float64 {
	d := float64(t) - l.center
	return l.spread * math.Sqrt(1/l.n+d*d/l.times)
}

// width is the standard deviation of a point at t.
func (m *Trend) width(t int64) float64 { return math.Hypot(m.errs.sigma(), m.line.doubt(t)) }

// Forecast continues the line. The interval holds the error of single points,
// of the line's level, and of its slope, which grows with the distance.
func (m *Trend) Forecast(t int64, confidence float64) (mid, lower, upper float64) {
	if m.State() != Ready {
		return noForecast()
	}
	border := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: m.line.n - 2}.Quantile((1 + min(max(confidence, 0), 1)) / 2)
	return interval(m.line.at(t), border*m.width(t))
}

// Slope is the line's, a second; NaN while the model learns.
func (m *Trend) Slope() float64 {
	if m.State() != Ready {
		return math.NaN()
	}
	return m.line.slope * 1000
}

// Learn adds the point to its span.
func (m *Trend) Learn(p Point, weight float64) {
	if !usable(p, m.n, m.last) || weight <= 0 {
		return
	}
	if m.drawn {
		e := p.V - m.line.at(p.T)
		if width := m.width(p.T); width > 0 && m.State() == Ready {
			m.tail.learn(math.Abs(e)/width, weight)
		}
		m.errs.learn(m.errs.clip(e, p.V), float64(p.T-m.last), weight)
	}
	if m.n > 0 && float64(p.T-m.begin) >= m.span*(1-1e-6) {
		m.close()
	}
	if m.open.weight == 0 {
		m.begin = p.T
	}
	m.open.add(trendSpan{float64(p.T), p.V, weight})
	m.n++
	m.last = p.T
}

// close ends the open span and draws the line again.
func (m *Trend) close() {
	open := m.open
	m.open = trendSpan{}
	if open.weight <= 0 {
		return
	}
	oldest := 0
	for oldest < m.size-minPoints && open.t-m.spans[oldest].t > float64(m.c.Window.Milliseconds()) {
		oldest++
	}
	if m.size == trendSpans && oldest == 0 {
		if m.span < m.least {
			m.join()
		} else {
			oldest = 1
		}
	}
	if oldest > 0 {
		m.size = copy(m.spans[:], m.spans[oldest:m.size])
	}
	m.spans[m.size] = open
	m.size++
	if m.size >= minPoints-1 {
		m.draw()
	}
}

// join makes one span of each two neighbours.
func (m *Trend) join() {
	for i := range m.size / 2 {
		s := m.spans[2*i]
		s.add(m.spans[2*i+1])
		m.spans[i] = s
	}
	m.size /= 2
	m.span = min(max(2*m.span, (m.spans[m.size-1].t-m.spans[0].t)/float64(m.size-1)), m.least)
}

// draw finds the line. Slopes are kept as 32 bits relative to the range of the
// values in the window, which is far finer than their spread.
func (m *Trend) draw() {
	s := m.spans[:m.size]
	l := trendLine{n: float64(m.size)}
	var middles [trendSpans]float64
	var slopes [trendSpans * (trendSpans - 1) / 2]float32
	k := 0
	base := s[0]
	unit := 0.0
	for _, x := range s {
		unit = max(unit, math.Abs(x.v-base.v))
	}
	if unit == 0 {
		unit = 1
	}
	length := s[len(s)-1].t - base.t
	for i := range s {
		l.center += (s[i].t - base.t) / l.n
		for j := range i {
			slopes[k] = float32((s[i].v - s[j].v) / unit / ((s[i].t - s[j].t) / length))
			k++
		}
	}
	l.center += base.t
	l.slope = float64(middle32(slopes[:k])) * unit / length
	for i := range s {
		d := s[i].t - l.center
		l.times += d * d
		middles[i] = s[i].v - l.slope*d
	}
	slices.Sort(middles[:m.size])
	l.level = middle(middles[:m.size])
	for i := range middles[:m.size] {
		middles[i] = math.Abs(middles[i] - l.level)
	}
	slices.Sort(middles[:m.size])
	// Two degrees of freedom went into the line.
	l.spread = 1.4826 * middle(middles[:m.size]) * math.Sqrt(l.n/(l.n-2))
	m.line, m.drawn = l, true
}

// middle32 is the median of values, which it puts into another order: Hoare's
// selection. Of an even number it is the lower one of the two in the middle.
func middle32(s []float32) float32 {
	k, lo, hi := (len(s)-1)/2, 0, len(s)-1
	for lo < hi {
		pivot := s[(lo+hi)/2]
		i, j := lo, hi
		for i <= j {
			for s[i] < pivot {
				i++
			}
			for s[j] > pivot {
				j--
			}
			if i <= j {
				s[i], s[j] = s[j], s[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return s[k]
		}
	}
	return s[k]
}

// AppendBinary appends the state.
func (m *Trend) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idTrend, 2)
	w.int(int64(m.size))
	for _, s := range append(slices.Clone(m.spans[:m.size]), m.open) {
		w.floats([]float64{s.t, s.v, s.weight})
	}
	w.float(m.span)
	m.errs.ew.write(w)
	m.tail.write(w)
	for _, v := range []int64{m.begin, m.n, m.last} {
		w.int(v)
	}
	w.bool(m.drawn)
	return w.b, nil
}

// UnmarshalBinary restores the state.
func (m *Trend) UnmarshalBinary(b []byte) error {
	r := newReader(b, idTrend, 2)
	m.size = r.index(trendSpans + 1)
	before := math.Inf(-1)
	for i := range m.size + 1 {
		var f [3]float64
		r.floats(f[:])
		s := trendSpan{f[0], f[1], f[2]}
		if !(math.Abs(s.v) < beyondUse) || !(math.Abs(s.t) < beyondTime) || !(s.weight >= 0) || i < m.size && !(s.t > before) {
			r.fail("a span that cannot be")
		}
		before = s.t
		if m.open = s; i < m.size {
			m.spans[i] = s
		}
	}
	m.span = r.float()
	m.errs.ew.read(r)
	m.tail.read(r)
	m.begin, m.n, m.last = r.int(), r.count(), r.int()
	if m.drawn = r.bool(); r.err == nil && m.drawn {
		if m.size < minPoints-1 {
			r.fail("too few spans for a line")
			return r.err
		}
		m.draw()
	}
	return r.done()
}
