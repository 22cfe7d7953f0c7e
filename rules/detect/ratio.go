package detect

import (
	"fmt"
	"math"
	"sort"
	"time"

	"gonum.org/v1/gonum/mathext"
)

// RatioConfig configures NewRatio.
type RatioConfig struct {
	// MinTotal is the smallest total that is judged; a smaller one scores 0. 0: 20.
	MinTotal float64
	// Window is how far back the evidence reaches; it fades by e with each. 0: 1d.
	Window time.Duration
	// Tail is the probability of a count at the border of normal. 0: 0.0001.
	Tail float64
}

// Ratio judges a part of a total, such as the failed of all requests, by the
// probability of that many among so many: one error of two requests says
// nothing, a thousand of two thousand say much. Counts are beta-binomial
// (J. G. Skellam, A probability distribution derived from the binomial
// distribution, JRSS B 10, 1948). The mean is a Beta posterior of exponentially weighted
// evidence behind Jeffreys' prior. How much the ratio itself moves from time to
// time is taken by moments (D. A. Williams, Extra-binomial variation in
// logistic linear models, Applied Statistics 31, 1982), so that a large total
// does not make every usual wobble odd.
type Ratio struct {
	c RatioConfig

	part, total   float64 // fading sums
	excess, pairs float64 // fading sums of squared residuals beyond 1, and of totals less 1
	usual         float64 // mean total
	n             int64
	last          int64 // milliseconds
}

const (
	ratioPoints = 30   // points before the first score
	ratioClip   = 16   // expected squared residuals of which a point counts at most
	ratioExact  = 1000 // terms that are summed; beyond, a beta distribution stands for the sum
	ratioLeast  = 1e-300
)

// NewRatio makes the model.
func NewRatio(c RatioConfig) (*Ratio, error) {
	if c.MinTotal == 0 {
		c.MinTotal = 20
	}
	if c.Window == 0 {
		c.Window = 24 * time.Hour
	}
	if c.Tail == 0 {
		c.Tail = 1e-4
	}
	if !(c.MinTotal >= 1) || c.Window < 0 || !(c.Tail > 0 && c.Tail < 0.5) {
		return nil, fmt.Errorf("want min_total of at least 1, window above 0 and tail between 0 and 0.5, not %v, %v and %v", c.MinTotal, c.Window, c.Tail)
	}
	return &Ratio{c: c}, nil
}

// Name is ratio.
func (*Ratio) Name() string { return "ratio" }

// State is ready once there is evidence.
func (m *Ratio) State() State {
	switch {
	case m.n == 0:
		return Cold
	case m.n < ratioPoints || m.total < m.c.MinTotal:
		return Learning
	}
	return Ready
}

// Score judges p as a part of the usual total.
func (m *Ratio) Score(p Point) Verdict { return m.ScoreOf(p, m.usual) }

// Learn takes p in as a part of the usual total.
func (m *Ratio) Learn(p Point, weight float64) { m.LearnOf(p, max(m.usual, 1), weight) }

// mean of the ratio, and how much ratios of one time correlate: its own
// movement, and what is not known of the mean.
func (m *Ratio) mean() (mean, correlation float64) {
	mean = (m.part + 0.5) / (m.total + 1)
	correlation = m.movement()
	known := m.total / (1 + max(m.usual-1, 0)*correlation)
	return mean, min(correlation+1/(known+1), 0.99)
}

func (m *Ratio) movement() float64 {
	if m.pairs <= 0 {
		return 0
	}
	return min(max(m.excess/m.pairs, 0), 0.9)
}

// ScoreOf judges the ratio p by the total that it is a part of.
func (m *Ratio) ScoreOf(p Point, total float64) Verdict {
	s := m.State()
	if s != Ready || math.IsNaN(p.V) || !(total > 0) {
		return unknown(s)
	}
	mean, correlation := m.mean()
	d := newCounts(total, mean, correlation)
	v := Verdict{Expected: mean, State: s}
	v.Lower, v.Upper = d.band(m.c.Tail)
	if total >= m.c.MinTotal {
		v.Score = min(math.Log(max(d.tail(p.V*total), ratioLeast))/math.Log(m.c.Tail), maxScore)
		v.Hold = v.Score
	}
	return v
}

