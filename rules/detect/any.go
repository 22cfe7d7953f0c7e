package detect

import (
	"errors"
	"math"
	"strings"
)

// Combined asks several models: any of them, score = max, or all of them,
// score = min. Expectation and band are those of the model that decides.
type Combined struct {
	models []Model
	all    bool
}

// NewAny is anomalous when one of the models says so; models that learn still
// are left out.
func NewAny(models ...Model) (*Combined, error) { return combine(models, false) }

// NewAll is anomalous when all models say so; it learns while one of them does.
func NewAll(models ...Model) (*Combined, error) { return combine(models, true) }

func combine(models []Model, all bool) (*Combined, error) {
	if len(models) < 2 {
		return nil, errors.New("cannot combine fewer than two models")
	}
	return &Combined{models: models, all: all}, nil
}

// Name joins the names as the rules language writes them.
func (m *Combined) Name() string {
	names := make([]string, len(m.models))
	for i, part := range m.models {
		names[i] = part.Name()
		if _, ok := part.(*Combined); ok {
			names[i] = "(" + names[i] + ")"
		}
	}
	if m.all {
		return strings.Join(names, " & ")
	}
	return strings.Join(names, " + ")
}

// Choice says what the parts that choose have chosen; empty without such.
func (m *Combined) Choice() string {
	var out []string
	for _, part := range m.models {
		if c, ok := part.(interface{ Choice() string }); ok && c.Choice() != "" {
			out = append(out, c.Choice())
		}
	}
	return strings.Join(out, "; ")
}

// State is the least of all, or the most of any.
func (m *Combined) State() State {
	s := m.models[0].State()
	for _, part := range m.models[1:] {
		if m.all {
			s = min(s, part.State())
		} else {
			s = max(s, part.State())
		}
	}
	return s
}

// Score asks every model that is ready.
func (m *Combined) Score(p Point) Verdict {
	return m.score(p, func(part Model) Verdict { return part.Score(p) })
}

func (m *Combined) score(p Point, of func(Model) Verdict) Verdict {
	s := m.State()
	if s < Ready || math.IsNaN(p.V) {
		return unknown(s)
	}
	out := unknown(s)
	hold := math.NaN()
	for _, part := range m.models {
		v := of(part)
		if math.IsNaN(v.Score) {
			continue
		}
		hold = joinHold(hold, v.Hold, m.all)
		if math.IsNaN(out.Score) || m.all == (v.Score < out.Score) && v.Score != out.Score {
			out = v
		}
	}
	out.State, out.Hold = s, hold
	return out
}

// joinHold is the most of any, or the least of all; NaN is none.
func joinHold(a, b float64, all bool) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	case all:
		return min(a, b)
	}
	return max(a, b)
}

// Learn teaches every model.
func (m *Combined) Learn(p Point, weight float64) {
	for _, part := range m.models {
		part.Learn(p, weight)
	}
}

func (m *Combined) reserve() {
	for _, part := range m.models {
		reserve(part)
	}
}

func (m *Combined) id() byte {
	if m.all {
		return idAll
	}
	return idAny
}

// AppendBinary appends the state of every model.
func (m *Combined) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, m.id(), 1)
	for _, part := range m.models {
		if err := w.part(part); err != nil {
			return nil, err
		}
	}
	return w.b, nil
}

// UnmarshalBinary restores the state of every model.
func (m *Combined) UnmarshalBinary(b []byte) error {
	r := newReader(b, m.id(), 1)
	for _, part := range m.models {
		r.part(part)
	}
	return r.done()
}
