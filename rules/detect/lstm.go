package detect

import (
	"errors"
	"fmt"
	"math"
)

// LSTMConfig configures a recurrent network.
type LSTMConfig struct {
	// Lookback is through how many steps errors are followed back; 64 is usual.
	Lookback int
	// Hidden is how many cells the network has; 16 is usual.
	Hidden int
	// Inputs is how many numbers a point has.
	Inputs int
}

// LSTM predicts the next point by a small recurrent network that is trained on
// the stream itself, and judges points by the error of the prediction, each
// input in the width of its own errors. Inputs are centered and scaled as they
// come; the net sees the time of day and how long the step was too, and is
// moved over short gaps by its own predictions. The error becomes a tail
// probability of the entity's own past (P. Malhotra et al., Long short term
// memory networks for anomaly detection in time series, ESANN 2015, for the
// idea).
type LSTM struct {
	c      LSTMConfig
	stride int
	net    *lstmNet[float32]

	h, cell []float32   // states after the newest point
	starts  [][]float32 // states every stride points, a ring: h then cell
	rows    [][]float32 // newest points as the net saw them, a ring of Lookback
	weights []float32   // of these points
	steps   int64       // points and gap steps taken

	center, scale []float64 // by input, slow
	width         []float64 // mean absolute error by input, scaled
	rhythm        float64   // mean milliseconds between points
	last          int64     // milliseconds of the newest point
	points        int64
	rare          calibrator

	window  [][]float32 // scratch of training
	wweight []float32
	act, x  []float32 // scratch of a step
	ph, pc  []float32 // scratch of a look ahead
	px, py  []float32
}

const (
	lstmTimes   = 3   // inputs besides the point's: sine and cosine of the day, step
	lstmGap     = 16  // longest gap, in steps, that predictions fill
	lstmClip    = 6   // scaled inputs are cut here
	lstmSlow    = 500 // points over which center and scale are taken
	lstmWidth   = 300 // points over which widths are taken
	lstmAhead   = 3000
	lstmRarity  = 1e-3 // tail probability that scores 1
	lstmReady   = 3    // lookbacks before the first score
	lstmEager   = 40   // trainings at the start that are repeated
	lstmRepeats = 4
)

// NewLSTM makes the model.
func NewLSTM(c LSTMConfig) (*LSTM, error) {
	switch {
	case c.Lookback < 8 || c.Lookback > 1024:
		return nil, fmt.Errorf("a lookback is 8 to 1024 steps, not %d", c.Lookback)
	case c.Hidden < 1 || c.Hidden > 128:
		return nil, fmt.Errorf("a network has 1 to 128 cells, not %d", c.Hidden)
	case c.Inputs < 1 || c.Inputs > MaxInputs:
		return nil, fmt.Errorf("a network takes 1 to %d inputs, not %d", MaxInputs, c.Inputs)
	}
	c.Lookback = c.Lookback / 4 * 4
	n := &LSTM{c: c, stride: c.Lookback / 4, rare: prior()}
	in := c.Inputs + lstmTimes
	n.net = newLSTMNet[float32](in, c.Hidden, c.Inputs, 1)
	for _, s := range []*[]float32{&n.h, &n.cell, &n.ph, &n.pc} {
		*s = make([]float32, c.Hidden)
	}
	for range 5 {
		n.starts = append(n.starts, make([]float32, 2*c.Hidden))
	}
	for range c.Lookback {
		n.rows = append(n.rows, make([]float32, in))
	}
	n.weights, n.wweight, n.window = make([]float32, c.Lookback), make([]float32, c.Lookback), make([][]float32, c.Lookback)
	n.center, n.scale, n.width = make([]float64, c.Inputs), make([]float64, c.Inputs), make([]float64, c.Inputs)
	n.act, n.x, n.px, n.py = make([]float32, 4*c.Hidden), make([]float32, in), make([]float32, in), make([]float32, c.Inputs)
	return n, nil
}

func (n *LSTM) inputs() int { return n.c.Inputs }

// Name is lstm.
func (*LSTM) Name() string { return "lstm" }

// State is ready once the network has been trained for a while.
func (n *LSTM) State() State {
	switch {
	case n.points == 0:
		return Cold
	case n.points < int64(lstmReady*n.c.Lookback):
		return Learning
	}
	return Ready
}

// Usual is what the network expects next of an input.
func (n *LSTM) Usual(input int) float64 {
	n.ahead(n.last + int64(n.rhythm))
	return n.center[input] + float64(n.py[input])*n.scale[input]
}

