package detect

import (
	"errors"
	"fmt"
	"math"
)

// MaxInputs is the most inputs that one joint model takes: its state and its
// work grow with their square.
const MaxInputs = 64

// Joint is auto for several inputs: how far a point lies from what the inputs
// have been, each and together. Every input is measured in its own spread; the
// squared Mahalanobis distance of these measures, by their correlations,
// counts a value that does not fit the other inputs as much as one that does
// not fit its own past (P. C. Mahalanobis, On the generalised distance in
// statistics, 1936; R. Maronna, Robust M-estimators of multivariate location
// and scatter, Annals of Statistics 4, 1976, for the weights of outliers). The
// distance is smoothed over some points, as incidents last, and becomes a tail
// probability of the entity's own past.
type Joint struct {
	n       int
	mean    []float64 // by input
	spread  []float64 // variance by input
	low     []float64 // least and greatest value by input
	high    []float64
	corr    []float64 // lower triangle of the inputs' correlations
	root    []float64 // lower triangle of the Cholesky factor of corr and the ridge
	points  float64   // learned, at most jointMemory
	since   int64     // points since root was made
	skipped int64     // points since one was taken for the past

	smooth       float64 // logarithm of the distance, smoothed
	rhythm       float64 // mean milliseconds between points
	last         int64   // milliseconds of the newest point
	seen         bool
	rare         calibrator
	z, half, fit []float64 // scratch
}

const (
	// jointMemory is how many points the past weighs at most.
	jointMemory = 20000
	// jointRidge keeps inputs that move together from turning noise into distance.
	jointRidge = 0.02
	// jointSmooth is over how many mean distances of points the distance is smoothed.
	jointSmooth = 5
	// rootEvery is after how many points the factor is made again.
	rootEvery = 50
	// jointClip bounds one input's measure, so that one that left its range
	// for good does not hide all others.
	jointClip = 20
	// jointOutlier is the distance, and jointOutlierZ the measure of one input,
	// beyond which a point weighs less the farther it is.
	jointOutlier, jointOutlierZ = 16, 4
	// jointRest is the part of an input's range that counts as spread.
	jointRest = 1e-3
	// jointThin is how many points the past takes one of.
	jointThin = 10
	// jointRarity scales the calibrated score: a smoothed distance stays high
	// for some points, so fewer of them than in single points may be beyond the border.
	jointRarity = 1e-3
)

// NewJoint makes the model of that many inputs, 1 to MaxInputs.
func NewJoint(inputs int) (*Joint, error) {
	if inputs < 1 || inputs > MaxInputs {
		return nil, fmt.Errorf("a joint model takes 1 to %d inputs, not %d", MaxInputs, inputs)
	}
	triangle := inputs * (inputs + 1) / 2
	j := &Joint{
		n: inputs, mean: make([]float64, inputs), spread: make([]float64, inputs),
		low: make([]float64, inputs), high: make([]float64, inputs),
		corr: make([]float64, triangle), root: make([]float64, triangle), rare: prior(),
		z: make([]float64, inputs), half: make([]float64, inputs), fit: make([]float64, inputs),
	}
	for i := range inputs {
		j.corr[at(i, i)] = 1
		j.low[i], j.high[i] = math.Inf(1), math.Inf(-1)
	}
	j.factor()
	return j, nil
}

// at is the place of row i and column k, k <= i, in a lower triangle.
func at(i, k int) int { return i*(i+1)/2 + k }

func (j *Joint) inputs() int { return j.n }

// Name is auto: the user named no model.
func (*Joint) Name() string { return "auto" }

// State is ready once correlations mean something.
func (j *Joint) State() State {
	switch {
	case !j.seen:
		return Cold
	case j.points < float64(30+2*j.n):
		return Learning
	}
	return Ready
}

// Score judges p. The share of an input is its part of the squared distance.
func (j *Joint) Score(p Vector, share []float64) Verdict {
	v := unknown(j.State())
	for i := range share {
		share[i] = math.NaN()
	}
	if v.State != Ready {
		return v
	}
	distance, ok := j.distance(p)
	if !ok {
		return v
	}
	v.Score = min(j.rare.score(j.deviation(p.T, distance))*(logBorder/math.Log(jointRarity)), maxScore)
	v.Hold = v.Score
	if share != nil {
		j.shares(share)
	}
	return v
}

// distance is the squared distance over the number of inputs; 1 is usual. It
// leaves the inputs' measures in z and half the way to the distance in half.
func (j *Joint) distance(p Vector) (float64, bool) {
	present := false
	for i, v := range p.V {
		z := 0.0 // what is missing is as expected
		if !math.IsNaN(v) {
			present = true
			z = j.measure(i, v)
		}
		j.z[i] = min(max(z, -jointClip), jointClip)
	}
	sum := 0.0
	for i := range j.n {
		row := j.root[at(i, 0):]
		s := j.z[i]
		for k := range i {
			s -= row[k] * j.half[k]
		}
		s /= row[i]
		j.half[i] = s
		sum += s * s
	}
	return sum / float64(j.n), present
}

// measure is the deviation of an input in its own spread, and in a part of its
// range: an input that rests most of the time may move a little.
func (j *Joint) measure(i int, v float64) float64 {
	z := (v - j.mean[i]) / (math.Sqrt(j.spread[i]) + jointRest*max(0, j.high[i]-j.low[i]) + 1e-9*math.Abs(j.mean[i]) + math.SmallestNonzeroFloat64)
	if math.IsNaN(z) { // infinite
		return jointClip
	}
	return z
}

