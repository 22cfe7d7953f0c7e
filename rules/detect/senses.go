package detect

import "math"

// senses are the ways in which Auto sees a value, each as a deviation from
// something that the series itself has taught, in widths of its own. Those that
// listen to the state of the series are slow to be sure and hear small changes;
// those that look at the single point are quick and want large ones.
type senses struct {
	wide   average // of values, over longPast points
	fast   average // of values, over shortPast points
	level  average // of fast, over longPast points
	moves  average // of differences between neighbours, over longPast points
	day    slots
	week   slots
	shapes shapes
	out    outlier

	low, high float64 // of values; they draw together slowly
	last      float64 // newest value
	absurd    bool    // and it could not be
	stuck     stuck
	n         int64

	rare [senseCount]calibrator
	both [voiceCount]calibrator // of what the senses of a voice say together
}

const (
	senseLevel   = iota // the mean of the last points, against all means before
	senseDay            // the last points, against the same time of other days
	senseWeek           // the last points, against the same hour of other weeks
	senseShape          // the shape of the last 200 points, against the shapes before
	senseExtreme        // beyond all values so far
	senseMove           // the step from the point before
	senseHour           // the point alone, against the same time of other days
	senseCount
)

// Voices join senses.
const (
	voiceState = iota // senseLevel to senseExtreme
	voicePoint        // senseMove and senseHour
	voiceCount
)

var (
	senseWeight = [senseCount]float64{1, 1, 0.5, 1, 0.5, 1, 1}
	senseVoice  = [senseCount]int{voiceState, voiceState, voiceState, voiceState, voiceState, voicePoint, voicePoint}
	// voiceWeight is the sum of the weights of a voice's senses.
	voiceWeight = [voiceCount]float64{4, 2}
)

// Lengths in mean distances between points.
const (
	longPast  = 5000
	shortPast = 6
	dayBlur   = 6  // of senseDay
	weekBlur  = 30 // of senseWeek
	// rangeDrawn is how fast the range of values draws together, a point.
	rangeDrawn = 1e-4
	// mostBlurred bounds what a single point adds to a blurred deviation.
	mostBlurred = 30
	// mostStrange bounds the rarity of one sense.
	mostStrange = 10
	// fewPoints is how many a calibrator must have seen to be trusted beyond
	// rarities of fewSay.
	fewPoints = 30
	fewSay    = 0.46
)

func newSenses() senses {
	s := senses{
		wide: average{tau: longPast}, fast: average{tau: shortPast}, level: average{tau: longPast},
		moves: average{tau: longPast},
		day:   newSlots(dayPlaces, dayBlur), week: newSlots(weekPlaces, weekBlur), shapes: newShapes(),
		out: newOutlier(), low: math.Inf(1), high: math.Inf(-1),
	}
	for i := range s.rare {
		s.rare[i] = prior()
	}
	for i := range s.both {
		s.both[i] = prior()
	}
	return s
}

// sight is one sense at one moment: the deviation of v is base, and gain for
// each unit that v lies below or above the center. NaN: it sees nothing yet.
type sight struct {
	below, above float64 // centers; equal but for senseExtreme
	base, gain   float64
	most         float64 // of what v adds
}

var blind = sight{base: math.NaN()}

// deviation of v, which lies on a side of what the model expects: a sense that
// sees v on the other side contradicts, and says no more than its base.
func (s *sight) deviation(v float64, on side) float64 {
	d := 0.0
	if on >= over && v > s.above {
		d = (v - s.above) * s.gain
	} else if (on == under || on == free) && v < s.below {
		d = (s.below - v) * s.gain
	}
	if math.IsNaN(d) || d > 1e6 {
		d = 1e6
	}
	return s.base + min(d, s.most)
}

// side of the model's expectation.
type side int8

const (
	under side = -1
	even  side = 0 // as expected
	over  side = 1
	free  side = 2 // no expectation: either side counts
)

func sideOf(v, expected float64) side {
	switch {
	case v > expected:
		return over
	case v < expected:
		return under
	case v == expected:
		return even
	}
	return free
}

// scene is everything that judging a value at one time needs.
type scene struct {
	sights [senseCount]sight
	out    [outCount]sight // which only rank
}

