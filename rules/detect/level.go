package detect

import (
	"math"
	"time"
)

// leveled is a model that expects a level. While its series is anomalous it
// learns nothing, so a level that lasts has to be told to it: what the values
// deviate by then is kept, and accepted at once. A model that cannot be told
// sees the values less an offset from then on.
type leveled struct {
	Model  // nil: of a member of a group
	offset float64
	held   held

	// What was said last, to find the deviation of a point that is scored and
	// then noted. Nothing of it is learned.
	asked               Point
	expected, low, high float64
}

// held is the mean deviations from what is expected since an episode began, in
// parts of the time after which a level is accepted.
type held struct {
	mean       [heldParts]float64 // of parts with values, in the order of time
	n          int
	sum, count float64 // of the part that is under way
}

// close ends the part that is under way.
func (h *held) close() {
	if h.count == 0 {
		return
	}
	if h.n == heldParts {
		copy(h.mean[:], h.mean[1:])
		h.n--
	}
	h.mean[h.n] = h.sum / h.count
	h.n++
	h.sum, h.count = 0, 0
}

// ends are the means of the oldest and of the newest parts.
func (h *held) ends() (oldest, newest float64) {
	k := max(min(heldEnds, h.n/2), 1)
	for i := range k {
		oldest += h.mean[i] / float64(k)
		newest += h.mean[h.n-1-i] / float64(k)
	}
	return oldest, newest
}

// level finds the models in a combination that expect a level, and puts each
// into a leveled one.
func level(m Model, found *[]*leveled) Model {
	switch m := m.(type) {
	case *Combined:
		for i, part := range m.models {
			m.models[i] = level(part, found)
		}
		return m
	case *leveled:
		*found = append(*found, m)
		return m
	}
	switch m.(type) {
	case follower, *Auto:
		return m
	}
	l := &leveled{Model: m}
	*found = append(*found, l)
	return l
}

// acceptAfter tells those models in a combination that accept levels by
// themselves after how long.
func acceptAfter(m Model, after time.Duration) {
	switch m := m.(type) {
	case *Combined:
		for _, part := range m.models {
			acceptAfter(part, after)
		}
	case *Auto:
		m.accepts(after)
	}
}

// release frees what models have laid by for a point that will not be learned.
func release(m Model) {
	switch m := m.(type) {
	case *Combined:
		for _, part := range m.models {
			release(part)
		}
	case *Auto:
		m.m.Release()
	}
}

// acceptVectorAfter is acceptAfter of a model of several inputs.
func acceptVectorAfter(m VectorModel, after time.Duration) {
	switch m := m.(type) {
	case *CombinedVector:
		for _, part := range m.models {
			acceptVectorAfter(part, after)
		}
	case *Each:
		for _, part := range m.models {
			acceptAfter(part, after)
		}
	case *Joint:
		m.accepts(after)
	}
}

// levelVector is level of a model of several inputs.
func levelVector(m VectorModel, found *[]*leveled) {
	switch m := m.(type) {
	case *CombinedVector:
		for _, part := range m.models {
			levelVector(part, found)
		}
	case *Each:
		for i, part := range m.models {
			m.models[i] = level(part, found)
		}
	}
}

// bare is a model without what level has put around it.
func bare(m Model) Model {
	if l, ok := m.(*leveled); ok {
		return l.Model
	}
	return m
}

// Score judges the value less the offset.
func (l *leveled) Score(p Point) Verdict {
	return l.said(p, l.Model.Score(l.seen(p)))
}

func (l *leveled) scoreOf(p Point, total float64) Verdict {
	return l.said(p, scoreOf(l.Model, l.seen(p), total))
}

// seen is what the model sees of a point.
func (l *leveled) seen(p Point) Point {
	p.V -= l.offset
	return p
}

// said puts the expectation where the values are, and notes it.
func (l *leveled) said(p Point, v Verdict) Verdict {
	v.Expected, v.Lower, v.Upper = v.Expected+l.offset, v.Lower+l.offset, v.Upper+l.offset
	l.asked, l.expected, l.low, l.high = p, v.Expected, v.Lower, v.Upper
	return v
}

// Learn takes the value less the offset in.
func (l *leveled) Learn(p Point, weight float64) { l.Model.Learn(l.seen(p), weight) }

// Forecast is the model's, where it can look ahead.
func (l *leveled) Forecast(t int64, confidence float64) (mid, lower, upper float64) {
	f, ok := l.Model.(Forecaster)
	if !ok {
		return noForecast()
	}
	mid, lower, upper = f.Forecast(t, confidence)
	return mid + l.offset, lower + l.offset, upper + l.offset
}

// Choice is the model's, where it chooses.
func (l *leveled) Choice() string {
	if c, ok := l.Model.(interface{ Choice() string }); ok {
		return c.Choice()
	}
	return ""
}

// note keeps the deviation of the point at t, if that was scored.
func (l *leveled) note(t int64) {
	d := l.asked.V - l.expected
	if l.asked.T != t || math.IsNaN(d) {
		return
	}
	l.held.sum += min(max(d, -beyondUse), beyondUse)
	l.held.count++
}

// grown tells whether the deviation has grown, to the same side, so that it is
// no level: by a part of itself, and by more than the border's distance.
func (l *leveled) grown() bool {
	if l.held.n < 2 {
		return false
	}
	oldest, newest := l.held.ends()
	width := l.high - l.expected
	if newest < 0 {
		width = l.expected - l.low
	}
	growth := math.Abs(newest) - math.Abs(oldest)
	return (oldest < 0) == (newest < 0) && growth > heldGrowth*math.Abs(newest) && !(growth <= width)
}

// accept makes the newest level what is expected.
func (l *leveled) accept() {
	if l.held.n == 0 {
		return
	}
	_, shift := l.held.ends()
	if m, ok := l.Model.(*Budgeted); ok {
		m.accepted()
	}
	if m, ok := l.Model.(interface{ Accept(shift float64) }); ok {
		m.Accept(shift)
		return
	}
	if o := l.offset + shift; math.Abs(o) < beyondUse {
		l.offset = o
	}
}

func (l *leveled) reserve() { reserve(l.Model) }

const (
	idLeveled      byte = 59
	leveledVersion byte = 1
)

// AppendBinary appends the offset, what has been held, and the model's state.
func (l *leveled) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idLeveled, leveledVersion)
	l.write(w)
	err := w.part(l.Model)
	return w.b, err
}

// UnmarshalBinary restores what AppendBinary wrote around the same model.
func (l *leveled) UnmarshalBinary(b []byte) error {
	r := newReader(b, idLeveled, leveledVersion)
	l.read(r)
	r.part(l.Model)
	return r.done()
}

func (l *leveled) write(w *writer) {
	w.float(l.offset)
	w.int(int64(l.held.n))
	w.floats([]float64{l.held.sum, l.held.count})
	for _, m := range l.held.mean[:l.held.n] {
		w.float(m)
	}
}

func (l *leveled) read(r *reader) {
	*l = leveled{Model: l.Model, offset: r.float()}
	l.held.n = r.index(heldParts + 1)
	var f [2]float64
	r.floats(f[:])
	l.held.sum, l.held.count = f[0], f[1]
	for i := range l.held.n {
		l.held.mean[i] = r.float()
	}
	for _, v := range append([]float64{l.offset}, l.held.mean[:]...) {
		if !(math.Abs(v) <= 2*beyondUse) { // a mean of the greatest is rounded
			r.fail("a deviation that cannot be")
		}
	}
	if !(l.held.count >= 0) {
		r.fail("a count that cannot be")
	}
}
