package detect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// AutoConfig configures NewAuto.
type AutoConfig struct {
	// Location is where days and weeks begin. nil: UTC.
	Location *time.Location
	// WarmUp is how many points are profiled before the first choice. 0: 20.
	WarmUp int
	// Alerts is how many false alerts a day are allowed. 0: 1 in 30 days.
	Alerts float64
}

// Kinds of model that Auto chooses from.
const (
	choiceNone byte = iota
	choiceZScore
	choiceMAD
	choiceSeasonal
	choiceHoltWinters
)

// Auto looks at a series while it warms up and chooses one of zscore, mad,
// seasonal and holtwinters; when the history has become long enough to show a
// season it looks again. Monotone counters are modelled by their increase a
// second. The model gives the expectation; how strange a value is, the senses
// say, and the alarm makes the score of it.
type Auto struct {
	c      AutoConfig
	past   history
	model  Model
	senses senses
	alarm  alarm
	damped damping // of what the model learns while a voice, resting or not, is loud

	choice  byte
	season  int64  // milliseconds, of choiceSeasonal and choiceHoltWinters
	reason  string // why
	counter bool
	n       int64
	falls   int64 // points below the one before them, of the last moves
	rises   int64
	moves   int64 // up to recentMoves
	next    int64 // length of history at which to look again, milliseconds
	raw     Point // newest point as received
}

// NewAuto makes a model that has yet to choose.
func NewAuto(c AutoConfig) (*Auto, error) {
	if c.Location == nil {
		c.Location = time.UTC
	}
	if c.WarmUp == 0 {
		c.WarmUp = 20
	}
	if c.WarmUp < minPoints {
		return nil, fmt.Errorf("cannot make an auto model: a warm-up of %d points is shorter than %d", c.WarmUp, minPoints)
	}
	return &Auto{c: c, senses: newSenses(), alarm: newAlarm()}, nil
}

// Name is auto, whatever was chosen: what the rule writes keeps its labels.
func (*Auto) Name() string { return "auto" }

// Choice says what was chosen and why.
func (m *Auto) Choice() string {
	if m.model == nil {
		return "learning"
	}
	what := m.model.Name()
	if m.counter {
		what += " of the rate"
	}
	return what + ": " + m.reason
}

// Chosen is the name of the model that it has chosen; its own until then.
func (m *Auto) Chosen() string {
	if m.model == nil {
		return m.Name()
	}
	return m.model.Name()
}

// State is Learning until there is a choice that is ready.
func (m *Auto) State() State {
	switch {
	case m.n == 0:
		return Cold
	case m.model == nil:
		return Learning
	}
	return m.model.State()
}

// value is what the chosen model sees of p.
func (m *Auto) value(p Point) float64 {
	if !m.counter {
		return p.V
	}
	return increase(m.raw, p)
}

// increase is a counter's increase a second; after a reset, from zero.
func increase(before, p Point) float64 {
	seconds := float64(p.T-before.T) / 1000
	if seconds <= 0 {
		return math.NaN()
	}
	if p.V < before.V {
		return p.V / seconds
	}
	return (p.V - before.V) / seconds
}

// Score tells how strange p is for this series: above 1 when that is news. The
// expectation is the model's; the band is where a value would be news to voices
// that do not rest.
func (m *Auto) Score(p Point) Verdict {
	s := m.State()
	if s != Ready {
		return unknown(s)
	}
	x := m.value(p)
	v := m.model.Score(Point{p.T, x})
	if math.IsNaN(v.Score) {
		return unknown(s)
	}
	steps := m.stepsTo(p.T)
	scene := m.senses.at(p.T, steps)
	on := sideOf(x, v.Expected)
	voices := m.senses.heard(m.senses.said(&scene, x, on))
	v.Score = m.alarm.score(voices, far(&scene.out, x, on), m.release(), steps, float64(m.senses.n))
	if m.senses.stuck.news(x == m.senses.last) {
		v.Score = max(v.Score, stuckScore)
	}
	v.Hold = v.Score
	limits := m.senses.limits()
	v.Lower, v.Upper = m.edge(&scene, limits, v.Expected, under), m.edge(&scene, limits, v.Expected, over)
	if m.counter { // the band in terms of what is received
		seconds := float64(p.T-m.raw.T) / 1000
		for _, edge := range []*float64{&v.Expected, &v.Lower, &v.Upper} {
			*edge = m.raw.V + *edge*seconds
		}
	}
	return v
}

