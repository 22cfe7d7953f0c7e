package detect

import (
	"math"
	"math/rand"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"
)

func feed(m Model, step time.Duration, values ...float64) {
	for i, v := range values {
		m.Learn(Point{T: int64(i+1) * step.Milliseconds(), V: v}, 1)
	}
}

func TestZScoreEqualsWeightedMoments(t *testing.T) {
	m, err := NewZScore(ZScoreConfig{Window: time.Hour, Threshold: 3})
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewSource(1))
	var xs, ws []float64
	for i := range 500 {
		x := rnd.NormFloat64()*3 + 10
		m.Learn(Point{T: int64(i) * 60_000, V: x}, 1)
		xs = append(xs, x)
	}
	for i := range xs {
		ws = append(ws, math.Exp(-float64(len(xs)-1-i)*60_000/(30*60_000)))
	}
	mean := stat.Mean(xs, ws)
	var num, sum, sq float64
	for i, x := range xs {
		num += ws[i] * (x - mean) * (x - mean)
		sum += ws[i]
		sq += ws[i] * ws[i]
	}
	n := sum * sum / sq
	sigma := math.Sqrt(num/sum*n/(n-1)*(1+1/n)) * (1 + 1/n)
	v := m.Score(Point{T: 500 * 60_000, V: mean + 3*sigma})
	if math.Abs(v.Expected-mean) > 1e-9 || math.Abs(v.Score-1) > 1e-9 {
		t.Errorf("verdict %+v, want expected %v and score 1", v, mean)
	}
}

func TestMADEqualsSorting(t *testing.T) {
	rnd := rand.New(rand.NewSource(2))
	for n := minPoints; n <= madSlots; n++ {
		m, err := NewMAD(MADConfig{Window: madSlots * 20 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		var xs []float64
		for i := range n {
			x := math.Round(rnd.NormFloat64() * 5) // ties on purpose
			xs = append(xs, x)
			m.Learn(Point{T: int64(i+1) * 1000 * 3600 * 20, V: x}, 1)
		}
		slices.Sort(xs)
		want := middle(xs)
		dev := make([]float64, n)
		for i, x := range xs {
			dev[i] = math.Abs(x - want)
		}
		slices.Sort(dev)
		if got := m.expecting.(*MAD); got.median != want || got.mad != middle(dev) {
			t.Fatalf("n=%d: median %v mad %v, want %v %v", n, got.median, got.mad, want, middle(dev))
		}
	}
}

func TestMADIgnoresOutliersZScoreDoesNot(t *testing.T) {
	values := make([]float64, 60)
	for i := range values {
		values[i] = 10 + float64(i%5)
		if i%4 == 0 {
			values[i] = 1000
		}
	}
	mad, _ := NewMAD(MADConfig{})
	z, _ := NewZScore(ZScoreConfig{})
	feed(mad, time.Minute, values...)
	feed(z, time.Minute, values...)
	p := Point{T: 61 * 60_000, V: 100}
	if a, b := mad.Score(p).Score, z.Score(p).Score; a <= 1 || b >= 1 {
		t.Errorf("mad %v, zscore %v", a, b)
	}
}
