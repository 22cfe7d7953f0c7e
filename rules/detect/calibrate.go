package detect

import (
	"encoding/binary"
	"math"
)

// calibrator turns a deviation into how rare it is in the series' own past.
// The body of the past is a histogram over the logarithm of the deviation that
// forgets slowly; the tail beyond its 98 % quantile is taken as a power law
// whose exponent is Hill's estimate (B. Hill, A simple general approach to
// inference about the tail of a distribution, Annals of Statistics 3 (1975)),
// so a series with a heavy tail needs a larger deviation for the same score.
// A score is the logarithm of the tail probability against that of
// borderRarity.
type calibrator struct {
	bins  [calibrationBins]uint16 // points by deviation, logarithmic
	total float64
	since int64 // points since the tail was measured

	begin float64 // deviation where the tail begins
	mean  float64 // Hill's mean logarithm beyond begin
	share float64 // probability of the tail

	atBegin, at1 float64 // score at begin, deviation that scores 1; of the three above
}

const (
	calibrationBins = 56
	calibrationLow  = 1.0 / 64 // deviations from here on are told apart
	calibrationHigh = 1e6      // and no more from here on
	binsPerOctave   = 4
	// calibrationMemory is how many points the past weighs as most.
	calibrationMemory = 10000
	// calibrationUnit is what a new point counts, so that old ones can count
	// a half and a quarter.
	calibrationUnit = 4
	// borderRarity is the tail probability that maps to a score of 1 in one
	// look. The looks of Auto have to agree to some degree, so that joint
	// scores above 1 are rarer than this.
	borderRarity = 1.6e-3
	// tailShare is the part of the past that counts as its tail.
	tailShare = 0.02
	// measureEvery is after how many points the tail is measured again.
	measureEvery = 16
	// leastBegin is the smallest deviation that can count as tail.
	leastBegin = 0.5
)

// Prior: until a series has shown what it is like itself, its tail falls by e
// with each 20 % of deviation, as if priorTail points of the tail and
// priorPoints points in all had been seen.
const (
	priorMean   = 0.2
	priorTail   = 4
	priorPoints = 100
	priorBegin  = 2
)

var logBorder = math.Log(borderRarity)

func bin(deviation float64) int {
	if !(deviation > calibrationLow) {
		return 0
	}
	if deviation > calibrationHigh {
		return calibrationBins - 1
	}
	return min(1+quarters(deviation/calibrationLow), calibrationBins-1)
}

// quarters is how many quarters of an octave, which are bins, x lies above 1; x
// is at least 1.
func quarters(x float64) int {
	b := math.Float64bits(x)
	n := binsPerOctave * (int(b>>52) - 1023)
	mantissa := math.Float64frombits(b&(1<<52-1) | 1023<<52)
	for _, edge := range [...]float64{1.189207115002721, math.Sqrt2, 1.681792830507429} { // powers of the fourth root of 2
		if mantissa >= edge {
			n++
		}
	}
	return n
}

// binEdge is the lower edge of a bin.
func binEdge(i int) float64 {
	if i == 0 {
		return 0
	}
	return calibrationLow * math.Exp2(float64(i-1)/binsPerOctave)
}

// binEdges and binLogs are the bins' lower edges, and the logarithms of their
// middles.
var binEdges, binLogs = func() (edges [calibrationBins + 1]float64, logs [calibrationBins]float64) {
	for i := range edges {
		edges[i] = binEdge(i)
	}
	for i := range logs {
		logs[i] = math.Log(binEdge(i)) + 0.5/binsPerOctave*math.Ln2
	}
	return edges, logs
}()

// learn takes a deviation in.
func (c *calibrator) learn(deviation float64) {
	if c.total >= calibrationMemory {
		c.total = 0
		for i := range c.bins {
			c.bins[i] /= 2
			c.total += float64(c.bins[i]) / calibrationUnit
		}
	}
	c.bins[bin(deviation)] += calibrationUnit
	c.total++
	if c.since++; c.since >= measureEvery {
		c.since = 0
		c.measure()
	}
}

// measure fits the tail.
func (c *calibrator) measure() {
	at, above := calibrationBins-1, 0.0
	for ; at > 0; at-- {
		if above+float64(c.bins[at])/calibrationUnit > tailShare*c.total {
			break
		}
		above += float64(c.bins[at]) / calibrationUnit
	}
	c.begin = max(binEdges[at+1], leastBegin)
	begin := math.Log(c.begin)
	var logs, n float64
	for i := at + 1; i < calibrationBins; i++ {
		if c.bins[i] > 0 && binLogs[i] > begin {
			logs += float64(c.bins[i]) / calibrationUnit * (binLogs[i] - begin)
			n += float64(c.bins[i]) / calibrationUnit
		}
	}
	c.mean = (logs + priorMean*priorTail) / (n + priorTail)
	c.share = (max(above, 0.5*tailShare*c.total) + tailShare*priorPoints) / (c.total + priorPoints)
	c.derive()
}

// derive works out what every score needs from the measured tail.
func (c *calibrator) derive() {
	c.atBegin = math.Log(c.share) / logBorder
	c.at1 = c.begin * math.Exp(c.mean*(math.Log(c.share)-logBorder))
}

// prior is the calibrator of a series that has shown nothing yet.
func prior() calibrator {
	c := calibrator{begin: priorBegin, mean: priorMean, share: tailShare}
	c.derive()
	return c
}

// score is 1 where the tail probability is borderRarity and grows with its
// logarithm; up to the tail's begin it grows in proportion to the deviation.
func (c *calibrator) score(deviation float64) float64 {
	if deviation < c.begin {
		return c.atBegin * deviation / c.begin
	}
	return c.atBegin - logAbove(deviation/c.begin)/(c.mean*logBorder)
}

// deviation is what has a score: the inverse of score.
func (c *calibrator) deviation(score float64) float64 {
	if score < c.atBegin {
		return c.begin * score / c.atBegin
	}
	return c.begin * math.Exp((c.atBegin-score)*c.mean*logBorder)
}

// border is the deviation that scores 1.
func (c *calibrator) border() float64 { return c.at1 }

func (c *calibrator) write(w *writer) {
	w.counts(c.bins[:])
	w.int(c.since)
	w.floats([]float64{c.total, c.begin, c.mean, c.share})
}

func (c *calibrator) read(r *reader) {
	r.counts(c.bins[:])
	c.since = r.int()
	var f [4]float64
	r.floats(f[:])
	c.total, c.begin, c.mean, c.share = f[0], f[1], f[2], f[3]
	if r.err == nil && !(c.since >= 0 && c.total >= 0 && c.total <= 2*calibrationMemory && c.begin > 0 && c.mean > 0 && c.share > 0 && c.share < 1) {
		r.fail("a tail that cannot be")
	}
	c.derive()
}

func (w *writer) counts(ns []uint16) {
	for _, n := range ns {
		w.b = binary.AppendUvarint(w.b, uint64(n))
	}
}

// counts fills a slice of a known length.
func (r *reader) counts(into []uint16) {
	for i := range into {
		v, n := binary.Uvarint(r.b)
		if n <= 0 || v > math.MaxUint16 {
			r.fail("a count that cannot be")
			return
		}
		into[i] = uint16(v)
		r.b = r.b[n:]
	}
}
