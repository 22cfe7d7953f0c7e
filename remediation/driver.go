package remediation

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	effectTimeout = 30 * time.Second // of one question to the cluster or one write
	maxAtOnce     = 8                // effects outside at one time
	storeRetry    = time.Second
)

// Run decides and acts until ctx ends. One goroutine steps the engine; effects
// run beside it, never two of one run, and their answers come back as events.
// A write that ctx interrupts is looked for by the next process.
func (r *Remediator) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	answers := make(chan Event)
	slots := make(chan struct{}, maxAtOnce)
	start := func(f func(context.Context) Event) {
		workers.Go(func() {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			bounded, done := context.WithTimeout(ctx, effectTimeout)
			ev := f(bounded)
			done()
			<-slots
			if ctx.Err() != nil {
				return // what the end of the process has cut short is no answer
			}
			select {
			case answers <- ev:
			case <-ctx.Done():
			}
		})
	}
	poke(r.arrived) // what a former process has left
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-r.arrived:
			err = r.drain(ctx, start)
		case <-r.changed:
			if p := r.takePolicies(); p != nil {
				err = r.step(ctx, PoliciesChanged{p}, 0, start)
			}
		case ev := <-answers:
			if ctx.Err() != nil {
				return nil
			}
			err = r.step(ctx, ev, 0, start)
		case <-timer.C:
			err = r.step(ctx, Tick{}, 0, start)
		}
		if err != nil {
			return err // ctx has ended while the store did not write
		}
		wait := time.Minute
		if next := r.engine.NextWake(); !next.IsZero() {
			wait = min(max(next.Sub(r.o.Now()), 0), wait)
		}
		timer.Reset(wait)
	}
}

// drain decides about recorded deliveries, the oldest first.
func (r *Remediator) drain(ctx context.Context, start func(func(context.Context) Event)) error {
	for ctx.Err() == nil {
		id, d, waiting, err := r.store.next()
		if err != nil && id == 0 {
			r.logger.Error("inbox is not readable", "err", err)
			return nil
		}
		r.metrics.queue.Set(float64(waiting))
		if id == 0 {
			r.metrics.oldest.Set(0)
			return nil
		}
		if err != nil { // cannot be: it was written by this program
			r.logger.Error("recorded delivery is not readable; dropped", "delivery", id, "err", err)
			d.Alerts = nil
		}
		r.metrics.oldest.Set(r.o.Now().Sub(d.ReceivedAt).Seconds())
		if err := r.step(ctx, Delivered{d}, id, start); err != nil {
			return err
		}
	}
	return nil
}

// step leads the engine on: what it wants recorded is on disk before anything
// else of it begins. While the disk refuses, nothing is decided and nothing done.
func (r *Remediator) step(ctx context.Context, ev Event, delivery uint64, start func(func(context.Context) Event)) error {
	effects := r.engine.Step(r.o.Now(), ev)
	for {
		err := r.store.apply(effects, delivery)
		if err == nil {
			break
		}
		r.metrics.storeErrs.Inc()
		r.logger.Error("run store does not write; nothing is done until it does", "err", err)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(storeRetry):
		}
	}
	for _, f := range effects {
		r.carryOut(f, start)
	}
	r.metrics.active.Set(float64(r.engine.active()))
	return nil
}

func (r *Remediator) carryOut(f Effect, start func(func(context.Context) Event)) {
	switch f := f.(type) {
	case SaveRun:
		r.report(f.Run)
	case Count:
		if f.Seen == "truncated" {
			r.metrics.truncated.Add(float64(f.N))
			r.logger.Warn("delivery is truncated; alerts are missing in it", "alerts", f.N)
			return
		}
		r.metrics.alerts.WithLabelValues(f.Seen).Add(float64(f.N))
	case Gather:
		start(func(ctx context.Context) Event { return r.gather(ctx, f.Run, f.Policy) })
	case Act:
		start(func(ctx context.Context) Event { return r.act(ctx, f.Run) })
	case DryRun:
		start(func(ctx context.Context) Event { return r.try(ctx, f.Run) })
	case Look:
		start(func(ctx context.Context) Event { return r.look(ctx, f.Run) })
	case Verify:
		start(func(ctx context.Context) Event { return r.verify(ctx, f.Run) })
	case GiveBack:
		start(func(ctx context.Context) Event { return r.giveBack(ctx, f.Run) })
	}
}

// report counts and logs a run that has come to another phase.
func (r *Remediator) report(run *Run) {
	n := len(run.Timeline)
	if n == 0 || run.Timeline[n-1].Phase != run.Phase || !run.Timeline[n-1].At.Equal(run.UpdatedAt) || run.Timeline[n-1].Text != run.Text {
		return
	}
	r.metrics.decisions.WithLabelValues(run.Policy, string(run.Phase), string(run.Reason)).Inc()
	level := slog.LevelInfo
	if run.Phase == Failed {
		level = slog.LevelWarn
	}
	r.logger.Log(context.Background(), level, "remediation", "run", run.ID, "policy", run.Policy, "target", run.Object.String(),
		"phase", string(run.Phase), "reason", string(run.Reason), "text", run.Text)
}

func (e *engine) active() int {
	n := 0
	for _, r := range e.runs {
		if !r.Phase.Final() {
			n++
		}
	}
	return n
}
