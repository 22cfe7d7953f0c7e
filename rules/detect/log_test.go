package detect

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestLogAbove(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	for range 200_000 {
		x := math.Exp2(30 * random.Float64())
		got, want := logAbove(x), math.Log(x)
		if math.Abs(got-want) > 2e-6 {
			t.Fatalf("the logarithm of %v is %v, got %v", x, want, got)
		}
		for range 3 {
			x = math.Nextafter(x, math.Inf(1))
			next := logAbove(x)
			if next < got {
				t.Fatalf("the logarithm falls at %v", x)
			}
			got = next
		}
	}
	for i := range logOctaves + 2 { // where octaves and places meet
		for k := range 1 << logBits {
			x := math.Ldexp(1+float64(k)/(1<<logBits), i)
			if x > 1 && logAbove(math.Nextafter(x, 0)) > logAbove(x) {
				t.Fatalf("the logarithm falls at %v", x)
			}
		}
	}
	if got := logAbove(1); got != 0 {
		t.Errorf("the logarithm of 1 is %v", got)
	}
}

func TestBinsMeetTheirEdges(t *testing.T) {
	for i := 1; i < calibrationBins-1; i++ {
		if below, at := bin(binEdges[i]*(1-1e-9)), bin(binEdges[i]*(1+1e-9)); below != i-1 || at != i {
			t.Errorf("around the lower edge of bin %d lie bins %d and %d", i, below, at)
		}
	}
}
