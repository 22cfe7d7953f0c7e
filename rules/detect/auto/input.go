package auto

import "math"

// input is a light judge of one of several inputs: its mean and spread over
// weeks, and deviations from the mean over two horizons, each against a tail.
type input struct {
	mean, spread float64 // spread is a variance
	low, high    float64 // of its usual range
	seen         bool
	daily        daily

	z    [3]float32 // newest deviations, in widths
	half float32
	tail [inputStats]tail
	// told is how many episodes this input alone has begun, of late. An input
	// that does so again and again, within the time of one alert of the budget,
	// must deviate by more.
	told float32

	held   [heldParts]float64 // mean deviations in parts of the time to accept, the newest first
	square float64            // mean square of them in the newest part

	stat [inputStats]float32 // of the point under way; scratch
}

const (
	ofInputThree = iota // the middle one of three deviations
	ofInputHalf         // mean over half an hour
	inputStats
)

var (
	inputHorizon = [inputStats]float64{ofInputHalf: 1800}
	// inputLeast is what a deviation must be at least to be evidence alone: what
	// the distance sees is left to it.
	inputLeast = [inputStats]float64{10, 3}
)

const (
	// mostDeviation bounds one input's deviation, in standard deviations, so that
	// one that has left its range for good does not hide all others.
	mostDeviation = 20
	// fairDeviation is that beyond which a value weighs the less the farther
	// out it is.
	fairDeviation = 4
	// mostLearned bounds what is learned, likewise, and mostWidened the part of
	// itself by which one value widens a variance.
	mostLearned, mostWidened = 100, 0.5
	// restOfRange is the part of an input's range that counts as spread: an input
	// that rests most of the time may move a little. Alone it has to move by more.
	restOfRange, aloneOfRange = 1e-3, 0.1
	// toldOften is from how many episodes on, and toldFactor by how much for each.
	toldOften, toldFactor = 1, 3
	mostTold              = 12
	// pointShape is the least shape of an input's tails: its past may have been
	// calm.
	pointShape = 0.02
)

// sigma is the standard deviation of an input of which so much of the range
// counts.
func (in *input) sigma(ofRange float64) float64 { return in.sigmaOf(in.spread, ofRange) }

func (in *input) sigmaOf(spread, ofRange float64) float64 {
	return math.Sqrt(spread) + ofRange*max(0, in.high-in.low) + leastOfLevel*math.Abs(in.mean) + least*least
}

// deviation is that of x from the mean, bounded.
func (in *input) deviation(x float64) float64 {
	return bounded((x - in.mean) / in.sigma(restOfRange))
}

// width is the deviation of x by which an input is judged alone.
func (in *input) width(x float64) float64 {
	if math.IsNaN(x) || !in.seen {
		return 0
	}
	return bounded((x - in.mean) / in.sigma(aloneOfRange))
}

func bounded(z float64) float64 {
	if math.IsNaN(z) { // infinite
		return mostDeviation
	}
	return clip(z, mostDeviation)
}

// look makes the statistics of a value.
func (in *input) look(m *Several, x, dt float64, gap bool) {
	z, half := in.z, in.half
	if gap {
		z, half = [3]float32{}, 0
	}
	w := float32(in.width(x))
	z[m.n%3] = w
	in.stat[ofInputThree] = middle(z)
	rate := float32(dt / (max(inputHorizon[ofInputHalf], leastSteps*m.step) + dt))
	in.stat[ofInputHalf] = half + rate*(max(-statClip, min(statClip, w))-half)
}

// threshold is where a statistic is evidence of 1.
func (in *input) threshold(k int) float32 {
	at := in.tail[k].at
	if at == 0 {
		at = float32(unknownFactor * inputLeast[k])
	}
	if in.told > toldOften {
		at *= float32(math.Pow(toldFactor, float64(min(in.told, mostTold))-toldOften))
	}
	return at
}

// teach adds the statistic to its tail, which p is to exceed.
func (in *input) teach(k int, p float64) {
	t := &in.tail[k]
	v := in.stat[k]
	t.add(min(max(v, -v), peakClip*max(t.at, float32(inputLeast[k]))))
	if t.due() {
		t.since = 0
		t.measure(p, inputLeast[k], pointShape)
	}
}

// learn takes a value in, bounded: no single one moves mean, spread or range by
// more than some standard deviations.
func (in *input) learn(x, weight, points float64) {
	if !(math.Abs(x) < beyondUse) { // missing, or no measurement
		if points <= firstInputs {
			in.held[int(points)-1] = 2 * beyondUse
		}
		return
	}
	if points <= firstInputs {
		in.first(x, int(points))
		return
	}
	if !in.seen { // it has been missing
		in.seen, in.mean, in.low, in.high = true, x, x, x
		return
	}
	d, most := x-in.mean, math.Inf(1)
	if points > severalLeast {
		sigma := in.sigma(restOfRange)
		far := max(sigma, leastOfLevel*math.Abs(in.mean)+least)
		most = widened(weight) * far * far
		d = clip(d, mostLearned*far)
		if z := math.Abs(d) / sigma; z > fairDeviation {
			weight *= fairDeviation / z
		}
	}
	in.low, in.high = min(in.low, in.mean+d), max(in.high, in.mean+d)
	in.mean += weight * d
	in.spread = (1 - weight) * (in.spread + min(weight*d*d, most))
}

// firstInputs is how many values an input begins with, all at once: two of them may be
// glitches.
const firstInputs = heldParts

// first begins with value k of an input, counted from 1: with the median of all that
// there have been, and how far they usually are from it.
func (in *input) first(x float64, k int) {
	var sorted, away [firstInputs]float64
	in.held[k-1] = x
	n := 0
	for _, v := range in.held[:k] {
		if math.Abs(v) < beyondUse {
			sorted[n] = v
			n++
		}
	}
	mean := median(sorted[:n])
	for i, v := range sorted[:n] {
		away[i] = math.Abs(v - mean)
	}
	spread := medianWidths * median(away[:n])
	in.seen, in.mean, in.spread, in.low, in.high = true, mean, spread*spread, mean-spread, mean+spread
	if k == firstInputs { // what holds in an episode is kept there from here on
		in.held = [heldParts]float64{}
	}
}

// medianWidths is the standard deviation for each median absolute one, of a normal
// distribution.
const medianWidths = 1.48

// widened is the part of itself by which a variance may grow by one value of that
// weight: what one of fairDeviation adds, and mostWidened where that is more. Early
// on a value weighs so much that a glitch would hide what comes after it.
func widened(weight float64) float64 {
	return max(weight*fairDeviation*fairDeviation, mostWidened)
}

// settle forgets what was under way.
func (in *input) settle() { in.z, in.half = [3]float32{}, 0 }
