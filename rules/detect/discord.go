package detect

import (
	"errors"
	"fmt"
	"math"
)

// DiscordConfig configures a search for discords.
type DiscordConfig struct {
	// Length is how many points a shape has: about as many as the shortest
	// pattern that repeats.
	Length int
	// History is how many points back shapes are compared with; it is taken as
	// four times Length when it is less.
	History int
}

// Discord finds shapes that have not been seen before: the distance of the
// newest shape to the nearest earlier one, level and size apart. That is the
// left matrix profile, whose peaks are discords (Y. Lu et al., DAMP: accurate
// time series anomaly detection on trillions of datapoints, KDD 2022), kept up
// point by point by sliding the products of the newest shape with all earlier
// ones (C.-C. Yeh et al., Matrix profile I, ICDM 2016). The distance becomes a
// tail probability of the series' own past.
//
// Points are taken at the series' usual distance: missing ones are
// interpolated, and a shape never spans a gap longer than itself.
type Discord struct {
	c DiscordConfig

	// Of the newest points, at least History of them once there are as many and
	// at most twice that; base is the number of the first one.
	base int64
	x    []float64
	dot  []float64 // product of the newest shape with the one that ends there, about center
	run  []int32   // points without a long gap up to there, at most Length
	mean []float64 // of the shape that ends there; made of x
	dev  []float64 // its standard deviation; made of x
	n    int64     // points taken, interpolated ones included

	center float64 // that products are about
	spread float64 // standard deviation of the ring when products were last made
	since  int     // points since then
	rhythm float64 // mean milliseconds between points
	last   Point
	points int64
	rare   calibrator
}

const (
	discordRemake = 64 // points after which products are made anew, so that errors do not add up
	// discordFlat is the part of the series' own spread below which a shape
	// counts as flat: noise that is blown up to full size resembles nothing.
	discordFlat   = 0.1
	discordRarity = 1e-3 // tail probability that scores 1
)

// NewDiscord makes the model.
func NewDiscord(c DiscordConfig) (*Discord, error) {
	if c.Length < 4 || c.Length > 4096 {
		return nil, fmt.Errorf("a shape has 4 to 4096 points, not %d", c.Length)
	}
	if c.History < 0 || c.History > 1<<16 {
		return nil, fmt.Errorf("a history has at most 65536 points, not %d", c.History)
	}
	c.History = max(c.History, 4*c.Length)
	return &Discord{c: c, rare: prior()}, nil
}

// Name is discord.
func (*Discord) Name() string { return "discord" }

// State is ready once there are earlier shapes and distances to compare with.
func (d *Discord) State() State {
	switch {
	case d.points == 0:
		return Cold
	case d.rare.total < float64(2*d.c.Length):
		return Learning
	}
	return Ready
}

func (d *Discord) at(i int64) int { return int(i - d.base) }

// Score judges p as the end of a shape. What is expected is the value at which
// the nearest earlier shape ended; there is no band.
func (d *Discord) Score(p Point) Verdict {
	v := unknown(d.State())
	if v.State != Ready || p.T <= d.last.T || math.IsNaN(p.V) || d.gap(p.T) > 0 {
		if v.State == Ready && !math.IsNaN(p.V) { // across a gap no shape is known
			v.Score, v.Hold, v.Expected = 0, 0, d.last.V
		}
		return v
	}
	distance, expected, ok := d.nearest(d.bounded(p.V), false)
	v.Score, v.Hold, v.Expected = 0, 0, p.V
	if ok {
		v.Score = min(d.rare.score(d.deviation(distance))*(logBorder/math.Log(discordRarity)), maxScore)
		v.Hold, v.Expected = v.Score, expected
	}
	return v
}

// deviation gives distances, which end at the root of 2, an exponential tail.
func (d *Discord) deviation(distance float64) float64 { return math.Exp2(8 * distance) }

// bounded keeps squares finite.
func (d *Discord) bounded(v float64) float64 { return min(max(v, -beyondUse), beyondUse) }

