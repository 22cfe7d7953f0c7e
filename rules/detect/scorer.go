package detect

import (
	"math"
	"time"
)

// ScorerConfig holds the fields of an anomaly rule that lie between a model
// and its score. The zero value changes nothing.
type ScorerConfig struct {
	Direction Direction
	// MinDev and MinRelDev are below and above: smaller deviations from the
	// expectation score 0. MinRelDev is a fraction of the expectation.
	MinDev, MinRelDev [2]float64
	// Range is lowest and highest: outside it the score is above 1 whatever
	// the model says, and the band is clipped to it. Used when HasRange.
	Range    [2]float64
	HasRange bool
	// Width scales the band below and above the expectation. 0: 1.
	Width [2]float64
	// Warmup is how much history must have passed before the first score.
	Warmup time.Duration
	// Excluded tells of times, in milliseconds, at which nothing is learned and
	// the score is 0: holidays, maintenance. nil: none.
	Excluded func(t int64) bool
	// Accept is after how long a level that holds is what is expected. 0: 24h.
	Accept time.Duration
}

// complete fills in what is not given.
func (c ScorerConfig) complete() ScorerConfig {
	for i, w := range c.Width {
		if w <= 0 {
			c.Width[i] = 1
		}
	}
	if c.Accept <= 0 {
		c.Accept = defaultAccept
	}
	return c
}

// part is how often a level is looked at, in milliseconds.
func (c *ScorerConfig) part() int64 { return max(c.Accept.Milliseconds()/acceptParts, 1) }

// outside tells of a value that the range does not allow.
func (c *ScorerConfig) outside(value float64) bool {
	return c.HasRange && (value < c.Range[0] || value > c.Range[1])
}

func (c *ScorerConfig) excluded(t int64) bool { return c.Excluded != nil && c.Excluded(t) }

// excuse is what becomes of a verdict at an excluded time.
func excuse(v Verdict) Verdict {
	if !math.IsNaN(v.Score) {
		v.Score, v.Hold, v.Onset = 0, 0, 0
	}
	if v.State == Ready {
		v.State = Frozen
	}
	return v
}

// Scorer is one series under one rule: a model and the rule's fields. Step is
// the one way in which live rules, `chiron score`, tests and backtests run a
// model, so when something is anomalous, and what is learned then, is written
// here, once (see episode).
type Scorer struct {
	model  Model
	levels []*leveled // those in model
	ahead  Model      // forecasts where model cannot; nil: none
	c      ScorerConfig
	episode
	guard   guard
	traffic float64 // mean total of a ratio
}

// NewScorer makes a scorer around m, which it owns from then on.
func NewScorer(m Model, c ScorerConfig) *Scorer {
	s := &Scorer{c: c.complete()}
	s.model = level(m, &s.levels)
	acceptAfter(m, s.c.Accept)
	return s
}

// Name is the model's name.
func (s *Scorer) Name() string { return s.model.Name() }

// Model returns what the scorer runs.
func (s *Scorer) Model() Model { return bare(s.model) }

// State tells how far the model is, as Step would say it.
func (s *Scorer) State() State {
	st := s.model.State()
	if st == Cold && s.seen && s.last > s.first {
		return Learning
	}
	if st != Ready || s.last-s.first >= s.c.Warmup.Milliseconds() {
		return st
	}
	return Learning
}

// Step scores p, then learns it. Points that are not newer than the newest one
// are scored and not learned; NaN is neither.
func (s *Scorer) Step(p Point) Verdict {
	s.begin(p.T)
	if math.IsNaN(p.V) {
		return unknown(s.State())
	}
	newer := p.T > s.last
	w, v := s.decide(p, func() Verdict { return s.model.Score(p) })
	switch {
	case !newer:
		release(s.model)
	case s.guard.n < guardFew && w.none && s.model.State() == Ready: // another one's model meets its first value
		release(s.model)
	case s.guard.n < guardFew && !w.none && !w.anomalous:
		release(s.model)
		for _, p := range s.guard.firsts(p) {
			learnAt(s.model, p, p.V, w)
			s.learnAhead(p, w.shape)
		}
	default:
		bounded := p.V
		if usual := p.V >= v.Lower && p.V <= v.Upper; !usual { // within the band nothing is large
			bounded = s.guard.bound(p.V)
		}
		learnAt(s.model, p, bounded, w)
		s.learnAhead(Point{p.T, bounded}, w.shape)
		if !w.none {
			s.guard.learn(p.V)
		}
	}
	return v
}

// StepRatio scores and learns part over total. Without a total, or with one
// that is no measurement, there is no ratio; models that do not know totals learn from small ones less.
func (s *Scorer) StepRatio(t int64, part, total float64) (ratio float64, v Verdict) {
	p := Point{T: t, V: part / total}
	s.begin(t)
	if math.IsNaN(p.V) || !(total > 0 && total < beyondUse) {
		return math.NaN(), unknown(s.State())
	}
	newer := t > s.last
	w, v := s.decide(p, func() Verdict { return scoreOf(s.model, p, total) })
	if newer {
		if w.shape > 0 {
			if s.traffic == 0 {
				s.traffic = total
			}
			s.traffic += (total - s.traffic) / 256
		}
		traffic := min(total/s.traffic, 1)
		learnOfAt(s.model, p, total, w, traffic)
		s.learnAhead(p, w.shape*traffic)
	} else {
		release(s.model)
	}
	return p.V, v
}

