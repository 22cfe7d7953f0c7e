package eval

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/detect"
)

// forgetAfter is how long the model of a series that has gone is kept, in
// milliseconds, so that one that flaps does not begin to learn again.
const forgetAfter = 2 * 60 * 60 * 1000

// clockBack is how many milliseconds a step must lie before the newest one for
// the clock to have been wrong then. Models refuse what is older than what they
// know, so without a new start they would stand still until that time comes
// again: years, where a machine started in a wrong year.
const clockBack = 60 * 60 * 1000

// Output is one sample that the rule writes, at the time of the step.
type Output struct {
	Labels labels.Labels // with the metric name
	V      float64
}

// Verdict is what the models think of one series.
type Verdict struct {
	Series *Series
	Actual float64 // the value that was judged; NaN of several inputs
	detect.Verdict
}

// Result is what one step gives. It is valid until the next step of the rule.
type Result struct {
	Outputs  []Output
	Verdicts []Verdict
	Changes  Changes
}

// Changes is what one step changed in the rule, or refused.
type Changes struct {
	Began []*Series // new ones
	Ended []*Series // forgotten, or dropped to make room
	// MadeRoom tells that some of those ended were dropped to make room.
	MadeRoom bool
	// Adopted tells that a new series has started from the state of another.
	Adopted bool
	// OverLimit and OverMemory count series that have no model because of the
	// rule's limit and because of the bytes that models may hold.
	OverLimit, OverMemory int
	// Histograms counts the series that were skipped because they hold a native
	// histogram; Histogram is the first of them.
	Histograms int
	Histogram  labels.Labels
	// StartedOver tells that all models were forgotten before the step, because
	// the clock had been ahead while they learned. Learn never does that: what
	// it is given may lie far before what was loaded.
	StartedOver bool
}

// scratch is memory that a step uses again.
type scratch struct {
	fresh    []int // places of samples whose series is new
	present  []*Series
	began    []*Series
	outputs  []Output
	verdicts []Verdict
	ended    []*Series
	members  []detect.Member
	judged   []detect.MemberVerdict
	share    []float64
	errors   map[string]float64
}

// Step scores and learns the frame of time t, in milliseconds. On an error
// nothing was learned and no series began or ended.
func (r *Rule) Step(t int64, f Frame) (Result, error) { return r.step(t, f, true) }

// Learn is Step without outputs and verdicts, for what lies in the past. A
// series that was loaded and has learned beyond t already is passed over.
//
// Loading the newest record of each series and learning again all frames after
// a mark equals never having stopped, to the bit. A mark is a time since which
// every series that was followed then has been saved, or has ended. It holds if
//
//   - frames come in the order of time, in both lives,
//   - AppendEnded is kept, by EndedKey, for every end after the mark,
//   - what a step has ended, and when it says Changes.Adopted what it has begun,
//     is written in one transaction, before or with the first record of that
//     time or a later one,
//   - the limit of bytes (Admit) has been the same all the time, and no model is
//     larger than what is expected of one that has learned.
func (r *Rule) Learn(t int64, f Frame) (Changes, error) {
	out, err := r.step(t, f, false)
	return out.Changes, err
}

// stepping is one step under way.
type stepping struct {
	t     int64
	emit  bool
	past  bool // t is learned again: records have been loaded that know it
	limit *limits
	out   Result

	population int // series at t; valid when counted
	counted    bool

	cohorts map[string]*Series // whom a new series starts from; nil: not looked for yet
	spare   []*Series          // series that may go, the first one last; valid when looked
	looked  bool

	spareBytes int64 // that spare is charged for
}