// nearest is the distance of the shape that v would end to the nearest earlier
// one: the root of 1 minus their correlation, 0 for the same shape. With keep
// the products become those of that shape.
func (d *Discord) nearest(v float64, keep bool) (distance, expected float64, ok bool) {
	m := d.c.Length
	if d.n < int64(m) {
		return 0, 0, false
	}
	mean, dev := d.shape(v)
	newest := len(d.x) - 1 // places, not numbers, from here on
	oldest := max(0, d.at(d.n+1-int64(d.c.History)))
	s := shapeSearch{best: math.Inf(1), mean: mean, dev: dev, center: d.center, floor: discordFlat * d.spread, m: float64(m)}
	last := newest + 1 - m // later ones overlap
	if d.run[newest] < int32(m)-1 {
		last = -1 // this one spans a gap
	}
	leaving, now := d.x[newest+1-m]-d.center, v-d.center
	// From the newest to the oldest, because each product is made of the one
	// before; the point before the oldest is still there.
	for j := newest; j >= max(oldest+m-1, m); j-- {
		product := d.dot[j-1] + now*(d.x[j]-d.center) - leaving*(d.x[j-m]-d.center)
		if keep {
			d.dot[j] = product
		}
		if j <= last && d.run[j] >= int32(m) {
			s.consider(j, product, d.mean[j], d.dev[j])
		}
	}
	if d.base == 0 && oldest == 0 { // the very first shape has none before it to slide from
		product := now * (d.x[m-1] - d.center)
		for i := range m - 1 {
			product += (d.x[newest+2-m+i] - d.center) * (d.x[i] - d.center)
		}
		if keep {
			d.dot[m-1] = product
		}
		if m-1 <= last && d.run[m-1] >= int32(m) {
			s.consider(m-1, product, d.mean[m-1], d.dev[m-1])
		}
	}
	if math.IsInf(s.best, 1) {
		return 0, 0, false
	}
	return math.Sqrt(max(s.best, 0)), mean + (d.x[s.at]-d.mean[s.at])*s.size, true
}

// shapeSearch looks for the shape nearest to one.
type shapeSearch struct {
	mean, dev, center, floor, m float64

	best float64 // squared distance
	at   int
	size float64 // of the one shape in the other's
}

// consider takes the shape that ends at place j: squared distance of the two
// shapes, each about its mean and in its own size, over twice their length.
func (s *shapeSearch) consider(j int, product, mean, dev float64) {
	a, b := max(s.dev, s.floor), max(dev, s.floor)
	if a == 0 || b == 0 {
		a, b = max(a, 1), max(b, 1)
	}
	covariance := product/s.m - (s.mean-s.center)*(mean-s.center)
	if dd := (s.dev*s.dev/(a*a)+dev*dev/(b*b))/2 - covariance/(a*b); dd < s.best {
		s.best, s.at, s.size = dd, j, a/b
	}
}

// shape is mean and standard deviation of the shape that v would end.
func (d *Discord) shape(v float64) (mean, dev float64) {
	m := int64(d.c.Length)
	sum := v
	for i := d.n - m + 1; i < d.n; i++ {
		sum += d.x[d.at(i)]
	}
	mean = sum / float64(m)
	squares := (v - mean) * (v - mean)
	for i := d.n - m + 1; i < d.n; i++ {
		e := d.x[d.at(i)] - mean
		squares += e * e
	}
	return mean, math.Sqrt(squares / float64(m))
}

// gap is how many points are missing between the newest one and t.
func (d *Discord) gap(t int64) int {
	if d.rhythm <= 0 {
		return 0
	}
	return int(min(max(math.Round(float64(t-d.last.T)/d.rhythm)-1, 0), 1e6))
}

// Learn takes p in whatever the weight is: a shape needs all its points.
func (d *Discord) Learn(p Point, weight float64) {
	if math.IsNaN(p.V) || d.points > 0 && p.T <= d.last.T || weight <= 0 {
		return
	}
	v := d.bounded(p.V)
	if d.points > 0 {
		dt := float64(p.T - d.last.T)
		missing := d.gap(p.T)
		if missing >= d.c.Length {
			d.run[d.at(d.n-1)] = 0 // shapes begin anew
		} else {
			for i := range missing {
				d.take(d.last.V+(v-d.last.V)*float64(i+1)/float64(missing+1), false)
			}
		}
		if d.rhythm == 0 {
			d.rhythm = dt
		}
		d.rhythm += (min(dt, 4*d.rhythm) - d.rhythm) / 16
	}
	d.take(v, true)
	d.last = Point{p.T, v}
	d.points++
}

