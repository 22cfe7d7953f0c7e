package detect

import (
	"math"
	"math/rand"
	"testing"
	"time"
)

// The tails against the sum of the probabilities, each from its closed form
// Γ(k+r)/(k! Γ(r))·(1−p)^r·p^k, or Poisson's.
func TestCountTailsEqualTheSum(t *testing.T) {
	for _, d := range []negativeBinomial{
		{0.01, 0.05}, {0.5, math.Inf(1)}, {0.5, 2}, {3, 0.3}, {3, math.Inf(1)}, {20, 5}, {20, 4000}, {150, 10}, {900, 60}, {900, math.Inf(1)},
	} {
		probability := func(k float64) float64 {
			factorial, _ := math.Lgamma(k + 1)
			if math.IsInf(d.size, 1) {
				return math.Exp(k*math.Log(d.mean) - d.mean - factorial)
			}
			a, _ := math.Lgamma(k + d.size)
			b, _ := math.Lgamma(d.size)
			return math.Exp(a - b - factorial + d.size*math.Log(d.size/(d.size+d.mean)) + k*math.Log(d.mean/(d.size+d.mean)))
		}
		top := int(20*d.mean + 60*d.width() + 60)
		above := 0.0
		below := make([]float64, top)
		sum := 0.0
		for k := range top {
			sum += probability(float64(k))
			below[k] = sum
		}
		for k := top - 1; k >= 0; k-- {
			above += probability(float64(k))
			if above > 1e-12 && math.Abs(d.atLeast(float64(k))/above-1) > 1e-6 {
				t.Errorf("%+v: P(X ≥ %d) is %v, want %v", d, k, d.atLeast(float64(k)), above)
				break
			}
			if below[k] > 1e-12 && math.Abs(d.atMost(float64(k))/below[k]-1) > 1e-6 {
				t.Errorf("%+v: P(X ≤ %d) is %v, want %v", d, k, d.atMost(float64(k)), below[k])
				break
			}
		}
	}
}

// Above the exact range the tails must go on where they were.
func TestCountTailsOfLargeCounts(t *testing.T) {
	for _, size := range []float64{3, 50, 1e5, math.Inf(1)} {
		d := negativeBinomial{9000, size}
		for _, z := range []float64{-4, -2, 0, 2, 4, 6} {
			x := math.Round(d.mean + z*d.width())
			if x < 0 || x > countExact {
				continue
			}
			exact, approx := d.atLeast(x), d.normal(x-0.5)
			if a, b := math.Log(exact), math.Log(approx); math.Abs(a-b) > 0.05*math.Abs(a)+0.02 {
				t.Errorf("size %v, %v deviations: %v, approximately %v", size, z, exact, approx)
			}
		}
	}
}

// Of counts that follow the distribution, no more than the rarity score above 1,
// overdispersed or not.
func TestCountIsQuietOnCounts(t *testing.T) {
	for name, draw := range map[string]func(*rand.Rand) float64{
		"rare":    func(r *rand.Rand) float64 { return poisson(r, 0.01) },
		"few":     func(r *rand.Rand) float64 { return poisson(r, 2) },
		"many":    func(r *rand.Rand) float64 { return poisson(r, 300) },
		"bursts":  func(r *rand.Rand) float64 { return poisson(r, 4*r.ExpFloat64()) },
		"regular": func(r *rand.Rand) float64 { return float64(r.Intn(3)) },
	} {
		s, rnd, loud := NewScorer(must(NewCount(CountConfig{})), ScorerConfig{}), rand.New(rand.NewSource(81)), beginnings{}
		const n = 30_000
		at := int64(0)
		for i := range n {
			at += 30_000 + rnd.Int63n(60_000)
			if v := s.Step(Point{at, draw(rnd)}); i > 500 {
				loud.note(v)
			}
		}
		t.Logf("%s: %d of %d", name, loud.n, n)
		if loud.n*500 > n {
			t.Errorf("%s: %d of %d points begin something", name, loud.n, n)
		}
		if v := s.Step(Point{at + 60_000, 2000}); !(v.Score > 1) {
			t.Errorf("%s: a burst of 2000 scores %v", name, v.Score)
		}
	}
}

// poisson draws by inversion; means below 700.
func poisson(r *rand.Rand, mean float64) float64 {
	k, u, p := 0.0, r.Float64(), math.Exp(-mean)
	for u > p && p > 0 {
		u -= p
		k++
		p *= mean / k
		if k > 10*mean+100 {
			break
		}
	}
	return k
}

func TestCountBandIsWhereTheScoreIsOne(t *testing.T) {
	m, rnd := must(NewCount(CountConfig{Window: time.Hour})), rand.New(rand.NewSource(82))
	for i := range 500 {
		m.Learn(Point{int64(i) * 60_000, poisson(rnd, 40*(0.5+rnd.Float64()))}, 1)
	}
	v := m.Score(Point{500 * 60_000, 40})
	for _, edge := range []float64{v.Lower, v.Upper} {
		if s := m.Score(Point{500 * 60_000, edge}).Score; math.Abs(s-1) > 0.1 {
			t.Errorf("at %v the score is %v", edge, s)
		}
	}
}

// A service that never restarts does so once, then again and again.
func TestCountAfterSilence(t *testing.T) {
	m := must(NewCount(CountConfig{}))
	for i := range 2000 {
		m.Learn(Point{int64(i) * 60_000, 0}, 1)
	}
	once, thrice := m.Score(Point{2000 * 60_000, 1}).Score, m.Score(Point{2000 * 60_000, 3}).Score
	if !(once > 0.7 && once < 1.3 && thrice > 2) {
		t.Errorf("one restart scores %v, three %v", once, thrice)
	}
}