// decide judges p, of which score is the model's verdict.
func (s *Scorer) decide(p Point, score func() Verdict) (weights, Verdict) {
	judge := func() Verdict { return s.c.judge(p.V, score(), p.T-s.first) }
	v := judge()
	w, v, accepted := s.settle(p.T, &s.c, v, p.V-v.Expected, s.c.outside(p.V), s.levels)
	if accepted { // the model says otherwise now
		onset := v.Onset
		v = s.show(judge())
		v.Onset = onset
	}
	v.Expected, v.Lower, v.Upper = s.guard.floor(v.Expected, v.Lower, v.Upper)
	return w, v
}

func (s *Scorer) learnAhead(p Point, weight float64) {
	if s.ahead != nil {
		s.ahead.Learn(p, weight)
	}
}

// judge applies the rule's fields to a model's verdict on value, the first
// point of which was age milliseconds ago.
func (c *ScorerConfig) judge(value float64, v Verdict, age int64) Verdict {
	outside := c.outside(value)
	learning := v.State != Ready && v.State != Frozen || age < c.Warmup.Milliseconds()
	if learning {
		u := unknown(v.State)
		if u.State == Ready || u.State == Cold && age > 0 { // the first values wait to be learned
			u.State = Learning
		}
		if outside { // what cannot be right is wrong from the first point on
			u.Score, u.Lower, u.Upper = c.beyond(value), c.Range[0], c.Range[1]
			u.Hold = u.Score
		}
		return u
	}
	v.Lower, v.Upper = v.Expected-(v.Expected-v.Lower)*c.Width[0], v.Expected+(v.Upper-v.Expected)*c.Width[1]
	deviation := value - v.Expected
	side := 1
	if deviation < 0 {
		side = 0
	}
	v.Score /= c.Width[side]
	v.Hold /= c.Width[side]
	switch {
	case v.side != 0 && v.side > 0 != (side == 1) && value >= v.Lower && value <= v.Upper && !c.counts(1-side, 0, v.Expected):
		v.muted = true // the value is on its way back from where the rule does not count it
	case c.counts(side, deviation, v.Expected):
	case c.counts(1-side, deviation, v.Expected):
		v.muted = true
	default:
		v.Score, v.Hold, v.Rank = 0, 0, 0
	}
	v.Lower = min(v.Lower, v.Expected-c.MinDev[0], v.Expected-c.MinRelDev[0]*math.Abs(v.Expected))
	v.Upper = max(v.Upper, v.Expected+c.MinDev[1], v.Expected+c.MinRelDev[1]*math.Abs(v.Expected))
	if c.HasRange {
		lo, hi := c.Range[0], c.Range[1]
		v.Expected, v.Lower, v.Upper = min(max(v.Expected, lo), hi), min(max(v.Lower, lo), hi), min(max(v.Upper, lo), hi)
		if outside {
			v.Score, v.Hold, v.Rank = max(v.Score, c.beyond(value)), max(v.Hold, c.beyond(value)), 0
			v.muted = false
		}
	}
	v.Score, v.Hold = min(v.Score, maxScore), min(v.Hold, maxScore)
	return v
}

// counts tells whether the direction and the least deviations let a deviation to a
// side count: 0 is below, 1 above.
func (c *ScorerConfig) counts(side int, deviation, expected float64) bool {
	return c.Direction != [2]Direction{Above, Below}[side] &&
		!(math.Abs(deviation) < c.MinDev[side]) && !(math.Abs(deviation) < c.MinRelDev[side]*math.Abs(expected))
}

// beyond is the score of a value outside the range: above 1, and growing with
// the distance in units of the range's own size.
func (c *ScorerConfig) beyond(v float64) float64 {
	lo, hi := c.Range[0], c.Range[1]
	distance, size := max(lo-v, v-hi), hi-lo
	if math.IsInf(size, 0) {
		size = 0
		for _, edge := range c.Range {
			if !math.IsInf(edge, 0) {
				size = math.Abs(edge)
			}
		}
	}
	if size <= 0 {
		size = 1
	}
	return min(1.0001+distance/size, maxScore)
}

func (s *Scorer) reserve() {
	reserve(s.model)
	reserve(s.ahead)
}

const scorerVersion = 7

// AppendBinary appends the state of the scorer and its model.
func (s *Scorer) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idScorer, scorerVersion)
	s.write(w)
	s.guard.write(w)
	w.float(s.traffic)
	if err := w.part(s.model); err != nil {
		return w.b, err
	}
	w.bool(s.ahead != nil)
	if s.ahead != nil {
		if err := w.part(s.ahead); err != nil {
			return w.b, err
		}
	}
	return w.b, nil
}

// UnmarshalBinary restores what AppendBinary wrote for a model that learns the
// same. What looks ahead is not part of what the model has learned: where none
// was saved it learns anew, and where none is wanted what was saved is dropped.
// On an error the scorer must not be used further.
func (s *Scorer) UnmarshalBinary(b []byte) error {
	r := newReader(b, idScorer, scorerVersion)
	s.read(r)
	s.guard.read(r)
	if s.traffic = r.float(); !(s.traffic >= 0 && s.traffic < beyondUse) {
		r.fail("a total that cannot be")
	}
	r.part(s.model)
	if ahead := r.bool(); ahead {
		if s.ahead == nil {
			r.skip()
		} else {
			r.part(s.ahead)
		}
	}
	return r.done()
}
