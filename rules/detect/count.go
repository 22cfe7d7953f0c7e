package detect

import (
	"fmt"
	"math"
	"time"

	"gonum.org/v1/gonum/mathext"
)

// CountConfig configures NewCount.
type CountConfig struct {
	// Window is how far back mean and variance look: 86 % of their weight lies
	// within it. 0: 24h.
	Window time.Duration
	// Rarity is the probability, of both sides together, at which a count is on
	// the border of normal: above 0 and below 0.5. 0: 0.001.
	Rarity float64
}

// Count judges counts in equal spans, such as increase(restarts[5m]), by how
// probable so many or more, or so few or fewer, are under the negative binomial
// distribution of the exponentially weighted mean and variance: a Poisson
// distribution whose rate varies. Where the variance is not above the mean it
// is Poisson's. The score is the logarithm of that probability against
// Rarity's. Source: M. Greenwood, G. Yule, An inquiry into the nature of
// frequency distributions representative of multiple happenings, Journal of
// the Royal Statistical Society 83 (1920), for the distribution.
//
// Before any event half an event in the points so far is assumed, so the first
// one after a long silence is on the border and no more.
type Count struct {
	c  CountConfig
	ew moments

	lower, upper float64 // where the score of found is 1, in its widths from its mean
	found        negativeBinomial
	n, last      int64
}

// negativeBinomial is the distribution of a mean and the number of failures
// size = mean²/(variance−mean); +Inf is Poisson's.
type negativeBinomial struct{ mean, size float64 }

// countDrift is by how much of themselves mean and width may change before the
// band is found again; until then it moves with them.
const countDrift = 0.05

// NewCount makes a count model.
func NewCount(c CountConfig) (*Count, error) {
	if c.Window == 0 {
		c.Window = 24 * time.Hour
	}
	if c.Rarity == 0 {
		c.Rarity = 1e-3
	}
	if !(c.Rarity > 0 && c.Rarity < 0.5) {
		return nil, fmt.Errorf("cannot make a count model: a rarity of %v is not above 0 and below 0.5", c.Rarity)
	}
	if err := checkBand(c.Window, 1); err != nil {
		return nil, fmt.Errorf("cannot make a count model: %w", err)
	}
	return &Count{c: c, ew: moments{tau: float64(c.Window.Milliseconds()) / 2}}, nil
}

// Name is count.
func (*Count) Name() string { return "count" }

// State is Ready after twice minPoints points.
func (m *Count) State() State { return stateAfter(m.n / 2) }

// leastSize keeps the size from 0 after absurd counts.
const leastSize = 1e-9

// distribution is what the moments say.
func (m *Count) distribution() negativeBinomial {
	d := negativeBinomial{mean: (max(m.ew.mean, 0)*m.ew.weight + 0.5) / (m.ew.weight + 1), size: math.Inf(1)}
	variance := 0.0
	if n := m.ew.weight * m.ew.weight / m.ew.squares; n > 1 {
		// The estimate of the mean from n points is unsure too.
		variance = max(m.ew.spread, 0) / m.ew.weight * n / (n - 1) * (1 + 1/n)
	}
	if over := variance - d.mean; over > 1e-9*d.mean {
		d.size = max(d.mean*d.mean/over, leastSize)
	}
	return d
}

// atLeast is P(X ≥ x), for real x by the incomplete beta and gamma functions.
func (d negativeBinomial) atLeast(x float64) float64 {
	switch {
	case x <= 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	case max(x, d.mean, min(d.size, x)) > countExact:
		return d.normal(x - 0.5)
	case d.size > 1e6*d.mean:
		return mathext.GammaIncReg(x, d.mean)
	}
	return mathext.RegIncBeta(x, d.size, d.mean/(d.mean+d.size))
}

// atMost is P(X ≤ x).
func (d negativeBinomial) atMost(x float64) float64 {
	switch {
	case x < 0:
		return 0
	case math.IsInf(x, 1):
		return 1
	case max(x, d.mean, min(d.size, x)) > countExact:
		return 1 - d.normal(x+0.5)
	case d.size > 1e6*d.mean:
		return mathext.GammaIncRegComp(x+1, d.mean)
	}
	return mathext.RegIncBeta(d.size, x+1, d.size/(d.mean+d.size))
}

// countExact is the count from which the distribution is taken as gamma's, or
// normal when it is narrow: the functions' series no longer converge there.
const countExact = 1e4

// normal is P(X > x) by the cube root of Wilson and Hilferty, of the gamma
// distribution with the same mean and variance.
func (d negativeBinomial) normal(x float64) float64 {
	shape := d.mean / (1 + d.mean/d.size)
	z := (math.Cbrt(max(x, 0)/d.mean) - 1 + 1/(9*shape)) * 3 * math.Sqrt(shape)
	return math.Erfc(z/math.Sqrt2) / 2
}

