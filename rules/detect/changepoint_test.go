package detect

import (
	"math"
	"math/bits"
	"math/rand"
	"testing"
)

// The beliefs of the recursion against all 2^(n−1) ways to cut the points into
// stretches, each weighed by the closed form of its evidence (K. Murphy,
// Conjugate Bayesian analysis of the Gaussian distribution, 2007, eq. 95).
func TestChangepointEqualsEnumeration(t *testing.T) {
	const n, hazard = 12, 0.1
	before := normalGamma{kappa: 0.3, mu: 1, alpha: 1.5, beta: 2}
	evidence := func(xs []float64) float64 {
		k := float64(len(xs))
		var mean, squares float64
		for _, x := range xs {
			mean += x / k
		}
		for _, x := range xs {
			squares += (x - mean) * (x - mean)
		}
		kappa, alpha := before.kappa+k, before.alpha+k/2
		beta := before.beta + squares/2 + before.kappa*k*(mean-before.mu)*(mean-before.mu)/(2*kappa)
		a, _ := math.Lgamma(alpha)
		b, _ := math.Lgamma(before.alpha)
		return math.Exp(a - b + before.alpha*math.Log(before.beta) - alpha*math.Log(beta) +
			math.Log(before.kappa/kappa)/2 - k/2*math.Log(2*math.Pi))
	}
	rnd := rand.New(rand.NewSource(61))
	xs := make([]float64, n)
	for i := range xs {
		if xs[i] = rnd.NormFloat64(); i >= 7 {
			xs[i] += 4
		}
	}
	want, total := make([]float64, n), 0.0 // by the start of the last stretch
	for cuts := range 1 << (n - 1) {       // bit i: a change before point i+1
		weight, start := math.Pow(hazard, float64(bits.OnesCount(uint(cuts))))*math.Pow(1-hazard, float64(n-1-bits.OnesCount(uint(cuts)))), 0
		for i := 1; i <= n; i++ {
			if i == n || cuts>>(i-1)&1 == 1 {
				weight *= evidence(xs[start:i])
				if i < n {
					start = i
				}
			}
		}
		want[start] += weight
		total += weight
	}

	m := must(NewChangepoint(ChangepointConfig{}))
	fresh := func(at int) changeRun {
		r := changeRun{normalGamma: before, start: int64(at)}
		r.derive()
		return r
	}
	first := fresh(0)
	first.p = 1
	first.learn(xs[0], 1)
	first.derive()
	m.runs = append(m.runs, first)
	for i := 1; i < n; i++ {
		m.step(Point{int64(i), xs[i]}, 1, hazard, fresh(i))
	}
	for _, r := range m.runs {
		if w := want[r.start] / total; math.Abs(r.p-w) > 1e-10 {
			t.Errorf("a stretch from point %d has %v of the belief, want %v", r.start, r.p, w)
		}
	}
	if len(m.runs) != n {
		t.Errorf("%d stretches", len(m.runs))
	}
}

func TestGammaRatio(t *testing.T) {
	for nu := 0.5; nu < 500; nu *= 1.1 {
		a, _ := math.Lgamma((nu + 1) / 2)
		b, _ := math.Lgamma(nu / 2)
		if got := gammaRatio(nu); math.Abs(got-(a-b-math.Log(nu/2)/2)) > 1e-8 {
			t.Errorf("%v: %v, want %v", nu, got, a-b-math.Log(nu/2)/2)
		}
	}
}

// A shift by three deviations is small for one point; several make it sure.
func TestChangepointSeesASmallShiftThatStays(t *testing.T) {
	late, missed := 0, 0
	const runs = 40
	for seed := range int64(runs) {
		s, rnd := NewScorer(must(NewChangepoint(ChangepointConfig{})), ScorerConfig{}), rand.New(rand.NewSource(seed))
		for i := range 1500 {
			s.Step(Point{int64(i) * 60_000, rnd.NormFloat64()})
		}
		found := -1
		var v Verdict
		for i := range 400 {
			v = s.Step(Point{int64(1500+i) * 60_000, 3 + rnd.NormFloat64()})
			if v.Score > 1 && found < 0 {
				found = i
			}
		}
		switch {
		case found < 0:
			missed++
		case found > 8:
			late++
		}
		if math.Abs(v.Expected-3) > 0.5 {
			t.Errorf("after the shift %v is expected", v.Expected)
		}
	}
	t.Logf("%d late, %d missed", late, missed)
	if missed > 0 || late > runs/10 {
		t.Errorf("of %d shifts %d are seen later than 8 points, %d never", runs, late, missed)
	}
}
