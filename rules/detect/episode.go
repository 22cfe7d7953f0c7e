package detect

import (
	"math"
	"time"
)

// What the state anomalous is made of. A length that is given in evaluations
// and in milliseconds is the longer one of the two.
const (
	// anomalousScore is the least score while a series is anomalous.
	anomalousScore = 1.05
	// usualScore is the greatest while it is not.
	usualScore = 0.99
	// leastRank is what a model's rank is above 1 at least then.
	leastRank = 0.01
	// lowerBorder is what the newest values must stay below for the state to
	// end, calmEvaluations and calmTime how long they must.
	lowerBorder     = 0.5
	calmEvaluations = 2
	calmTime        = 150_000
	// meanEvaluations and meanTime are the time constant of the mean of the
	// newest values. Below lowerBorder it ends the state, too: the noise of
	// usual values passes lowerBorder again and again. Each of them counts 1 at
	// most, so that the mean is below within ten minutes, or ten evaluations.
	meanEvaluations = 5
	meanTime        = 300_000
	// onsetGrowth is by how much a deviation must exceed the greatest so far to
	// be a new onset, onsetValues how many evaluations it is the mean of.
	onsetGrowth = 1.5
	onsetValues = 3
	// onsetRest is for how many evaluations after an onset there is no other: what
	// grows so soon is still beginning.
	onsetRest = 10
	// recentEvaluations is the time constant with which a maximum of the
	// evidence is forgotten.
	recentEvaluations = 10
)

// What holds for so long is accepted.
const (
	defaultAccept = 24 * time.Hour
	// acceptParts is the parts of that time over which the level is looked at.
	acceptParts = 8
	// heldParts is how many of them are kept, heldEnds how many on either end are
	// compared, and heldGrowth the part of the deviation by which a level that
	// holds may grow.
	heldParts  = 10
	heldEnds   = 2
	heldGrowth = 0.06
	// acceptMost is how many times that time a level that still grows is
	// reported.
	acceptMost = 30
)

// weights are those at which a point is learned: level of models that expect
// one, shape of those that do not (see follower). A model that decides for
// itself is told whether the series is anomalous; none: the point is not for it.
type weights struct {
	level, shape    float64
	anomalous, none bool
}

// episode keeps the state anomalous of one series: it is what the rest of the
// detector has judged, after combinations and the rule's fields, that begins
// and ends it. So every model behaves alike.
//
//	         evidence passes 1
//	usual ----------------------> anomalous      score: at least anomalousScore
//	  ^                             |            levels: nothing is learned
//	  '-----------------------------'
//	   the newest values are calm, the level has
//	   been accepted, or the time is excluded
//
// What only the direction leaves out of account begins and ends the state in
// silence: an outage under `direction: above` must not become what is expected, or
// its end would be reported.
type episode struct {
	damping
	on    bool
	loud  bool // on, and the rule's fields count it
	spent bool // the evidence was above 1 at the evaluation before
	drawn bool // likewise the evidence that the rule's fields count

	began int64   // milliseconds; valid when on
	calm  calming // whether the values are back,
	quiet calming // or at least not where the rule's fields count them
	slot  int64   // part of the time to accept that is under way
	due   bool    // one has ended, and the level has not been looked at since
	// unsure is until when models may be wrong about what is usual, in
	// milliseconds: after a level was accepted they were told of, but not how
	// wide it is, and after a gap. What begins before is learned at a small
	// weight that grows, even by models that expect a level. So is what lasts
	// longer than all that was known before it began.
	unsure int64
	learns bool // what is under way is learned so

	recent   float64              // maximum of the evidence, fading
	newest   [onsetValues]float64 // deviations since began
	values   int64                // of this episode
	told     int64                // of those, at the newest onset
	greatest float64              // mean of such
	below    bool                 // side of the newest that was outside
}