// features fills x with a point's scaled values and its time; what is missing
// takes its prediction.
func (n *LSTM) features(x []float32, p Vector, predicted []float32, dt float64) (present bool) {
	for i, v := range p.V {
		if math.IsNaN(v) {
			x[i] = predicted[i]
			continue
		}
		present = true
		z := (v - n.center[i]) / (n.scale[i] + 1e-9*math.Abs(n.center[i]) + math.SmallestNonzeroFloat64)
		if math.IsNaN(z) {
			z = lstmClip
		}
		x[i] = float32(min(max(z, -lstmClip), lstmClip))
	}
	n.clock(x, p.T, dt)
	return present
}

func (n *LSTM) clock(x []float32, t int64, dt float64) {
	day := 2 * math.Pi * float64(t%86_400_000) / 86_400_000
	step := 0.0
	if n.rhythm > 0 && dt > 0 {
		step = min(max(math.Log(dt/n.rhythm), -3), 3)
	}
	at := n.c.Inputs
	x[at], x[at+1], x[at+2] = float32(math.Sin(day)), float32(math.Cos(day)), float32(step)
}

// gap is how many points are missing between the newest one and t.
func (n *LSTM) gap(t int64) int {
	if n.rhythm <= 0 {
		return 0
	}
	return int(min(max(math.Round(float64(t-n.last)/n.rhythm)-1, 0), 1e6))
}

// ahead leaves in py what is predicted for t, over missing points by
// predictions of predictions, and changes nothing else but scratch.
func (n *LSTM) ahead(t int64) (steps int) {
	copy(n.ph, n.h)
	copy(n.pc, n.cell)
	copy(n.px, n.newest())
	n.net.predict(n.px, n.ph, n.py)
	steps = n.gap(t)
	for s := range min(steps, lstmAhead) {
		copy(n.px, n.py)
		n.clock(n.px, n.last+int64(float64(s+1)*n.rhythm), n.rhythm)
		n.net.step(n.px, n.ph, n.pc, n.act)
		n.net.predict(n.px, n.ph, n.py)
		for i, y := range n.py {
			n.py[i] = min(max(y, -lstmClip), lstmClip)
		}
	}
	return steps + 1
}

func (n *LSTM) newest() []float32 {
	return n.rows[(n.steps+int64(n.c.Lookback)-1)%int64(n.c.Lookback)]
}

// deviation is the error of the prediction in py: of each input in its own
// width, their root mean square; by input in x when share is given.
func (n *LSTM) deviation(share []float64) float64 {
	sum := 0.0
	for i := range n.c.Inputs {
		e := float64(n.x[i]-n.py[i]) / (n.width[i] + 1e-3)
		if share != nil {
			share[i] = e * e
		}
		sum += e * e
	}
	for i := range share {
		if sum > 0 {
			share[i] /= sum
		} else {
			share[i] = 1 / float64(n.c.Inputs)
		}
	}
	return math.Sqrt(sum / float64(n.c.Inputs))
}

// Score judges p. The share of an input is its part of the squared error.
func (n *LSTM) Score(p Vector, share []float64) Verdict {
	v := unknown(n.State())
	for i := range share {
		share[i] = math.NaN()
	}
	if v.State != Ready || p.T <= n.last {
		return v
	}
	n.ahead(p.T)
	if !n.features(n.x, p, n.py, float64(p.T-n.last)) {
		return v
	}
	v.Score = min(n.score(n.deviation(share)), maxScore)
	v.Hold = v.Score
	return v
}

func (n *LSTM) score(deviation float64) float64 {
	return n.rare.score(deviation) * (logBorder / math.Log(lstmRarity))
}

// Learn takes p in, and now and then trains the network.
func (n *LSTM) Learn(p Vector, weight float64) {
	if n.points > 0 && p.T <= n.last || weight <= 0 {
		return
	}
	for i := range n.py { // of the first point nothing is predicted
		n.py[i] = 0
	}
	dt, missing := 0.0, 0
	if n.points > 0 {
		dt, missing = float64(p.T-n.last), n.gap(p.T)
		n.ahead(p.T)
	}
	if !n.features(n.x, p, n.py, dt) {
		return
	}
	if n.State() == Ready {
		n.rare.learn(n.deviation(nil))
	}
	if n.points > 0 {
		n.fill(missing)
	}
	n.measure(p, weight)
	n.take(n.x, weight)
	if n.points > 0 {
		if n.rhythm == 0 {
			n.rhythm = dt
		}
		n.rhythm += (min(dt, 16*n.rhythm) - n.rhythm) / 16
	}
	n.last = p.T
	n.points++
}

// fill moves the network over missing points by its own predictions; over a
// long gap there is nothing to go by, and it begins anew.
func (n *LSTM) fill(missing int) {
	if missing > lstmGap {
		clear(n.h)
		clear(n.cell)
		return
	}
	for s := range missing {
		copy(n.px, n.newest())
		n.net.predict(n.newest(), n.h, n.px[:n.c.Inputs])
		n.clock(n.px, n.last+int64(float64(s+1)*n.rhythm), n.rhythm)
		n.take(n.px, 0)
	}
}

