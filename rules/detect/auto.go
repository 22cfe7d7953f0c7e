package detect

import (
	"fmt"
	"math"
	"time"

	"github.com/chironhq/chiron/rules/detect/auto"
)

// AutoConfig configures NewAuto.
type AutoConfig struct {
	// Location is where days and weeks begin. nil: UTC.
	Location *time.Location
	// Alerts is how many false alerts a day are allowed. 0: 1 in 30 days.
	Alerts float64
}

// Auto is for a series of which nothing is known: package auto says what it
// does. It accepts levels that hold by itself, and learns what it learns of
// anomalies in its own way.
type Auto struct{ m *auto.Model }

// NewAuto makes a model that has seen nothing.
func NewAuto(c AutoConfig) (*Auto, error) {
	if math.IsNaN(c.Alerts) || c.Alerts < 0 || math.IsInf(c.Alerts, 0) {
		return nil, fmt.Errorf("cannot make an auto model: a budget of %g alerts a day is none", c.Alerts)
	}
	return &Auto{auto.New(auto.Config{Location: c.Location, Alerts: c.Alerts})}, nil
}

// Name is auto, whatever leads: what the rule writes keeps its labels.
func (*Auto) Name() string { return "auto" }

// Choice says which expectation leads at this time of day.
func (m *Auto) Choice() string {
	what := m.Chosen()
	if what == m.Name() {
		return "learning"
	}
	if m.m.Counter() {
		what += ", of the rate"
	}
	return what
}

// Chosen is the expectation that leads; auto until one does.
func (m *Auto) Chosen() string {
	if name := m.m.Leads(); name != "" {
		return name
	}
	return m.Name()
}

// State is Ready once there can be a verdict.
func (m *Auto) State() State {
	switch {
	case m.m.Ready():
		return Ready
	case m.m.Seen():
		return Learning
	}
	return Cold
}

// Score is the evidence that p is anomalous.
func (m *Auto) Score(p Point) Verdict {
	if !m.m.Ready() || math.IsNaN(p.V) {
		return unknown(m.State())
	}
	v := m.m.Judge(p.T, p.V)
	return Verdict{
		Score: min(v.Evidence, maxScore), side: v.Side, Hold: v.Hold, Rank: v.Rank,
		Expected: v.Expected, Lower: v.Lower, Upper: v.Upper, State: Ready,
	}
}

// Learn takes p in. Without any weight the series is anomalous.
func (m *Auto) Learn(p Point, weight float64) { m.m.Learn(p.T, p.V, weight <= 0) }

// learnAt learns what is usual, and of what is anomalous that it is.
// It bounds values by itself once it can judge them.
func (m *Auto) learnAt(p Point, bounded float64, w weights) {
	if w.none {
		m.m.Release()
		return
	}
	if !m.m.Ready() {
		p.V = bounded
	}
	m.m.Learn(p.T, p.V, w.anomalous)
}

// accepts is told after how long a level is accepted.
func (m *Auto) accepts(after time.Duration) { m.m.SetAccept(after) }

const autoVersion = 19

// AppendBinary appends the whole state.
func (m *Auto) AppendBinary(b []byte) ([]byte, error) {
	return m.m.AppendBinary(append(b, idAuto, autoVersion))
}

// UnmarshalBinary restores the state.
func (m *Auto) UnmarshalBinary(b []byte) error {
	r := newReader(b, idAuto, autoVersion)
	if r.err == nil {
		if err := m.m.UnmarshalBinary(r.b); err != nil {
			return fmt.Errorf("%w: %w", errState, err)
		}
	}
	return r.err
}
