package detect

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// vectorModels are all models of several inputs, for what they promise alike.
var vectorModels = []struct {
	name string
	make func(inputs int) (VectorModel, error)
}{
	{"joint", func(n int) (VectorModel, error) { return NewJoint(JointConfig{Inputs: n}) }},
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
		j, err := NewJoint(JointConfig{Inputs: n})
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

// noises are inputs in which nothing happens, of one entity.
var noises = map[string]func(r *rand.Rand) func() []float64{
	"normal": func(r *rand.Rand) func() []float64 {
		return func() []float64 { return []float64{r.NormFloat64(), 5 + r.NormFloat64(), 1e6 + 1e3*r.NormFloat64()} }
	},
	"together": func(r *rand.Rand) func() []float64 {
		return func() []float64 {
			v, all := make([]float64, 12), r.NormFloat64()
			for i := range v {
				v[i] = 100 + 3*all + r.NormFloat64()
			}
			return v
		}
	},
	"exponential": func(r *rand.Rand) func() []float64 {
		return func() []float64 {
			v := make([]float64, 6)
			for i := range v {
				v[i] = r.ExpFloat64()
			}
			return v
		}
	},
	"slow": func(r *rand.Rand) func() []float64 { // each value remembers the one before
		v := make([]float64, 5)
		return func() []float64 {
			for i := range v {
				v[i] = 0.8*v[i] + r.NormFloat64()
			}
			return append([]float64(nil), v...)
		}
	},
	"uniform": func(r *rand.Rand) func() []float64 {
		return func() []float64 { return []float64{r.Float64(), r.Float64(), r.Float64(), r.Float64()} }
	},
}

// In noise, alerts of several inputs come at no more than three times the budget,
// over all steps, and larger budgets are spent: more alerts.
func TestJointKeepsTheBudget(t *testing.T) {
	arithmetic(t)
	const entities, firstDays, days = 6, 3, 20
	for name, of := range noises {
		before := -1
		for _, alerts := range []float64{1.0 / 30, 1.0 / 7, 1} {
			began := 0
			for _, step := range []int64{60, 300, 3600} {
				for e := range entities {
					next := of(rand.New(rand.NewPCG(uint64(e), 7)))
					m, err := NewJoint(JointConfig{Inputs: len(next()), Alerts: alerts})
					if err != nil {
						t.Fatal(err)
					}
					s := NewVectorScorer(m, ScorerConfig{})
					for at := int64(0); at < (firstDays+days)*86400; at += step {
						if v := s.Step(Vector{T: at * 1000, V: next()}, nil); v.Onset > 1 && at > firstDays*86400 {
							began++
						}
					}
				}
			}
			most := 3 * alerts * 3 * entities * days
			if float64(began) > most || began < before {
				t.Errorf("%s: %d alerts at a budget of %.3g a day, want at most %.0f, and at least %d as with less", name, began, alerts, most, before)
			}
			before = began
		}
		if before == 0 {
			t.Errorf("%s: a budget of one alert a day is not spent at all", name)
		}
	}
}

// One absurd value, however large, is told, and changes little: the next
// ordinary incident is found as after a glitch of thirty deviations, and named.
func TestJointAfterAGlitch(t *testing.T) {
	f := func(size float64, input int) {
		t.Helper()
		m, err := NewJoint(JointConfig{Inputs: 3})
		if err != nil {
			t.Fatal(err)
		}
		s, r := NewVectorScorer(m, ScorerConfig{}), rand.New(rand.NewPCG(1, 2))
		share := make([]float64, 3)
		for i := range 6000 {
			p := load(r, i)
			if i == 5000 {
				p.V[input] += size
			}
			v := s.Step(p, share)
			if i == 5000 && !(v.Onset > 1 && share[input] > 0.5) {
				t.Errorf("input %d off by %g: %+v, shares %.2f", input, size, v, share)
			}
			if i > 5100 && v.Score > 1 {
				t.Fatalf("input %d off by %g: usual values score %.2f %d points later", input, size, v.Score, i-5000)
			}
		}
		told := false
		for i := 6000; i < 6010; i++ {
			p := load(r, i)
			p.V[2] += 1 // ten times its spread
			v := s.Step(p, share)
			told = told || v.Onset > 1 && share[2] > 0.5
		}
		if !told {
			t.Errorf("input %d off by %g: errors 1000 points later are not told", input, size)
		}
	}
	for _, size := range []float64{500, 1e4, 1e9, 1 << 60, 1e30, -1e12} {
		for input := range 3 {
			f(size, input)
		}
	}
}

// What goes on stays reported until it is accepted; a leak is not accepted
// while it grows.
func TestJointAcceptsLevels(t *testing.T) {
	const accept = 6 * time.Hour
	f := func(what string, by func(minutes float64) float64, accepted bool) {
		t.Helper()
		m, err := NewJoint(JointConfig{Inputs: 3})
		if err != nil {
			t.Fatal(err)
		}
		s, r := NewVectorScorer(m, ScorerConfig{Accept: accept}), rand.New(rand.NewPCG(1, 2))
		for i := range 6000 {
			s.Step(load(r, i), nil)
		}
		above, last := 0, 0
		for i := range 1440 {
			p := load(r, 6000+i)
			p.V[2] += by(float64(i))
			if v := s.Step(p, nil); v.Score > 1 {
				above++
				last = i
			}
		}
		if hours := float64(last) / 60; accepted != (hours < 12) || hours < 6 || above < last*9/10 {
			t.Errorf("%s: above 1 for %d minutes, the last %.1f hours after it began", what, above, hours)
		}
	}
	f("level", func(float64) float64 { return 2 }, true)
	f("leak", func(minutes float64) float64 { return 2 + minutes/60 }, false)
}
