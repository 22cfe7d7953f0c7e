package detect

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/dsp/fourier"
)

// SpectralConfig configures NewSpectral.
type SpectralConfig struct {
	// Points is how many steps the window has, 16 to 512; powers of two are fast. 0: 64.
	Points int
}

// Spectral finds what stands out of a window by its spectral residual, of H.
// Ren et al., Time-series anomaly detection service at Microsoft, KDD 2019:
// the logarithm of the window's amplitudes less their running mean, put back
// with the phases, is large where something does not go with the rest. The
// window ends with spectralAhead steps of the extrapolation that the paper
// advises, so that the newest point does not lie on the edge. A saliency says how
// much stands out alone, not how far: it saturates at 1. So it is multiplied by
// the jump from the point before, and that product, against the usual one,
// becomes a tail probability of the series' own past.
//
// The window holds even steps: a missing sample is put in on the straight line
// between its neighbours. The mean is taken out, so levels do not matter.
type Spectral struct {
	c    SpectralConfig
	size int
	ring []float64 // the newest points, the oldest at next
	next int
	used int

	n, last int64
	before  float64 // value of the newest point
	rhythm  float64 // mean milliseconds between points
	usual   float64 // mean salient jump of the newest points
	fresh   float64 // points in usual, at most spectralMemory
	rare    calibrator

	asked  Point // the saliency of which is answer, while fit
	answer float64
	fit    bool
	work   *spectrum
}

// spectrum is the scratch of one transform.
type spectrum struct {
	fft    *fourier.FFT
	x      []float64
	coeff  []complex128
	log    []float64
	scaled []complex128
}

const (
	// spectralAhead is κ, spectralSlope m and spectralMean q of the paper.
	spectralAhead, spectralSlope, spectralMean = 5, 5, 3
	// spectralMemory is over how many points the usual jump is taken.
	spectralMemory = 500
	// spectralNothing is the part of the largest amplitude that counts as none.
	spectralNothing = 1e-8
)

// NewSpectral makes a spectral model.
func NewSpectral(c SpectralConfig) (*Spectral, error) {
	if c.Points == 0 {
		c.Points = 64
	}
	if c.Points < 16 || c.Points > 512 {
		return nil, fmt.Errorf("cannot make a spectral model of %d points: 16 to 512", c.Points)
	}
	return &Spectral{c: c, size: c.Points - spectralAhead, ring: make([]float64, c.Points-spectralAhead), rare: prior()}, nil
}

func newSpectrum(points int) *spectrum {
	return &spectrum{
		fft: fourier.NewFFT(points), x: make([]float64, points), coeff: make([]complex128, points/2+1),
		log: make([]float64, points/2+1), scaled: make([]complex128, points/2+1),
	}
}

// Name is spectral.
func (*Spectral) Name() string { return "spectral" }

// State is Ready once the window is full and has moved on by half.
func (m *Spectral) State() State {
	switch {
	case m.n == 0:
		return Cold
	case m.used < m.size || m.rare.total < float64(m.size)/2:
		return Learning
	}
	return Ready
}

// newest is the i-th newest point of the ring, from 0.
func (m *Spectral) newest(i int) float64 {
	return m.ring[((m.next-1-i)%m.size+m.size)%m.size]
}

// missing is how many steps lie between the newest point and t.
func (m *Spectral) missing(t int64) int {
	if m.rhythm <= 0 {
		return 0
	}
	return int(min(max(math.Round(float64(t-m.last)/m.rhythm)-1, 0), float64(m.size)))
}

// saliency is how much p stands out of the window that ends with it.
func (m *Spectral) saliency(p Point) float64 {
	if m.fit && m.asked == p {
		return m.answer
	}
	if m.work == nil {
		m.work = newSpectrum(m.c.Points)
	}
	x := m.work.x
	x[m.size-1] = p.V
	gap := m.missing(p.T)
	at := m.size - 2
	for i := gap; i > 0 && at >= 0; i, at = i-1, at-1 {
		x[at] = m.before + (p.V-m.before)*float64(i)/float64(gap+1)
	}
	for i := 0; at >= 0; i, at = i+1, at-1 {
		x[at] = m.newest(i)
	}
	m.asked, m.answer, m.fit = p, m.work.salient(m.size), true
	return m.answer
}

// salient extends x beyond its first used points by the paper's extrapolation
// and returns the saliency of the last of them. As in the authors' own program
// that point does not take part in the extrapolation, which would follow it.
func (w *spectrum) salient(used int) float64 {
	x := w.x
	slope := 0.0
	for i := 1; i <= spectralSlope; i++ {
		slope += (x[used-2] - x[used-2-i]) / float64(i) / spectralSlope
	}
	next := x[used-1-spectralSlope] + slope*spectralSlope
	for i := used; i < len(x); i++ {
		x[i] = next
	}
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	largest := 0.0
	for i := range x {
		x[i] -= mean
		largest = max(largest, math.Abs(x[i]))
	}
	if largest <= 1e-9*math.Abs(mean) || math.IsNaN(largest) || math.IsInf(largest, 0) { // a constant
		return 0
	}
	for i := range x {
		x[i] /= largest
	}
	w.fft.Coefficients(w.coeff, x)
	return w.residual(used - 1)
}

