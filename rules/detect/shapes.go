package detect

import "math"

// shapes knows the forms that the series takes over some two hundred points: a
// window of a few means in a row, brought to mean 0 and spread 1, is compared
// with a small bank of prototypes that follow the windows nearest to them, as
// in online k-means (J. MacQueen, Some methods for classification and analysis
// of multivariate observations, 1967). A window unlike all of them takes the place of the
// prototype that has served least of late.
type shapes struct {
	window   [shapeLength]float64
	filled   int
	sum      float64
	count    float64 // points in sum
	length   float64 // mean distances in sum
	bank     [shapeBank]prototype
	used     int
	windows  uint32  // seen so far
	distance float64 // of the newest window to the nearest prototype; NaN: unknown
	usual    average // of distances
}

type prototype struct {
	form  [shapeLength]float32
	hits  float32
	since uint32 // number of the window that came last
}

const (
	shapeLength = 8
	shapeStride = 27 // mean distances between points that make one mean
	shapeBank   = 20
	// shapeFade is after how many windows a prototype's hits count a third.
	shapeFade = 110
	// flatness is how much of the series' spread is added to a window's own: a
	// quiet window's noise is no shape.
	flatness = 0.1
)

func newShapes() shapes { return shapes{distance: math.NaN(), usual: average{tau: 500}} }

// learn takes v in; spread is that of the series.
func (s *shapes) learn(v, steps, spread float64) {
	s.sum += v
	s.count++
	s.length += steps
	if s.length < shapeStride-0.5 {
		return
	}
	copy(s.window[:], s.window[1:])
	s.window[shapeLength-1] = s.sum / s.count
	s.sum, s.count, s.length = 0, 0, 0
	if s.filled < shapeLength {
		s.filled++
	}
	if s.filled == shapeLength {
		s.compare(spread)
	}
}

// compare finds the nearest prototype of the newest window and moves it.
func (s *shapes) compare(spread float64) {
	form, ok := s.form(spread)
	if !ok {
		return
	}
	s.windows++
	nearest, at := math.Inf(1), -1
	for i := range s.bank[:s.used] {
		var q float32
		for j, x := range s.bank[i].form {
			q += (x - form[j]) * (x - form[j])
		}
		if d := float64(q); d < nearest {
			nearest, at = d, i
		}
	}
	if at < 0 {
		s.bank[0] = prototype{form, 1, s.windows}
		s.used = 1
		return
	}
	d := math.Sqrt(nearest / shapeLength)
	border := s.usual.mean
	s.usual.add(d, 1)
	s.distance = d
	if d > border {
		s.bank[s.vacant()] = prototype{form, 1, s.windows}
		return
	}
	p := &s.bank[at]
	p.hits = min(p.hits+1, 1000)
	rate := max(1/p.hits, 0.02)
	for j := range p.form {
		p.form[j] += (form[j] - p.form[j]) * rate
	}
	p.since = s.windows
}

// form brings the window to mean 0 and spread 1.
func (s *shapes) form(spread float64) (form [shapeLength]float32, ok bool) {
	var mean, squares float64
	for _, x := range s.window {
		mean += x / shapeLength
	}
	for _, x := range s.window {
		squares += (x - mean) * (x - mean)
	}
	scale := math.Sqrt(squares/shapeLength) + flatness*spread
	if !(scale > 0) || math.IsInf(scale, 0) {
		scale = math.Inf(1) // a constant: the flat form
	}
	for i, x := range s.window {
		form[i] = float32((x - mean) / scale)
	}
	for _, x := range form {
		if x != x { // numbers too large to count
			return form, false
		}
	}
	return form, true
}

// vacant is the place of a new prototype.
func (s *shapes) vacant() int {
	if s.used < shapeBank {
		s.used++
		return s.used - 1
	}
	least, at := math.Inf(1), 0
	for i := range s.bank {
		p := &s.bank[i]
		if worth := float64(p.hits) * math.Exp(-float64(s.windows-p.since)/shapeFade); worth < least {
			least, at = worth, i
		}
	}
	return at
}

func (s *shapes) write(w *writer) {
	w.floats(s.window[:])
	for _, v := range []float64{s.sum, s.count, s.length, s.distance} {
		w.float(v)
	}
	for _, v := range []int64{int64(s.filled), int64(s.used), int64(s.windows)} {
		w.int(v)
	}
	for i := range s.bank[:s.used] {
		p := &s.bank[i]
		w.float32s(p.form[:])
		w.float32s([]float32{p.hits})
		w.int(int64(p.since))
	}
}

func (s *shapes) read(r *reader) {
	r.extended(s.window[:])
	for _, v := range []*float64{&s.sum, &s.count, &s.length, &s.distance} {
		*v = r.float()
	}
	s.filled, s.used, s.windows = r.index(shapeLength+1), r.index(shapeBank+1), uint32(r.index(math.MaxUint32))
	for i := range s.bank[:s.used] {
		p := &s.bank[i]
		r.float32s(p.form[:])
		hits := []float32{0}
		r.float32s(hits)
		p.hits, p.since = hits[0], uint32(r.index(int(s.windows)+1))
	}
}
