package rules

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/chironhq/chiron/rules/eval"
)

// mostSlots bounds how many slots back models learn from the ring.
const mostSlots = 200_000

// catchUp has a copy of a rule's models learn what they have missed, beside
// the evaluation. The copy then takes the place of the models, at the slot that
// follows the last one that it has learned: as if nothing had been missed.
//
// Its goroutine owns what stands before refused, which is the group's. When done
// is closed, all of it belongs to whoever has stopped the group.
type catchUp struct {
	models *eval.Rule // nil: they are yet to be read from the store
	next   int64      // milliseconds of the first slot to learn; 0: as far back as the ring reaches
	load   bool       // models are in the store
	// madeRoom tells that series were dropped to make room for others, which
	// what is on disk does not know.
	madeRoom bool
	missed   bool          // what the models had missed is learned, not all that the ring holds
	took     time.Duration // to learn, without what was waited for

	refused int                   // how many offers the group has refused
	kept    []keptFrame           // what the group has evaluated since it refused one, in the order of time
	offered atomic.Pointer[offer] // the goroutine puts, the group takes
	answer  chan bool             // whether an offer of models that have caught up was taken
	done    chan struct{}
}

// offer is models that may take the place of those of the rule.
type offer struct {
	models *eval.Rule
	// upTo is the last slot that they have learned, milliseconds. 0: they are
	// what the rule knew when it was saved, and others will follow.
	upTo int64
}

func newCatchUp(models *eval.Rule, next int64, load bool) *catchUp {
	return &catchUp{models: models, next: next, load: load, answer: make(chan bool, 1), done: make(chan struct{})}
}

// keptFrame is what the group has evaluated at a slot.
type keptFrame struct {
	t     int64
	frame eval.Frame
}

// mostKept bounds how many frames are kept for models that are about to catch
// up, beside the budget: they lack the slots that passed while they learned the
// ones before.
const mostKept = 4

// mostRefused is how often models are refused that lack slots of which no
// frames are kept. A group that misses slots all the time keeps none of those,
// and meanwhile no other rule learns.
const mostRefused = 3

// keep keeps what the rule has been evaluated at, for models that could not be
// taken at the slot before. A group that evaluates nearly all the time leaves
// none in which they could learn it from the ring.
func (c *catchUp) keep(t int64, frame eval.Frame) {
	if c.refused == 0 {
		return
	}
	c.kept = slices.DeleteFunc(c.kept, func(k keptFrame) bool { return k.t >= t }) // the clock went back
	if len(c.kept) == mostKept {
		c.kept = slices.Delete(c.kept, 0, 1)
	}
	c.kept = append(c.kept, keptFrame{t, frame})
}

// lacking are the frames that are kept of the slots after last and before t, and
// whether they are those of all of them.
func (c *catchUp) lacking(last, t, interval int64) (frames []keptFrame, all bool) {
	next := firstAfter(last, t, interval)
	for _, k := range c.kept {
		if k.t > last && k.t < t {
			frames = append(frames, k)
			if k.t == next {
				next += interval
			}
		}
	}
	return frames, next >= t
}

// take takes what the catch-up offers, right before the slot of time t. It
// returns the catch-up when it refuses an offer; the answer is due when that
// slot may be learned.
func (a *anomalyRule) take(t, interval int64) (refused *catchUp) {
	c := a.behind
	if c == nil {
		return nil
	}
	o := c.offered.Load()
	switch {
	case o == nil:
		a.giveUp(c)
	case o.upTo == 0:
		c.offered.CompareAndSwap(o, nil)
		a.use(o.models)
	case o.upTo >= t && o.upTo < t+interval: // it belongs to the next slot
	default: // the clock may have gone back a little: then it lacks nothing
		c.offered.Store(nil)
		frames, all := c.lacking(o.upTo, t, interval)
		if !all && c.refused < mostRefused {
			c.refused, c.kept = c.refused+1, nil // it learns those from the ring, too
			return c
		}
		a.known = o.upTo
		for _, k := range frames {
			c.learnKept(a, k)
			a.known = k.t
		}
		a.use(o.models)
		a.saving.whole = a.saving.whole || c.madeRoom
		a.behind = nil
		c.answer <- true
	}
	return nil
}

// learnKept has models learn what the rule was evaluated at. The evaluation has
// told what is wrong with it already.
func (c *catchUp) learnKept(a *anomalyRule, k keptFrame) {
	c.models.Admit(a.budget.room(a.charged.Load()))
	if changes, err := c.models.Learn(k.t, k.frame); err == nil {
		c.madeRoom = c.madeRoom || changes.MadeRoom
	}
}

// giveUp lets the models go on by themselves when the catch-up has failed.
func (a *anomalyRule) giveUp(c *catchUp) {
	select {
	case <-c.done:
		a.behind = nil
		a.saving.reset(len(a.spec.Cohort) > 0)
	default:
	}
}

// missed makes a copy that is to learn what lies between the models' newest slot
// and the one of time t, which is about to be evaluated. It reports whether
// anything does.
func (a *anomalyRule) missed(g *group, t int64) bool {
	if a.known > t { // the clock went back
		a.known = 0
	}
	last := max(a.models.Now(), a.known)
	if a.behind != nil || last == 0 || firstAfter(last, t, g.Interval().Milliseconds()) >= t {
		return false
	}
	copied, _, _, err := a.models.CopyAs(a.spec)
	if err != nil {
		a.logger.Warn("models cannot learn the evaluations that were missed", "err", err)
		return false
	}
	a.behind = newCatchUp(copied, last+1, false)
	return true
}

