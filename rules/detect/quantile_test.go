package detect

import (
	"math"
	"math/rand"
	"slices"
	"testing"
	"time"
)

// The rank of every quantile against the sorted values, each with the weight
// that time has left it: within the bound of the paper.
func TestDigestEqualsSorting(t *testing.T) {
	for name, draw := range map[string]func(*rand.Rand) float64{
		"normal":      func(r *rand.Rand) float64 { return r.NormFloat64() },
		"exponential": func(r *rand.Rand) float64 { return r.ExpFloat64() },
		"ties":        func(r *rand.Rand) float64 { return float64(r.Intn(5)) },
		"power":       func(r *rand.Rand) float64 { return 1 / (1e-9 + r.Float64()) },
	} {
		for _, tau := range []float64{1e12, 60_000 * 500} {
			d, rnd := newDigest(quantileDelta, tau), rand.New(rand.NewSource(51))
			var all []centroid
			const n = 4000
			for i := range n {
				v := draw(rnd)
				d.add(Point{int64(i) * 60_000, v}, 1)
				all = append(all, centroid{v, math.Exp(-float64(n-1-i) * 60_000 / tau)})
			}
			d.merge((n - 1) * 60_000)
			if len(d.means) > quantileDelta+1 {
				t.Errorf("%s: %d centroids", name, len(d.means))
			}
			slices.SortFunc(all, func(a, b centroid) int { return int(math.Copysign(1, a.value-b.value)) })
			total := 0.0
			for _, c := range all {
				total += c.weight
			}
			if math.Abs(d.weight()/total-1) > 1e-6 {
				t.Errorf("%s: weight %v, want %v", name, d.weight(), total)
			}
			for _, q := range []float64{0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999} {
				got := d.quantile(q)
				var below, upTo float64
				for _, c := range all {
					if c.value < got-1e-9 {
						below += c.weight / total
					}
					if c.value <= got+1e-9 {
						upTo += c.weight / total
					}
				}
				bound := 2*math.Pi*math.Sqrt(q*(1-q))/quantileDelta + 1e-3
				if q < below-bound || q > upTo+bound {
					t.Errorf("%s, τ %v: quantile %v is that of %v to %v, more than %v away", name, tau, q, below, upTo, bound)
				}
			}
		}
	}
}

// With a margin of 0 the stated part of the points lies outside, on both sides
// of a skewed distribution.
func TestQuantilesAreWhatTheySay(t *testing.T) {
	m := must(NewQuantile(QuantileConfig{Lower: 0.05, Upper: 0.9, Window: 1000 * time.Hour})).expecting.(*Quantile)
	rnd, below, above := rand.New(rand.NewSource(52)), 0, 0
	const n = 20_000
	for i := range n {
		p := Point{int64(i) * 60_000, rnd.ExpFloat64()}
		if v := m.Score(p); v.Score > 1 && p.V > v.Expected {
			above++
		} else if v.Score > 1 {
			below++
		}
		m.Learn(p, 1)
	}
	if math.Abs(float64(below)/n-0.05) > 0.01 || math.Abs(float64(above)/n-0.1) > 0.01 {
		t.Errorf("%d of %d below, %d above", below, n, above)
	}
}

// What is normal by day is not by night.
func TestQuantileSeason(t *testing.T) {
	s, rnd := NewScorer(must(NewQuantile(QuantileConfig{Margin: math.NaN(), Season: 24 * time.Hour})), ScorerConfig{}), rand.New(rand.NewSource(53))
	value := func(at int64) float64 {
		return 100 + 80*math.Sin(2*math.Pi*float64(at)/(24*3600_000)) + rnd.NormFloat64()
	}
	loud, at := 0, int64(0)
	for ; at < 14*24*3600_000; at += 300_000 {
		if v := s.Step(Point{at, value(at)}); at > 4*24*3600_000 && v.Score > 1 {
			loud++
		}
	}
	if loud > 15 { // of 2880
		t.Errorf("%d quiet points score above 1", loud)
	}
	if v := s.Step(Point{at + 18*3600_000, 100}); !(v.Score > 1) {
		t.Errorf("the level of midnight at six in the evening: %+v", v)
	}
}
