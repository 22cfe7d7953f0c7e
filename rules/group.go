package rules

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/lang"
)

// group is one of Prometheus's groups and the loop around it.
type group struct {
	*upstream.RuleGroup
	env       *upstream.RuleEnvironment
	m         *Manager
	logger    *slog.Logger
	anomalies []*anomalyRule
	specs     []lang.Rule // in the order of RuleGroup.Rules
	restore   bool        // alerts have yet to take their `for` state back
	settings  Settings    // that it was built with
	keep      *keepFiring

	asks    chan ask
	offers  chan struct{} // a catch-up has something to offer
	last    time.Time     // the newest slot that was evaluated, by this group or the one before; zero: none
	before  time.Duration // interval of the group before, which has evaluated last; 0: none
	settled atomic.Int64  // milliseconds of the newest slot, as queries see it, for which the group writes no more
	overran int           // how many evaluations in a row have taken longer than the interval
	cancel  context.CancelFunc
	done    chan struct{}  // closed when the loop has ended; nil while it has not begun
	workers sync.WaitGroup // what learns beside the loop
}

// ask wants records of a rule's models from the group's loop.
type ask struct {
	rule   *anomalyRule
	most   int  // bytes
	before fate // of the batches before
	answer chan answer
}

type answer struct {
	batch *batch // nil: there is nothing to save
	err   error
}

// newGroup builds a checked group's rules.
func (m *Manager) newGroup(env *upstream.RuleEnvironment, file string, spec lang.Group, s Settings, restore bool) (*group, error) {
	g := &group{
		env: env, m: m, restore: restore, settings: s, asks: make(chan ask), offers: make(chan struct{}, 1),
		logger: m.o.Logger.With("file", file, "group", spec.Name),
	}
	interval := s.Interval
	if spec.Interval > 0 {
		interval = spec.Interval
	}
	whatHolds := spec
	whatHolds.Interval = interval
	if offset := env.QueryOffset(); spec.QueryOffset == nil {
		whatHolds.QueryOffset = &offset
	}
	g.specs = whatHolds.Expand()
	parser := m.o.Parser
	var built []upstream.Rule
	for _, r := range g.specs {
		if r.Anomaly != nil {
			a, err := newAnomalyRule(r.Anomaly, file, spec.Name, m, g.logger)
			if err != nil {
				return nil, fmt.Errorf("cannot build the model of %s: %w", r.Anomaly.Name, err)
			}
			g.anomalies = append(g.anomalies, a)
			built = append(built, a)
			continue
		}
		expr, err := parser.ParseExpr(r.Prometheus.Expr)
		if err != nil {
			return nil, err // cannot happen: the loader has parsed it
		}
		ls := map[string]string{}
		for _, from := range []map[string]string{spec.Labels, r.Prometheus.Labels} {
			maps.Copy(ls, from)
		}
		if r.Prometheus.Record != "" {
			built = append(built, upstream.NewRecordingRule(r.Prometheus.Record, expr, labels.FromMap(ls)))
			continue
		}
		built = append(built, env.NewAlertingRule(r.Prometheus.Alert, expr, time.Duration(r.Prometheus.For), time.Duration(r.Prometheus.KeepFiringFor),
			labels.FromMap(ls), labels.FromMap(r.Prometheus.Annotations), !restore, g.logger))
	}
	g.RuleGroup = env.NewGroup(upstream.RuleGroupOptions{
		Name: spec.Name, File: file, Interval: interval, QueryOffset: spec.QueryOffset, Limit: spec.Limit, Rules: built, Restore: restore,
	})
	g.keep = newKeepFiring(file, spec.Name, built, restore)
	return g, nil
}

// key tells groups apart over reloads.
func (g *group) key() string { return g.File() + "\x00" + g.Name() }

// same reports whether another group would do the same.
func (g *group) same(o *group) bool {
	return g.Equals(o.RuleGroup) && g.QueryOffset() == o.QueryOffset() && labels.Equal(g.settings.ExternalLabels, o.settings.ExternalLabels)
}

// start runs the group until stop.
func (g *group) start(ctx context.Context) {
	ctx, g.cancel = context.WithCancel(ctx)
	g.settle(g.EvalTimestamp(g.m.o.Clock.Now().UnixNano()))
	g.done = make(chan struct{})
	for _, a := range g.anomalies {
		if a.behind != nil {
			g.learnBehind(ctx, a)
		}
	}
	go func() {
		defer close(g.done)
		g.run(ctx)
	}()
}

// stop waits for the evaluation under way and for what learns beside it.
func (g *group) stop() {
	if g.cancel != nil {
		g.cancel()
		<-g.done
		g.workers.Wait()
	}
}

// close gives back what the rules hold of the ring.
func (g *group) close() {
	for _, a := range g.anomalies {
		a.close()
	}
}

