package eval

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/lang"
)

// store is what survives when a process is killed: the newest record of each
// key, of those that have ended when they did, and the mark, the time since
// which frames are learned again.
type store struct {
	records map[string][]byte
	ended   map[string]int64
	mark    int64
}

// saver writes records of a rule into a store, one after the other in rounds.
type saver struct {
	store   *store
	pending []*Series // of the round under way
	started int64     // when it began; 0: there is none
}

// note writes what must be in the store before anything else of that step.
func (s *saver) note(r *Rule, t int64, c Changes) error {
	if r.Shared() {
		return nil
	}
	for _, e := range c.Ended {
		delete(s.store.records, e.Key())
		s.store.records[e.EndedKey()] = r.AppendEnded(nil, e)
		s.store.ended[e.EndedKey()] = t
	}
	if !c.Adopted {
		return nil
	}
	for _, b := range c.Began {
		if _, err := s.write(r, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *saver) write(r *Rule, e *Series) (ok bool, err error) {
	b, ok, err := r.AppendRecord(nil, e)
	if ok {
		s.store.records[e.Key()] = b
	}
	return ok, err
}

// save goes on with the round for n records, and begins one when there is none.
func (s *saver) save(r *Rule, t int64, n int) error {
	if s.started == 0 {
		if s.started = t; r.Shared() {
			return nil // the one record comes with the next step that saves
		}
		s.pending = r.Series(nil)
	}
	if r.Shared() {
		b, err := r.AppendAll(nil)
		if err != nil {
			return err
		}
		s.store.records[AllKey] = b
	}
	for ; n > 0 && len(s.pending) > 0; n-- {
		if _, err := s.write(r, s.pending[0]); err != nil {
			return err
		}
		s.pending = s.pending[1:]
	}
	if len(s.pending) > 0 {
		return nil
	}
	s.store.mark, s.started = s.started, 0
	for key, at := range s.store.ended {
		if at <= s.store.mark {
			delete(s.store.records, key)
			delete(s.store.ended, key)
		}
	}
	return nil
}

// forgetRound gives up the round under way: another rule takes its place.
func (s *saver) forgetRound() { s.pending, s.started = nil, 0 }

// load makes a rule of the store's records.
func (s *store) load(rnd *rand.Rand, spec *lang.Anomaly) (*Rule, error) {
	r, err := New(spec)
	if err != nil {
		return nil, err
	}
	keys := slices.Sorted(maps.Keys(s.records))
	rnd.Shuffle(len(keys), func(i, k int) { keys[i], keys[k] = keys[k], keys[i] })
	for _, key := range keys {
		if err := r.Load(s.records[key]); err != nil {
			return nil, fmt.Errorf("record %q: %w", key, err)
		}
	}
	return r, nil
}

// recordsOf are the records of all series, or of the one model, by key.
func recordsOf(r *Rule) (map[string][]byte, error) {
	if r.Shared() {
		b, err := r.AppendAll(nil)
		return map[string][]byte{AllKey: b}, err
	}
	out := map[string][]byte{}
	for _, s := range r.Series(nil) {
		b, ok, err := r.AppendRecord(nil, s)
		if err != nil || !ok {
			return nil, fmt.Errorf("%s has no record: %w", s.Labels(), err)
		}
		out[s.Key()] = b
	}
	return out, nil
}

// sameRecords is an error that names what two rules do not have in common.
func sameRecords(got, want *Rule) error {
	a, err := recordsOf(got)
	if err != nil {
		return err
	}
	b, err := recordsOf(want)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(a)) {
		switch w, ok := b[key]; {
		case !ok:
			return fmt.Errorf("a series %q that should not be there", key)
		case !bytes.Equal(a[key], w):
			return fmt.Errorf("record of %q:\n%x, want\n%x", key, a[key], w)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			return fmt.Errorf("series %q is not there", key)
		}
	}
	return nil
}

// seen is what one step has shown to the outside.
type seen struct {
	err     string
	outputs []Output
	changes string
}

func see(out Result, err error) seen {
	s := seen{outputs: slices.Clone(out.Outputs)}
	if err != nil {
		s.err = err.Error()
	}
	c := out.Changes
	keys := func(of []*Series) []string {
		var out []string
		for _, s := range of {
			out = append(out, s.Key())
		}
		return slices.Sorted(slices.Values(out))
	}
	s.changes = fmt.Sprintf("began %q, ended %q, adopted %v, over %d and %d, histograms %d %s, anew %v",
		keys(c.Began), keys(c.Ended), c.Adopted, c.OverLimit, c.OverMemory, c.Histograms, c.Histogram, c.StartedOver)
	return s
}

// differ is an error that names the first difference, to the bit.
func (s seen) differ(want seen) error {
	switch {
	case s.err != want.err:
		return fmt.Errorf("error %q, want %q", s.err, want.err)
	case s.changes != want.changes:
		return fmt.Errorf("%s\nwant %s", s.changes, want.changes)
	case len(s.outputs) != len(want.outputs):
		return fmt.Errorf("%d outputs, want %d", len(s.outputs), len(want.outputs))
	}
	for i, o := range s.outputs {
		w := want.outputs[i]
		if !labels.Equal(o.Labels, w.Labels) || math.Float64bits(o.V) != math.Float64bits(w.V) {
			return fmt.Errorf("output %d is %s %v (%x), want %s %v (%x)", i, o.Labels, o.V, math.Float64bits(o.V), w.Labels, w.V, math.Float64bits(w.V))
		}
	}
	return nil
}

// life is a rule that is saved, killed and copied on its way.
type life struct {
	rnd    *rand.Rand
	spec   *lang.Anomaly
	frames []timed
	want   []seen // of a rule that is never stopped

	rule  *Rule
	saver saver
	pos   int // the next frame
	live  int // frames before it have been stepped; they are only learned again
	story []string
}

// never runs a rule through all frames.
func never(spec *lang.Anomaly, frames []timed) (*Rule, []seen, error) {
	r, err := New(spec)
	if err != nil {
		return nil, nil, err
	}
	var out []seen
	for _, f := range frames {
		out = append(out, see(r.Step(f.t, f.Frame)))
	}
	return r, out, nil
}

func newLife(rnd *rand.Rand, spec *lang.Anomaly, frames []timed, want []seen) (*life, error) {
	r, err := New(spec)
	st := &store{records: map[string][]byte{}, ended: map[string]int64{}}
	return &life{rnd: rnd, spec: spec, frames: frames, want: want, rule: r, saver: saver{store: st}}, err
}

func (l *life) tell(format string, args ...any) {
	l.story = append(l.story, fmt.Sprintf("frame %d: ", l.pos)+fmt.Sprintf(format, args...))
}

// step takes the next frame.
func (l *life) step() error {
	f := l.frames[l.pos]
	var changes Changes
	if l.pos < l.live {
		var err error
		changes, err = l.rule.Learn(f.t, f.Frame)
		passed := err == nil && l.rule.Shared() // its one record may know the whole frame
		switch want := l.want[l.pos].err; {
		case err != nil && want == "":
			return fmt.Errorf("learned with an error that there was not: %w", err)
		case err == nil && want != "" && !passed:
			return fmt.Errorf("learned without the error %q", want)
		}
	} else {
		out, err := l.rule.Step(f.t, f.Frame)
		if err := see(out, err).differ(l.want[l.pos]); err != nil {
			return err
		}
		changes = out.Changes
	}
	if changes.StartedOver {
		return fmt.Errorf("started over")
	}
	l.pos++
	l.live = max(l.live, l.pos)
	return l.saver.note(l.rule, f.t, changes)
}

// kill goes on with what the store has.
func (l *life) kill() (err error) {
	l.saver.forgetRound()
	if l.rule, err = l.saver.store.load(l.rnd, l.spec); err != nil {
		return err
	}
	again := 0
	for again < l.pos && l.frames[again].t <= l.saver.store.mark {
		again++
	}
	l.tell("killed; on from frame %d with %d records", again, len(l.saver.store.records))
	l.pos = again
	return nil
}

// split saves everything and loads it.
func (l *life) split() error {
	l.tell("saved and loaded")
	records, err := recordsOf(l.rule)
	if err != nil {
		return err
	}
	whole := &store{records: records}
	was := l.rule
	if l.rule, err = whole.load(l.rnd, l.spec); err != nil {
		return err
	}
	l.saver.forgetRound()
	return sameRecords(l.rule, was)
}

// clone goes on with a copy.
func (l *life) clone() error {
	l.tell("copied")
	was := l.rule
	copied, refused, reason, err := was.CopyAs(l.spec)
	if err != nil || refused > 0 {
		return fmt.Errorf("%d refused, %w, %w", refused, reason, err)
	}
	l.rule = copied
	l.saver.forgetRound()
	return sameRecords(copied, was)
}

// run takes all frames; what happens on the way is drawn.
func (l *life) run() error {
	haste := []int{3, 10, 40}[l.rnd.Intn(3)] // of every hundred steps so many are followed by saving
	if l.rule.Shared() {
		haste = min(haste, 20)
	}
	for l.pos < len(l.frames) {
		if err := l.step(); err != nil {
			return fmt.Errorf("at frame %d: %w", l.pos, err)
		}
		t := l.frames[l.pos-1].t
		var err error
		switch n := l.rnd.Intn(100); {
		case n < haste:
			err = l.saver.save(l.rule, t, 1+l.rnd.Intn(3))
		case n >= 98:
			err = l.kill()
		case n >= 97 && l.pos == l.live && l.pos > 0:
			err = l.split()
		case n >= 96:
			err = l.clone()
		}
		if err != nil {
			return fmt.Errorf("after frame %d: %w", l.pos-1, err)
		}
	}
	return nil
}
