package auto

import "math"

// distance is how far points lie from what the inputs have been, each and
// together: the squared Mahalanobis distance of their deviations, by their
// correlations, over the number of inputs, so that 1 is usual. It counts a value
// that does not fit the other inputs as much as one that does not fit its own
// past (P. C. Mahalanobis, On the generalised distance in statistics, 1936;
// R. Maronna, Robust M-estimators of multivariate location and scatter, Annals of
// Statistics 4, 1976, for the weights of outliers).
type distance struct {
	corr        []float64 // lower triangle of the inputs' correlations
	root        []float64 // lower triangle of the Cholesky factor of corr and the ridge
	points      float64   // learned, at most distanceMemory
	since       int32     // points since root was made
	independent float64   // number of inputs that do not depend on each other

	smooth [distanceStats]float64 // means of the distance's logarithm, of those with a horizon
	point  float64                // newest distance
	going  float64                // mean of the logarithm over five minutes while an episode lasts, bounded
	tail   [distanceStats]tail    // of the distances' roots
	usual  [distanceStats]float32 // medians
	told   float32                // episodes that these have begun, of late

	// Scratch, of the point under way.
	z, timely, solved, fit []float64
	next                   [distanceStats]float64
	now, goingNext         float64
	stat                   [distanceStats]float32
}

// Statistics of the deviations: roots of means of their squares, over the inputs.
const (
	ofMany  = iota // of one point, each bounded by manyMost: how many inputs are off at this time of day
	ofAll          // of one point: how far some are off
	ofShort        // root of the distance, mean over five minutes
	ofLong         // over an hour
	distanceStats
)

var (
	distanceHorizon = [distanceStats]float64{ofShort: 300, ofLong: 3600} // seconds
	// distanceLeast is what each must be at least to be evidence.
	distanceLeast = [distanceStats]float64{1, 1, 0.8, 0.8}
	// bodyEnd is the probability of the quantile from which the tail of each is
	// extrapolated together with the median, and straight the power of which they
	// are about normally distributed. That of a mean of squares is the cube root
	// (E. B. Wilson, M. M. Hilferty, The distribution of chi-square, Proceedings of
	// the National Academy of Sciences 17, 1931). What one input can make large has
	// a heavier tail, nearly that of a lognormal distribution. They rest on the body
	// of the past, which holds incidents that nobody has labelled.
	bodyEnd  = [distanceStats]float64{0.1, 0.01, 0.01, 0.1}
	straight = [distanceStats]float64{2.0 / 3, 0.2, 0.2, 2.0 / 3}
	// finer is the power that a tail is kept of: what varies little needs narrow
	// bins.
	finer = [distanceStats]float64{1, 1, 1, 3}
	// distanceCaution is cautionStep of each: less for single points, as incidents of
	// single points return, and a threshold that each of them raised would hide them.
	distanceCaution = [distanceStats]float32{0.01, 0.01, 0.05, 0.05}
)

const (
	// distanceMemory is how many points the past weighs at most.
	distanceMemory = 20000
	// ridge keeps inputs that move together from turning noise into distance.
	ridge = 0.02
	// rootEvery is after how many points the factor is made again.
	rootEvery = 50
	// fairDistance is the distance beyond which a point weighs the less for the
	// correlations the farther out it is.
	fairDistance = 16
	// usualDistance is the logarithm of the distance that is taken for usual as
	// long as the median is not known.
	usualDistance = math.Ln2
	// manyMost is how far off an input counts for how many are.
	manyMost   = 6
	bodyMiddle = 0.5
	// Before there are bodyFew values, or bodyFewest, unknownDistance counts.
	bodyFewest, bodyFew = 40, 100
	unknownDistance     = 2
	// nearMost is the part of a threshold that is taken for usual at most.
	nearMost = 0.85
	// severalMost is how many times as far as a threshold, from the usual value, one
	// point of an episode counts in a mean at most.
	severalMost = 2
	// A quantile of few values may be too small: of bodyWiden values the threshold is
	// twice as far from the median. bodyCount values must exceed a quantile.
	bodyWiden, bodyCount = 30, 10
	// distanceBudgets is at how many times the budget caution neither grows nor
	// falls.
	distanceBudgets = 2
)

