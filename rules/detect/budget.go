package detect

import (
	"fmt"
	"math"

	"github.com/chironhq/chiron/rules/detect/auto"
)

// expecting is a model that expects a value, and says how far from it values
// usually are.
type expecting interface {
	Model
	// expects is what is expected at t once the model is ready, and the standard
	// deviations below and above it.
	expects(t int64) (value, below, above float64)
}

// Budgeted judges what a model expects by a budget of false alerts in time:
// what is evidence, over which horizon, is what auto takes for it. Without a
// budget the model's own border decides. What has been learned under one goes
// on under the other.
type Budgeted struct {
	expecting
	judge *auto.Judge // nil: no budget
}

// newBudgeted puts a model under a budget of alerts a day; 0: under none.
func newBudgeted(m expecting, alerts float64) (*Budgeted, error) {
	if !(alerts >= 0) || math.IsInf(alerts, 0) {
		return nil, fmt.Errorf("cannot make a %s model: a budget of %g alerts a day is none", m.Name(), alerts)
	}
	b := &Budgeted{expecting: m}
	if alerts > 0 {
		b.judge = auto.NewJudge(auto.Config{Alerts: alerts})
	}
	return b, nil
}

// Score is the evidence that p is anomalous.
func (b *Budgeted) Score(p Point) Verdict {
	if b.judge == nil {
		return b.expecting.Score(p)
	}
	if s := b.State(); s != Ready || math.IsNaN(p.V) {
		return unknown(s)
	}
	v := b.judge.Judge(p.T, p.V, b.expectation(p.T))
	return Verdict{Score: min(v.Evidence, maxScore), side: v.Side, Hold: min(max(v.Hold, 0), maxScore), Expected: v.Expected, Lower: v.Lower, Upper: v.Upper, State: Ready}
}

func (b *Budgeted) expectation(t int64) auto.Expectation {
	if b.State() != Ready {
		return auto.Expectation{Value: math.NaN()}
	}
	value, below, above := b.expects(t)
	e := auto.Expectation{Value: value, Below: below, Above: above, Low: value, High: value}
	if m, ok := b.expecting.(slotted); ok {
		for _, by := range [2]int64{-1, 1} {
			v := m.beside(t, by)
			e.Low, e.High = min(e.Low, v), max(e.High, v)
		}
	}
	return e
}

// slotted is a model that knows the shape of a season by slots, and so not when
// exactly within one a step comes.
type slotted interface {
	// beside is what is expected so many slots from t.
	beside(t, slots int64) float64
}

// Learn takes p in. Without any weight the series is anomalous.
func (b *Budgeted) Learn(p Point, weight float64) { b.learn(p, p.V, weight, weight <= 0) }

// learnAt is Learn of a point of which it is known whether the series is
// anomalous: it may be learned all the same, bounded.
func (b *Budgeted) learnAt(p Point, bounded float64, w weights) {
	if w.none {
		b.expecting.Learn(Point{p.T, bounded}, w.level)
		return
	}
	b.learn(p, bounded, w.level, w.anomalous)
}

func (b *Budgeted) learn(p Point, bounded, weight float64, anomalous bool) {
	if b.judge != nil {
		e := b.expectation(p.T)
		bounded = b.judge.Bound(p.T, p.V, e, bounded)
		b.judge.Learn(p.T, p.V, e, anomalous)
	}
	b.expecting.Learn(Point{p.T, bounded}, weight)
}

// Forecast is the model's, where it can look ahead.
func (b *Budgeted) Forecast(t int64, confidence float64) (mid, lower, upper float64) {
	if f, ok := b.expecting.(Forecaster); ok {
		return f.Forecast(t, confidence)
	}
	return noForecast()
}

// accepted is told that a level is what is expected from here on.
func (b *Budgeted) accepted() {
	if b.judge != nil {
		b.judge.Accept()
	}
}

func (b *Budgeted) reserve() {
	reserve(b.expecting)
	if b.judge != nil {
		b.judge.Reserve()
	}
}

const (
	idBudgeted      byte = 60
	budgetedVersion byte = 5
)

// AppendBinary appends the model's state and what is known of its deviations.
func (b *Budgeted) AppendBinary(to []byte) ([]byte, error) {
	w := newWriter(to, idBudgeted, budgetedVersion)
	err := w.part(b.expecting)
	w.bool(b.judge != nil)
	if b.judge != nil && err == nil {
		err = w.part(b.judge)
	}
	return w.b, err
}

// UnmarshalBinary restores what AppendBinary wrote around a model that learns
// the same, under whatever budget.
func (b *Budgeted) UnmarshalBinary(from []byte) error {
	r := newReader(from, idBudgeted, budgetedVersion)
	r.part(b.expecting)
	if judged := r.bool(); judged {
		if b.judge == nil {
			r.skip()
		} else {
			r.part(b.judge)
		}
	}
	return r.done()
}
