package detect

import (
	"math"
	"math/rand/v2"
)

// lstmNet is a layer of long short-term memory with a linear output that
// predicts the change of the first inputs to the next step (S. Hochreiter,
// J. Schmidhuber, Long short-term memory, Neural Computation 9, 1997; forget
// gates: F. Gers, J. Schmidhuber, F. Cummins, Learning to forget, 2000). It is
// trained by backpropagation through a bounded number of steps (P. Werbos,
// Backpropagation through time, 1990) and Adam (D. Kingma, J. Ba, 2015).
type lstmNet[F float32 | float64] struct {
	in, hidden, out int
	w               []F // gate rows in order input, forget, output, candidate; then output rows
	m, v            []F // Adam's moments of w
	updates         int64
}

const (
	lstmRate   = 0.01 // Adam's step
	adamBeta1  = 0.9
	adamBeta2  = 0.999
	adamTiny   = 1e-8
	lstmNorm   = 1.0 // gradients longer than this are shortened to it
	huberDelta = 1.0 // prediction errors beyond this pull no harder
)

func newLSTMNet[F float32 | float64](in, hidden, out int, seed uint64) *lstmNet[F] {
	n := &lstmNet[F]{in: in, hidden: hidden, out: out}
	size := 4*hidden*n.row() + out*(hidden+1)
	n.w, n.m, n.v = make([]F, size), make([]F, size), make([]F, size)
	r := rand.New(rand.NewPCG(seed, 0x157e)) //nolint:gosec // chance that repeats
	scale := 1 / math.Sqrt(float64(in+hidden))
	for g := range 4 * hidden {
		row := n.gate(g)
		for i := range in + hidden {
			row[i] = F(scale * (2*r.Float64() - 1))
		}
		if g/hidden == 1 {
			row[in+hidden] = 1 // remember at first
		}
	}
	return n // the output begins as "no change"
}

func (n *lstmNet[F]) row() int { return n.in + n.hidden + 1 }

// gate is row g of the gates: weights of the inputs, of the hidden state, bias.
func (n *lstmNet[F]) gate(g int) []F { return n.w[g*n.row() : (g+1)*n.row()] }

// output is the row of one output: weights of the hidden state, bias.
func (n *lstmNet[F]) output(o int) []F {
	at := 4*n.hidden*n.row() + o*(n.hidden+1)
	return n.w[at : at+n.hidden+1]
}

// step takes x in: h and c, the hidden and the cell state, are changed in
// place. gates, when not nil, keeps 4 times hidden activations and c before.
func (n *lstmNet[F]) step(x, h, c, act []F) {
	H := n.hidden
	for g := range 4 * H {
		row := n.gate(g)
		s := row[n.in+H]
		for i, v := range x {
			s += row[i] * v
		}
		for i, v := range h {
			s += row[n.in+i] * v
		}
		if g < 3*H {
			act[g] = F(1 / (1 + math.Exp(-float64(s))))
		} else {
			act[g] = F(math.Tanh(float64(s)))
		}
	}
	for k := range H {
		c[k] = act[H+k]*c[k] + act[k]*act[3*H+k]
		h[k] = act[2*H+k] * F(math.Tanh(float64(c[k])))
	}
}

// predict fills y with the next values of the first inputs: those of x and the
// change that h says.
func (n *lstmNet[F]) predict(x, h, y []F) {
	for o := range y {
		row := n.output(o)
		s := row[n.hidden]
		for k, v := range h {
			s += row[k] * v
		}
		y[o] = x[o] + s
	}
}

// lstmTrace is what a pass forward leaves for the way back, step by step.
type lstmTrace[F float32 | float64] struct {
	act, h, c []F // activations; states before the step, and after the last
	grad      []F
	dh, dc    []F
	dz, y, dy []F
}

func (n *lstmNet[F]) trace(steps int) *lstmTrace[F] {
	H := n.hidden
	return &lstmTrace[F]{
		act: make([]F, 4*H*steps), h: make([]F, H*(steps+1)), c: make([]F, H*(steps+1)), grad: make([]F, len(n.w)),
		dh: make([]F, H), dc: make([]F, H), dz: make([]F, 4*H), y: make([]F, n.out), dy: make([]F, n.out),
	}
}

