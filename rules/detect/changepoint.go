package detect

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// ChangepointConfig configures NewChangepoint.
type ChangepointConfig struct {
	// Every is the expected time between two changes. 0: 24h.
	Every time.Duration
}

// Changepoint holds hypotheses on when the present stretch of the series began
// and weighs them by how well each predicts the points: Bayesian online
// changepoint detection of R. Adams and D. MacKay (2007) with normal data of
// unknown mean and variance. A point is strange when it moves the belief from
// the stretches that have been there to one that began in the last
// changeRecent steps: one far value, or some near ones on the same side. That
// move, a log evidence, becomes a tail probability of the series' own past.
//
// Stretches are at most changeRuns, the least likely is dropped first (P.
// Fearnhead, Z. Liu, On-line inference for multiple changepoint problems,
// Journal of the Royal Statistical Society B 69 (2007)). The mean of a stretch
// that is about to begin is taken to lie around the present expectation.
type Changepoint struct {
	c    ChangepointConfig
	runs []changeRun
	errs errorWidth // of points against the expectation: the noise
	warm moments    // of the first points
	rare calibrator

	n, last int64
	before  float64 // value of the newest point
	rhythm  float64 // mean milliseconds between points

	asked  Point // the evidence of which is answer, while fit
	answer float64
	fit    bool
}

// normalGamma is what is known of a stretch's mean and variance: the conjugate
// prior of normal data, and its predictive Student's t.
type normalGamma struct{ kappa, mu, alpha, beta float64 }

// changeRun is the hypothesis that the present stretch began at start.
type changeRun struct {
	normalGamma
	start int64
	p     float64 // its probability

	freedom, scale, base float64 // of the predictive density; derived
}

const (
	changeRuns = 32
	// changeRecent is the age, in mean steps, up to which a stretch is new.
	changeRecent = 8
	// changeMemory is how many points a stretch weighs as most.
	changeMemory = 1000
	// changePrior: a new mean lies within ten deviations of the present one.
	changeKappa, changeAlpha = 0.01, 1
	// changeMost bounds the evidence.
	changeMost = 200
)

// NewChangepoint makes a changepoint model.
func NewChangepoint(c ChangepointConfig) (*Changepoint, error) {
	if c.Every == 0 {
		c.Every = 24 * time.Hour
	}
	if err := checkBand(c.Every, 1); err != nil {
		return nil, fmt.Errorf("cannot make a changepoint model: %w", err)
	}
	tau := float64(c.Every.Milliseconds())
	return &Changepoint{
		c: c, errs: errorWidth{moments{tau: tau}}, warm: moments{tau: tau}, rare: prior(),
		runs: make([]changeRun, 0, changeRuns+1),
	}, nil
}

// Name is changepoint.
func (*Changepoint) Name() string { return "changepoint" }

// State is Ready once there is a first stretch of three times minPoints.
func (m *Changepoint) State() State {
	if m.n > 0 && len(m.runs) == 0 {
		return Learning
	}
	return stateAfter(m.n / 3)
}

// learn takes x in.
func (g *normalGamma) learn(x, weight float64) {
	d := x - g.mu
	kappa := g.kappa + weight
	g.beta += weight * g.kappa / kappa * d * d / 2
	g.mu += weight / kappa * d
	g.kappa = kappa
	g.alpha += weight / 2
	if over := g.alpha / (changeAlpha + changeMemory/2.0); over > 1 {
		g.alpha /= over
		g.beta /= over
		g.kappa = min(g.kappa, changeMemory)
	}
}

// derive works out the predictive density's constants.
func (r *changeRun) derive() {
	r.freedom = 2 * r.alpha
	square := r.beta * (r.kappa + 1) / (r.alpha * r.kappa)
	r.scale = math.Sqrt(square)
	r.base = gammaRatio(r.freedom) - math.Log(2*math.Pi*square)/2
}

