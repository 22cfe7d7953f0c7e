package auto

import (
	"math"
	"math/rand"
	"testing"

	"pgregory.net/rapid"
)

// law is a distribution of sizes, with the value that a share p exceeds.
type law struct {
	name    string
	draw    func(*rand.Rand) float64
	exceeds func(p float64) float64
}

var laws = []law{
	{"half normal", func(r *rand.Rand) float64 { return math.Abs(r.NormFloat64()) }, func(p float64) float64 { return math.Sqrt2 * math.Erfcinv(p) }},
	{"exponential", func(r *rand.Rand) float64 { return r.ExpFloat64() }, func(p float64) float64 { return -math.Log(p) }},
	{"uniform", func(r *rand.Rand) float64 { return 4 * r.Float64() }, func(p float64) float64 { return 4 * (1 - p) }},
	{"Pareto 3", func(r *rand.Rand) float64 { return math.Pow(1-r.Float64(), -1./3) }, func(p float64) float64 { return math.Pow(p, -1./3) }},
}

func filled(l law, n int, seed int64) *tail {
	var t tail
	r := rand.New(rand.NewSource(seed))
	for range n {
		t.add(float32(l.draw(r)))
	}
	return &t
}

// Within what has been seen a quantile is that of the law, to within the bins.
func TestQuantilesOfKnownLaws(t *testing.T) {
	for _, l := range laws {
		s := filled(l, 30000, 1)
		for _, p := range []float64{0.5, 0.2, 0.05, 0.01, 0.003} {
			got, want := s.quantile(p), l.exceeds(p)
			if math.Abs(got/want-1) > 0.15 { // a bin is a quarter wide
				t.Errorf("%s: %v is exceeded by %v, want %v", l.name, got, p, want)
			}
		}
	}
}

// Beyond it the tail is exceeded about as often as was asked.
func TestTheTailIsExceededAsOftenAsAsked(t *testing.T) {
	f := func(law int, n int, p, low, high float64) {
		t.Helper()
		l, sum := laws[law], 0.0
		const seeds = 40
		for seed := range int64(seeds) {
			s := filled(l, n, seed)
			s.measure(p, 0, -0.3)
			// The share of the law beyond the measured border.
			a, b := 0.0, 1.0
			for range 60 {
				if mid := (a + b) / 2; l.exceeds(mid) > float64(s.at) {
					a = mid
				} else {
					b = mid
				}
			}
			sum += math.Log(max(a, p/1000) / p)
		}
		if ratio := math.Exp(sum / seeds); ratio < low || ratio > high {
			t.Errorf("%s, %d values: exceeded %.2f times as often as %v", l.name, n, ratio, p)
		} else {
			t.Logf("%s, %d values: exceeded %.2f times as often as %v", l.name, n, ratio, p)
		}
	}
	// A few values leave the shape to the prior: light tails are exceeded less
	// often then, heavy ones more often.
	for _, p := range []float64{1e-3, 1e-4, 1e-5} {
		f(0, 1000, p, 0, 1)
		f(1, 1000, p, 0.2, 1)
		f(3, 1000, p, 1, 40)
		for _, law := range []int{0, 1, 3} {
			f(law, 10000, p, 1./5, 5)
			f(law, 39000, p, 1./3, 3)
		}
	}
}

// Anomalies among the values move a border by little, as long as they are fewer
// than those that the smallest quantile rests on: what is taught is bounded by
// the border there is.
func TestFewOutliersMoveTheTailByLittle(t *testing.T) {
	border := func(l law, share float64) float64 {
		m, r := New(Config{}), rand.New(rand.NewSource(2))
		for range 30000 {
			v := float32(l.draw(r))
			if r.Float64() < share {
				v = mostWidths
			}
			m.teach(ofThree, 0, v)
		}
		return float64(m.threshold(ofThree, 0))
	}
	for _, l := range laws[:3] {
		if times := border(l, tailEnd*2/3) / border(l, 0); times > 2 {
			t.Errorf("%s: the border is %.2f times as high with 2 outliers in 1000", l.name, times)
		}
	}
}

// What lasts is one event, however long: a day of two weeks, all of it nearly as
// far out as the border, leaves that where it is. Strewn among the others, it is
// what is usual.
func TestWhatLastsIsOneEvent(t *testing.T) {
	const fortnight, day = 20160, 1440
	border := func(far func(i int) bool) float64 {
		m, r := New(Config{}), rand.New(rand.NewSource(4))
		for i := range 2 * fortnight {
			v := float32(math.Abs(r.NormFloat64()))
			if i > fortnight/2 && far(i) {
				v = 0.9 * float32(m.ev.far[ofThree][0].float())
			}
			m.gather(ofThree, 0, v)
		}
		return float64(m.threshold(ofThree, 0))
	}
	none := border(func(int) bool { return false })
	if lasts := border(func(i int) bool { return i%fortnight > fortnight-day }); lasts > 1.1*none {
		t.Errorf("the border is %v, and %v without what lasted", lasts, none)
	}
	if strewn := border(func(i int) bool { return i%(fortnight/day) == 0 }); strewn < 1.5*none {
		t.Errorf("the border is %v where a value of 14 lies far out, and %v where none does", strewn, none)
	}
}

