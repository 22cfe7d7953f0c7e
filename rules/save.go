package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chironhq/chiron/rules/modelstore"
)

const (
	// defaultSaveLimit is how many bytes of models are written a minute.
	defaultSaveLimit = 64 << 20
	// saveTick is how often records are written.
	saveTick = time.Second
	// sliceBytes is about how many bytes of records a group's loop makes at
	// once: what an evaluation may wait for.
	sliceBytes = 256 << 10
	// endBytes is how many bytes one transaction has when the manager stops.
	endBytes = 8 << 20
	// endTimeout bounds the writing when the manager stops; what is not written
	// then, models learn from the ring again.
	endTimeout = 20 * time.Second
	// orphanAge is how long the models of a rule that has gone are kept at
	// least.
	orphanAge = 24 * time.Hour
)

// saver writes the models of all rules in rounds.
type saver struct {
	m       *Manager
	failing string                // the newest error; empty: a whole round was written since
	mending string                // the newest error of replacing a damaged file
	fates   map[*anomalyRule]fate // of batches, as far as the rule does not know
	round   []rulePlace           // what is left of the round under way
	began   time.Time             // of that round
	bytes   int64                 // written in that round
	over    int                   // what the ticks before have written too much; those that come write less
	before  int64                 // bytes of the round before; 0: not known
}

type rulePlace struct {
	group *group
	rule  *anomalyRule
	busy  bool // it did not answer when it was asked last
}

// run saves until ctx ends. A minute's bytes have a limit; a round takes at
// most a quarter of what the ring reaches back, for the ring must fill the rest.
func (s *saver) run(ctx context.Context) {
	for sleep(ctx, s.m.o.Clock, s.m.o.Clock.Now().Add(saveTick)) {
		s.tick(ctx)
	}
}

func (s *saver) tick(ctx context.Context) {
	clock := s.m.o.Clock
	if len(s.round) == 0 {
		if since := clock.Now().Sub(s.began); since >= 0 && since < s.m.o.StateInterval {
			return
		}
		s.begin()
	}
	most := s.pace() - s.over
	if s.over = max(-most, 0); most <= 0 {
		return
	}
	var batches []*batch
	var from []*anomalyRule
	bytes := 0
	for len(s.round) > 0 && bytes < most && ctx.Err() == nil {
		p := s.round[0]
		b, busy, err := s.ask(ctx, p, min(most-bytes, sliceBytes))
		if busy { // it evaluates: others first
			p.busy = true
			s.round = append(s.round[1:], p)
			break
		}
		s.round[0].busy = false
		if err != nil {
			s.m.o.Logger.Error("models of a rule are not saved", "rule", p.rule.Name(), "err", err)
			s.m.metrics.snapshots.WithLabelValues("failed").Inc()
		}
		if b == nil || b.complete || err != nil {
			s.round = s.round[1:]
		}
		if b != nil && err == nil {
			bytes += b.bytes
			batches, from = append(batches, b), append(from, p.rule)
		}
	}
	s.over = max(bytes-most, 0)
	s.leaveOut()
	if len(batches) == 0 {
		return
	}
	err := s.write(batches)
	for _, a := range from {
		if s.fates[a] = written; err != nil {
			s.fates[a] = lost
		}
	}
	if err != nil {
		s.fail(err)
		s.round = nil
		return
	}
	s.bytes += int64(bytes)
	s.m.metrics.saved.Add(float64(bytes))
	if len(s.round) == 0 {
		if s.failing != "" { // some batches may find room where others do not
			s.failing = ""
			s.m.o.Logger.Info("models are saved again")
		}
		s.before = s.bytes
		s.m.metrics.snapshots.WithLabelValues("written").Inc()
		s.m.metrics.snapshot.Set(float64(s.bytes))
		s.m.metrics.round.Set(clock.Now().Sub(s.began).Seconds())
	}
}

// leaveOut ends a round that waits for nothing but rules that have been
// evaluated for all of it; the next one asks them again.
func (s *saver) leaveOut() {
	if s.m.o.Clock.Now().Sub(s.began) >= s.m.o.StateInterval && !slices.ContainsFunc(s.round, func(p rulePlace) bool { return !p.busy }) {
		s.round = nil
	}
}