// density is the logarithm of the predictive density at x.
func (r *changeRun) density(x float64) float64 {
	t := min(math.Abs(x-r.mu)/r.scale, beyondUse)
	return r.base - (r.freedom+1)/2*math.Log1p(t*t/r.freedom)
}

// gammaRatio is ln Γ((ν+1)/2) − ln Γ(ν/2) − ln(ν/2)/2; above 20 by its
// asymptotic series.
func gammaRatio(nu float64) float64 {
	if nu > 20 {
		q := 1 / (nu * nu)
		return -(1 - q*(1.0/6-q/5)) / (4 * nu)
	}
	a, _ := math.Lgamma((nu + 1) / 2)
	b, _ := math.Lgamma(nu / 2)
	return a - b - math.Log(nu/2)/2
}

// fresh is the hypothesis that a stretch begins now, around what is expected.
func (m *Changepoint) fresh(at int64) changeRun {
	sigma := max(m.errs.sigma(), 1e-9*math.Abs(m.expect()), 1e-150)
	r := changeRun{normalGamma: normalGamma{changeKappa, m.expect(), changeAlpha, changeAlpha * sigma * sigma}, start: at}
	r.derive()
	return r
}

// expect is the mean of what the stretches predict.
func (m *Changepoint) expect() float64 {
	v := 0.0
	for i := range m.runs {
		v += m.runs[i].p * m.runs[i].mu
	}
	return v
}

// hazard is the probability of a change in a step to t.
func (m *Changepoint) hazard(t int64) float64 {
	return min(max(-math.Expm1(-float64(t-m.last)/float64(m.c.Every.Milliseconds())), 1e-12), 0.5)
}

// judged is the evidence of p, from the last call if it asked for the same.
func (m *Changepoint) judged(p Point) float64 {
	if m.asked != p || !m.fit {
		m.asked, m.answer, m.fit = p, m.evidence(p), true
	}
	return m.answer
}

// evidence is the logarithm of how much of the belief leaves the stretches
// that have been there, given x at t: 0 none, ln 2 half of it.
func (m *Changepoint) evidence(p Point) float64 {
	hazard, fresh := m.hazard(p.T), m.fresh(p.T)
	border := p.T - int64(changeRecent*m.rhythm)
	var logs [changeRuns]float64
	first := fresh.density(p.V)
	mostRecent, mostOld := first, math.Inf(-1)
	for i := range m.runs {
		r := &m.runs[i]
		logs[i] = r.density(p.V)
		switch {
		case r.p == 0:
		case r.start > border:
			mostRecent = max(mostRecent, logs[i])
		default:
			mostOld = max(mostOld, logs[i])
		}
	}
	recent, old := hazard*math.Exp(first-mostRecent), 0.0
	for i := range m.runs {
		r := &m.runs[i]
		switch {
		case r.p == 0:
		case r.start > border:
			recent += r.p * (1 - hazard) * math.Exp(logs[i]-mostRecent)
		default:
			old += r.p * (1 - hazard) * math.Exp(logs[i]-mostOld)
		}
	}
	if old == 0 {
		return changeMost
	}
	odds := mostRecent - mostOld + math.Log(recent/old)
	return min(math.Log1p(math.Exp(min(odds, changeMost))), changeMost)
}

// Score is how rare such evidence of a change is. There is no band: Lower and
// Upper are NaN.
func (m *Changepoint) Score(p Point) Verdict {
	v := unknown(m.State())
	if v.State != Ready || math.IsNaN(p.V) {
		return v
	}
	v.Expected = m.expect()
	v.Score = min(max(m.rare.score(m.judged(p)), 0), maxScore)
	v.Hold = v.Score
	return v
}