// settle decides what becomes of a judged verdict on a point at t, and at what
// weights it is learned. deviation is that of the value from what is expected;
// NaN of a model that expects nothing. levels are the parts that expect one. It
// tells whether one was accepted, which changes what the model says.
func (e *episode) settle(t int64, c *ScorerConfig, v Verdict, deviation float64, outside bool, levels []*leveled) (w weights, out Verdict, accepted bool) {
	newer := t > e.last
	switch {
	case c.excluded(t):
		if newer {
			e.pass(t)
			e.end(levels)
			e.spent, e.drawn, e.recent = false, false, 0
		}
		return weights{none: true}, excuse(v), false
	case e.adopted: // the point before was another one's, so a change since then says nothing
		if newer {
			e.adopted = false
			e.pass(t)
			w = weights{dampedWeight, dampedWeight, false, true}
		}
		return w, unknown(Learning), false
	case !newer:
		v.Onset = v.Score - v.Score // 0, or NaN
		return weights{}, e.show(v), false
	}
	if math.IsNaN(deviation) {
		deviation = v.Score
	}
	counted, hold := v.Score, v.Hold
	if v.muted {
		counted, hold = 0, 0
	}
	deviation = min(max(deviation, -beyondUse), beyondUse)
	if gap := t - e.last; e.rhythm > 0 && float64(gap) > longestGap*e.rhythm {
		e.unsure = max(e.unsure, t+min(gap, c.part()))
	}
	dt, evidence, onset := e.pass(t), v.Score, false
	switch {
	case e.on && e.over(&e.calm, t, dt, v.Hold):
		e.end(levels)
	case !e.on && evidence > 1 && (!e.spent || v.Hold > 1):
		e.start(t)
	}
	switch {
	case !e.loud:
		if e.on && counted > 1 && (!e.drawn || hold > 1) {
			e.speak(deviation)
			onset = true
		}
	case e.over(&e.quiet, t, dt, hold):
		e.loud = false
	case math.IsNaN(deviation): // the model is learning again
	default:
		onset = e.grows(deviation, hold)
	}
	if e.on {
		e.learns = e.learns || t-e.began > e.began-e.first
		accepted = e.accepts(t, dt, c, !outside && v.Hold >= lowerBorder, levels)
	}
	e.spent, e.drawn = evidence > 1, counted > 1
	v = e.show(v)
	v.Onset = e.onset(v.Score, counted, onset && e.loud)
	w.shape, w.anomalous = e.damp(dt, e.on), e.on
	switch {
	case !e.on:
		w.level = 1
	case e.learns:
		w.level = w.shape
	}
	return w, v, accepted
}

// start begins the state.
func (e *episode) start(t int64) {
	e.on, e.began, e.slot, e.due = true, t, 0, false
	e.calm = calming{mean: 1}
	e.learns = t < e.unsure
}

// speak begins to tell of it.
func (e *episode) speak(deviation float64) {
	e.loud, e.quiet = true, calming{mean: 1}
	e.newest, e.values, e.greatest = [onsetValues]float64{}, 0, 0
	e.told = 0
	e.below = deviation < 0
	e.greatest = e.smooth(deviation)
}

// end ends the state.
func (e *episode) end(levels []*leveled) {
	e.on, e.loud = false, false
	for _, l := range levels {
		l.held = held{}
	}
}

// calming is how the newest values come back.
type calming struct {
	times int64 // evaluations below lowerBorder on end,
	from  int64 // and time of the first, in milliseconds
	mean  float64
}

// over takes in how far the newest values are outside, and tells whether they
// are back. A model that cannot tell has nothing to keep the state for.
func (e *episode) over(c *calming, t int64, dt, hold float64) bool {
	if math.IsNaN(hold) {
		hold = 0
	}
	c.mean += (min(hold, 1) - c.mean) * -math.Expm1(-dt/max(meanTime, meanEvaluations*e.rhythm))
	if hold >= lowerBorder {
		c.times = 0
		return false
	}
	if c.times == 0 {
		c.from = t
	}
	c.times++
	return c.times >= calmEvaluations && (t-c.from >= calmTime || c.mean < lowerBorder)
}

// smooth is the mean of the newest deviations, with this one.
func (e *episode) smooth(deviation float64) float64 {
	e.newest[e.values%onsetValues] = deviation
	e.values++
	sum := 0.0
	for _, d := range e.newest {
		sum += d
	}
	return math.Abs(sum) / float64(min(e.values, onsetValues))
}