// stepsTo is how many mean distances t lies after the newest point.
func (m *Auto) stepsTo(t int64) float64 {
	if !(m.past.step > 0) || t <= m.past.last {
		return 1
	}
	return min(float64(t-m.past.last)/m.past.step, longPast)
}

// release is for how long the score remembers, in mean distances: longer for a
// series that changes little from point to point.
func (m *Auto) release() float64 {
	restless := m.senses.out.step.width() / m.senses.out.place.width()
	if math.IsNaN(restless) || restless <= 0 {
		return leastRelease
	}
	return max(leastRelease, min(mostRelease, rememberFor/restless))
}

// edgeSteps of false position come to within a few percent of the band.
const edgeSteps = 2

// edge finds where a value would be news, on one side of the expectation: where
// a voice says more than its limit.
func (m *Auto) edge(c *scene, limits [voiceCount]float64, expected float64, on side) float64 {
	loud := func(d float64) float64 {
		most := 0.0
		for i, x := range m.senses.said(c, expected+float64(on)*d, on) {
			most = max(most, x/limits[i])
		}
		return most
	}
	near, far := math.Inf(1), 0.0
	for i := range c.sights {
		w := &c.sights[i]
		if !(w.gain > 0) {
			continue
		}
		center := w.above
		if on == under {
			center = w.below
		}
		at := float64(on)*(center-expected) + max(m.senses.rare[i].border()-w.base, 0)/w.gain
		near, far = min(near, at), max(far, at)
	}
	near = max(near, 0)
	if !(far > near) {
		return expected + float64(on)*near
	}
	low := loud(near)
	if low >= 1 {
		return expected + float64(on)*near
	}
	high := loud(far)
	for range edgeSteps {
		if !(high > 1) {
			break
		}
		at := near + (far-near)*(1-low)/(high-low)
		if s := loud(at); s > 1 {
			far, high = at, s
		} else {
			near, low = at, s
		}
	}
	return expected + float64(on)*far
}

// Learn profiles the point and teaches senses and model.
func (m *Auto) Learn(p Point, weight float64) {
	if math.IsNaN(p.V) || math.IsInf(p.V, 0) || m.n > 0 && p.T <= m.raw.T {
		return
	}
	if weight <= 0 {
		if m.counter { // the next increase is one from here
			m.raw = p
		}
		return
	}
	if m.n > 0 {
		m.move(p.V)
	}
	m.n++
	x := Point{p.T, m.value(p)}
	m.raw = p
	if math.IsNaN(x.V) {
		return
	}
	expected := math.NaN()
	if m.model != nil {
		expected = m.model.Score(x).Expected
	}
	on := sideOf(x.V, expected)
	steps := m.stepsTo(x.T)
	scene := m.senses.at(x.T, steps)
	said := m.senses.said(&scene, x.V, on)
	voices := m.senses.heard(said)
	release := m.release()
	loud := loudest(voices, float64(m.senses.n)) >= 1
	m.alarm.learn(voices, far(&scene.out, x.V, on), release, steps, float64(m.senses.n))
	m.senses.learn(&scene, said, x, steps, m.past.step, on)
	m.past.add(x, max(weight, 1e-3))
	m.damped.begin(x.T)
	weight = min(weight, m.damped.weigh(x.T, loud))
	if m.model != nil {
		m.model.Learn(x, weight)
	}
	if m.counter && m.isGauge() {
		m.restart(false)
		return
	}
	if m.model == nil && m.n >= int64(m.c.WarmUp) || m.model != nil && m.past.length() >= m.next {
		m.choose()
	}
}