// One sample in a hundred that is a glitch leaves the borders of what lasts
// where they are, so an incident of ten deviations is found.
func TestGlitchesHideNothingThatLasts(t *testing.T) {
	f := func(size float64) {
		t.Helper()
		clean, dirty := &judged{m: New(Config{})}, &judged{m: New(Config{})}
		r, at := rand.New(rand.NewSource(3)), int64(0)
		for range 20000 {
			at += 60_000
			v := 100 + r.NormFloat64()
			clean.step(at, v)
			if r.Intn(100) == 0 {
				v += size
			}
			dirty.step(at, v)
		}
		for _, i := range []int{ofThree, ofFive, ofHalf} {
			a, b := clean.m.threshold(i, 0), dirty.m.threshold(i, 0)
			if b > 2.5*a {
				t.Errorf("glitches of %v: statistic %d needs %v, and %v without them", size, i, b, a)
			}
		}
		best := 0.0
		for range 10 {
			at += 60_000
			best = max(best, dirty.step(at, 110+r.NormFloat64()).Evidence)
		}
		if !(best > 1) {
			t.Errorf("glitches of %v: ten deviations for ten minutes are evidence of %v", size, best)
		}
	}
	for _, size := range []float64{20, 1e3, 1e9, -1e9} {
		f(size)
	}
}

// Whatever the values are, the border is a number, not below the least effect,
// and lower for a larger share.
func TestTheTailIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s tail
		for _, v := range rapid.SliceOfN(rapid.Float32Range(0, 1e30), 0, 300).Draw(t, "values") {
			for range rapid.IntRange(1, 300).Draw(t, "times") {
				s.add(v)
			}
		}
		least := rapid.Float64Range(0, 5).Draw(t, "least")
		p := rapid.Float64Range(1e-9, 0.3).Draw(t, "p")
		s.measure(p, least, -0.05)
		rare := s.at
		s.measure(min(1, 2*p), least, -0.05)
		if !(float64(rare) >= float64(float32(least))) || math.IsInf(float64(rare), 0) {
			t.Fatalf("the border is %v, at least %v", rare, least)
		}
		if s.at > rare*(1+1e-5) {
			t.Errorf("%v is exceeded with probability %v, and %v with twice that", rare, p, s.at)
		}
	})
}

// Bins are where their edges are, and halving keeps the sum.
func TestBins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float32Range(0, 1e6).Draw(t, "v")
		var s tail
		s.add(v)
		for b, c := range s.count {
			if c == 1 && !(float64(v) >= edges[b]*(1-1e-6) && (b == tailBins-1 || float64(v) <= edges[b+1]*(1+1e-6))) {
				t.Fatalf("%v is put between %v and %v", v, edges[b], edges[b+1])
			}
		}
	})
	s := filled(laws[1], 3*tailMemory, 3)
	sum := 0
	for _, c := range s.count {
		sum += int(c)
	}
	if sum != int(s.n) || s.n >= tailMemory {
		t.Errorf("%d values are %d", sum, s.n)
	}
}

// Alerts at the rate of the budget leave the threshold where it is, without any
// it falls to a bound, and those that were more than hardly any do not raise it
// above what was measured.
func TestCautionFollowsTheAlerts(t *testing.T) {
	const p = 1e-3
	f := func(each int, hardly bool, low, high float32) {
		t.Helper()
		var s tail
		for i := range 200_000 {
			if s.since++; s.since == 50 {
				s.rest(p)
			}
			if each > 0 && i%each == 0 {
				s.alerted(hardly)
			}
		}
		if s.caution < low || s.caution > high {
			t.Errorf("an alert each %d values moves the threshold by %v", each, s.caution)
		}
	}
	f(0, true, float32(leastCaution), float32(leastCaution))
	f(1/p, true, float32(leastCaution), mostCaution)
	f(100, true, 0.8, mostCaution)
	f(100, false, -0.05, 0)
	f(100_000, true, float32(leastCaution), -0.1)
}

// A jump back to where values are expected keeps no state, one away from there does.
func TestAJumpBackKeepsNoState(t *testing.T) {
	hold := func(off float64) float64 {
		m := New(Config{})
		m.ep = episode{on: true, how: ofJump, sign: 1, off: -20}
		return m.holds(&scene{off: off, jumpWidth: 1})
	}
	if back := hold(0.3); back > over {
		t.Errorf("back where it is expected it holds the state by %v", back)
	}
	if away := hold(20); away < 1 {
		t.Errorf("beyond there it holds the state by %v", away)
	}
}