// run evaluates at every slot of the group, as Prometheus's own loop does:
// slots are spread over the interval by the group's name, and `for` state is
// restored behind the second evaluation, when recording rules have results.
// A slot that has passed before it could be evaluated is missed and counted,
// whatever the reason: the evaluation before, a reload, a process that stood
// still.
func (g *group) run(ctx context.Context) {
	clock := g.m.o.Clock
	first := g.EvalTimestamp(clock.Now().UnixNano()).Add(g.Interval())
	if between := int(first.Sub(g.last)/max(g.Interval(), g.before)) - 1; !g.last.IsZero() && between > 0 {
		g.env.Missed(g.RuleGroup, between)
	}
	g.last = first.Add(-g.Interval())
	g.settle(g.last)
	g.restoreKeepFiring(ctx, first)
	for n := 1; ; n++ {
		g.setBack(clock.Now())
		if !g.idle(ctx, g.last.Add(g.Interval())) {
			return
		}
		g.setBack(clock.Now())
		slot, missed := nextSlot(g.last, clock.Now(), g.Interval())
		if missed > 0 {
			g.env.Missed(g.RuleGroup, missed)
		}
		// A group that is stopped finishes the evaluation: what it has begun
		// to write belongs together.
		g.evaluate(ctx, slot, n == 1 || missed > 0)
		if n == 2 && g.restore {
			g.RestoreForState(clock.Now())
			g.restore = false
		}
		g.last = slot
		if g.overran++; clock.Now().Before(slot.Add(g.Interval())) {
			g.overran = 0
		}
	}
}

// setBack begins with the newest slot again when the clock was set back:
// without that the group would stand still until the time of its last slot comes
// again.
func (g *group) setBack(now time.Time) {
	if g.last.Sub(now) < g.Interval() {
		return
	}
	g.logger.Warn("the clock was set back; the group is evaluated by the new time", "by_at_least", g.last.Sub(now))
	g.last = g.EvalTimestamp(now.UnixNano()).Add(-g.Interval())
	g.settle(g.last)
	for _, r := range g.Rules() {
		if a, ok := r.(*upstream.AlertingRule); ok {
			upstream.SetBack(a, g.last)
		}
	}
}

// settle lets what learns beside the group learn the slots up to one. A slot at
// which the group is still writing would give it what its rules wrote at the one
// before.
func (g *group) settle(slot time.Time) { g.settled.Store(slot.Add(-g.QueryOffset()).UnixMilli()) }

// evaluate runs the group's rules at a slot, before which others may have been
// missed.
func (g *group) evaluate(ctx context.Context, slot time.Time, missed bool) {
	t := slot.Add(-g.QueryOffset()).UnixMilli()
	g.settle(slot.Add(-g.Interval()))
	var behind []func() // goes on when the slot is settled
	for _, a := range g.anomalies {
		if refused := a.take(t, g.Interval().Milliseconds()); refused != nil {
			behind = append(behind, func() { refused.answer <- false })
		}
		if missed && g.overran < 2 && a.missed(g, t) { // a group that cannot keep up would only fall further behind
			behind = append(behind, func() { g.learnBehind(ctx, a) })
		}
	}
	whole := context.WithoutCancel(ctx)
	g.env.Evaluate(whole, g.RuleGroup, slot)
	g.recordKeepFiring(whole, slot)
	g.settle(slot)
	for _, f := range behind {
		f()
	}
	for _, a := range g.anomalies {
		if a.startedOver() {
			g.learnBehind(ctx, a)
		}
	}
}

// idle waits for a slot and answers whoever wants records meanwhile, a few at a
// time so that the slot waits for none. It reports whether ctx is still going.
func (g *group) idle(ctx context.Context, until time.Time) bool {
	wake, stop := g.m.o.Clock.Timer(until.Sub(g.m.o.Clock.Now()))
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return false
		default:
		}
		select {
		case <-ctx.Done():
			return false
		case <-wake:
			return true
		case q := <-g.asks:
			q.answer <- q.rule.respond(q)
		case <-g.offers: // others wait for the place that the catch-up holds
			for _, a := range g.anomalies {
				if refused := a.take(until.Add(-g.QueryOffset()).UnixMilli(), g.Interval().Milliseconds()); refused != nil {
					refused.answer <- false
				}
			}
		}
	}
}

// respond gives the records that are asked for.
func (a *anomalyRule) respond(q ask) answer {
	a.saving.settle(q.before)
	if !a.canSave() {
		return answer{}
	}
	b, err := a.records(q.most)
	return answer{b, err}
}

// burial is a group that has gone and whose series have not ended yet.
type burial struct {
	group  *group
	cancel context.CancelFunc
	done   chan struct{}
	off    bool // called off in time; read it behind done
}

// callOff reports whether the group's series still go on.
func (b *burial) callOff() bool {
	b.cancel()
	<-b.done
	return b.off
}

// bury ends the series of a group that has gone, two intervals later, so that
// a group that was only renamed has written its own by then. An empty
// successor inherits the series and marks them stale.
func (b *burial) bury(ctx context.Context) {
	defer close(b.done)
	g, clock := b.group, b.group.m.o.Clock
	heir := g.env.NewGroup(upstream.RuleGroupOptions{Name: g.Name(), File: g.File(), Interval: g.Interval()})
	heir.CopyState(g.RuleGroup)
	g.env.Forget(g.RuleGroup)
	now := clock.Now()
	if !sleep(ctx, clock, now.Add(2*g.Interval())) {
		b.off = true
		return
	}
	heir.Eval(context.WithoutCancel(ctx), now)
	g.endKeepFiring(context.WithoutCancel(ctx), now)
	g.env.Forget(g.RuleGroup)
}
