package detect

import "math"

// calibrator turns a deviation into how rare it is in the series' own past.
// The body of the past is a histogram over the logarithm of the deviation that
// forgets slowly; the tail beyond its 98 % quantile is taken as a power law
// whose exponent is Hill's estimate (B. Hill, A simple general approach to
// inference about the tail of a distribution, Annals of Statistics 3 (1975)),
// so a series with a heavy tail needs a larger deviation for the same score.
type calibrator struct {
	bins  [calibrationBins]float64 // weight by deviation, logarithmic
	total float64
}

const (
	calibrationBins = 64
	calibrationLow  = 1.0 / 64 // deviations from here on are told apart
	binsPerOctave   = 4
	// calibrationMemory is how many points the past weighs as most.
	calibrationMemory = 4000
	// borderRarity is the probability that maps to a score of 1: at a point a
	// minute some five a year, were the past a perfect guide.
	borderRarity = 1e-5
	// tailShare is the part of the past that counts as its tail.
	tailShare = 0.02
)

func bin(deviation float64) int {
	if !(deviation > calibrationLow) {
		return 0
	}
	return min(1+int(binsPerOctave*math.Log2(deviation/calibrationLow)), calibrationBins-1)
}

// edge is the lower edge of a bin.
func edge(i int) float64 {
	if i == 0 {
		return 0
	}
	return calibrationLow * math.Exp2(float64(i-1)/binsPerOctave)
}

// learn takes a deviation in.
func (c *calibrator) learn(deviation, weight float64) {
	if c.total >= calibrationMemory {
		const keep = 0.5
		for i := range c.bins {
			c.bins[i] *= keep
		}
		c.total *= keep
	}
	c.bins[bin(deviation)] += weight
	c.total += weight
}

// priorPoints is the weight of the assumption that a series is like most
// until it has shown what it is like itself.
const priorPoints = 50

// border is the deviation that maps to a score of 1, at least the model's own
// border: what a model calls normal stays normal.
func (c *calibrator) border() float64 {
	// quantile of the tail's begin
	at, above := calibrationBins-1, 0.0
	for ; at > 0; at-- {
		if above+c.bins[at] > tailShare*c.total {
			break
		}
		above += c.bins[at]
	}
	begin := max(edge(at+1), 0.5)
	var logs, n float64
	for i := at + 1; i < calibrationBins; i++ {
		if middle := edge(i) * math.Exp2(0.5/binsPerOctave); middle > begin {
			logs += c.bins[i] * math.Log(middle/begin)
			n += c.bins[i]
		}
	}
	// Prior: a tail that falls by e with each 15 % of deviation.
	const priorMean, priorWeight = 0.15, 4
	mean := (logs + priorMean*priorWeight) / (n + priorWeight)
	share := max(above, 0.5*tailShare) / max(c.total, 1)
	share = (share*c.total + tailShare*priorPoints) / (c.total + priorPoints)
	return max(begin*math.Exp(mean*math.Log(max(share/borderRarity, 1))), 1)
}

func (c *calibrator) write(w *writer) {
	w.floats(c.bins[:])
	w.float(c.total)
}

func (c *calibrator) read(r *reader) {
	r.floats(c.bins[:])
	c.total = r.float()
}