// residual turns amplitudes into their spectral residual and returns the size
// of what it puts at a place.
func (w *spectrum) residual(at int) float64 {
	half := len(w.coeff) - 1
	w.coeff[0] = 0 // the mean, which was taken out
	most := 0.0
	for i := 1; i <= half; i++ {
		w.log[i] = math.Hypot(real(w.coeff[i]), imag(w.coeff[i]))
		most = max(most, w.log[i])
	}
	if most == 0 {
		return 0
	}
	for i := 1; i <= half; i++ {
		w.log[i] = math.Log(max(w.log[i], spectralNothing*most))
	}
	w.scaled[0] = 0
	for i := 1; i <= half; i++ {
		sum, n := 0.0, 0.0
		for k := max(i-spectralMean/2, 1); k <= min(i+spectralMean/2, half); k++ {
			sum += w.log[k]
			n++
		}
		// exp(residual), with the phase of the coefficient.
		w.scaled[i] = w.coeff[i] * complex(math.Exp(-sum/n), 0)
	}
	w.fft.Sequence(w.x, w.scaled)
	return math.Abs(w.x[at]) / float64(len(w.x))
}

// jump is the salient part of the step from the point before to p.
func (m *Spectral) jump(p Point) float64 { return m.saliency(p) * math.Abs(p.V-m.before) }

// deviation is a jump against the usual one; of a series that was constant, any
// is large.
func (m *Spectral) deviation(jump float64) float64 {
	if jump <= 1e-9*math.Abs(m.before) {
		return 0
	}
	return min(jump/max(m.usual, 1e-150), 1e6)
}

// Score is how rare such a jump is. There is no band: Lower and Upper are
// NaN, and the expectation is the newest point, from which p would jump.
func (m *Spectral) Score(p Point) Verdict {
	v := unknown(m.State())
	if v.State != Ready || math.IsNaN(p.V) {
		return v
	}
	v.Expected = m.before
	if math.Abs(p.V) >= beyondUse {
		v.Score, v.Hold = maxScore, maxScore
		return v
	}
	v.Score = min(max(m.rare.score(m.deviation(m.jump(p))), 0), maxScore)
	v.Hold = v.Score
	return v
}

// Learn moves the window on. What the window holds is what was there: the point
// after a jump must not seem to jump again. Only the usual jump is damped.
func (m *Spectral) Learn(p Point, weight float64) {
	if !usable(p, m.n, m.last) || weight <= 0 {
		return
	}
	if m.used == m.size {
		jump := m.jump(p)
		if m.usual == 0 {
			m.usual = jump
		}
		m.rare.learn(m.deviation(jump))
		m.fresh = min(m.fresh+1, spectralMemory)
		// One jump moves the usual one a little only.
		m.usual += (min(jump, 8*m.usual) - m.usual) * weight / m.fresh
	}
	if m.n > 0 {
		gap := m.missing(p.T)
		for i := range gap {
			m.push(m.before + (p.V-m.before)*float64(i+1)/float64(gap+1))
		}
		dt := float64(p.T - m.last)
		if m.rhythm == 0 {
			m.rhythm = dt
		}
		m.rhythm += (min(dt, 4*m.rhythm) - m.rhythm) / 16
	}
	m.push(p.V)
	m.before, m.last, m.fit = p.V, p.T, false
	m.n++
}

func (m *Spectral) reserve() { m.work = newSpectrum(m.c.Points) }

func (m *Spectral) push(v float64) {
	m.ring[m.next] = v
	m.next = (m.next + 1) % m.size
	m.used = min(m.used+1, m.size)
}

// AppendBinary appends the state.
func (m *Spectral) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idSpectral, 1)
	w.floats(m.ring)
	for _, v := range []int64{int64(m.next), int64(m.used), m.n, m.last} {
		w.int(v)
	}
	w.floats([]float64{m.before, m.rhythm, m.usual, m.fresh})
	m.rare.write(w)
	return w.b, nil
}

// UnmarshalBinary restores the state.
func (m *Spectral) UnmarshalBinary(b []byte) error {
	r := newReader(b, idSpectral, 1)
	r.floats(m.ring)
	m.next, m.used = r.index(m.size), r.index(m.size+1)
	m.n, m.last = r.count(), r.int()
	var f [4]float64
	r.floats(f[:])
	m.before, m.rhythm, m.usual, m.fresh = f[0], f[1], f[2], f[3]
	m.rare.read(r)
	m.fit = false
	for _, v := range m.ring {
		if !(math.Abs(v) < beyondUse) {
			r.fail("a point that cannot be")
		}
	}
	if !(m.usual >= 0 && m.fresh >= 0 && m.rhythm >= 0) || !(math.Abs(m.before) < beyondUse) {
		r.fail("a number is missing")
	}
	return r.done()
}