// around widens a scale that is next to zero so that the numbers' own precision
// is no deviation.
func around(scale, center float64) float64 {
	return 1 / max(scale, 1e-9*math.Abs(center), 1e-300)
}

// at lays out all senses for a time, steps mean distances after the newest.
func (s *senses) at(t int64, steps float64) (c scene) {
	for i := range c.sights {
		c.sights[i] = blind
	}
	c.out = [outCount]sight{blind, blind, blind}
	if s.n < minPoints {
		return c
	}
	c.out = s.out.at(t, s.last)
	// The mean with v in it is fast + share*(v-fast).
	share := s.fast.share(steps)
	center := s.fast.mean + (s.level.mean-s.fast.mean)/share
	c.sights[senseLevel] = plain(center, share*around(s.level.sigma(), s.last))
	c.sights[senseMove] = plain(s.last, around(s.moves.sigma(), s.last))
	reach := max(s.high-s.low, 1e-9*math.Abs(s.last), 1e-300)
	c.sights[senseExtreme] = sight{below: s.low, above: s.high, gain: 1 / reach, most: math.Inf(1)}
	if expected, width, ok := s.day.expect(t); ok {
		c.sights[senseHour] = plain(expected, width)
		c.sights[senseDay] = s.day.blurred(expected, width, steps)
	}
	if expected, width, ok := s.week.expect(t); ok {
		c.sights[senseWeek] = s.week.blurred(expected, width, steps)
	}
	c.sights[senseShape] = sight{below: math.Inf(-1), above: math.Inf(1), base: s.shapes.distance}
	return c
}

func plain(center, gain float64) sight {
	return sight{below: center, above: center, gain: gain, most: math.Inf(1)}
}

// voiceScale stretches joined rarities over the calibrator's scale.
const voiceScale = 4

// heard tells how rare what each voice said is, in borders of normal.
func (s *senses) heard(said [voiceCount]float64) [voiceCount]float64 {
	for i := range said {
		said[i] = trusted(&s.both[i], said[i]*voiceScale)
	}
	return said
}

// limits tell what each voice must say to be heard beyond its border.
func (s *senses) limits() (said [voiceCount]float64) {
	for i := range said {
		said[i] = math.Inf(1)
		if b := border(i, float64(s.n)); s.both[i].total >= fewPoints || b <= fewSay {
			said[i] = s.both[i].deviation(b) / voiceScale
		}
	}
	return said
}

// said joins the rarities of the senses of each voice.
func (s *senses) said(c *scene, v float64, on side) (voices [voiceCount]float64) {
	for i := range c.sights {
		d := c.sights[i].deviation(v, on)
		if math.IsNaN(d) {
			continue
		}
		r := min(trusted(&s.rare[i], d), mostStrange)
		voices[senseVoice[i]] += senseWeight[i] * r * r
	}
	for i := range voices {
		voices[i] = math.Sqrt(voices[i] / voiceWeight[i])
	}
	return voices
}

// trusted is a calibrator's rarity, bounded while it has seen few points.
func trusted(c *calibrator, deviation float64) float64 {
	r := c.score(deviation)
	if c.total < fewPoints {
		r = min(r, fewSay)
	}
	return r
}

// learn takes p in, steps mean distances after the point before. It looked
// like c, and the voices said what they said. Senses are slow or short by
// themselves and learn what is anomalous as well: learning less would keep them
// strange for longer than the deviation is news.
func (s *senses) learn(c *scene, said [voiceCount]float64, p Point, steps, rhythm float64, on side) {
	t, v := p.T, p.V
	for i := range s.both {
		teach(&s.both[i], said[i]*voiceScale)
	}
	for i := range c.sights {
		if d := c.sights[i].deviation(v, on); !math.IsNaN(d) {
			teach(&s.rare[i], d)
		}
	}
	jump, before := v-s.last, s.last
	if s.n > 0 {
		s.stuck.learn(jump == 0)
	}
	s.last = v
	near := v
	if !s.absurd {
		near = s.wide.near(v)
	}
	s.absurd = near != v
	v = near
	if s.n > 0 {
		s.out.learn(t, v, v-before, steps)
	}
	s.day.learn(t, v, steps, rhythm, s.n >= minPoints)
	s.week.learn(t, v, steps, rhythm, s.n >= minPoints)
	s.shapes.learn(v, steps, s.wide.sigma())
	if s.n > 0 {
		if s.absurd {
			jump = s.moves.near(jump)
		}
		s.moves.add(jump, steps)
	}
	s.wide.add(v, steps)
	s.fast.add(v, steps)
	s.level.add(s.fast.mean, steps)
	s.low, s.high = min(s.low, v), max(s.high, v)
	middle := s.low + (s.high-s.low)/2
	s.low += (middle - s.low) * rangeDrawn
	s.high += (middle - s.high) * rangeDrawn
	s.n++
}

