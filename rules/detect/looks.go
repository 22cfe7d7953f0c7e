package detect

import "math"

// looks are the ways in which Auto sees a value: against the chosen model,
// against the long past (is it a new extreme?), against the last few points (is
// it a jump?), and as part of the level of the last few points against the long
// past (has the level moved?). Each has a center and a width, and a calibrator
// that knows how far the deviations of this series go in it.
type looks struct {
	wide  moments // of values, over looksWide points
	fast  moments // of values, over looksFast points
	slow  moments // of values, over looksSlow points
	jumps moments // of values against fast
	errs  moments // of values against the model's expectation
	rare  [lookCount]calibrator
	n     int64
}

const (
	lookModel = iota
	lookExtreme
	lookJump
	lookLevel
	lookDrift
	lookCount
)

const (
	looksWide = 5000 // mean distances between points
	looksFast = 6
	looksSlow = 30
	// modelNeeds is how many points the model's look must have been measured
	// on before it counts.
	modelNeeds = 300
	// agreement is the share of a score that is the mean of all looks; the
	// rest is the strongest look.
	agreement = 0.6
	// clipped bounds what a calibrator learns, in borders: how far beyond the
	// border a deviation lies says nothing about the tail inside.
	clipped = 1.5
)

func newLooks() looks {
	l := looks{
		wide: moments{tau: looksWide}, fast: moments{tau: looksFast}, slow: moments{tau: looksSlow},
		jumps: moments{tau: looksWide}, errs: moments{tau: looksWide},
	}
	for i := range l.rare {
		l.rare[i] = prior()
	}
	return l
}

// view is a look at one moment.
type view struct {
	center, width float64
	rare          *calibrator // nil: not measured yet
}

// deviation is the distance of v in widths.
func (w *view) deviation(v float64) float64 {
	d := math.Abs(v-w.center) / w.width
	if math.IsNaN(d) || d > 1e6 {
		return 1e6
	}
	return d
}

// influence is the weight at which a width learns v: less than 1 beyond
// farthest widths, so that one absurd sample widens it a few times and does not
// blind the look for days. A width next to zero learns everything.
func (w *view) influence(v float64) float64 {
	const farthest, absurd = 100, 1e8
	if w.rare == nil {
		return 1
	}
	d := math.Abs(v-w.center) / w.width
	if !(d > farthest && d < absurd) {
		return 1
	}
	return farthest * farthest / (d * d)
}

// views lays out all looks for a model that expects a value; NaN: there is
// none yet.
func (l *looks) views(expected float64) (out [lookCount]view) {
	if l.n < minPoints {
		return out
	}
	sigma := l.wide.sigma()
	out[lookExtreme] = view{center: l.wide.mean, width: sigma, rare: &l.rare[lookExtreme]}
	out[lookJump] = view{center: l.fast.mean, width: l.jumps.sigma(), rare: &l.rare[lookJump]}
	// The level with v in it is fast + (v-fast)/looksFast.
	out[lookLevel] = view{
		center: l.wide.mean + (looksFast-1)*(l.wide.mean-l.fast.mean), width: looksFast * sigma, rare: &l.rare[lookLevel],
	}
	out[lookDrift] = view{
		center: l.slow.mean + (looksFast-1)*(l.slow.mean-l.fast.mean), width: looksFast * l.jumps.sigma(), rare: &l.rare[lookDrift],
	}
	if !math.IsNaN(expected) {
		out[lookModel] = view{center: expected, width: math.Hypot(l.errs.sigma(), l.errs.mean), rare: &l.rare[lookModel]}
	}
	for i := range out {
		w := &out[i]
		w.width = max(w.width, 1e-9*math.Abs(w.center), math.SmallestNonzeroFloat64)
	}
	return out
}

// counts tells whether a view takes part in the score.
func (w *view) counts(i int) bool {
	return w.rare != nil && (i != lookModel || w.rare.total >= modelNeeds)
}

// score joins the views of v. A look that sees v low where the model sees it
// high, or the other way round, contradicts and adds nothing: so the score
// grows with the deviation from the model's expectation.
func score(views *[lookCount]view, v, expected float64) float64 {
	if v == expected {
		return 0
	}
	var top, sum, n float64
	for i := range views {
		w := &views[i]
		if !w.counts(i) {
			continue
		}
		n++
		if (v > expected) != (v > w.center) {
			continue
		}
		s := w.rare.score(w.deviation(v))
		top, sum = max(top, s), sum+s
	}
	return min((1-agreement)*top+agreement*sum/max(n, 1), maxScore)
}

// edgeSteps of false position come to within a few percent of the band.
const edgeSteps = 2

// edge finds where the score reaches 1 on one side of the expectation, between
// the nearest and the farthest border of the single looks.
func edge(views *[lookCount]view, expected, side float64) float64 {
	near, far := math.Inf(1), 0.0
	for i := range views {
		w := &views[i]
		if !w.counts(i) {
			continue
		}
		at := side*(w.center-expected) + w.width*w.rare.border()
		near, far = min(near, at), max(far, at)
	}
	near = max(near, 0)
	low := score(views, expected+side*near, expected)
	if low >= 1 {
		return expected + side*near
	}
	high := score(views, expected+side*far, expected)
	for range edgeSteps {
		if !(high > 1) {
			break
		}
		at := near + (far-near)*(1-low)/(high-low)
		if s := score(views, expected+side*at, expected); s > 1 {
			far, high = at, s
		} else {
			near, low = at, s
		}
	}
	return expected + side*far
}

// learn takes a value in, steps mean distances after the one before. Looks are
// slow or short by themselves and learn what is anomalous as well: learning
// less would keep the score up for longer than the deviation is news.
func (l *looks) learn(v, expected, steps float64) {
	views := l.views(expected)
	for i := range views {
		if w := &views[i]; w.rare != nil {
			w.rare.learn(min(w.deviation(v), clipped*w.rare.border()))
		}
	}
	if l.n > looksFast {
		l.jumps.take(v-l.fast.mean, steps, views[lookJump].influence(v))
	}
	if !math.IsNaN(expected) {
		l.errs.take(v-expected, steps, views[lookModel].influence(v))
	}
	l.wide.take(v, steps, views[lookExtreme].influence(v))
	l.fast.take(v, steps, 1)
	l.slow.take(v, steps, 1)
	l.n++
}

// take adds x, and begins again when numbers have become too large to count.
func (m *moments) take(x, dt, weight float64) {
	m.add(x, dt, weight)
	if math.IsNaN(m.spread-m.spread) || math.IsNaN(m.mean-m.mean) {
		*m = moments{tau: m.tau}
	}
}

// renewModel forgets what is known about the model's errors.
func (l *looks) renewModel() {
	l.errs = moments{tau: looksWide}
	l.rare[lookModel] = prior()
}

func (l *looks) write(w *writer) {
	for _, m := range []*moments{&l.wide, &l.fast, &l.slow, &l.jumps, &l.errs} {
		m.write(w)
	}
	for i := range l.rare {
		l.rare[i].write(w)
	}
	w.int(l.n)
}

func (l *looks) read(r *reader) {
	*l = newLooks()
	for _, m := range []*moments{&l.wide, &l.fast, &l.slow, &l.jumps, &l.errs} {
		m.read(r)
	}
	for i := range l.rare {
		l.rare[i].read(r)
	}
	l.n = r.int()
}