// Learn weighs the stretches anew and teaches them.
func (m *Changepoint) Learn(p Point, weight float64) {
	if !usable(p, m.n, m.last) || weight <= 0 {
		return
	}
	dt := float64(p.T - m.last)
	if m.n == 0 {
		dt = 0
	}
	if m.n == 1 {
		m.rhythm = dt
	}
	switch {
	case len(m.runs) == 0:
		m.begin(p, dt, weight)
	default:
		m.rare.learn(m.judged(p))
		e := m.expect()
		m.errs.learn(m.errs.clip(p.V-e, p.V), dt, weight)
		m.step(p, weight, m.hazard(p.T), m.fresh(p.T))
	}
	m.rhythm += (min(dt, 16*m.rhythm) - m.rhythm) / 16
	m.before, m.fit = p.V, false
	m.n++
	m.last = p.T
}

// begin gathers the first stretch. The noise is taken from the differences of
// neighbours.
func (m *Changepoint) begin(p Point, dt, weight float64) {
	if m.n > 0 {
		m.errs.learn((p.V-m.before)/math.Sqrt2, dt, weight)
	}
	m.warm.add(p.V, dt, weight)
	if m.n+1 < minPoints || m.warm.weight < 1 {
		return
	}
	r := m.fresh(math.MinInt64)
	r.mu, r.kappa = m.warm.mean, m.warm.weight
	r.alpha += m.warm.weight / 2
	r.beta += m.warm.spread / 2
	r.derive()
	r.p = 1
	m.runs = append(m.runs, r)
}

// step is one of the recursion: the belief of each stretch by its prediction,
// and a new one, which began with this point.
func (m *Changepoint) step(p Point, weight, hazard float64, fresh changeRun) {
	fresh.p = hazard
	m.runs = append(m.runs, fresh)
	var logs [changeRuns + 1]float64
	most := math.Inf(-1)
	for i := range m.runs {
		r := &m.runs[i]
		if i < len(m.runs)-1 {
			r.p *= 1 - hazard
		}
		logs[i] = r.density(p.V) * weight
		if r.p > 0 {
			most = max(most, logs[i])
		}
	}
	total := 0.0
	for i := range m.runs {
		m.runs[i].p *= math.Exp(min(logs[i]-most, 0))
		total += m.runs[i].p
	}
	for i := range m.runs {
		r := &m.runs[i]
		r.p /= total
		r.learn(p.V, weight)
		r.derive()
	}
	if len(m.runs) > changeRuns {
		m.drop()
	}
}

// drop takes the least likely stretch out.
func (m *Changepoint) drop() {
	least := 0
	for i := range m.runs {
		if m.runs[i].p < m.runs[least].p {
			least = i
		}
	}
	rest := 1 - m.runs[least].p
	m.runs = slices.Delete(m.runs, least, least+1)
	for i := range m.runs {
		m.runs[i].p /= rest
	}
}

// AppendBinary appends the state.
func (m *Changepoint) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idChangepoint, 1)
	w.int(int64(len(m.runs)))
	for i := range m.runs {
		r := &m.runs[i]
		w.floats([]float64{r.kappa, r.mu, r.alpha, r.beta, r.p})
		w.int(r.start)
	}
	m.errs.ew.write(w)
	m.warm.write(w)
	m.rare.write(w)
	w.int(m.n)
	w.int(m.last)
	w.floats([]float64{m.before, m.rhythm})
	return w.b, nil
}

// UnmarshalBinary restores the state.
func (m *Changepoint) UnmarshalBinary(b []byte) error {
	r := newReader(b, idChangepoint, 1)
	m.runs = m.runs[:0]
	for range r.index(changeRuns + 1) {
		var f [5]float64
		r.floats(f[:])
		run := changeRun{normalGamma: normalGamma{f[0], f[1], f[2], f[3]}, p: f[4], start: r.int()}
		if !(run.kappa > 0 && run.alpha > 0 && run.beta > 0 && run.p >= 0 && math.Abs(run.mu) < beyondUse) {
			r.fail("a stretch that cannot be")
		}
		run.derive()
		m.runs = append(m.runs, run)
	}
	m.errs.ew.read(r)
	m.warm.read(r)
	m.rare.read(r)
	m.n, m.last = r.count(), r.int()
	var f [2]float64
	r.floats(f[:])
	m.before, m.rhythm, m.fit = f[0], f[1], false
	return r.done()
}
