package rules

import (
	"slices"
	"strings"

	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/modelstore"
)

// saving is how far the records of a rule's models are written, in rounds that
// are spread over time. It belongs to whom the models belong to.
//
// After a kill the last records are loaded and all slots after the mark, the
// beginning of the last complete round, are learned again, each by the series
// whose record is older. For that to give what was, a series that began with the
// state of another, and one that has ended, must be on disk before anything that
// is newer; so they go first, all at once.
type saving struct {
	todo   []*eval.Series // of the round under way, from next on
	next   int
	under  bool  // a round is under way
	began  int64 // milliseconds up to which the models had learned when it began
	urgent []*eval.Series
	ended  []ended
	onDisk []ended // whose records of an end are on disk and needed
	whole  bool    // the next round goes as one batch
	// Keys of what was written early since the round began.
	early map[string]bool

	sentUrgent []*eval.Series // with batches that may still be lost
	sentEnded  []ended
	sentWhole  bool
}

// ended is the record of a series that has ended.
type ended struct {
	key    string
	at     int64 // milliseconds
	record []byte
}

// batch is what one request for records gives.
type batch struct {
	owner   modelstore.Owner
	entries []modelstore.Entry
	bytes   int
	// Of a round that is complete with these records: its mark, and the keys of
	// all records that are needed from then on.
	complete bool
	mark     int64
	keep     []string
}

// reset begins with other models. When it matters in which order series began
// and ended, it is not known any more, and whole has all of them go at once.
func (s *saving) reset(whole bool) { *s = saving{todo: s.todo[:0], whole: whole} }

// pending reports whether there is something that must be on disk early and may
// not be.
func (s *saving) pending() bool {
	return len(s.urgent)+len(s.ended)+len(s.sentUrgent)+len(s.sentEnded) > 0
}

// settle takes what has become of the batches that were sent. When they are
// lost, the round begins again.
func (s *saving) settle(f fate) {
	switch f {
	case open:
		return
	case lost:
		s.under, s.next = false, 0
		s.urgent = append(s.sentUrgent, s.urgent...)
		s.ended = append(s.sentEnded, s.ended...)
		s.whole = s.whole || s.sentWhole
	case written:
		s.onDisk = append(s.onDisk, s.sentEnded...)
	}
	s.sentUrgent, s.sentEnded, s.sentWhole = nil, nil, false
}

// fate is what has become of batches.
type fate uint8

const (
	open    fate = iota // they are not written yet
	written             // they are on disk
	lost                // they could not be written
)

// note remembers what a step has changed that must be on disk early.
func (s *saving) note(r *eval.Rule, c eval.Changes) {
	if r.Shared() {
		return
	}
	for _, e := range c.Ended {
		s.ended = append(s.ended, ended{key: e.EndedKey(), at: r.Now(), record: r.AppendEnded(nil, e)})
	}
	if c.Adopted {
		s.urgent = append(s.urgent, c.Began...)
	}
}

// canSave reports whether the models are what should be on disk: while a copy
// of them learns what was missed, the records that are there are better.
func (a *anomalyRule) canSave() bool {
	return a.behind == nil && a.models.Now() != 0 && a.id.Load() != 0
}

// records gives the next ones, of about that many bytes, of the round under
// way, which it begins if there is none.
func (a *anomalyRule) records(most int) (*batch, error) {
	s := &a.saving
	b := &batch{owner: a.owner}
	b.owner.ID = a.id.Load()
	if !s.under {
		s.under, s.began, s.next, s.early = true, a.models.Now(), 0, map[string]bool{}
		s.todo = s.todo[:0]
		if !a.models.Shared() {
			s.todo = inPlace(a.models.Series(s.todo))
		}
	}
	one := func(x *eval.Series) error {
		record, ok, err := a.models.AppendRecord(nil, x)
		if ok {
			b.add(x.Key(), record)
		}
		return err
	}
	for _, e := range s.ended {
		b.add(e.key, e.record)
	}
	for _, x := range s.urgent {
		s.early[x.Key()] = true
		if err := one(x); err != nil {
			return nil, err
		}
	}
	s.sentEnded, s.ended = append(s.sentEnded, s.ended...), nil
	s.sentUrgent, s.urgent = append(s.sentUrgent, s.urgent...), nil
	if a.models.Shared() {
		record, err := a.models.AppendAll(nil)
		if err != nil {
			return nil, err
		}
		b.add(eval.AllKey, record)
	}
	for s.next < len(s.todo) && (b.bytes < most || s.whole) {
		if err := one(s.todo[s.next]); err != nil {
			return nil, err
		}
		s.next++
	}
	a.charge()
	if s.next < len(s.todo) {
		return b, nil
	}
	a.completeRound(b)
	return b, nil
}

// inPlace sorts series by where their records stand.
func inPlace(series []*eval.Series) []*eval.Series {
	type placed struct {
		place  string
		series *eval.Series
	}
	order := make([]placed, len(series))
	for i, x := range series {
		order[i] = placed{modelstore.Place(x.Key()), x}
	}
	slices.SortFunc(order, func(a, b placed) int { return strings.Compare(a.place, b.place) })
	for i, x := range order {
		series[i] = x.series
	}
	return series
}

// completeRound says what is needed on disk once the batch is.
func (a *anomalyRule) completeRound(b *batch) {
	s := &a.saving
	b.complete, b.mark = true, s.began
	s.onDisk = slices.DeleteFunc(s.onDisk, func(e ended) bool { return e.at <= s.began })
	for _, e := range append(slices.Clone(s.onDisk), s.sentEnded...) {
		if e.at > s.began {
			b.keep = append(b.keep, e.key)
		}
	}
	if a.models.Shared() {
		b.keep = append(b.keep, eval.AllKey)
	} else {
		for _, x := range a.models.Series(nil) {
			// Of one that began meanwhile there is nothing on disk, or what it knew
			// before it ended.
			if x.Born() <= s.began || s.early[x.Key()] {
				b.keep = append(b.keep, x.Key())
			}
		}
	}
	clear(s.todo)
	s.sentWhole = s.sentWhole || s.whole
	s.todo, s.next, s.under, s.whole = s.todo[:0], 0, false, false
}

func (b *batch) add(key string, record []byte) {
	b.entries = append(b.entries, modelstore.Entry{Owner: b.owner.ID, Key: key, Record: record})
	b.bytes += len(record)
}