// deviation is the smoothed distance that a point at t would lead to.
func (j *Joint) deviation(t int64, distance float64) float64 {
	return math.Sqrt(math.Expm1(j.smoothed(t, distance)))
}

func (j *Joint) smoothed(t int64, distance float64) float64 {
	weight := 1 / float64(jointSmooth)
	if j.rhythm > 0 {
		weight = -math.Expm1(-float64(t-j.last) / (jointSmooth * j.rhythm))
	}
	return j.smooth + (math.Log1p(distance)-j.smooth)*min(max(weight, 0), 1)
}

// shares fills the inputs' parts of the distance that was computed last:
// measure times what it adds, by the inverse of the correlations.
func (j *Joint) shares(share []float64) {
	total := 0.0
	for i := j.n - 1; i >= 0; i-- {
		s := j.half[i]
		for k := i + 1; k < j.n; k++ {
			s -= j.root[at(k, i)] * j.fit[k]
		}
		j.fit[i] = s / j.root[at(i, i)]
		share[i] = math.Abs(j.z[i] * j.fit[i])
		total += share[i]
	}
	for i := range share {
		if total > 0 {
			share[i] /= total
		} else {
			share[i] = 1 / float64(j.n)
		}
	}
}

// Learn takes p in.
func (j *Joint) Learn(p Vector, weight float64) {
	if j.seen && p.T <= j.last || weight <= 0 {
		return
	}
	distance, ok := j.distance(p)
	if !ok {
		return
	}
	if j.seen {
		dt := float64(p.T - j.last)
		if j.rhythm == 0 {
			j.rhythm = dt
		}
		if j.State() == Ready {
			j.smooth = j.smoothed(p.T, distance)
			// Once it knows the usual, the past is thinned, so that it reaches
			// back for weeks: an incident of a day must not look usual.
			if j.skipped++; j.rare.total < calibrationMemory/2 || j.skipped >= jointThin {
				j.skipped = 0
				j.rare.learn(math.Sqrt(math.Expm1(j.smooth)))
			}
		}
		j.rhythm += (min(dt, 16*j.rhythm) - j.rhythm) / 16
	}
	j.last, j.seen = p.T, true
	j.points = min(j.points+1, jointMemory)
	step := weight / j.points
	j.correlate(step, distance)
	for i, v := range p.V {
		if !(math.Abs(v) < beyondUse) { // missing, or no measurement
			continue
		}
		w := step
		if z := math.Abs(j.measure(i, v)); z > jointOutlierZ && j.points > 30 {
			w *= jointOutlierZ / z
		}
		j.low[i], j.high[i] = min(j.low[i], v), max(j.high[i], v)
		d := v - j.mean[i]
		j.mean[i] += w * d
		j.spread[i] = (1 - w) * (j.spread[i] + w*d*d)
	}
	if j.since++; j.since >= rootEvery || j.points < 2*rootEvery {
		j.factor()
	}
}

// correlate learns the products of the measures in z.
func (j *Joint) correlate(step, distance float64) {
	if j.points <= 30 { // the measures mean nothing yet
		return
	}
	if distance > jointOutlier {
		step *= jointOutlier / distance
	}
	for i, x := range j.z {
		row := j.corr[at(i, 0):]
		for k := range i + 1 {
			row[k] += step * (x*j.z[k] - row[k])
		}
	}
}

// factor makes root from corr.
func (j *Joint) factor() {
	j.since = 0
	for i := range j.n {
		for k := range i + 1 {
			s := j.corr[at(i, k)]
			if i == k {
				s += jointRidge
			}
			for m := range k {
				s -= j.root[at(i, m)] * j.root[at(k, m)]
			}
			if i == k {
				j.root[at(i, i)] = math.Sqrt(max(s, 1e-9))
			} else {
				j.root[at(i, k)] = s / j.root[at(k, k)]
			}
		}
	}
}

// Usual is the mean of an input.
func (j *Joint) Usual(input int) float64 { return j.mean[input] }

const (
	idJoint      byte = 40
	jointVersion byte = 1
)

// AppendBinary appends the state.
func (j *Joint) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idJoint, jointVersion)
	for _, f := range [][]float64{j.mean, j.spread, j.low, j.high, j.corr, j.root, {j.points, j.smooth, j.rhythm}} {
		w.floats(f)
	}
	w.int(j.since)
	w.int(j.skipped)
	w.int(j.last)
	w.bool(j.seen)
	j.rare.write(w)
	return w.b, nil
}

// UnmarshalBinary restores what AppendBinary wrote for as many inputs.
func (j *Joint) UnmarshalBinary(b []byte) error {
	r := newReader(b, idJoint, jointVersion)
	var f [3]float64
	r.floats(j.mean)
	r.floats(j.spread)
	r.extended(j.low) // infinite before the first point
	r.extended(j.high)
	for _, to := range [][]float64{j.corr, j.root, f[:]} {
		r.floats(to)
	}
	j.points, j.smooth, j.rhythm = f[0], f[1], f[2]
	j.since, j.skipped, j.last, j.seen = r.int(), r.int(), r.int(), r.bool()
	j.rare.read(r)
	if err := r.done(); err != nil {
		return err
	}
	for i := range j.n {
		if !(j.root[at(i, i)] > 0) || math.IsNaN(j.mean[i]+j.spread[i]) {
			return errors.Join(errState, errors.New("a number is missing"))
		}
	}
	return nil
}
