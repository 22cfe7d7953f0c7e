package detect

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"
)

// vectorModels are all models of several inputs, for what they promise alike.
var vectorModels = []struct {
	name string
	make func(inputs int) (VectorModel, error)
}{
	{"joint", func(n int) (VectorModel, error) { return NewJoint(n) }},
	{"iforest", func(n int) (VectorModel, error) {
		return NewIForest(IForestConfig{Trees: 50, Window: 12 * time.Hour, Inputs: n})
	}},
	{"each", func(n int) (VectorModel, error) {
		var models []Model
		for range n {
			models = append(models, must(NewZScore(ZScoreConfig{Window: 12 * time.Hour, Threshold: 4.5})))
		}
		return NewEach(models...)
	}},
	{"any", func(n int) (VectorModel, error) {
		f, err := NewIForest(IForestConfig{Trees: 50, Window: 12 * time.Hour, Inputs: n})
		if err != nil {
			return nil, err
		}
		j, err := NewJoint(n)
		if err != nil {
			return nil, err
		}
		return NewAnyVector(f, j)
	}},
	{"lstm", func(n int) (VectorModel, error) { return NewLSTM(LSTMConfig{Lookback: 32, Hidden: 8, Inputs: n}) }},
}

func newVectorModel(t testing.TB, make func(int) (VectorModel, error), inputs int) VectorModel {
	t.Helper()
	m, err := make(inputs)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// load is three inputs of one service: requests wobble, CPU follows them, and
// errors are rare and small.
func load(r *rand.Rand, i int) Vector {
	requests := 100 + 20*math.Sin(float64(i)/90) + 5*r.NormFloat64()
	return Vector{T: int64(i) * 60_000, V: []float64{requests, requests/2 + r.NormFloat64(), math.Abs(r.NormFloat64()) / 10}}
}

func taught(t testing.TB, m VectorModel, points int) *rand.Rand {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range points {
		m.Learn(load(r, i), 1)
	}
	if m.State() != Ready {
		t.Fatalf("%s is %s after %d points", m.Name(), m.State(), points)
	}
	return r
}

func TestVectorModelsFind(t *testing.T) {
	for _, k := range vectorModels {
		t.Run(k.name, func(t *testing.T) {
			m := newVectorModel(t, k.make, 3)
			r := taught(t, m, 4000)
			above := 0
			share := make([]float64, 3)
			for i := 4000; i < 6000; i++ {
				p := load(r, i)
				v := m.Score(p, share)
				if v.Score > 1 {
					above++
				}
				if sum := share[0] + share[1] + share[2]; math.Abs(sum-1) > 1e-9 {
					t.Fatalf("shares %v add to %v", share, sum)
				}
				m.Learn(p, 1)
			}
			if above > 10 {
				t.Errorf("%d of 2000 usual points score above 1", above)
			}
			// Errors far beyond anything: found at once, and named.
			p := load(r, 6000)
			p.V[2] = 50
			if v := m.Score(p, share); !(v.Score > 1) || share[2] < 0.5 {
				t.Errorf("errors at 50 score %v with shares %v", v.Score, share)
			}
		})
	}
}

// Each input is within what it has been; only together they are odd.
func TestJointSeesWhatDoesNotFit(t *testing.T) {
	m := newVectorModel(t, vectorModels[0].make, 3)
	r := taught(t, m, 4000)
	share := make([]float64, 3)
	best := 0.0
	for i := range 5 { // it is smoothed: give it some points
		p := load(r, 4000+i)
		p.V[0], p.V[1] = 120, 42 // as many requests as ever, and as little CPU
		v := m.Score(p, share)
		best = max(best, v.Score)
		m.Learn(p, 0.05)
	}
	if best <= 1 || share[0]+share[1] < 0.9 {
		t.Errorf("requests without CPU score %v, shares %v", best, share)
	}
}

// The distance is that of the textbook, by another route.
func TestJointDistance(t *testing.T) {
	m, err := NewJoint(3)
	if err != nil {
		t.Fatal(err)
	}
	r := taught(t, m, 3000)
	m.factor()
	corr := mat.NewSymDense(3, nil)
	for i := range 3 {
		for k := range i + 1 {
			v := m.corr[at(i, k)]
			if i == k {
				v += jointRidge
			}
			corr.SetSym(i, k, v)
		}
	}
	var inverse mat.Dense
	if err := inverse.Inverse(corr); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		p := load(r, 3000+i)
		p.V[i%3] *= 1 + float64(i%7)
		got, ok := m.distance(p)
		z := mat.NewVecDense(3, append([]float64(nil), m.z...))
		var y mat.VecDense
		y.MulVec(&inverse, z)
		if want := mat.Dot(z, &y) / 3; !ok || math.Abs(got-want) > 1e-9*want {
			t.Fatalf("distance %v, want %v", got, want)
		}
	}
	// The correlations are those that the points were made with: requests and
	// CPU move together, errors alone.
	if a, b := m.corr[at(1, 0)], m.corr[at(2, 0)]; a < 0.85 || math.Abs(b) > 0.2 {
		t.Errorf("correlations %v and %v", a, b)
	}
}