// grows takes a deviation in and tells whether it is an onset of its own.
func (e *episode) grows(deviation, hold float64) bool {
	m := e.smooth(deviation)
	below := deviation < 0
	onset := hold > 1 && (m > onsetGrowth*e.greatest || below != e.below && m > e.greatest/2) // noise changes sides, too
	e.greatest = max(e.greatest, m)
	if !onset || e.values-e.told < onsetRest {
		return false
	}
	e.below, e.told = below, e.values
	return true
}

// show is the verdict in the present state.
func (e *episode) show(v Verdict) Verdict {
	switch {
	case math.IsNaN(v.Score):
	case v.Rank > 0 && e.loud:
		v.Score = min(1+leastRank+v.Rank, maxScore)
	case v.muted && !e.loud:
		v.Score, v.Hold, v.Rank = 0, 0, 0
	case v.Rank > 0:
		v.Score = min(v.Rank, usualScore)
	case e.loud:
		v.Score = max(v.Score, anomalousScore)
	default:
		v.Score = min(v.Score, usualScore)
	}
	return v
}

// onset is that of a score which is shown for the evidence; now tells that
// something begins.
func (e *episode) onset(score, evidence float64, now bool) (onset float64) {
	if math.IsNaN(score) {
		return score
	}
	e.recent *= recentFade
	switch {
	case now:
		onset = max(evidence, anomalousScore)
	case !e.loud && evidence > e.recent:
		onset = min(evidence, usualScore)
	}
	e.recent = max(e.recent, evidence)
	return onset
}

var recentFade = math.Exp(-1.0 / recentEvaluations)

// accepts has the levels note where they are, and tells whether what has held
// was accepted. There must be something that holds: a value that may be back is
// not it, nor one outside the range, which nothing makes right.
func (e *episode) accepts(t int64, dt float64, c *ScorerConfig, holds bool, levels []*leveled) bool {
	part := c.part()
	slot := max((t-e.began)/part, 0)
	ended := slot != e.slot
	e.slot, e.due = slot, e.due || ended
	usable, grown := false, false
	for _, l := range levels {
		if ended {
			l.held.close()
		}
		l.note(t)
		if dt >= float64(part) {
			l.held.close()
		}
		usable = usable || l.held.n > 0
		grown = grown || l.grown()
	}
	age := t - e.began
	if !e.due || !usable || !holds || age < c.Accept.Milliseconds() {
		return false
	}
	if e.due = false; grown && age/acceptMost < c.Accept.Milliseconds() {
		return false
	}
	for _, l := range levels {
		l.accept()
	}
	e.end(levels)
	e.unsure = t + part
	return true
}

// adopt makes what was learned by another one, and read, the start of its own.
func (e *episode) adopt() {
	*e = episode{damping: e.damping}
	e.strange, e.damping.adopted = 0, true
}

// learned is for how many milliseconds a calm one has learned; 0 while
// something is anomalous or all is another one's.
func (e *episode) learned() int64 {
	if !e.seen || e.on || e.strange > 0 || e.adopted {
		return 0
	}
	return e.last - e.first
}

func (e *episode) write(w *writer) {
	e.damping.write(w)
	for _, b := range []bool{e.on, e.loud, e.spent, e.drawn, e.due, e.learns, e.below} {
		w.bool(b)
	}
	for _, n := range []int64{e.began, e.calm.times, e.calm.from, e.quiet.times, e.quiet.from, e.slot, e.unsure, e.values, e.told} {
		w.int(n)
	}
	w.floats([]float64{e.calm.mean, e.quiet.mean, e.recent, e.greatest})
	w.floats(e.newest[:])
}

func (e *episode) read(r *reader) {
	e.damping.read(r)
	for _, b := range []*bool{&e.on, &e.loud, &e.spent, &e.drawn, &e.due, &e.learns, &e.below} {
		*b = r.bool()
	}
	for _, n := range []*int64{&e.began, &e.calm.times, &e.calm.from, &e.quiet.times, &e.quiet.from, &e.slot, &e.unsure, &e.values, &e.told} {
		*n = r.int()
	}
	var f [4]float64
	r.floats(f[:])
	e.calm.mean, e.quiet.mean, e.recent, e.greatest = f[0], f[1], f[2], f[3]
	r.floats(e.newest[:])
	if e.calm.times < 0 || e.quiet.times < 0 || e.slot < 0 || e.values < 0 || e.told < 0 {
		r.fail("a count that cannot be")
	}
}