// begin begins a round over all rules that run.
func (s *saver) begin() {
	s.began, s.bytes = s.m.o.Clock.Now(), 0
	groups := s.m.snapshotGroups()
	fates := map[*anomalyRule]fate{} // without those of rules that have gone
	for _, g := range groups {
		for _, a := range g.anomalies {
			s.round = append(s.round, rulePlace{group: g, rule: a})
			fates[a] = s.fates[a]
		}
	}
	s.fates = fates
	// First what makes room.
	if err := errors.Join(s.m.forgetOrphans(groups), s.m.adopt(groups)); err != nil {
		s.fail(err)
		s.round = nil
	}
}

// pace is how many bytes to write at this tick.
func (s *saver) pace() int {
	total := max(s.before, s.m.held())
	perTick := func(over time.Duration) int64 { return total/max(int64(over/saveTick), 1) + 1 }
	// A round takes the interval, unless the limit makes it longer.
	pace := min(perTick(s.m.o.StateInterval), s.m.o.SaveBytesPerMinute*int64(saveTick)/int64(time.Minute))
	// A quarter of the ring's reach is the longest, whatever the limit.
	if reach := s.m.reach(); reach > 0 {
		if least := perTick(reach / 4); least > pace {
			pace = least
			s.m.metrics.hurried.Set(1)
		} else {
			s.m.metrics.hurried.Set(0)
		}
	}
	return int(max(pace, 1))
}

// ask has the group's loop make records; no batch when there are none to save,
// and busy when the loop does not answer within a tick.
func (s *saver) ask(ctx context.Context, p rulePlace, most int) (b *batch, busy bool, err error) {
	q := ask{rule: p.rule, most: most, before: s.fates[p.rule], answer: make(chan answer, 1)}
	late, stop := s.m.o.Clock.Timer(saveTick)
	defer stop()
	select {
	case p.group.asks <- q:
	case <-p.group.done:
		return nil, false, nil // it has been stopped; its successor is in the next round
	case <-late:
		return nil, true, nil
	case <-ctx.Done():
		return nil, false, nil
	}
	delete(s.fates, p.rule)
	a := <-q.answer
	return a.batch, false, a.err
}

// write writes batches as one transaction.
func (s *saver) write(batches []*batch) error {
	var t modelstore.Transaction
	for _, b := range batches {
		t.Entries = append(t.Entries, b.entries...)
		if b.complete {
			o := b.owner
			o.Mark, o.Used = b.mark, s.m.o.Clock.Now().UnixMilli()
			t.Owners = append(t.Owners, &o)
			t.Keep = append(t.Keep, modelstore.Keep{Owner: o.ID, Keys: b.keep})
		}
	}
	return s.m.store.Write(t)
}

// fail says once that saving does not work, and mends what can be mended.
func (s *saver) fail(err error) {
	s.m.metrics.snapshots.WithLabelValues("failed").Inc()
	if text := err.Error(); text != s.failing && !errors.Is(err, modelstore.ErrClosed) {
		s.m.o.Logger.Error("models are not saved; the next round tries again, and after a crash they learn from the ring", "err", err)
	}
	s.failing = err.Error()
	if !errors.Is(err, modelstore.ErrDamaged) && !errors.Is(err, modelstore.ErrClosed) {
		return
	}
	if err := s.m.store.Reset(); err != nil {
		if text := err.Error(); text != s.mending {
			s.mending = text
			s.m.o.Logger.Error("the file of models cannot be made; the next round tries again", "err", err)
		}
		return
	}
	s.mending = ""
	s.m.o.Logger.Warn("models have a new file and are all saved anew; a damaged one was set aside", "file", s.m.stateFile())
	s.m.disown()
}

// end saves everything once, when all groups have stopped.
func (s *saver) end() error {
	clock := s.m.o.Clock
	until := clock.Now().Add(endTimeout)
	all := s.m.adopt(s.m.snapshotGroups())
	for _, g := range s.m.snapshotGroups() {
		for _, a := range g.anomalies {
			a.saving.settle(s.fates[a])
			a.saving.under = false // one round from here
			for complete := !a.canSave(); !complete; {
				if clock.Now().After(until) {
					return errors.Join(all, fmt.Errorf("not all models were saved within %s; the ring fills the rest", endTimeout))
				}
				b, err := a.records(endBytes)
				if err == nil {
					err = s.write([]*batch{b})
				}
				if err != nil {
					all = errors.Join(all, fmt.Errorf("cannot save the models of %s: %w", a.Name(), err))
					break
				}
				a.saving.settle(written)
				complete = b.complete
			}
		}
	}
	return all
}
