package auto

import "math"

// tail is how large one side of a statistic has been: a histogram over its
// logarithm, which forgets slowly. What is exceeded with a small probability is
// extrapolated by a generalised Pareto distribution (J. Pickands, Statistical
// inference using extreme order statistics, Annals of Statistics 3, 1975): from
// three quantiles at probabilities in a geometric sequence, of which the
// smallest is large enough to rest on many values, so that the anomalies among
// them matter little, with the shape drawn to a prior where there are few.
type tail struct {
	count   [tailBins]uint16
	n       uint16
	since   uint16
	at      float32 // what is exceeded as rarely as the budget allows; 0: not measured yet
	caution float32 // by how much alerts, and their absence, have moved it
}

const (
	tailBins      = 34
	tailLow       = 0.16 // statistics from here on are told apart, by
	binsPerOctave = 3
	binRatio      = 1.259921 // of a bin's edges
	tailMemory    = 40000
	tailFew       = 20 // values; before, nothing is known of a tail
	// Quantiles at these probabilities: the first, and the last, or the one that
	// so many values exceed, but for the very first.
	tailBegin, tailEndCount, tailEndMost = 0.2, 10, 0.1
	shapeMost                            = 0.8
	// mostBeyond is how many times as far out as the largest value a threshold may lie
	// at least, seenShape the greatest shape of a tail from that value on.
	mostBeyond, seenShape = 1.5, 0.3
	peakClip              = 1.5
)

// edges are the lower edges of the bins.
var edges = func() (e [tailBins + 1]float64) {
	for i := 1; i < len(e); i++ {
		e[i] = tailLow * math.Exp2(float64(i-1)/binsPerOctave)
	}
	return e
}()

func (t *tail) add(v float32) {
	b := 0
	if x := v / tailLow; x > 1 {
		// The exponent gives the octave, comparisons the third of it.
		bits := math.Float32bits(x)
		b = binsPerOctave*(int(bits>>23)-127) + 1
		switch f := math.Float32frombits(bits&(1<<23-1) | 127<<23); {
		case f >= 1.587401:
			b += 2
		case f >= 1.259921:
			b++
		}
		b = min(b, tailBins-1)
	}
	t.count[b]++
	t.n++
	t.since++
	if t.n >= tailMemory {
		t.n = 0
		for i := range t.count {
			t.count[i] /= 2
			t.n += t.count[i]
		}
	}
}

// shrink divides all values by the width of a bin.
func (t *tail) shrink() {
	t.count[0] += t.count[1]
	copy(t.count[1:], t.count[2:])
	t.count[tailBins-1] = 0
	t.at /= binRatio
}

// due tells whether it is time to measure: often at first.
func (t *tail) due() bool {
	return t.since >= 64 || t.n < 500 && t.since >= 8
}

// quantile is the value that a share p exceeds. Within a bin the logarithm of
// the share falls linearly.
func (t *tail) quantile(p float64) float64 {
	want, above := p*float64(t.n), 0.0
	for b := tailBins - 1; b >= 0; b-- {
		c := float64(t.count[b])
		if above+c > want {
			low, high := edges[b], edges[b+1]
			top := max(above, min(0.5, want/2))
			return low + (high-low)*math.Log((above+c)/want)/math.Log((above+c)/top)
		}
		above += c
	}
	return 0
}

// rest lets the caution go, by the values since the tail was measured, which may
// exceed it with probability p. So alerts that come as often as that leave it
// where it is (I. Gibbs and E. Candès, Adaptive conformal inference under
// distribution shift, NeurIPS 2021).
func (t *tail) rest(p float64) {
	t.caution = float32(max(leastCaution, float64(t.caution)-cautionStep*p*float64(t.since)))
	t.since = 0
}

// alerted takes in that the threshold was crossed. Where it had been lowered, any
// alert raises it again; above that, those that were hardly any.
func (t *tail) alerted(hardly bool) {
	most := float32(0)
	if hardly {
		most = mostCaution
	}
	t.caution = max(t.caution, min((1+t.caution)*float32(1+cautionStep)-1, most))
}

// measure finds what is exceeded with probability p, at least the least effect
// and with at least the given shape.
func (t *tail) measure(p, least, leastShape float64) {
	t.at = float32(t.border(p, least, leastShape))
}

func (t *tail) border(p, least, leastShape float64) float64 {
	n := float64(t.n)
	if n < tailFew {
		return unknownFactor * least
	}
	end := min(max(tailEnd, tailEndCount/n), tailEndMost)
	middle := math.Sqrt(tailBegin * end)
	a, b, c := t.quantile(tailBegin), t.quantile(middle), t.quantile(end)
	first, second := max(b-a, 1e-3), max(c-b, 1e-3)
	span := math.Log(tailBegin / middle)
	known := middle * n
	second = math.Exp((known*math.Log(second) + priorValues*(math.Log(first)+shapePrior*span)) / (known + priorValues))
	shape := max(leastShape, min(shapeMost, math.Log(second/first)/span))
	if math.Abs(shape) < 0.01 {
		shape = 0.01
	}
	at := b + second
	if k := math.Log(end/p) / span; k > 0 {
		r := math.Exp(shape * span)
		at += second * r * (math.Exp(shape*span*k) - 1) / (r - 1)
	} else { // it has been seen often enough
		at = min(at, t.quantile(p))
	}
	// A shape that a gap between two modes makes must not lead far beyond what there was.
	most := t.largest() * max(mostBeyond, math.Pow(n*p, -seenShape))
	return max(min(at, most), least)
}

// largest is the upper edge of the bin of the largest value.
func (t *tail) largest() float64 {
	for b := tailBins - 1; b > 0; b-- {
		if t.count[b] > 0 {
			return edges[b+1]
		}
	}
	return edges[1]
}