func (r *Rule) step(t int64, f Frame, emit bool) (Result, error) {
	if !emit && r.group != nil && t <= r.group1 {
		return Result{}, nil
	}
	st := &stepping{t: t, emit: emit, past: !emit && t <= r.loaded}
	var before *Rule // the clock was set back
	if emit && r.now-t > clockBack {
		whole := *r
		before = &whole
		if err := r.StartOver(); err != nil {
			return Result{}, err
		}
		st.out.Changes.StartedOver, st.past = true, false
	}
	r.scratch.present, r.scratch.began, r.scratch.ended = r.scratch.present[:0], r.scratch.began[:0], r.scratch.ended[:0]
	r.scratch.outputs, r.scratch.verdicts = r.scratch.outputs[:0], r.scratch.verdicts[:0]
	r.mark++
	err := r.find(st, f)
	if err == nil {
		err = r.checkOutputs()
	}
	if err == nil {
		st.limit, err = r.limitsOf(st, f)
	}
	if err != nil {
		for _, s := range r.scratch.began {
			r.drop(s)
		}
		for _, s := range r.scratch.ended { // those that made room
			r.takeBack(s)
		}
		if before != nil {
			before.mark = r.mark
			*r = *before
		}
		return Result{}, err
	}
	r.judge(st)
	r.forget(st)
	if r.group != nil && len(r.scratch.began)+len(r.scratch.ended) > 0 {
		r.measureShared()
	}
	r.before, r.last, r.now = t, max(r.last, t), max(r.now, t)
	st.out.Outputs, st.out.Verdicts = r.scratch.outputs, r.scratch.verdicts
	st.out.Changes.Began, st.out.Changes.Ended = r.scratch.began, r.scratch.ended
	return st.out, nil
}

// judge has the models score and learn what find has found.
func (r *Rule) judge(st *stepping) {
	if r.group != nil {
		r.judgeGroup(st)
		return
	}
	for _, s := range r.scratch.present {
		if !st.emit && st.t <= s.loaded {
			continue
		}
		switch {
		case s.vector != nil:
			r.judgeInputs(st, s)
		case r.spec.Ratio != nil:
			ratio, v := s.scorer.StepRatio(st.t, s.value, s.of)
			r.say(st, s, ratio, v)
		default:
			r.say(st, s, s.value, s.scorer.Step(detect.Point{T: st.t, V: s.value}))
		}
	}
}

// judgeGroup has the group's model judge all series together. What it reports
// of members that are absent is written with the labels that they had.
func (r *Rule) judgeGroup(st *stepping) {
	r.scratch.members = r.scratch.members[:0]
	for _, s := range r.scratch.present {
		m := detect.Member{Key: s.key, V: s.value}
		if len(r.by) > 0 {
			r.buf = s.labels.BytesWithLabels(r.buf, r.by...)
			m.Group = string(r.buf)
		}
		r.scratch.members = append(r.scratch.members, m)
	}
	r.scratch.judged = r.group.Step(st.t, r.scratch.members, r.scratch.judged[:0])
	for _, v := range r.scratch.judged {
		s := r.series[v.Key]
		if s == nil {
			continue // absent, and its labels went over the limit
		}
		s.seen, s.state = st.t, v.State
		r.say(st, s, v.V, v.Verdict)
	}
}

func (r *Rule) judgeInputs(st *stepping, s *Series) {
	if r.scratch.share == nil {
		r.scratch.share = make([]float64, len(r.spec.Inputs))
	}
	v := s.vector.Step(detect.Vector{T: st.t, V: s.values}, r.scratch.share)
	r.say(st, s, math.NaN(), v)
	if st.emit {
		r.contributions(s, r.scratch.share)
	}
}

// say notes a verdict and appends what the rule writes for it.
func (r *Rule) say(st *stepping, s *Series, actual float64, v detect.Verdict) {
	if !st.emit {
		return
	}
	r.scratch.verdicts = append(r.scratch.verdicts, Verdict{Series: s, Actual: actual, Verdict: v})
	r.outputs(s, actual, v)
	if r.spec.Forecast != nil && s.scorer != nil {
		r.predict(s, detect.Point{T: st.t, V: actual}, st.limit)
	}
}

// StartOver forgets everything.
func (r *Rule) StartOver() error {
	group, by, err := groupOf(r.spec)
	if err != nil {
		return fmt.Errorf("cannot start over: %w", err)
	}
	r.series = map[string]*Series{}
	r.group, r.by, r.gone = group, by, nil
	r.now, r.before, r.last, r.loaded, r.group1, r.held, r.charged, r.sharedHeld = 0, 0, 0, 0, 0, 0, 0, 0
	return nil
}