// take appends a value.
func (d *Discord) take(v float64, real bool) {
	distance, _, ok := d.nearest(v, true)
	// While there are few earlier shapes, none is near.
	if ok && real && d.n >= int64(d.c.History)/2 {
		d.rare.learn(d.deviation(distance))
	}
	run := int32(1)
	if d.n > 0 {
		run = min(d.run[d.at(d.n-1)]+1, int32(d.c.Length))
	}
	mean, dev := 0.0, 0.0
	if d.n >= int64(d.c.Length)-1 {
		mean, dev = d.shape(v)
	}
	if len(d.x) == 2*d.c.History {
		d.trim()
	}
	if len(d.x) == cap(d.x) {
		d.room(min(max(2*len(d.x), discordRemake), 2*d.c.History))
	}
	d.x, d.run, d.dot = append(d.x, v), append(d.run, run), append(d.dot, 0)
	d.mean, d.dev = append(d.mean, mean), append(d.dev, dev)
	d.n++
	if d.since++; d.since >= discordRemake {
		d.remake()
	}
}

// room makes room for so many points.
func (d *Discord) room(points int) {
	for _, s := range []*[]float64{&d.x, &d.dot, &d.mean, &d.dev} {
		*s = append(make([]float64, 0, points), *s...)
	}
	d.run = append(make([]int32, 0, points), d.run...)
}

func (d *Discord) reserve() { d.room(2 * d.c.History) }

// trim drops all but the newest History points.
func (d *Discord) trim() {
	drop := len(d.x) - d.c.History
	for _, s := range []*[]float64{&d.x, &d.dot, &d.mean, &d.dev} {
		*s = append((*s)[:0], (*s)[drop:]...)
	}
	d.run = append(d.run[:0], d.run[drop:]...)
	d.base += int64(drop)
}

// remake makes all products from the points, about their mean.
func (d *Discord) remake() {
	m := int64(d.c.Length)
	oldest := max(0, d.n-int64(d.c.History))
	sum, squares := 0.0, 0.0
	for i := oldest; i < d.n; i++ {
		sum += d.x[d.at(i)]
	}
	d.center = sum / float64(d.n-oldest)
	for i := oldest; i < d.n; i++ {
		e := d.x[d.at(i)] - d.center
		squares += e * e
	}
	d.spread = math.Sqrt(squares / float64(d.n-oldest))
	d.since = 0
	for j := oldest + m - 1; j < d.n; j++ {
		product := 0.0
		for i := range m {
			product += (d.x[d.at(j-i)] - d.center) * (d.x[d.at(d.n-1-i)] - d.center)
		}
		d.dot[d.at(j)] = product
	}
}

const discordVersion = 1

// AppendBinary appends the state.
func (d *Discord) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idDiscord, discordVersion)
	w.int(d.n)
	from := len(d.x) - d.held()
	w.floats(d.x[from:])
	w.floats(d.dot[from:])
	for _, r := range d.run[from:] {
		w.int(int64(r))
	}
	w.floats([]float64{d.center, d.spread, d.rhythm, d.last.V})
	w.int(int64(d.since))
	w.int(d.last.T)
	w.int(d.points)
	d.rare.write(w)
	return w.b, nil
}

// held is how many points a state holds.
func (d *Discord) held() int { return int(min(d.n, int64(d.c.History))) }

// UnmarshalBinary restores what AppendBinary wrote for the same configuration.
func (d *Discord) UnmarshalBinary(b []byte) error {
	r := newReader(b, idDiscord, discordVersion)
	if d.n = r.int(); d.n < 0 {
		return errors.Join(errState, errors.New("a negative number of points"))
	}
	held := d.held()
	d.base = d.n - int64(held)
	if held > len(b) { // a lie: nothing is made for it
		return errors.Join(errState, errors.New("it ends early"))
	}
	d.x, d.dot, d.run = make([]float64, held), make([]float64, held), make([]int32, held)
	d.mean, d.dev = make([]float64, held), make([]float64, held)
	r.floats(d.x)
	r.floats(d.dot)
	for i := range held {
		d.run[i] = int32(r.index(d.c.Length + 1)) //nolint:gosec // at most Length
	}
	var f [4]float64
	r.floats(f[:])
	d.center, d.spread, d.rhythm, d.last.V = f[0], f[1], f[2], f[3]
	d.since = r.index(discordRemake)
	d.last.T, d.points = r.int(), r.int()
	d.rare.read(r)
	if err := r.done(); err != nil {
		return err
	}
	for i := range held {
		if math.IsNaN(d.x[i] + d.dot[i] + d.center + d.rhythm) {
			return errors.Join(errState, errors.New("a number is missing"))
		}
	}
	// Mean and deviation of each shape, as take made them.
	n := d.n
	for d.n = max(int64(d.c.Length)-1, n-int64(held)+int64(d.c.Length)-1); d.n < n; d.n++ {
		k := d.at(d.n)
		d.mean[k], d.dev[k] = d.shape(d.x[k])
	}
	d.n = n
	return nil
}