// choose looks at the past and takes the model that fits it.
func (m *Auto) choose() {
	if !m.counter && m.isCounter() {
		m.restart(true)
		return
	}
	before := m.choice
	m.next = 2 * max(m.past.length(), int64(time.Hour/time.Millisecond))
	for _, at := range seasons { // look when a season has been seen often enough to be sure
		if need := at.times * at.period; need > m.past.length() {
			m.next = min(m.next, need)
		}
	}
	choice, season, reason := m.fit()
	if choice == before && season == m.season {
		return
	}
	if before == choiceSeasonal && (choice != choiceSeasonal || season < m.season) {
		return // a season that was there is not given up for a quiet stretch
	}
	model, err := m.build(choice, season)
	if err != nil {
		return // cannot happen: build's configurations are valid
	}
	m.choice, m.season, m.reason, m.model = choice, season, reason, model
	for i := range m.past.used { // what is known already
		if v := m.past.value(i); !math.IsNaN(v) {
			model.Learn(Point{m.past.middleOf(i), v}, 1)
		}
	}
}

// recentMoves is how many moves count as recent: twice as many are halved.
const recentMoves = 512

// move counts whether the series rose or fell.
func (m *Auto) move(v float64) {
	if m.moves++; m.moves > 2*recentMoves {
		m.moves, m.rises, m.falls = m.moves/2, m.rises/2, m.falls/2
	}
	switch {
	case v > m.raw.V:
		m.rises++
	case v < m.raw.V:
		m.falls++
	}
}

// isCounter tells a counter from a gauge: it rises and falls next to never.
func (m *Auto) isCounter() bool {
	return m.rises*2 >= m.moves && m.falls*50 <= m.moves && m.raw.V >= 0
}

// isGauge tells that what was taken for a counter is none: a gauge that rose
// all the time at first, while something started.
func (m *Auto) isGauge() bool { return m.falls >= 4 && m.falls*10 > m.moves }

// restart begins the past again in terms of the rate, or of the value.
func (m *Auto) restart(counter bool) {
	*m = Auto{
		c: m.c, counter: counter, n: 1, raw: m.raw, senses: newSenses(), alarm: newAlarm(),
		falls: m.falls, rises: m.rises, moves: m.moves,
	}
	if !counter {
		m.past.add(m.raw, 1)
	}
}

// seasons are the lengths that people and machines live by, with how many of
// them must have been seen.
var seasons = []struct{ period, times int64 }{
	{int64(time.Hour / time.Millisecond), 4},
	{24 * int64(time.Hour/time.Millisecond), 3},
	{7 * 24 * int64(time.Hour/time.Millisecond), 2},
}

// alike is how much of a season must come back for it to count as one.
const alike = 0.4

// weekGain is how much more a week has to be like the last one than a day for
// the week to be modelled, too.
const weekGain = 0.05

