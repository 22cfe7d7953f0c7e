package detect

import (
	"math"
	"math/big"
	"math/rand"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// exactTail sums the beta-binomial probabilities of x or more with rational
// numbers: C(n,k) B(k+a, n-k+b) / B(a,b) for whole a and b, in which the beta
// functions are factorials.
func exactTail(n, x, a, b int64) float64 {
	factorial := func(n int64) *big.Int { return new(big.Int).MulRange(1, max(n, 1)) }
	beta := func(a, b int64) *big.Rat {
		return new(big.Rat).SetFrac(new(big.Int).Mul(factorial(a-1), factorial(b-1)), factorial(a+b-1))
	}
	sum := new(big.Rat)
	for k := x; k <= n; k++ {
		p := new(big.Rat).SetInt(new(big.Int).Binomial(n, k))
		p.Mul(p, beta(k+a, n-k+b))
		sum.Add(sum, p.Quo(p, beta(a, b)))
	}
	f, _ := sum.Float64()
	return f
}

func TestRatioTailEqualsTheSumOfProbabilities(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, a, b := rapid.Int64Range(1, 120).Draw(t, "n"), rapid.Int64Range(1, 40).Draw(t, "a"), rapid.Int64Range(1, 40).Draw(t, "b")
		x := rapid.Int64Range(0, n).Draw(t, "x")
		d := newCounts(float64(n), float64(a)/float64(a+b), 1/float64(a+b+1))
		want := exactTail(n, x, a, b)
		if got := d.above(float64(x)); math.Abs(got-want) > 1e-9*want {
			t.Errorf("P(X >= %d) of n=%d a=%d b=%d is %v, want %v", x, n, a, b, got, want)
		}
		if got := d.below(float64(x)); x < n && math.Abs(got-(1-exactTail(n, x+1, a, b))) > 1e-9 {
			t.Errorf("P(X <= %d) of n=%d a=%d b=%d is %v", x, n, a, b, got)
		}
	})
}

// TestRatioOfManyIsNearTheSum holds the beta distribution that stands for long
// sums against the sum.
func TestRatioOfManyIsNearTheSum(t *testing.T) {
	for _, mean := range []float64{0.3, 0.05} {
		for _, correlation := range []float64{1e-4, 1e-2} {
			d := newCounts(20000, mean, correlation)
			if d.exact {
				t.Fatalf("mean %v correlation %v is summed", mean, correlation)
			}
			like := d
			like.exact = true
			for x := math.Floor(20000 * mean); x < 20000; x += 50 {
				got, want := d.above(x), like.above(x)
				if want < 1e-12 {
					break
				}
				if r := math.Log(got) / math.Log(want); r < 0.8 || r > 1.25 {
					t.Errorf("mean %v correlation %v: P(X >= %v) is %v, summed %v", mean, correlation, x, got, want)
				}
			}
		}
	}
}

// service feeds minutes of a service whose error ratio wobbles by itself.
// It counts how often the score passes 1.
func service(s *Scorer, rnd *rand.Rand, from, points int, total, wobble float64) int {
	var anomalous beginnings
	for i := range points {
		n := total * (0.5 + rnd.Float64())
		p := 0.02 * math.Exp(wobble*rnd.NormFloat64())
		errs := math.Round(n*p + math.Sqrt(n*p*(1-p))*rnd.NormFloat64())
		_, v := s.StepRatio(int64(from+i)*60_000, max(errs, 0), math.Round(n))
		anomalous.note(v)
	}
	return anomalous.n
}

