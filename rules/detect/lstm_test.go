package detect

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// The gradient is that of finite differences.
func TestLSTMGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for trial := range 5 {
		const in, hidden, out, steps = 4, 3, 2, 9
		n := newLSTMNet[float64](in, hidden, out, uint64(trial))
		for i := range n.w {
			n.w[i] += 0.3 * r.NormFloat64()
		}
		var rows [][]float64
		var weights []float64
		for range steps + 1 {
			row := make([]float64, in)
			for i := range row {
				row[i] = 1.5 * r.NormFloat64() // some errors are beyond Huber's delta
			}
			rows, weights = append(rows, row), append(weights, r.Float64())
		}
		h, c := []float64{0.1, -0.2, 0.3}, []float64{0.5, 0, -0.4}
		tr := n.trace(steps)
		n.gradient(rows, weights, h, c, tr)
		got := append([]float64(nil), tr.grad...)
		const e = 1e-6
		for i := range n.w {
			w := n.w[i]
			n.w[i] = w + e
			up := n.gradient(rows, weights, h, c, tr)
			n.w[i] = w - e
			down := n.gradient(rows, weights, h, c, tr)
			n.w[i] = w
			if want := (up - down) / (2 * e); math.Abs(got[i]-want) > 1e-6+1e-4*math.Abs(want) {
				t.Fatalf("weight %d: gradient %v, by differences %v", i, got[i], want)
			}
		}
	}
}

// Adam's first step is its rate against the sign of each gradient (Kingma and
// Ba, section 2), whatever the gradient's size.
func TestAdamFirstStep(t *testing.T) {
	n := newLSTMNet[float64](1, 1, 1, 0)
	before := append([]float64(nil), n.w...)
	grad := make([]float64, len(n.w))
	for i := range grad {
		grad[i] = 0.01 * float64(i-3)
	}
	n.update(grad)
	for i := range grad {
		want := before[i]
		if grad[i] != 0 {
			want -= math.Copysign(lstmRate, grad[i])
		}
		if math.Abs(n.w[i]-want) > 1e-5 {
			t.Errorf("weight %d went from %v to %v, want %v", i, before[i], n.w[i], want)
		}
	}
}

// saw is a shape that neither the last value nor a mean predicts.
func saw(i int) float64 { return 10 + 5*math.Mod(float64(i), 12)/12 + 3*float64((i/6)%2) }

func trainedLSTM(t testing.TB, points int) (LSTMAlone, *rand.Rand) {
	t.Helper()
	m, err := NewLSTMAlone(LSTMConfig{Lookback: 32, Hidden: 12})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(4, 4))
	for i := range points {
		m.Learn(Point{T: int64(i) * 60_000, V: saw(i) + 0.05*r.NormFloat64()}, 1)
	}
	return m, r
}

// It learns the shape: its predictions beat the last value by far.
func TestLSTMLearns(t *testing.T) {
	m, r := trainedLSTM(t, 6000)
	var errNet, errLast float64
	for i := 6000; i < 6200; i++ {
		p := Point{T: int64(i) * 60_000, V: saw(i) + 0.05*r.NormFloat64()}
		v := m.Score(p)
		errNet += math.Abs(v.Expected - saw(i))
		errLast += math.Abs(saw(i-1) - saw(i))
		m.Learn(p, 1)
	}
	if errNet > errLast/3 {
		t.Errorf("mean error %v, of the last value %v", errNet/200, errLast/200)
	}
	at := int64(6200) * 60_000
	good, bad := m.Score(Point{T: at, V: saw(6200)}), m.Score(Point{T: at, V: saw(6206)})
	if !(good.Score < 1) || !(bad.Score > 1) {
		t.Errorf("the shape scores %v, its other half %v", good.Score, bad.Score)
	}
	if v := m.Score(Point{T: at, V: good.Upper}); math.Abs(v.Score-1) > 0.05 {
		t.Errorf("the edge of the band scores %v", v.Score)
	}
	mid, lower, upper := m.Forecast(at+20*60_000, 0.9)
	if math.Abs(mid-saw(6220)) > 1.5 || !(lower < mid && mid < upper) {
		t.Errorf("forecast %v in %v to %v, want %v", mid, lower, upper, saw(6220))
	}
}

// Missing points are stepped over by predictions: the phase is kept.
func TestLSTMGap(t *testing.T) {
	m, _ := trainedLSTM(t, 6000)
	// Three points are missing, then the right value and that of a net that
	// did not notice.
	at := int64(6003) * 60_000
	right, late := m.Score(Point{T: at, V: saw(6003)}), m.Score(Point{T: at, V: saw(6000)})
	if !(right.Score < late.Score) || !(right.Score < 1) {
		t.Errorf("behind a gap the right value scores %v, another one %v", right.Score, late.Score)
	}
	m.Learn(Point{T: at, V: saw(6003)}, 1)
	if v := m.Score(Point{T: at + 60_000, V: saw(6004)}); !(v.Score < 1) {
		t.Errorf("after the gap: %+v", v)
	}
}

func TestLSTMConfig(t *testing.T) {
	for _, c := range []LSTMConfig{{Lookback: 4, Hidden: 4, Inputs: 1}, {Lookback: 64, Hidden: 0, Inputs: 1}, {Lookback: 64, Hidden: 1, Inputs: 0}, {Lookback: 4096, Hidden: 1, Inputs: 1}} {
		if _, err := NewLSTM(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func BenchmarkLSTM(b *testing.B) {
	m, err := NewLSTMAlone(LSTMConfig{Lookback: 64, Hidden: 16})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := range b.N {
		p := Point{T: int64(i) * int64(time.Minute/time.Millisecond), V: saw(i)}
		m.Score(p)
		m.Learn(p, 1)
	}
	b.ReportMetric(float64(len(stateOf(b, m))), "state-B")
}