// score is the logarithm of the probability of such a count, of both sides,
// against the rarity's.
func (d negativeBinomial) score(x, rarity float64) float64 {
	tail := 0.0
	if x >= d.mean {
		tail = d.atLeast(x)
	} else {
		tail = d.atMost(x)
	}
	s := math.Log(min(2*tail, 1)) / math.Log(rarity)
	if math.IsNaN(s) {
		return maxScore
	}
	return min(max(s, 0), maxScore)
}

// Score is how rare such a count is.
func (m *Count) Score(p Point) Verdict {
	s := m.State()
	if s != Ready || math.IsNaN(p.V) {
		return unknown(s)
	}
	d := m.distribution()
	width := d.width()
	score := d.score(p.V, m.c.Rarity)
	return Verdict{
		Score: score, Hold: score, Expected: d.mean,
		Lower: max(d.mean+m.lower*width, 0), Upper: d.mean + m.upper*width, State: s,
	}
}

// Forecast expects counts of the same distribution.
func (m *Count) Forecast(_ int64, confidence float64) (mid, lower, upper float64) {
	if m.State() != Ready {
		return noForecast()
	}
	d := m.distribution()
	lower, upper = d.edges(min(max(1-confidence, 1e-12), 1))
	return d.mean, lower, upper
}

// edges are where the score of a rarity is 1; 0 when no count is too low.
func (d negativeBinomial) edges(rarity float64) (lower, upper float64) {
	if d.score(0, rarity) > 1 {
		lower = bisect(0, d.mean, func(x float64) bool { return d.score(x, rarity) <= 1 })
	}
	far := 2*d.mean + 1
	for far < beyondUse && d.score(far, rarity) < 1 {
		far *= 2
	}
	return lower, bisect(d.mean, far, func(x float64) bool { return d.score(x, rarity) >= 1 })
}

// bisect finds where a condition begins to hold.
func bisect(from, to float64, holds func(float64) bool) float64 {
	for range 24 {
		middle := from + (to-from)/2
		if holds(middle) {
			to = middle
		} else {
			from = middle
		}
	}
	return to
}

// Learn moves mean and variance.
func (m *Count) Learn(p Point, weight float64) {
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
	if m.State() != Ready {
		return
	}
	if d := m.distribution(); !d.near(m.found) {
		m.find(d)
	}
}

// Accept moves the mean. How much the rate varies, as a part of itself, stays.
func (m *Count) Accept(shift float64) {
	d := m.distribution()
	mean := min(max(d.mean+shift, 0), beyondUse)
	n := m.ew.weight * m.ew.weight / m.ew.squares
	m.ew.mean, m.ew.spread = mean, (mean+mean*mean/d.size)*m.ew.weight/(1+1/n)*(n-1)/n
	m.find(m.distribution())
}

// find finds the band of a distribution.
func (m *Count) find(d negativeBinomial) {
	m.found = d
	lower, upper := d.edges(m.c.Rarity)
	m.lower, m.upper = (lower-d.mean)/d.width(), (upper-d.mean)/d.width()
}

// near tells whether two distributions have about the same mean and width.
func (d negativeBinomial) near(o negativeBinomial) bool {
	a, b := d.width(), o.width()
	return math.Abs(d.mean-o.mean) <= countDrift*d.mean && math.Abs(a-b) <= countDrift*a
}

// width is the standard deviation.
func (d negativeBinomial) width() float64 { return math.Sqrt(d.mean * (1 + d.mean/d.size)) }

const countVersion = 2

// AppendBinary appends the state.
func (m *Count) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idCount, countVersion)
	m.ew.write(w)
	w.floats([]float64{m.found.mean, m.found.size})
	w.int(m.n)
	w.int(m.last)
	return w.b, nil
}

// UnmarshalBinary restores the state. The band is found again, by this model's
// rarity.
func (m *Count) UnmarshalBinary(b []byte) error {
	r := newReader(b, idCount, countVersion)
	m.ew.read(r)
	var f [2]float64
	r.extended(f[:]) // the size is infinite when counts are Poisson's
	d := negativeBinomial{f[0], f[1]}
	if !(d.mean >= 0 && d.mean < beyondState && d.size >= leastSize || d == negativeBinomial{}) {
		r.fail("a distribution that cannot be")
	}
	m.n, m.last = r.count(), r.int()
	if err := r.done(); err != nil {
		return err
	}
	if m.found, m.lower, m.upper = d, 0, 0; d.mean > 0 {
		m.find(d)
	}
	return nil
}
