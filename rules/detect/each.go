package detect

import (
	"errors"
	"math"
)

// Each lets models of one series watch several inputs, one model an input: the
// score is that of the input that is most anomalous. Shares are the inputs'
// scores over their sum.
type Each struct {
	models []Model
	scores []float64 // scratch
}

// NewEach makes a vector model of one model an input, all of the same kind.
func NewEach(models ...Model) (*Each, error) {
	if len(models) == 0 || len(models) > MaxInputs {
		return nil, errors.New("want one model an input, at least one and at most 64")
	}
	return &Each{models: models, scores: make([]float64, len(models))}, nil
}

func (e *Each) inputs() int { return len(e.models) }

// Name is that of the models.
func (e *Each) Name() string { return e.models[0].Name() }

// State is that of the model that is farthest.
func (e *Each) State() State {
	s := Cold
	for _, m := range e.models {
		s = max(s, m.State())
	}
	return s
}

// Score asks the model of every input that is there.
func (e *Each) Score(p Vector, share []float64) Verdict {
	v := unknown(e.State())
	total := 0.0
	for i, m := range e.models {
		of := m.Score(Point{T: p.T, V: p.V[i]})
		s := of.Score
		e.scores[i] = 0
		if !math.IsNaN(s) {
			e.scores[i] = s
			total += s
			v.Hold = joinHold(v.Hold, of.Hold, false)
			if math.IsNaN(v.Score) || s > v.Score {
				v.Score = s
			}
		}
	}
	shareOut(share, e.scores, total, math.IsNaN(v.Score))
	return v
}

// shareOut divides the parts by their total; without a total all are equal, and
// without a score none is known.
func shareOut(share, parts []float64, total float64, unknown bool) {
	for i := range share {
		switch {
		case unknown:
			share[i] = math.NaN()
		case total > 0:
			share[i] = parts[i] / total
		default:
			share[i] = 1 / float64(len(share))
		}
	}
}

// Learn teaches the model of every input that is there.
func (e *Each) Learn(p Vector, weight float64) {
	for i, m := range e.models {
		m.Learn(Point{T: p.T, V: p.V[i]}, weight)
	}
}

func (e *Each) reserve() {
	for _, m := range e.models {
		reserve(m)
	}
}

const (
	idEach      byte = 44
	eachVersion byte = 1
)

// AppendBinary appends the state of every model.
func (e *Each) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idEach, eachVersion)
	w.int(int64(len(e.models)))
	for _, m := range e.models {
		if err := w.part(m); err != nil {
			return nil, err
		}
	}
	return w.b, nil
}

// UnmarshalBinary restores the state of every model.
func (e *Each) UnmarshalBinary(b []byte) error {
	r := newReader(b, idEach, eachVersion)
	if n := r.int(); n != int64(len(e.models)) {
		r.fail("another number of inputs")
	}
	for _, m := range e.models {
		r.part(m)
	}
	return r.done()
}

// CombinedVector asks several vector models: any of them, score = max, or all
// of them, score = min. Shares are those of the model that decides.
type CombinedVector struct {
	models []VectorModel
	all    bool
	share  []float64 // scratch
}

func (c *CombinedVector) inputs() int { return c.models[0].inputs() }

// NewAnyVector is anomalous when one of the models says so.
func NewAnyVector(models ...VectorModel) (*CombinedVector, error) {
	return combineVectors(models, false)
}

// NewAllVector is anomalous when all models say so.
func NewAllVector(models ...VectorModel) (*CombinedVector, error) {
	return combineVectors(models, true)
}

func combineVectors(models []VectorModel, all bool) (*CombinedVector, error) {
	if len(models) < 2 {
		return nil, errors.New("cannot combine fewer than two models")
	}
	return &CombinedVector{models: models, all: all}, nil
}

// Name joins the names as the rules language writes them.
func (c *CombinedVector) Name() string {
	name, sign := c.models[0].Name(), " + "
	if c.all {
		sign = " & "
	}
	for _, m := range c.models[1:] {
		name += sign + m.Name()
	}
	return name
}

// State is the least of all, or the most of any.
func (c *CombinedVector) State() State {
	s := c.models[0].State()
	for _, m := range c.models[1:] {
		if c.all {
			s = min(s, m.State())
		} else {
			s = max(s, m.State())
		}
	}
	return s
}

// Score asks every model that is ready.
func (c *CombinedVector) Score(p Vector, share []float64) Verdict {
	out := unknown(c.State())
	for i := range share {
		share[i] = math.NaN()
	}
	if out.State < Ready {
		return out
	}
	if share != nil && len(c.share) != len(share) {
		c.share = make([]float64, len(share))
	}
	for _, m := range c.models {
		own := c.share
		if share == nil {
			own = nil
		}
		v := m.Score(p, own)
		if math.IsNaN(v.Score) {
			continue
		}
		out.Hold = joinHold(out.Hold, v.Hold, c.all)
		if math.IsNaN(out.Score) || c.all == (v.Score < out.Score) && v.Score != out.Score {
			out.Score = v.Score
			copy(share, own)
		}
	}
	return out
}

// Learn teaches every model.
func (c *CombinedVector) Learn(p Vector, weight float64) {
	for _, m := range c.models {
		m.Learn(p, weight)
	}
}

func (c *CombinedVector) reserve() {
	for _, m := range c.models {
		reserve(m)
	}
	c.share = make([]float64, MaxInputs)
}

const (
	idCombinedVector      byte = 45
	combinedVectorVersion byte = 1
)

// AppendBinary appends the state of every model.
func (c *CombinedVector) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idCombinedVector, combinedVectorVersion)
	w.bool(c.all)
	for _, m := range c.models {
		if err := w.part(m); err != nil {
			return nil, err
		}
	}
	return w.b, nil
}

// UnmarshalBinary restores the state of every model.
func (c *CombinedVector) UnmarshalBinary(b []byte) error {
	r := newReader(b, idCombinedVector, combinedVectorVersion)
	if r.bool() != c.all {
		r.fail("any for all, or all for any")
	}
	for _, m := range c.models {
		r.part(m)
	}
	return r.done()
}
