package detect

import "math"

// historySize is how many buckets stand for a series' past.
const historySize = 256

// history holds means of a series over equal spans of time, in constant
// memory: when the buckets are used up, neighbours are joined and spans double,
// so it reaches back to the first point at a resolution that fits.
type history struct {
	span   int64   // milliseconds of a bucket; 0 before the second point
	origin int64   // start of the first bucket
	base   float64 // the first value; means are relative to it
	mean   [historySize]float32
	weight [historySize]uint16 // points in a bucket, in 1/weightUnit, up to what fits
	used   int                 // buckets up to the newest point
	n      int64
	last   int64
	step   float64 // mean milliseconds between points
}

// add takes a point in.
func (h *history) add(p Point, weight float64) {
	if h.n == 0 {
		h.origin, h.last, h.n = p.T, p.T, 1
		h.base, h.weight[0], h.used = p.V, weigh(weight), 1
		return
	}
	dt := p.T - h.last
	if dt <= 0 || p.T-h.origin < 0 { // times so far apart that they overflow
		return
	}
	if h.span == 0 {
		h.span, h.step = max(dt, 1), float64(dt)
	}
	h.step += (float64(dt) - h.step) / 16
	h.last = p.T
	h.n++
	at := (p.T - h.origin) / h.span
	for at >= historySize {
		h.halve()
		at = (p.T - h.origin) / h.span
	}
	h.used = max(h.used, int(at)+1)
	h.join(int(at), p.V-h.base, weight)
}

// join adds to a bucket.
func (h *history) join(i int, v, weight float64) {
	if weight <= 0 {
		return
	}
	before := float64(h.weight[i]) / weightUnit
	mean := float64(h.mean[i])*(before/(before+weight)) + v*(weight/(before+weight))
	h.mean[i] = float32(max(-math.MaxFloat32, min(math.MaxFloat32, mean)))
	h.weight[i] = weigh(before + weight)
}

// weightUnit makes a full bucket follow its last thousand points.
const weightUnit = 64

func weigh(weight float64) uint16 { return uint16(max(1, min(weight*weightUnit+0.5, math.MaxUint16))) }

func (h *history) halve() {
	for i := range historySize / 2 {
		mean, weight := float64(h.mean[2*i+1]), float64(h.weight[2*i+1])/weightUnit
		h.mean[i], h.weight[i] = h.mean[2*i], h.weight[2*i]
		h.join(i, mean, weight)
	}
	clear(h.mean[historySize/2:])
	clear(h.weight[historySize/2:])
	h.span *= 2
	h.used = (h.used + 1) / 2
}

// length is how much time the history covers, in milliseconds.
func (h *history) length() int64 { return h.last - h.origin }

// value is a bucket's mean; NaN where nothing came.
func (h *history) value(i int) float64 {
	if h.weight[i] == 0 {
		return math.NaN()
	}
	return h.base + float64(h.mean[i])
}

// middleOf is when a bucket's middle was, in milliseconds.
func (h *history) middleOf(i int) int64 { return h.origin + int64(i)*h.span + h.span/2 }

// autocorrelation tells how alike the series is to itself lag buckets before,
// from -1 to 1, after taking a straight line out. It is 0 when fewer than half
// of the buckets have a partner.
func (h *history) autocorrelation(lag int) float64 {
	slope, level := h.line()
	residual := func(i int) float64 { return h.value(i) - level - slope*float64(i) }
	var product, a, b float64
	pairs := 0
	for i := lag; i < h.used; i++ {
		x, y := residual(i), residual(i-lag)
		if math.IsNaN(x) || math.IsNaN(y) {
			continue
		}
		product += x * y
		a += x * x
		b += y * y
		pairs++
	}
	if pairs*2 < h.used-lag || a <= 0 || b <= 0 {
		return 0
	}
	return product / math.Sqrt(a*b)
}

// line fits a straight line over the buckets by least squares.
func (h *history) line() (slope, level float64) {
	var n, sx, sy, sxx, sxy float64
	for i := range h.used {
		y := h.value(i)
		if math.IsNaN(y) {
			continue
		}
		x := float64(i)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if d := n*sxx - sx*sx; d > 0 {
		slope = (n*sxy - sx*sy) / d
	}
	return slope, (sy - slope*sx) / max(n, 1)
}

func (h *history) write(w *writer) {
	for _, v := range []int64{h.span, h.origin, int64(h.used), h.n, h.last} {
		w.int(v)
	}
	w.float(h.step)
	w.float(h.base)
	w.float32s(h.mean[:])
	w.counts(h.weight[:])
}

func (h *history) read(r *reader) {
	h.span, h.origin = r.int(), r.int()
	h.used = r.index(historySize + 1)
	h.n, h.last = r.int(), r.int()
	h.step, h.base = r.float(), r.float()
	r.float32s(h.mean[:])
	r.counts(h.weight[:])
	if h.span < 0 || h.n < 0 || h.n > 1 && (h.span == 0 || h.last < h.origin || (uint64(h.last)-uint64(h.origin))/uint64(h.span) >= historySize) {
		r.fail("a history that cannot be")
	}
}