// gradient goes over rows, the inputs of one step each, from the state h and c,
// and fills t.grad with the gradient of the mean loss: Huber's of every
// prediction of the next row, by that row's weight. It returns the loss.
func (n *lstmNet[F]) gradient(rows [][]F, weights []F, h, c []F, t *lstmTrace[F]) F {
	H, steps := n.hidden, len(rows)-1
	copy(t.h, h)
	copy(t.c, c)
	for s := range steps {
		copy(t.h[(s+1)*H:], t.h[s*H:(s+1)*H])
		copy(t.c[(s+1)*H:], t.c[s*H:(s+1)*H])
		n.step(rows[s], t.h[(s+1)*H:(s+2)*H], t.c[(s+1)*H:(s+2)*H], t.act[4*H*s:4*H*(s+1)])
	}
	clear(t.grad)
	clear(t.dh)
	clear(t.dc)
	loss, scale := F(0), 1/F(steps*n.out)
	outputs := t.grad[4*H*n.row():]
	for s := steps - 1; s >= 0; s-- {
		after := t.h[(s+1)*H : (s+2)*H]
		n.predict(rows[s], after, t.y)
		for o := range t.y {
			e := t.y[o] - rows[s+1][o]
			w := weights[s+1] * scale
			switch {
			case e > huberDelta:
				loss += w * huberDelta * (e - huberDelta/2)
				e = huberDelta
			case e < -huberDelta:
				loss += w * huberDelta * (-e - huberDelta/2)
				e = -huberDelta
			default:
				loss += w * e * e / 2
			}
			d := e * w
			row, into := n.output(o), outputs[o*(H+1):(o+1)*(H+1)]
			for k, v := range after {
				into[k] += d * v
				t.dh[k] += d * row[k]
			}
			into[H] += d
		}
		n.back(rows[s], s, t)
	}
	return loss
}

// back carries dh and dc, the gradients of the states after step s, over the
// step: into the gates' weights, and to the states before it.
func (n *lstmNet[F]) back(x []F, s int, t *lstmTrace[F]) {
	H := n.hidden
	act, before, c0, c1 := t.act[4*H*s:4*H*(s+1)], t.h[s*H:(s+1)*H], t.c[s*H:(s+1)*H], t.c[(s+1)*H:(s+2)*H]
	for k := range H {
		i, f, o, g := act[k], act[H+k], act[2*H+k], act[3*H+k]
		th := F(math.Tanh(float64(c1[k])))
		dc := t.dc[k] + t.dh[k]*o*(1-th*th)
		t.dz[k] = dc * g * i * (1 - i)
		t.dz[H+k] = dc * c0[k] * f * (1 - f)
		t.dz[2*H+k] = t.dh[k] * th * o * (1 - o)
		t.dz[3*H+k] = dc * i * (1 - g*g)
		t.dc[k] = dc * f
	}
	clear(t.dh)
	for g, dz := range t.dz {
		row, into := n.gate(g), t.grad[g*n.row():(g+1)*n.row()]
		for i, v := range x {
			into[i] += dz * v
		}
		for i, v := range before {
			into[n.in+i] += dz * v
			t.dh[i] += dz * row[n.in+i]
		}
		into[n.in+n.hidden] += dz
	}
}

// update moves the weights against the gradient.
func (n *lstmNet[F]) update(grad []F) {
	norm := 0.0
	for _, g := range grad {
		norm += float64(g) * float64(g)
	}
	shrink := F(1)
	if norm = math.Sqrt(norm); norm > lstmNorm {
		shrink = F(lstmNorm / norm)
	}
	if math.IsNaN(norm) {
		return
	}
	n.updates++
	rate := F(lstmRate * math.Sqrt(1-math.Pow(adamBeta2, float64(n.updates))) / (1 - math.Pow(adamBeta1, float64(n.updates))))
	for i, g := range grad {
		g *= shrink
		n.m[i] += (1 - adamBeta1) * (g - n.m[i])
		n.v[i] += (1 - adamBeta2) * (g*g - n.v[i])
		n.w[i] -= rate * n.m[i] / (F(math.Sqrt(float64(n.v[i]))) + adamTiny)
	}
}
