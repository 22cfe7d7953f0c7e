package detect

import (
	"math"
	"math/rand/v2"
	"testing"
)

// bruteNearest is the distance by its definition: both shapes about their mean
// and in units of their deviation, the nearest one that does not overlap.
func bruteNearest(x []float64, m int, floor float64) float64 {
	shape := func(end int) ([]float64, float64) {
		s := append([]float64(nil), x[end-m+1:end+1]...)
		mean, dev := 0.0, 0.0
		for _, v := range s {
			mean += v / float64(m)
		}
		for i := range s {
			s[i] -= mean
			dev += s[i] * s[i] / float64(m)
		}
		return s, max(math.Sqrt(dev), floor)
	}
	n := len(x) - 1
	a, da := shape(n)
	best := math.Inf(1)
	for j := m - 1; j <= n-m; j++ {
		b, db := shape(j)
		dd := 0.0
		for i := range a {
			e := a[i]/da - b[i]/db
			dd += e * e
		}
		best = min(best, math.Sqrt(dd/float64(2*m)))
	}
	return best
}

func TestDiscordEqualsBruteForce(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := 4 + r.IntN(20)
		d, err := NewDiscord(DiscordConfig{Length: m, History: 6 * m})
		if err != nil {
			t.Fatal(err)
		}
		level, offset := 0.0, 1e6*float64(seed%2) // far from zero products would lose digits
		var x []float64
		for i := range 900 {
			if level += r.NormFloat64(); i%200 > 170 {
				level = 5 // flat
			}
			v := offset + level
			got, _, ok := d.nearest(v, false)
			x = append(x, v)
			if held := x[max(0, len(x)-6*m):]; len(held) >= 2*m {
				want := bruteNearest(held, m, discordFlat*d.spread)
				if d.spread == 0 {
					want = got // nothing is known of the spread yet
				}
				if !ok || math.Abs(got-want) > 1e-5 {
					t.Fatalf("seed %d, length %d, point %d: %v, want %v", seed, m, i, got, want)
				}
			}
			d.Learn(Point{T: int64(i) * 60_000, V: v}, 1)
		}
	}
}

// A beat that comes upside down has the usual values in an unusual order.
func TestDiscordFindsAShape(t *testing.T) {
	d, err := NewDiscord(DiscordConfig{Length: 30, History: 600})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2, 2))
	beat := func(i int) float64 {
		phase := float64(i%30) / 30
		return 10*math.Exp(-80*(phase-0.3)*(phase-0.3)) + 0.1*r.NormFloat64()
	}
	usual, odd, count := 0.0, 0.0, 0
	for i := range 4000 {
		v := beat(i)
		if i >= 3000 && i < 3030 {
			v = 10 - v
		}
		s := d.Score(Point{T: int64(i) * 60_000, V: v}).Score
		if s > 1 && (i < 3000 || i > 3100) && i > 1000 {
			count++
		}
		switch {
		case i > 2000 && i < 3000:
			usual = max(usual, s)
		case i >= 3000 && i < 3060:
			odd = max(odd, s)
		}
		d.Learn(Point{T: int64(i) * 60_000, V: v}, 1)
	}
	if !(odd > 1.3) || count > 6 {
		t.Errorf("the odd beat scores %v, usual ones at most %v, %d of them above 1", odd, usual, count)
	}
}

// Missing points are interpolated, and no shape spans a long gap.
func TestDiscordGaps(t *testing.T) {
	d, err := NewDiscord(DiscordConfig{Length: 10, History: 200})
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for i := range 300 {
		at += 60_000
		d.Learn(Point{T: at, V: math.Sin(float64(i))}, 1)
	}
	n := d.n
	at += 3 * 60_000 // two are missing
	d.Learn(Point{T: at, V: 0}, 1)
	if d.n != n+3 || d.run[d.at(d.n-1)] != 10 {
		t.Errorf("%d points taken, run %d", d.n-n, d.run[d.at(d.n-1)])
	}
	at += 60 * 60_000
	if v := d.Score(Point{T: at, V: 5}); v.Score != 0 {
		t.Errorf("behind a gap nothing is known: %+v", v)
	}
	d.Learn(Point{T: at, V: 5}, 1)
	if d.n != n+4 || d.run[d.at(d.n-1)] != 1 {
		t.Errorf("%d points taken, run %d", d.n-n, d.run[d.at(d.n-1)])
	}
}

func TestDiscordConfig(t *testing.T) {
	for _, c := range []DiscordConfig{{Length: 3, History: 100}, {Length: 50, History: -1}, {Length: 50, History: 1 << 17}} {
		if _, err := NewDiscord(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func BenchmarkDiscord(b *testing.B) {
	d, err := NewDiscord(DiscordConfig{Length: 50, History: 1024})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := range b.N {
		p := Point{T: int64(i) * 60_000, V: math.Sin(float64(i) / 7)}
		d.Score(p)
		d.Learn(p, 1)
	}
	b.ReportMetric(float64(len(stateOf(b, d))), "state-B")
}