// startedOver makes models that are to learn the ring when those of the rule
// have forgotten everything, and reports whether there are any. A clock that was
// ahead for a moment costs nothing that the ring still knows.
func (a *anomalyRule) startedOver() bool {
	if !a.anew {
		return false
	}
	a.anew = false
	if a.behind != nil { // it starts over by itself
		return false
	}
	if err := a.learnAll(); err != nil {
		a.logger.Warn("models that have started over do not learn from the ring", "err", err)
		return false
	}
	return true
}

// firstAfter is the first slot after last, given that there is one at t.
func firstAfter(last, t, interval int64) int64 {
	return last + interval - mod(last-t, interval)
}

func mod(a, b int64) int64 { return (a%b + b) % b }

// learnBehind runs the rule's catch-up. It ends with ctx.
func (g *group) learnBehind(ctx context.Context, a *anomalyRule) {
	c := a.behind
	g.workers.Go(func() {
		defer close(c.done)
		n, err := g.learn(ctx, a, c)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			a.logger.Warn("models could not learn from the ring; they go on with what they see", "err", err)
		case n > 0:
			msg := "models learned what the ring holds"
			if c.missed {
				msg = "models learned what they had missed"
			}
			a.logger.Info(msg, "evaluations", n, "took", c.took)
		}
	})
}

// learn is the goroutine of a catch-up.
func (g *group) learn(ctx context.Context, a *anomalyRule, c *catchUp) (learned int, err error) {
	if c.load {
		if c.models, c.next, err = g.m.restore(a, false); err != nil {
			return 0, err
		}
		if newest := g.settled.Load(); c.next > newest && !ahead(c.next, newest) { // nothing was missed
			c.load = false
			if taken, err := g.offer(ctx, c); taken || err != nil {
				return 0, err
			}
		} else {
			c.offered.Store(&offer{models: c.models})
			c.models = nil // the group's from now on
			g.tell()
		}
	}
	// The copies are memory beside the budget, so they take turns.
	select {
	case g.m.learning <- struct{}{}:
		defer func() { <-g.m.learning }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if c.load {
		if c.models, c.next, err = g.m.restore(a, true); err != nil {
			return 0, err
		}
		c.load = false
	}
	c.missed = c.next > 0
	for {
		began := g.m.o.Clock.Now()
		n, err := g.learnUpTo(ctx, a, c, g.settled.Load())
		c.took += g.m.o.Clock.Now().Sub(began)
		learned += n
		if err != nil {
			return learned, err
		}
		if taken, err := g.offer(ctx, c); taken || err != nil {
			return learned, err
		}
	}
}

// offer offers models that have caught up and reports whether they were taken.
func (g *group) offer(ctx context.Context, c *catchUp) (taken bool, err error) {
	c.offered.Store(&offer{models: c.models, upTo: c.next - 1})
	g.tell()
	select {
	case taken = <-c.answer:
		return taken, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// tell has the loop look at what is offered before its next slot.
func (g *group) tell() {
	select {
	case g.offers <- struct{}{}:
	default: // it is told already
	}
}

// learnUpTo learns every slot from the next one to the one of time to.
func (g *group) learnUpTo(ctx context.Context, a *anomalyRule, c *catchUp, to int64) (learned int, err error) {
	interval := g.Interval().Milliseconds()
	if ahead(c.next, to) { // all of it again
		if err := c.models.StartOver(); err != nil {
			return 0, err
		}
		a.countStartedOver()
		c.next = 0
	}
	from, err := g.reach(c.next, to, interval)
	if err != nil {
		return 0, err
	}
	var failed error                   // the first one
	fail := func(t int64, err error) { // live, it would not have been learned either
		c.next = t + 1
		if failed == nil {
			failed = fmt.Errorf("evaluation of %s: %w", time.UnixMilli(t).UTC().Format(time.RFC3339), err)
		}
	}
	if from <= to {
		err = a.source.span(ctx, from, to, interval, func(t int64, frame eval.Frame) error {
			c.models.Admit(a.budget.room(a.charged.Load()))
			changes, err := c.models.Learn(t, frame)
			if err != nil {
				fail(t, err)
				return nil
			}
			c.madeRoom = c.madeRoom || changes.MadeRoom
			c.next = t + 1
			learned++
			a.metrics.caughtUp.Inc()
			return nil
		}, fail)
	}
	if failed != nil {
		a.logger.Warn("some of what the ring holds cannot be learned", "err", failed)
	}
	if err == nil { // where it was interrupted, it goes on from there
		c.next = max(c.next, to+1)
	}
	return learned, err
}

// ahead reports whether the clock was ahead when models learned up to next.
func ahead(next, newest int64) bool { return next > newest+clockBack.Milliseconds() }

// reach is the first slot at or after next of which the ring may know
// something.
func (g *group) reach(next, to, interval int64) (int64, error) {
	next = max(next, to-mostSlots*interval)
	if g.m.o.DB != nil {
		oldest, err := g.m.o.DB.StartTime()
		switch {
		case err != nil:
			return 0, fmt.Errorf("cannot tell how far back the ring reaches: %w", err)
		case oldest == 0:
			return to + interval, nil
		}
		next = max(next, oldest)
	}
	return next + mod(to-next, interval), nil
}