// LearnOf takes the ratio p of a total in.
func (m *Ratio) LearnOf(p Point, total, weight float64) {
	if !usable(p, m.n, m.last) || !(total > 0) || total > beyondUse {
		return
	}
	if !(weight > 0) {
		m.last = p.T
		return
	}
	fade := 1.0
	if m.n > 0 {
		fade = math.Exp(-float64(p.T-m.last) / float64(m.c.Window.Milliseconds()))
	}
	v := min(max(p.V, 0), 1)
	mean := (m.part + 0.5) / (m.total + 1)
	m.excess, m.pairs = m.excess*fade, m.pairs*fade
	if total > 1 {
		expected := 1 + (total-1)*m.movement()
		m.excess += weight * (min((v-mean)*(v-mean)*total/(mean*(1-mean)), ratioClip*expected) - 1)
		m.pairs += weight * (total - 1)
	}
	m.part = m.part*fade + weight*v*total
	m.total = m.total*fade + weight*total
	m.n++
	m.usual += (total - m.usual) / float64(min(m.n, 256))
	m.last = p.T
}

// Forecast expects the mean; the band is that of the usual total.
func (m *Ratio) Forecast(_ int64, confidence float64) (mid, lower, upper float64) {
	if m.State() != Ready {
		return noForecast()
	}
	mean, correlation := m.mean()
	d := newCounts(max(m.usual, 1), mean, correlation)
	lower, upper = d.band(min(max((1-confidence)/2, 1e-12), 0.5))
	return mean, lower, upper
}

// counts is the beta-binomial distribution of a part of n.
type counts struct {
	n, mean float64
	a, b    float64 // of the ratio
	la, lb  float64 // of the beta distribution that stands for the share of n
	exact   bool    // sums are short
}

func newCounts(n, mean, correlation float64) counts {
	s := 1/correlation - 1
	d := counts{n: n, mean: mean, a: mean * s, b: (1 - mean) * s}
	variance := (1 + (n-1)*correlation) / n // over mean * (1 - mean)
	like := max(1/max(variance, 1e-12)-1, 1e-6)
	d.la, d.lb = mean*like, (1-mean)*like
	spread := n * math.Sqrt(mean*(1-mean)*variance)
	d.exact = n == math.Round(n) && (n <= ratioExact || n*mean+10*spread < ratioExact && n < 1e12)
	return d
}

// tail is the probability of x, or of a count farther from the mean on its side.
func (d *counts) tail(x float64) float64 {
	x = min(max(x, 0), d.n)
	if near := math.Round(x); math.Abs(x-near) < 1e-6*max(1, near) {
		x = near
	}
	if x >= d.n*d.mean {
		return d.above(x)
	}
	return d.below(x)
}

// above is the probability of x or more.
func (d *counts) above(x float64) float64 {
	if x <= 0 {
		return 1
	}
	if d.exact {
		return d.between(x, 1)
	}
	return 1 - mathext.RegIncBeta(d.la, d.lb, min(max((x-0.5)/d.n, 0), 1))
}

// below is the probability of x or less.
func (d *counts) below(x float64) float64 {
	if x >= d.n {
		return 1
	}
	if d.exact {
		return d.between(x, -1)
	}
	return mathext.RegIncBeta(d.la, d.lb, min(max((x+0.5)/d.n, 0), 1))
}

// between goes from sum to sum in the logarithm where x is no whole number.
func (d *counts) between(x, step float64) float64 {
	k := math.Floor(x)
	part := x - k
	if part == 0 {
		return d.sum(x, step)
	}
	low, high := math.Log(max(d.sum(k, step), ratioLeast)), math.Log(max(d.sum(k+1, step), ratioLeast))
	return math.Exp(low + (high-low)*part)
}

