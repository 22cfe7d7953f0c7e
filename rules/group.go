package rules

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
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

	cancel context.CancelFunc // nil while it does not run
	done   chan struct{}
}

// newGroup builds a checked group's rules.
func (m *Manager) newGroup(env *upstream.RuleEnvironment, file string, spec lang.Group, interval time.Duration, restore bool) (*group, error) {
	g := &group{env: env, m: m, specs: spec.Expand(), restore: restore, logger: m.o.Logger.With("file", file, "group", spec.Name)}
	if spec.Interval > 0 {
		interval = spec.Interval
	}
	parser := lang.PromQL()
	var built []upstream.Rule
	for _, r := range g.specs {
		if r.Anomaly != nil {
			a, err := newAnomalyRule(file+"\x00"+spec.Name, r.Anomaly, lookups{db: m.o.DB, lookback: m.o.Lookback, metrics: m.metrics})
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
	return g, nil
}

// key tells groups apart over reloads.
func (g *group) key() string { return g.File() + "\x00" + g.Name() }

// start runs the group until stop.
func (g *group) start(ctx context.Context) {
	ctx, g.cancel = context.WithCancel(ctx)
	g.done = make(chan struct{})
	go func() {
		defer close(g.done)
		g.run(ctx)
	}()
}

// stop waits for the iteration under way.
func (g *group) stop() {
	if g.cancel != nil {
		g.cancel()
		<-g.done
	}
}

// close gives back what the rules hold of the ring.
func (g *group) close() {
	for _, a := range g.anomalies {
		a.close()
	}
}

// run evaluates at every slot of the group, as Prometheus's own loop does:
// slots are spread over the interval by the group's name, a slot that comes
// while the one before is evaluated is missed and counted, and `for` state is
// restored behind the second evaluation, when recording rules have results.
func (g *group) run(ctx context.Context) {
	g.catchUp(ctx)
	slot := g.EvalTimestamp(time.Now().UnixNano()).Add(g.Interval())
	if !sleep(ctx, time.Until(slot)) {
		return
	}
	tick := time.NewTicker(g.Interval())
	defer tick.Stop()
	for n := 1; ; n++ {
		// A group that is stopped finishes the evaluation: what it has begun
		// to write belongs together.
		g.env.Evaluate(context.WithoutCancel(ctx), g.RuleGroup, slot)
		if n == 2 && g.restore {
			g.RestoreForState(time.Now())
			g.restore = false
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		missed := int(time.Since(slot)/g.Interval()) - 1
		if missed > 0 {
			g.env.Missed(g.RuleGroup, missed)
		}
		slot = slot.Add(time.Duration(max(missed, 0)+1) * g.Interval())
	}
}

// sleep waits and reports whether ctx is still going.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
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
	g := b.group
	heir := g.env.NewGroup(upstream.RuleGroupOptions{Name: g.Name(), File: g.File(), Interval: g.Interval()})
	heir.CopyState(g.RuleGroup)
	g.env.Forget(g.RuleGroup)
	now := time.Now()
	if !sleep(ctx, 2*g.Interval()) {
		b.off = true
		return
	}
	heir.Eval(context.WithoutCancel(ctx), now)
	g.env.Forget(g.RuleGroup)
}
