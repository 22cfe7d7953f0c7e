package auto

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestEveryHalfReadsAsItself(t *testing.T) {
	for i := range 1 << 16 {
		h := half(i)
		if h&0x7c00 == 0x7c00 { // no number
			continue
		}
		if got := toHalf(h.float()); got != h && h.float() != 0 {
			t.Fatalf("%#04x is %v, which is %#04x", i, h.float(), got)
		}
	}
	if toHalf(math.NaN()) != nothing {
		t.Error("what is no number is not nothing")
	}
}

func TestAHalfIsTheNearestOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64().Draw(t, "x")
		h := toHalf(x)
		if h&0x7c00 == 0x7c00 {
			t.Fatalf("%v is %#04x, no number", x, h)
		}
		if want := clip(x, greatestHalf); math.Abs(h.float()-want) > max(math.Abs(want)*0x1p-11, 0x1p-25) {
			t.Errorf("%v is %v", x, h.float())
		}
	})
}

func TestHalvesAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-70000, 70000).Draw(t, "x")
		y := x + rapid.Float64Range(0, 70000).Draw(t, "more")
		if a, b := toHalf(x).float(), toHalf(y).float(); a > b {
			t.Errorf("%v is %v, and %v is %v", x, a, y, b)
		}
	})
}