// sum adds the probabilities from k on, up or down, until they do not matter.
func (d *counts) sum(k float64, step float64) float64 {
	term := math.Exp(lnBeta(k+d.a, d.n-k+d.b) - lnBeta(d.a, d.b) - math.Log(d.n+1) - lnBeta(k+1, d.n-k+1))
	total := 0.0
	for range 4 * ratioExact {
		total += term
		if step > 0 {
			if k >= d.n {
				break
			}
			term *= (d.n - k) / (k + 1) * (k + d.a) / (d.n - k - 1 + d.b)
		} else {
			if k <= 0 {
				break
			}
			term *= k / (d.n - k + 1) * (d.n - k + d.b) / (k - 1 + d.a)
		}
		k += step
		if term < 1e-17*total {
			break
		}
	}
	return min(total, 1)
}

// band is where the probability of a tail is border, as parts of n.
func (d *counts) band(border float64) (lower, upper float64) {
	if !d.exact {
		lower = mathext.InvRegIncBeta(d.la, d.lb, border) - 0.5/d.n
		upper = mathext.InvRegIncBeta(d.la, d.lb, 1-border) + 0.5/d.n
		return max(lower, 0), min(upper, 1)
	}
	most := int(min(d.n, 2*ratioExact)) + 1
	high := sort.Search(most, func(k int) bool { return d.above(float64(k)) <= border })
	low := sort.Search(most, func(k int) bool { return d.below(float64(k)) > border }) - 1
	return max(float64(low)/d.n, 0), min(float64(high)/d.n, 1)
}

func lnBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// scoreOf judges a ratio by its total, where the model can.
func scoreOf(m Model, p Point, total float64) Verdict {
	switch m := m.(type) {
	case *Ratio:
		return m.ScoreOf(p, total)
	case *leveled:
		return m.scoreOf(p, total)
	case *Combined:
		return m.score(p, func(part Model) Verdict { return scoreOf(part, p, total) })
	}
	return m.Score(p)
}

// learnOfAt has a model learn a ratio at the weight that is for its kind. Models
// that do not weigh by the total themselves learn it at the weight of its traffic.
func learnOfAt(m Model, p Point, total float64, w weights, traffic float64) {
	switch m := m.(type) {
	case *Combined:
		for _, part := range m.models {
			learnOfAt(part, p, total, w, traffic)
		}
	case *leveled:
		learnOfAt(m.Model, m.seen(p), total, w, traffic)
	case *Ratio:
		m.LearnOf(p, total, w.level)
	default:
		learnAt(m, p, p.V, weights{w.level * traffic, w.shape * traffic, w.anomalous, w.none})
	}
}

// Accept moves the mean; how much the ratio moves by itself stays.
func (m *Ratio) Accept(shift float64) {
	mean, _ := m.mean()
	m.part = min(max(mean+shift, 0), 1) * m.total
}

const (
	idRatio      byte = 55
	ratioVersion byte = 1
)

// AppendBinary appends the state.
func (m *Ratio) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idRatio, ratioVersion)
	w.floats([]float64{m.part, m.total, m.excess, m.pairs, m.usual})
	w.int(m.n)
	w.int(m.last)
	return w.b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *Ratio) UnmarshalBinary(b []byte) error {
	r := newReader(b, idRatio, ratioVersion)
	var f [5]float64
	r.floats(f[:])
	n, last := r.int(), r.int()
	if !(f[0] >= 0 && f[1] >= f[0] && f[3] >= 0 && f[4] >= 0) || math.IsNaN(f[2]) || n < 0 {
		r.fail("evidence that cannot be")
	}
	if err := r.done(); err != nil {
		return err
	}
	m.part, m.total, m.excess, m.pairs, m.usual, m.n, m.last = f[0], f[1], f[2], f[3], f[4], n, last
	return nil
}
