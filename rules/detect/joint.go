package detect

import (
	"fmt"
	"math"
	"time"

	"github.com/chironhq/chiron/rules/detect/auto"
)

// MaxInputs is the most inputs that one joint model takes: its state and its
// work grow with their square.
const MaxInputs = 64

// JointConfig configures NewJoint.
type JointConfig struct {
	// Inputs is how many numbers a point has, 1 to MaxInputs.
	Inputs int
	// Alerts is how many false alerts a day are allowed, of all inputs together.
	// 0: 1 in 30 days.
	Alerts float64
}

// Joint is auto for several inputs: package auto says what it does. It accepts
// levels that hold by itself, and learns what it learns of anomalies in its own
// way.
type Joint struct{ m *auto.Several }

// NewJoint makes a model that has seen nothing.
func NewJoint(c JointConfig) (*Joint, error) {
	if c.Inputs < 1 || c.Inputs > MaxInputs {
		return nil, fmt.Errorf("a joint model takes 1 to %d inputs, not %d", MaxInputs, c.Inputs)
	}
	if math.IsNaN(c.Alerts) || c.Alerts < 0 || math.IsInf(c.Alerts, 0) {
		return nil, fmt.Errorf("cannot make a joint model: a budget of %g alerts a day is none", c.Alerts)
	}
	return &Joint{auto.NewSeveral(auto.Config{Alerts: c.Alerts}, c.Inputs)}, nil
}

func (j *Joint) inputs() int { return j.m.Inputs() }

// Name is auto: the user named no model.
func (*Joint) Name() string { return "auto" }

// State is ready once correlations mean something.
func (j *Joint) State() State {
	switch {
	case j.m.Ready():
		return Ready
	case j.m.Seen():
		return Learning
	}
	return Cold
}

// Score is the evidence that p is anomalous. The share of an input is its part
// of that.
func (j *Joint) Score(p Vector, share []float64) Verdict {
	v := unknown(j.State())
	for i := range share {
		share[i] = math.NaN()
	}
	if v.State != Ready {
		return v
	}
	if of, ok := j.m.Judge(p.T, p.V, share); ok {
		v.Score, v.Hold, v.Rank = min(of.Evidence, maxScore), min(of.Hold, maxScore), of.Rank
	}
	return v
}

// Learn takes p in. Without any weight the inputs are anomalous.
func (j *Joint) Learn(p Vector, weight float64) { j.m.Learn(p.T, p.V, weight <= 0) }

// learnAt learns what is usual, and of what is anomalous that it is. It bounds
// values by itself once it can judge them.
func (j *Joint) learnAt(p Vector, bounded []float64, w weights) {
	if w.none {
		return
	}
	if !j.m.Ready() {
		p.V = bounded
	}
	j.m.Learn(p.T, p.V, w.anomalous)
}

// accepts is told after how long a level is accepted.
func (j *Joint) accepts(after time.Duration) { j.m.SetAccept(after) }

// Usual is the mean of an input.
func (j *Joint) Usual(input int) float64 { return j.m.Usual(input) }

const (
	idJoint      byte = 40
	jointVersion byte = 4
)

// AppendBinary appends the whole state.
func (j *Joint) AppendBinary(b []byte) ([]byte, error) {
	return j.m.AppendBinary(append(b, idJoint, jointVersion))
}

// UnmarshalBinary restores what AppendBinary wrote for as many inputs.
func (j *Joint) UnmarshalBinary(b []byte) error {
	r := newReader(b, idJoint, jointVersion)
	if r.err == nil {
		if err := j.m.UnmarshalBinary(r.b); err != nil {
			return fmt.Errorf("%w: %w", errState, err)
		}
	}
	return r.err
}