// teach bounds what a calibrator learns: how far beyond the border a deviation
// lies says nothing about the tail inside.
func teach(c *calibrator, deviation float64) { c.learn(min(deviation, clipped*c.border())) }

// clipped is in borders.
const clipped = 1.5

// average is an exponentially weighted mean and variance over points, where tau
// and steps are in mean distances between points. It starts as a plain mean.
type average struct {
	tau          float64
	mean, spread float64
	n            float64 // points, up to tau
}

// share is the weight of a new value.
func (a *average) share(steps float64) float64 {
	return max(1/(a.n+1), steps/(steps+a.tau))
}

func (a *average) add(x, steps float64) {
	share := a.share(steps)
	d := x - a.mean
	a.mean += share * d
	a.spread = (1 - share) * (a.spread + share*d*d)
	if a.n < a.tau {
		a.n++
	}
	if math.IsNaN(a.spread-a.spread) || math.IsNaN(a.mean-a.mean) { // numbers too large to count
		*a = average{tau: a.tau}
	}
}

// near brings x to within absurd deviations of the mean, so that one sample
// that cannot be does not blind a sense for days. A scale next to zero bounds
// nothing.
func (a *average) near(x float64) float64 {
	const absurd, nothing = 100, 1e8
	d := x - a.mean
	if scale := a.sigma(); a.n >= minPoints && math.Abs(d) > absurd*scale && math.Abs(d) < nothing*scale {
		return a.mean + math.Copysign(absurd*scale, d)
	}
	return x
}

// sigma is the standard deviation.
func (a *average) sigma() float64 { return math.Sqrt(a.spread) }

func (a *average) write(w *writer) {
	w.float(a.mean)
	w.float(a.spread)
	w.float(a.n)
}

func (a *average) read(r *reader) {
	a.mean, a.spread, a.n = r.float(), r.float(), r.float()
	if r.err == nil && !(a.n >= 0 && a.n <= a.tau+1 && a.spread >= 0) {
		r.fail("an average that cannot be")
	}
}

func (s *senses) averages() []*average {
	return []*average{
		&s.wide, &s.fast, &s.level, &s.moves, &s.day.errs, &s.day.blur, &s.week.errs, &s.week.blur, &s.shapes.usual,
	}
}

func (s *senses) write(w *writer) {
	for _, a := range s.averages() {
		a.write(w)
	}
	for _, p := range []*slots{&s.day, &s.week} {
		p.write(w)
	}
	s.shapes.write(w)
	s.out.write(w)
	for _, v := range []float64{s.low, s.high, s.last} {
		w.float(v)
	}
	w.bool(s.absurd)
	s.stuck.write(w)
	w.int(s.n)
	for i := range s.rare {
		s.rare[i].write(w)
	}
	for i := range s.both {
		s.both[i].write(w)
	}
}

func (s *senses) read(r *reader) {
	*s = newSenses()
	for _, a := range s.averages() {
		a.read(r)
	}
	for _, p := range []*slots{&s.day, &s.week} {
		p.read(r)
	}
	s.shapes.read(r)
	s.out.read(r)
	for _, v := range []*float64{&s.low, &s.high, &s.last} {
		*v = r.float()
	}
	s.absurd = r.bool()
	s.stuck.read(r)
	s.n = r.int()
	for i := range s.rare {
		s.rare[i].read(r)
	}
	for i := range s.both {
		s.both[i].read(r)
	}
}