// Units do not matter: an input in other units scores the same.
func TestVectorModelsKnowNoUnits(t *testing.T) {
	for _, k := range vectorModels {
		a, b := newVectorModel(t, k.make, 3), newVectorModel(t, k.make, 3)
		r := rand.New(rand.NewPCG(3, 4))
		for i := range 1500 {
			p := load(r, i)
			if i%97 == 0 {
				p.V[i%3] *= 3
			}
			q := Vector{T: p.T, V: []float64{p.V[0] * 1024, p.V[1] / 64, p.V[2] * 2}} // exact in binary
			x, y := a.Score(p, nil).Score, b.Score(q, nil).Score
			if math.IsNaN(x) != math.IsNaN(y) || math.Abs(x-y) > 1e-6*(1+math.Abs(x)) {
				t.Fatalf("%s: point %d scores %v and %v in other units", k.name, i, x, y)
			}
			a.Learn(p, 1)
			b.Learn(q, 1)
		}
	}
}

// A model that was saved and loaded at any point goes on as if it had not, and
// its state stays as small.
func TestVectorModelsRestore(t *testing.T) {
	for _, k := range vectorModels {
		a := newVectorModel(t, k.make, 3)
		r := rand.New(rand.NewPCG(5, 6))
		most := 0
		for i := range 3000 {
			if i%50 == 0 {
				state, err := a.AppendBinary(nil)
				if err != nil {
					t.Fatal(err)
				}
				b := newVectorModel(t, k.make, 3)
				if err := b.UnmarshalBinary(state); err != nil {
					t.Fatalf("%s after %d points: %v", k.name, i, err)
				}
				again, err := b.AppendBinary(nil)
				if err != nil || !bytes.Equal(state, again) {
					t.Fatalf("%s after %d points: another state after loading it, %v", k.name, i, err)
				}
				if i > 2000 && len(state) > most+64 {
					t.Fatalf("%s: %d bytes after %d points, %d before", k.name, len(state), i, most)
				}
				most = max(most, len(state))
				x, y := a.Score(load(rand.New(rand.NewPCG(9, 9)), i), nil), b.Score(load(rand.New(rand.NewPCG(9, 9)), i), nil)
				if x.Score != y.Score && !(math.IsNaN(x.Score) && math.IsNaN(y.Score)) {
					t.Fatalf("%s after %d points: %v, and %v when loaded", k.name, i, x, y)
				}
				for cut := 0; cut < len(state); cut += 1 + len(state)/40 {
					if err := newVectorModel(t, k.make, 3).UnmarshalBinary(state[:cut]); err == nil {
						t.Fatalf("%s: %d of %d bytes load", k.name, cut, len(state))
					}
				}
				a = b
			}
			a.Learn(load(r, i), 1)
		}
		if err := newVectorModel(t, k.make, 2).UnmarshalBinary(stateOf(t, a)); err == nil {
			t.Errorf("%s: the state of three inputs loads into two", k.name)
		}
	}
}