func newDistance(inputs int) distance {
	triangle := inputs * (inputs + 1) / 2
	d := distance{
		corr: make([]float64, triangle), root: make([]float64, triangle),
		z: make([]float64, inputs), timely: make([]float64, inputs), solved: make([]float64, inputs), fit: make([]float64, inputs),
	}
	for i := range inputs {
		d.corr[at(i, i)] = 1
	}
	return d
}

// at is the place of row i and column k, k <= i, in a lower triangle.
func at(i, k int) int { return i*(i+1)/2 + k }

// of is the squared distance of the deviations in z.
func (d *distance) of() float64 {
	sum := 0.0
	for i, x := range d.z {
		row := d.root[at(i, 0):][:i+1]
		for k, r := range row[:i] {
			x -= r * d.solved[k]
		}
		x /= row[i]
		d.solved[i] = x
		sum += x * x
	}
	return sum / float64(len(d.z))
}

// look makes the statistics of the deviations in z, dt seconds after the ones
// before.
func (d *distance) look(m *Several, dt float64, gap bool) {
	d.now = d.of()
	all, many := 0.0, 0.0
	for i, z := range d.z {
		all += z * z
		y := clip(d.timely[i], manyMost)
		many += y * y
	}
	d.stat[ofAll] = float32(math.Sqrt(all / float64(len(d.z))))
	d.stat[ofMany] = float32(math.Sqrt(many / float64(len(d.z))))
	for k := ofShort; k < distanceStats; k++ {
		before := d.smooth[k]
		if gap || m.n == 0 {
			before = d.usually(k)
		}
		d.next[k] = d.mean(m, k, before, math.Log1p(d.now), dt)
		d.stat[k] = float32(math.Sqrt(math.Expm1(d.next[k])))
	}
}

// mean is that of the logarithm of a distance, with one more.
func (d *distance) mean(m *Several, k int, before, now, dt float64) float64 {
	return before + dt/(max(distanceHorizon[k], leastSteps*m.step)+dt)*(now-before)
}

// goesOn takes the newest distance of an episode in: what it takes for that to be over
// must not depend on how far it went.
func (d *distance) goesOn(m *Several, dt float64) {
	border := d.threshold(ofShort)
	usual := d.near(ofShort, border)
	most := math.Log1p(math.Pow(float64(usual+severalMost*(border-usual)), 2))
	before := d.going
	if !m.ep.on { // it begins
		before = d.smooth[ofShort]
	}
	d.goingNext = d.mean(m, ofShort, min(before, most), min(math.Log1p(d.now), most), dt)
}

// threshold is where a statistic is evidence of 1.
func (d *distance) threshold(k int) float32 {
	t := &d.tail[k]
	if t.at == 0 {
		return max(unknownDistance, float32(unknownFactor*distanceLeast[k]))
	}
	return t.at * (1 + t.caution)
}

// near is the usual value of a statistic, or what lies well below its threshold.
func (d *distance) near(k int, border float32) float32 { return min(d.usual[k], nearMost*border) }

// holds is how far the newest distances are beyond the usual ones, in the
// threshold's distance from these; likewise how many inputs are off, when that has begun it.
func (d *distance) holds(how int) float64 {
	most := 0.0
	for _, k := range [...]int{ofShort, how} {
		border := d.threshold(k)
		usual := d.near(k, border)
		v := d.stat[k]
		if k == ofShort {
			v = float32(math.Sqrt(math.Expm1(d.goingNext)))
		}
		if k == ofShort || k == ofMany {
			most = max(most, float64((v-usual)/(border-usual)))
		}
	}
	return most
}

// teach adds the statistic to its tail, which p is to exceed.
func (d *distance) teach(k int, p float64, old bool) {
	t := &d.tail[k]
	v := min(d.stat[k], peakClip*max(t.at, unknownDistance))
	if finer[k] != 1 {
		v = float32(math.Pow(float64(v), finer[k]))
	}
	t.add(v)
	if t.due() {
		t.caution = max(0, t.caution-distanceCaution[k]*float32(distanceBudgets*p*float64(t.since)))
		t.since = 0
		d.measure(k, p, old)
	}
}

