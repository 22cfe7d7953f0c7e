package detect

import (
	"math"
	"math/cmplx"
	"math/rand"
	"testing"
)

// The saliency by the paper's definition: a plain sum for the transform of the
// whole window, its amplitudes, their running mean of three, and back.
func TestSpectralEqualsTheDefinition(t *testing.T) {
	rnd := rand.New(rand.NewSource(91))
	for round := range 40 {
		n := 32 + round // odd ones too
		used := n - spectralAhead
		w := newSpectrum(n)
		for i := range used {
			w.x[i] = 50 + 10*math.Sin(float64(i)/3) + rnd.NormFloat64()
		}
		if round%2 == 0 {
			w.x[used-1] += 40
		}
		x := append([]float64(nil), w.x[:used]...)
		got := w.salient(used)

		// x̂ = x[n−m+1] + m·ḡ, ḡ the mean gradient from x[n] to the m points before it,
		// n the point before the newest.
		g := 0.0
		for i := 1; i <= 5; i++ {
			g += (x[used-2] - x[used-2-i]) / float64(i)
		}
		for range spectralAhead {
			x = append(x, x[used-6]+g/5*5)
		}
		mean := 0.0
		for _, v := range x {
			mean += v / float64(n)
		}
		f := make([]complex128, n)
		for k := range f {
			for i, v := range x {
				f[k] += complex(v-mean, 0) * cmplx.Exp(complex(0, -2*math.Pi*float64(k*i)/float64(n)))
			}
		}
		var s complex128
		for k := 1; k < n; k++ {
			sum, terms := 0.0, 0.0
			for d := -1; d <= 1; d++ {
				// Of the half that is not a mirror image, without the mean.
				j := min(k, n-k) + d
				if j >= 1 && j <= n/2 {
					sum += math.Log(cmplx.Abs(f[j]))
					terms++
				}
			}
			residual := math.Log(cmplx.Abs(f[k])) - sum/terms
			s += cmplx.Exp(complex(residual, cmplx.Phase(f[k]))) * cmplx.Exp(complex(0, 2*math.Pi*float64(k*(used-1))/float64(n))) / complex(float64(n), 0)
		}
		if want := cmplx.Abs(s); math.Abs(got-want) > 1e-9 {
			t.Errorf("saliency %v, want %v", got, want)
		}
	}
}

// A spike far below the height of the wave is salient, wherever it comes.
func TestSpectralSeesASpikeInAWave(t *testing.T) {
	seen := 0
	const runs = 40
	for seed := range int64(runs) {
		s, rnd := NewScorer(must(NewSpectral(SpectralConfig{})), ScorerConfig{}), rand.New(rand.NewSource(seed))
		n := 3000 + int(seed)
		for i := range n {
			s.Step(wave(rnd, i))
		}
		p := wave(rnd, n)
		p.V += 12 // the wave is 40 high
		if s.Step(p).Score > 1 {
			seen++
		}
	}
	t.Logf("%d of %d", seen, runs)
	if seen < runs*9/10 {
		t.Errorf("%d of %d spikes are seen", seen, runs)
	}
}

// Every tenth sample is missing: the series is what it was.
func TestSpectralFillsGaps(t *testing.T) {
	s, rnd, loud := NewScorer(must(NewSpectral(SpectralConfig{})), ScorerConfig{}), rand.New(rand.NewSource(92)), 0
	const n = 10_000
	for i := range n {
		p := wave(rnd, i)
		if i%10 == 3 {
			continue
		}
		if s.Step(p).Score > 1 && i > 500 {
			loud++
		}
	}
	if loud*200 > n {
		t.Errorf("%d of %d points score above 1", loud, n)
	}
	p := wave(rnd, n)
	p.V += 30
	if v := s.Step(p); !(v.Score > 1) {
		t.Errorf("a spike scores %v", v.Score)
	}
}
