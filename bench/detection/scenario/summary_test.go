package scenario

import (
	"math"
	"testing"
)

func TestJackknife(t *testing.T) {
	if se := jackknife([]float64{1, 2, 3}); math.Abs(se-math.Sqrt(4.0/3)) > 1e-12 {
		t.Errorf("standard error %v", se)
	}
}