// fit says what the past looks like.
func (m *Auto) fit() (choice byte, season int64, reason string) {
	day, week := seasons[1], seasons[2]
	r, daily := m.seasonal(day.period, day.times)
	q, weekly := m.seasonal(week.period, week.times)
	switch {
	case weekly && (!daily || q > r+weekGain):
		return choiceSeasonal, week.period, fmt.Sprintf("a week is like the week before (autocorrelation %.2f)", q)
	case daily:
		return choiceSeasonal, day.period, fmt.Sprintf("a day is like the day before (autocorrelation %.2f)", r)
	}
	if r, ok := m.seasonal(seasons[0].period, seasons[0].times); ok {
		return choiceHoltWinters, seasons[0].period, fmt.Sprintf("an hour is like the hour before (autocorrelation %.2f)", r)
	}
	values := make([]float64, 0, historySize)
	for i := range m.past.used {
		if v := m.past.value(i); !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	if len(values) == 0 || values[0] == values[len(values)-1] {
		return choiceMAD, 0, "constant so far"
	}
	center := middle(values)
	deviations := make([]float64, len(values))
	for i, v := range values {
		deviations[i] = math.Abs(v - center)
	}
	slices.Sort(deviations)
	mad := middle(deviations)
	far := 0
	for _, d := range deviations {
		if d > 5*1.4826*mad {
			far++
		}
	}
	if far*50 >= len(values) {
		return choiceMAD, 0, fmt.Sprintf("%d %% of the past lies far from its median", far*100/len(values))
	}
	return choiceZScore, 0, "no season, no outliers in the past"
}

// seasonal reports whether the past comes back after a period.
func (m *Auto) seasonal(period, times int64) (float64, bool) {
	if m.past.span == 0 || m.past.length() < times*period || m.past.span*8 > period {
		return 0, false
	}
	r := m.past.autocorrelation(int((period + m.past.span/2) / m.past.span))
	// Anything slow is like itself a moment ago; a season falls away in between.
	half := m.past.autocorrelation(int((period/2 + m.past.span/2) / m.past.span))
	return r, r >= alike && r > half+0.1
}

// longestWindow bounds the windows that build takes, in milliseconds: 31 years.
const longestWindow = 1e12

// build makes a model of a kind with windows that fit the step.
func (m *Auto) build(choice byte, season int64) (Model, error) {
	window := max(6*time.Hour, time.Duration(min(300*m.past.step, longestWindow))*time.Millisecond)
	switch choice {
	case choiceZScore:
		return NewZScore(ZScoreConfig{Window: window})
	case choiceMAD:
		return NewMAD(MADConfig{Window: window})
	case choiceSeasonal:
		periods := []time.Duration{24 * time.Hour}
		if season > seasons[1].period {
			periods = append(periods, 7*24*time.Hour)
		}
		return NewSeasonal(SeasonalConfig{Location: m.c.Location, Periods: periods})
	case choiceHoltWinters:
		return NewHoltWinters(HoltWintersConfig{Season: time.Duration(season) * time.Millisecond})
	}
	return nil, errors.New("no such choice")
}

// longestReason bounds the text of why a choice was made, in bytes.
const longestReason = 200

// reserve takes the largest of all choices.
func (m *Auto) reserve() {
	m.reason = strings.Repeat("a", longestReason)
	for choice := choiceZScore; choice <= choiceHoltWinters; choice++ {
		model, err := m.build(choice, seasons[len(seasons)-1].period)
		if err == nil && Size(model) > Size(m.model) {
			m.model = model
		}
	}
}

const autoVersion = 8

// AppendBinary appends the state: profile, choice and the chosen model.
func (m *Auto) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idAuto, autoVersion)
	m.past.write(w)
	m.senses.write(w)
	m.alarm.write(w)
	m.damped.write(w)
	w.bool(m.counter)
	for _, v := range []int64{m.n, m.falls, m.rises, m.moves, m.next, m.raw.T, int64(m.choice), m.season} {
		w.int(v)
	}
	w.float(m.raw.V)
	w.int(int64(len(m.reason)))
	w.b = append(w.b, m.reason...)
	if m.model == nil {
		return w.b, nil
	}
	w.float(m.step())
	err := w.part(m.model)
	return w.b, err
}

// step is what build took the windows from.
func (m *Auto) step() float64 {
	switch model := m.model.(type) {
	case *ZScore:
		return float64(model.c.Window.Milliseconds())
	case *MAD:
		return float64(model.c.Window.Milliseconds())
	}
	return 0
}

// UnmarshalBinary restores the state.
func (m *Auto) UnmarshalBinary(b []byte) error {
	r := newReader(b, idAuto, autoVersion)
	m.past.read(r)
	m.senses.read(r)
	m.alarm.read(r)
	m.damped.read(r)
	m.counter = r.bool()
	var f [8]int64
	for i := range f {
		f[i] = r.int()
	}
	m.n, m.falls, m.rises, m.moves, m.next, m.raw.T = f[0], f[1], f[2], f[3], f[4], f[5]
	m.season = f[7]
	m.raw.V = r.float()
	m.reason = r.text(longestReason)
	m.model = nil
	if m.choice = byte(f[6]); f[6] < 0 || f[6] > int64(choiceHoltWinters) {
		r.fail("an unknown choice")
	}
	if r.err == nil && m.choice != choiceNone {
		window := r.float()
		model, err := m.restore(window)
		if err != nil {
			return errors.Join(errState, err)
		}
		if m.model = model; m.step() != window {
			r.fail("a window that cannot be")
		}
		r.part(model)
	}
	return r.done()
}

// restore makes the chosen model with the window that it had.
func (m *Auto) restore(window float64) (Model, error) {
	w := time.Duration(max(min(window, longestWindow), 0)) * time.Millisecond
	switch m.choice {
	case choiceZScore:
		return NewZScore(ZScoreConfig{Window: w})
	case choiceMAD:
		return NewMAD(MADConfig{Window: w})
	}
	return m.build(m.choice, m.season)
}
