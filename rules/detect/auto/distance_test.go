package auto

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// load is three inputs of one service: requests wobble, CPU follows them, and
// errors are rare and small.
func load(r *rand.Rand, i int) []float64 {
	requests := 100 + 20*math.Sin(float64(i)/90) + 5*r.NormFloat64()
	return []float64{requests, requests/2 + r.NormFloat64(), math.Abs(r.NormFloat64()) / 10}
}

func loaded(points int) (*Several, *rand.Rand) {
	m, r := NewSeveral(Config{}, 3), rand.New(rand.NewPCG(1, 2))
	for i := range points {
		m.Learn(int64(i)*60_000, load(r, i), false)
	}
	return m, r
}

// The distance is that of the textbook, by another route.
func TestDistance(t *testing.T) {
	m, r := loaded(3000)
	d := &m.far
	d.factor()
	corr := mat.NewSymDense(3, nil)
	for i := range 3 {
		for k := range i + 1 {
			v := d.corr[at(i, k)]
			if i == k {
				v += ridge
			}
			corr.SetSym(i, k, v)
		}
	}
	var inverse mat.Dense
	if err := inverse.Inverse(corr); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		v := load(r, 3000+i)
		v[i%3] *= 1 + float64(i%7)
		m.look(int64(3000+i)*60_000, v)
		z := mat.NewVecDense(3, append([]float64(nil), d.z...))
		var y mat.VecDense
		y.MulVec(&inverse, z)
		if want := mat.Dot(z, &y) / 3; math.Abs(d.now-want) > 1e-9*want {
			t.Fatalf("distance %v, want %v", d.now, want)
		}
	}
	// The correlations are those that the points were made with: requests and
	// CPU move together, errors alone. So these are about two inputs.
	if a, b := d.corr[at(1, 0)], d.corr[at(2, 0)]; a < 0.85 || math.Abs(b) > 0.2 || d.independent < 1.5 || d.independent > 2.5 {
		t.Errorf("correlations %v and %v, as many as %v independent inputs", a, b, d.independent)
	}
}

// A normal distribution of the cube root has its threshold where the normal
// distribution says.
func TestDistanceThreshold(t *testing.T) {
	d := newDistance(2)
	r := rand.New(rand.NewPCG(3, 3))
	for range 30_000 {
		d.stat[ofShort] = float32(math.Pow(1+0.1*r.NormFloat64(), 1/cubeRoot))
		d.teach(ofShort, 1e-5)
	}
	if got, want := float64(d.threshold(ofShort)), math.Pow(1+0.1*4.265, 1/cubeRoot); math.Abs(got/want-1) > 0.1 {
		t.Errorf("threshold %v, want %v", got, want)
	}
}

// A state of any bytes is refused, or that of a model that goes on.
func FuzzUnmarshalSeveral(f *testing.F) {
	for _, n := range []int{0, 1, 40, 900, 2000} {
		m, r := loaded(n)
		for i := range min(n, 20) {
			v := load(r, n+i)
			v[1] += 40
			m.Learn(int64(n+i)*60_000, v, i > 2)
		}
		b, err := m.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := NewSeveral(Config{}, 3)
		if m.UnmarshalBinary(b) != nil {
			return
		}
		again, err := m.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatal("what was read is not what is written", err)
		}
		r, at := rand.New(rand.NewPCG(1, 2)), m.last
		if at > math.MaxInt64/4 || at < math.MinInt64/4 {
			at = 0
		}
		for i := range 1000 {
			at += 60_000
			v := load(r, i)
			out, ok := m.Judge(at, v, make([]float64, 3))
			if !ok {
				t.Fatal("values are there, and no verdict is")
			}
			m.Learn(at, v, out.Evidence > 1)
		}
	})
}