// measure learns the widths of errors, and where the inputs lie.
func (n *LSTM) measure(p Vector, weight float64) {
	step := max(1/float64(n.points+1), 1.0/lstmSlow) * weight
	wide := max(1/float64(n.points+1), 1.0/lstmWidth)
	for i, v := range p.V {
		if !(math.Abs(v) < beyondUse) { // missing, or no measurement
			continue
		}
		if n.points > 0 {
			e := math.Abs(float64(n.x[i] - n.py[i]))
			n.width[i] += wide * (min(e, 8*n.width[i]+1e-3) - n.width[i])
		}
		d := v - n.center[i]
		if n.points > 30 {
			d = min(max(d, -4*n.scale[i]-math.Abs(d)/10), 4*n.scale[i]+math.Abs(d)/10)
		}
		n.center[i] += step * d
		n.scale[i] = math.Sqrt((1 - step) * (n.scale[i]*n.scale[i] + step*d*d))
	}
}

// take has the network consume x, and trains it when a stride is over.
func (n *LSTM) take(x []float32, weight float64) {
	at := n.steps % int64(n.c.Lookback)
	if n.steps%int64(n.stride) == 0 {
		if n.steps >= int64(n.c.Lookback) {
			n.train()
		}
		start := n.starts[n.steps/int64(n.stride)%5]
		copy(start, n.h)
		copy(start[n.c.Hidden:], n.cell)
	}
	copy(n.rows[at], x)
	n.weights[at] = float32(weight)
	n.net.step(x, n.h, n.cell, n.act)
	n.steps++
}

// train goes once, at the start more often, over the rows from a lookback ago.
func (n *LSTM) train() {
	L := int64(n.c.Lookback)
	for i := range L {
		n.window[i], n.wweight[i] = n.rows[(n.steps+i)%L], n.weights[(n.steps+i)%L]
	}
	start := n.starts[(n.steps-L)/int64(n.stride)%5]
	t := n.net.trace(n.c.Lookback - 1) // much larger than all the rest, and only needed here
	repeats := 1
	if n.net.updates < lstmEager*lstmRepeats {
		repeats = lstmRepeats
	}
	for range repeats {
		n.net.gradient(n.window, n.wweight, start[:n.c.Hidden], start[n.c.Hidden:], t)
		n.net.update(t.grad)
	}
}

const (
	idLSTM      byte = 43
	lstmVersion byte = 1
)

// AppendBinary appends the state.
func (n *LSTM) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idLSTM, lstmVersion)
	w.int(n.net.updates)
	for _, f := range n.parts() {
		w.float32s(f)
	}
	for _, f := range [][]float64{n.center, n.scale, n.width, {n.rhythm}} {
		w.floats(f)
	}
	w.int(n.steps)
	w.int(n.points)
	w.int(n.last)
	n.rare.write(w)
	return w.b, nil
}

// parts are all float32 parts of the state, in the order of the layout.
func (n *LSTM) parts() [][]float32 {
	out := [][]float32{n.net.w, n.net.m, n.net.v, n.h, n.cell, n.weights}
	out = append(out, n.starts...)
	return append(out, n.rows...)
}

// mostLSTM bounds the numbers of a saved network: far above what training
// reaches, and far below where its sums overflow.
const mostLSTM = 1e6

// UnmarshalBinary restores what AppendBinary wrote for the same configuration.
func (n *LSTM) UnmarshalBinary(b []byte) error {
	r := newReader(b, idLSTM, lstmVersion)
	n.net.updates = r.int()
	for _, f := range n.parts() {
		r.float32s(f)
	}
	var rhythm [1]float64
	for _, f := range [][]float64{n.center, n.scale, n.width, rhythm[:]} {
		r.floats(f)
	}
	n.rhythm = rhythm[0]
	n.steps, n.points, n.last = r.int(), r.int(), r.int()
	n.rare.read(r)
	if err := r.done(); err != nil {
		return err
	}
	bad := n.steps < 0 || n.points < 0 || n.net.updates < 0 || !(n.rhythm >= 0)
	for _, f := range n.parts() {
		for _, v := range f {
			bad = bad || !(v > -mostLSTM && v < mostLSTM)
		}
	}
	for _, v := range n.net.v { // means of squares
		bad = bad || v < 0
	}
	for i := range n.center {
		bad = bad || !(n.scale[i] >= 0 && n.width[i] >= 0)
	}
	if bad {
		return errors.Join(errState, errors.New("a number is missing"))
	}
	return nil
}