func TestRatioWeighsByTraffic(t *testing.T) {
	for _, c := range []struct{ total, wobble float64 }{{50, 0}, {500, 0}, {5000, 0.3}, {1e6, 0.3}} {
		s := NewScorer(must(NewRatio(RatioConfig{})), ScorerConfig{})
		rnd := rand.New(rand.NewSource(1))
		service(s, rnd, 0, 1000, c.total, c.wobble)
		if n := service(s, rnd, 1000, 2000, c.total, c.wobble); n > 3+int(40*c.wobble) {
			t.Errorf("%v: %d of 2000 usual points are anomalous", c, n)
		}
		score := func(errs, total float64) float64 {
			again := NewScorer(must(NewRatio(RatioConfig{})), ScorerConfig{})
			b, _ := s.AppendBinary(nil)
			if err := again.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
			_, v := again.StepRatio(3000*60_000, errs, total)
			return v.Score
		}
		if v := score(10, 20); !(v > 1) {
			t.Errorf("%v: half of 20 scores %v", c, v)
		}
		if v := score(1, 20); !(v < 1) {
			t.Errorf("%v: 1 of 20 scores %v", c, v)
		}
		if v := score(1, 2); v != 0 {
			t.Errorf("%v: 1 of 2, below min_total, scores %v", c, v)
		}
		if few, many := score(3, 20), score(15, 100); !(few < many) {
			t.Errorf("%v: 15 %% of 20 score %v, of 100 %v", c, few, many)
		}
		last := 0.0
		for errs := c.total * 0.03; errs <= c.total; errs += c.total / 16 {
			if v := score(math.Round(errs), c.total); v < last {
				t.Errorf("%v: %v errors score %v, fewer %v", c, errs, v, last)
			} else {
				last = v
			}
		}
	}
}

// TestRatioBorderScoresOne holds the band against the score.
func TestRatioBorderScoresOne(t *testing.T) {
	m := must(NewRatio(RatioConfig{Window: 10 * time.Hour}))
	rnd := rand.New(rand.NewSource(2))
	for i := range 500 {
		m.LearnOf(Point{T: int64(i) * 60_000, V: 0.1 + 0.02*rnd.NormFloat64()}, 400, 1)
	}
	for _, total := range []float64{100, 400, 20000, 333.3} {
		v := m.ScoreOf(Point{T: 500 * 60_000, V: 0.1}, total)
		if !(v.Lower < v.Expected && v.Expected < v.Upper) {
			t.Fatalf("of %v: %+v", total, v)
		}
		for edge, outwards := range map[float64]float64{v.Upper: 1, v.Lower: -1} {
			at := m.ScoreOf(Point{T: 500 * 60_000, V: edge + outwards*1e-9}, total).Score
			inside := m.ScoreOf(Point{T: 500 * 60_000, V: edge - outwards*1.5/total}, total).Score
			if edge > 0 && !(at > 0.99 && inside < 1.01) {
				t.Errorf("of %v: %v scores %v, a little inside %v", total, edge, at, inside)
			}
		}
	}
}

func TestOtherModelsLearnARatioByItsTraffic(t *testing.T) {
	s := NewScorer(must(NewAny(must(NewZScore(ZScoreConfig{Window: 24 * time.Hour})), must(NewRatio(RatioConfig{})))), ScorerConfig{})
	for i := range 600 {
		total, ratio := 1000.0, 0.02
		if i%2 == 1 { // thin traffic that fails much
			total, ratio = 1, 1
		}
		s.StepRatio(int64(i)*60_000, ratio*total, total)
	}
	z := bare(s.Model().(*Combined).models[0])
	if mean := z.Score(Point{T: 601 * 60_000, V: 0.02}).Expected; mean > 0.05 {
		t.Errorf("the mean is %v: single requests count as much as a thousand", mean)
	}
	if v, got := s.StepRatio(602*60_000, 0, 0); !math.IsNaN(v) || !math.IsNaN(got.Score) {
		t.Errorf("0 of 0 is %v and scores %v", v, got.Score)
	}
}

func TestRatioStateIsChecked(t *testing.T) {
	m := must(NewRatio(RatioConfig{}))
	service(NewScorer(m, ScorerConfig{}), rand.New(rand.NewSource(3)), 0, 100, 100, 0)
	b, _ := m.AppendBinary(nil)
	again := must(NewRatio(RatioConfig{}))
	if err := again.UnmarshalBinary(b); err != nil || *again != *m {
		t.Errorf("%v: %+v, want %+v", err, again, m)
	}
	for n := range b {
		if must(NewRatio(RatioConfig{})).UnmarshalBinary(b[:n]) == nil {
			t.Errorf("%d of %d bytes are taken", n, len(b))
		}
	}
}

func BenchmarkRatio(b *testing.B) {
	for name, total := range map[string]float64{"of 200": 200, "of 100000": 1e5} {
		b.Run(name, func(b *testing.B) {
			s := NewScorer(must(NewRatio(RatioConfig{})), ScorerConfig{})
			for i := range b.N {
				s.StepRatio(int64(i)*60_000, math.Round(total*(0.02+0.001*float64(i%7))), total)
			}
		})
	}
}