// known tells whether there are values enough for the body of a statistic's past.
// After the first day fewer will do of single points, which depend on each other
// less than means do: with long steps they are all that there is for days.
func (d *distance) known(k int, old bool) bool {
	few := uint16(bodyFew)
	if old && distanceHorizon[k] == 0 {
		few = bodyFewest
	}
	return d.tail[k].n >= few
}

// measure finds what is exceeded with probability p, in a model that is older than
// a day or not.
func (d *distance) measure(k int, p float64, old bool) {
	t := &d.tail[k]
	if !d.known(k, old) {
		t.at = unknownDistance
		return
	}
	n := float64(t.n)
	last := max(bodyEnd[k], bodyCount/n)
	per := normalAbove(min(p, last)) / normalAbove(last) * (1 + bodyWiden/n)
	median := d.quantile(k, bodyMiddle)
	middle, end := math.Pow(median, straight[k]), math.Pow(d.quantile(k, last), straight[k])
	d.usual[k] = float32(median)
	t.at = float32(max(math.Pow(middle+(end-middle)*per, 1/straight[k]), distanceLeast[k]))
}

// quantile is what a statistic exceeds with probability p.
func (d *distance) quantile(k int, p float64) float64 {
	return math.Pow(d.tail[k].quantile(p), 1/finer[k])
}

// usually is the logarithm of the usual distance, of those with a horizon.
func (d *distance) usually(k int) float64 {
	if !d.known(k, true) {
		return usualDistance
	}
	v := d.quantile(k, bodyMiddle)
	return math.Log1p(v * v)
}

// normalAbove is what a standard normal distribution exceeds with probability p.
func normalAbove(p float64) float64 { return math.Sqrt2 * math.Erfinv(1-2*p) }

// shares fills the inputs' parts of a statistic that was made last: of a distance
// deviation times what it adds, by the inverse of the correlations, and else the
// square of the deviation.
func (d *distance) shares(share []float64, of int) {
	total := 0.0
	for i := len(d.z) - 1; i >= 0; i-- {
		switch of {
		case ofMany:
			share[i] = math.Pow(clip(d.timely[i], manyMost), 2)
		case ofAll:
			share[i] = d.z[i] * d.z[i]
		default:
			s := d.solved[i]
			for k := i + 1; k < len(d.z); k++ {
				s -= d.root[at(k, i)] * d.fit[k]
			}
			d.fit[i] = s / d.root[at(i, i)]
			share[i] = math.Abs(d.z[i] * d.fit[i])
		}
		total += share[i]
	}
	for i := range share {
		if total > 0 {
			share[i] /= total
		} else {
			share[i] = 1 / float64(len(share))
		}
	}
}

// correlate learns the products of the deviations in z.
func (d *distance) correlate(weight float64) {
	if d.points <= severalLeast { // the deviations mean nothing yet
		return
	}
	if d.now > fairDistance {
		weight *= fairDistance / d.now
	}
	for i, x := range d.z {
		row := d.corr[at(i, 0):][:i+1]
		for k := range row {
			row[k] += weight * (x*d.z[k] - row[k])
		}
	}
}

// refactor makes root when it is due.
func (d *distance) refactor() {
	if d.since++; d.since >= rootEvery || d.points < 2*rootEvery {
		d.factor()
	}
}

// factor makes root from corr, and finds how many inputs would be as many as
// these if none depended on another: the square of the sum of the eigenvalues
// over the sum of their squares.
func (d *distance) factor() {
	d.since = 0
	trace, squares := 0.0, 0.0
	for i := range d.z {
		for k := range i + 1 {
			s := d.corr[at(i, k)]
			if i == k {
				trace += s
				squares += s * s
				s += ridge
			} else {
				squares += 2 * s * s
			}
			for m := range k {
				s -= d.root[at(i, m)] * d.root[at(k, m)]
			}
			if i == k {
				d.root[at(i, i)] = math.Sqrt(max(s, 1e-9))
			} else {
				d.root[at(i, k)] = s / d.root[at(k, k)]
			}
		}
	}
	d.independent = 1
	if squares > 0 {
		d.independent = max(1, min(trace*trace/squares, float64(len(d.z))))
	}
}

// settle forgets what was under way.
func (d *distance) settle() {
	for k := ofShort; k < distanceStats; k++ {
		d.smooth[k] = d.usually(k)
	}
}
