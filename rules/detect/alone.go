package detect

import (
	"errors"
	"math"
)

// usual is a vector model that knows what it expects of each input.
type usual interface {
	VectorModel
	Usual(input int) float64
}

// Alone lets a vector model of two inputs watch one series: the value, and its
// change since the point before. Levels, jumps and pairs of both that have not
// been seen together stand out.
type Alone struct {
	m    usual
	last Point
	seen bool
	v    [2]float64 // scratch
}

// NewAlone wraps m, which must take two inputs.
func NewAlone(m interface {
	VectorModel
	Usual(input int) float64
},
) *Alone {
	return &Alone{m: m}
}

// Name is that of the vector model.
func (a *Alone) Name() string { return a.m.Name() }

// State is that of the vector model.
func (a *Alone) State() State { return a.m.State() }

func (a *Alone) vector(p Point) Vector {
	a.v = [2]float64{p.V, math.NaN()}
	if a.seen {
		a.v[1] = p.V - a.last.V
	}
	return Vector{T: p.T, V: a.v[:]}
}

// Score judges p. The model has no band: Lower and Upper are NaN.
func (a *Alone) Score(p Point) Verdict {
	v := a.m.Score(a.vector(p), nil)
	if v.State == Ready {
		v.Expected = a.m.Usual(0)
	}
	return v
}

// Learn takes p in.
func (a *Alone) Learn(p Point, weight float64) {
	if math.IsNaN(p.V) || a.seen && p.T <= a.last.T || weight <= 0 {
		return
	}
	a.m.Learn(a.vector(p), weight)
	a.last, a.seen = p, true
}

func (a *Alone) reserve() { reserve(a.m) }

const (
	idAlone      byte = 42
	aloneVersion byte = 1
)

// AppendBinary appends the state.
func (a *Alone) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idAlone, aloneVersion)
	w.bool(a.seen)
	w.int(a.last.T)
	w.float(a.last.V)
	err := w.part(a.m)
	return w.b, err
}

// UnmarshalBinary restores what AppendBinary wrote around the same model.
func (a *Alone) UnmarshalBinary(b []byte) error {
	r := newReader(b, idAlone, aloneVersion)
	a.seen = r.bool()
	a.last = Point{T: r.int(), V: r.float()}
	if math.IsNaN(a.last.V) {
		return errors.Join(errState, errors.New("a number is missing"))
	}
	r.part(a.m)
	return r.done()
}