// Missing, infinite and repeated numbers neither break a model nor teach it.
func TestVectorModelsAreSafe(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, k := range vectorModels {
		m := newVectorModel(t, k.make, 3)
		r := taught(t, m, 1000)
		share := make([]float64, 3)
		for i, odd := range [][]float64{{nan, nan, nan}, {nan, 50, 0.1}, {inf, 50, 0.1}, {-inf, inf, nan}, {1e308, -1e308, 0}, {0, 0, 0}} {
			p := Vector{T: int64(1000+i) * 60_000, V: odd}
			v := m.Score(p, share)
			if all := i == 0; math.IsNaN(v.Score) != all || v.Score < 0 || v.Score > maxScore {
				t.Errorf("%s: %v scores %v", k.name, odd, v.Score)
			}
			m.Learn(p, 1)
			m.Learn(p, 1) // not newer
		}
		for i := 1010; i < 3000; i++ {
			m.Learn(load(r, i), 1)
		}
		if v := m.Score(load(r, 3000), nil); !(v.Score < 1) {
			t.Errorf("%s: a usual point scores %v afterwards", k.name, v.Score)
		}
	}
}

// The score grows with how far an input is off.
func TestVectorModelsAreMonotone(t *testing.T) {
	for _, k := range vectorModels {
		m := newVectorModel(t, k.make, 3)
		r := taught(t, m, 2000)
		p := load(r, 2000)
		last := 0.0
		for _, errors := range []float64{0.1, 0.3, 0.5, 1, 2, 5, 50, 1e6} {
			p.V[2] = errors
			v := m.Score(p, nil)
			if v.Score < last {
				t.Errorf("%s: errors at %v score %v, less than fewer of them (%v)", k.name, errors, v.Score, last)
			}
			last = v.Score
		}
	}
}

// One series, value and change: a jump within the range of values is found.
func TestAlone(t *testing.T) {
	f, err := NewIForest(IForestConfig{Trees: 100, Window: 24 * time.Hour, Inputs: 2})
	if err != nil {
		t.Fatal(err)
	}
	a := NewAlone(f)
	s := NewScorer(a, ScorerConfig{Direction: Above})
	r := rand.New(rand.NewPCG(8, 8))
	value := func(i int) float64 { return 50 + 40*math.Sin(float64(i)/60) + r.NormFloat64() }
	for i := range 4000 {
		s.Step(Point{T: int64(i) * 60_000, V: value(i)})
	}
	at := int64(4000) * 60_000
	if v := a.Score(Point{T: at, V: value(4000)}); !(v.Score < 1) || math.Abs(v.Expected-50) > 40 {
		t.Errorf("a usual point: %+v", v)
	}
	if v := a.Score(Point{T: at, V: 140}); !(v.Score > 1) {
		t.Errorf("a value never seen: %+v", v)
	}
	if v := a.Score(Point{T: at, V: a.last.V + 45}); !(v.Score > 1) {
		t.Errorf("a jump of half the range: %+v", v)
	}
	state := stateOf(t, s)
	f2, _ := NewIForest(IForestConfig{Trees: 100, Window: 24 * time.Hour, Inputs: 2})
	s2 := NewScorer(NewAlone(f2), ScorerConfig{Direction: Above})
	if err := s2.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	if x, y := s.Step(Point{T: at, V: 99}), s2.Step(Point{T: at, V: 99}); x.Score != y.Score {
		t.Errorf("%v, and %v when loaded", x, y)
	}
}

func stateOf(t testing.TB, m interface{ AppendBinary([]byte) ([]byte, error) }) []byte {
	t.Helper()
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
