package remediation

import (
	"context"
	"errors"
	"fmt"

	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/policy"
)

var errNoCluster = errors.New("no cluster is configured")

// gather reads the cluster and the queries and plans; it writes nothing. The
// target is read last, so that its version is as fresh as can be.
func (r *Remediator) gather(ctx context.Context, run *Run, p *policy.Policy) Event {
	g := Gathered{Run: run.ID}
	fail := func(reason policy.Reason, err error) Event {
		g.Reason, g.Text = reason, err.Error()
		return g
	}
	v := values(run)
	ask := func(expr string) policy.Evidence { return r.ask(ctx, expr) }
	query := func(expr string) (float64, error) {
		e := ask(expr)
		g.Evidence = append(g.Evidence, e)
		switch {
		case e.Error != "":
			return 0, errors.New(e.Error)
		case len(e.Samples) != 1:
			return 0, fmt.Errorf("%s returned %d values, not one", expr, len(e.Samples))
		}
		return float64(e.Samples[0].Value), nil
	}
	for _, c := range p.Verify.Checks {
		check := Check{Ready: c.Ready, AlertsResolved: c.AlertsResolved}
		if c.PromQL != nil {
			text, err := c.PromQL.ExpandQuery(v, nil)
			if err != nil {
				return fail(ReasonTargetUnresolved, err)
			}
			check.PromQL = text
		}
		g.Checks = append(g.Checks, check)
	}
	for _, t := range p.Require {
		text, err := t.ExpandQuery(v, nil)
		if err != nil {
			return fail(ReasonTargetUnresolved, err)
		}
		g.Evidence = append(g.Evidence, ask(text))
	}
	spec := p.Action.Spec
	if p.Action.Replicas != nil {
		n, err := p.Action.Replicas.Number(v, query)
		if err != nil {
			return fail(ReasonUnknown, err)
		}
		spec.Replicas = n
	}
	if r.o.Cluster == nil {
		return fail(ReasonUnknown, errNoCluster)
	}
	t, err := r.o.Cluster.Resolve(ctx, run.subject())
	if err != nil {
		if errors.Is(err, action.ErrNotFound) {
			return fail(ReasonTargetMissing, err)
		}
		return fail(ReasonUnknown, err)
	}
	g.Target = t
	if g.Change, err = action.Plan(r.o.Now(), t, spec); err != nil {
		switch {
		case errors.Is(err, action.ErrNothing):
			return fail(ReasonNothing, err)
		case errors.Is(err, action.ErrUnsuitable):
			return fail(ReasonUnsuitable, err)
		}
		return fail(ReasonUnknown, err)
	}
	return g
}

func (r *Remediator) ask(ctx context.Context, expr string) policy.Evidence {
	e := policy.Evidence{Expr: expr}
	if r.o.Query == nil {
		e.Error = "queries are not possible here"
		return e
	}
	samples, err := r.o.Query(ctx, expr, r.o.Now())
	if err != nil {
		e.Error = err.Error()
	}
	e.Samples = samples[:min(len(samples), maxEvidence)]
	return e
}

const maxEvidence = 20 // samples kept of one answer

func resultOf(err error) (Result, string) {
	switch {
	case err == nil:
		return Done, ""
	case errors.Is(err, action.ErrNotFound):
		return Missing, err.Error()
	case errors.Is(err, action.ErrChanged):
		return Changed, err.Error()
	case errors.Is(err, action.ErrRefused):
		return Refused, err.Error()
	}
	return Unclear, err.Error()
}

// killedText says why a write was not sent.
const killedText = "the kill switch is on; nothing was written"

// act does the one write of a run, as it stands on record.
func (r *Remediator) act(ctx context.Context, run *Run) Event {
	if r.killed.Load() {
		return Acted{run.ID, NotAsked, killedText}
	}
	result, text := resultOf(r.o.Cluster.Write(ctx, run.Change.Do))
	r.metrics.actions.WithLabelValues(string(run.Action), string(result)).Inc()
	return Acted{run.ID, result, text}
}

// try sends the same write as a dry run.
func (r *Remediator) try(ctx context.Context, run *Run) Event {
	op := run.Change.Do
	op.DryRun = true
	if err := r.o.Cluster.Write(ctx, op); err != nil {
		return Tried{run.ID, "the cluster would refuse: " + err.Error()}
	}
	return Tried{run.ID, "the cluster would accept"}
}

func (r *Remediator) look(ctx context.Context, run *Run) Event {
	if r.o.Cluster == nil {
		return Looked{Run: run.ID, Result: Unclear, Text: errNoCluster.Error()}
	}
	applied, err := action.Applied(ctx, r.o.Cluster, run.subject(), run.Change.Do)
	result, text := resultOf(err)
	return Looked{run.ID, applied, result, text}
}

func (r *Remediator) giveBack(ctx context.Context, run *Run) Event {
	if r.killed.Load() {
		return GaveBack{run.ID, NotAsked, killedText}
	}
	if r.o.Cluster == nil {
		return GaveBack{run.ID, Unclear, errNoCluster.Error()}
	}
	op, err := action.Give(ctx, r.o.Cluster, run.subject(), *run.Change.Undo)
	if err == nil && op != nil {
		if err = r.o.Cluster.Write(ctx, *op); errors.Is(err, action.ErrChanged) {
			// Another field changed between read and write; the value is read again.
			err = fmt.Errorf("will be tried again: %v", err) //nolint:errorlint // deliberately no longer ErrChanged
		}
		if err == nil {
			err = r.givenBack(ctx, run)
		}
	}
	result, text := resultOf(err)
	r.metrics.undos.WithLabelValues(string(run.Action), string(result)).Inc()
	return GaveBack{run.ID, result, text}
}

// givenBack looks whether the old value is back. It is no proof that the
// cluster has taken the write.
func (r *Remediator) givenBack(ctx context.Context, run *Run) error {
	op, err := action.Give(ctx, r.o.Cluster, run.subject(), *run.Change.Undo)
	if err == nil && op != nil {
		err = fmt.Errorf("the cluster took the write, and %s of %s is not %d", run.Change.Undo.Field, run.Change.Undo.Object, run.Change.Undo.To)
	}
	return err
}

// verify asks the run's checks; alerts are the engine's to know.
func (r *Remediator) verify(ctx context.Context, run *Run) Event {
	out := Checked{Run: run.ID}
	for _, c := range run.Checks {
		c.OK, c.Text, c.Evidence = false, "", nil
		switch {
		case c.PromQL != "":
			e := r.ask(ctx, c.PromQL)
			c.Evidence, c.OK, c.Text = &e, e.Holds(), "holds"
			if !c.OK {
				c.Text = c.PromQL + " returned nothing " + e.Error
			}
		case c.Ready != "":
			c.OK, c.Text = r.ready(ctx, run, c.Ready)
		}
		out.Checks = append(out.Checks, c)
	}
	return out
}

// ready looks at the owner, or at the target itself when that was asked for. An
// evicted pod that is still there is not ready, whatever its owner counts.
func (r *Remediator) ready(ctx context.Context, run *Run, which string) (bool, string) {
	if r.o.Cluster == nil {
		return false, errNoCluster.Error()
	}
	subject := run.subject()
	if run.Action == action.EvictPod {
		t, err := r.o.Cluster.Resolve(ctx, subject)
		switch {
		case errors.Is(err, action.ErrNotFound):
		case err != nil:
			return false, err.Error()
		case t.Pod != nil && t.Pod.UID == run.Change.Do.Object.UID:
			return false, t.Object.String() + " is still there"
		}
		if which == "target" {
			return err == nil && t.Pod != nil && t.Pod.Ready, subject.String() + " is back and ready, or not"
		}
		w := run.Target.Workload
		subject = action.Object{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
	} else if which == "owner" && run.Target.Workload != nil {
		w := run.Target.Workload
		subject = action.Object{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
	}
	t, err := r.o.Cluster.Resolve(ctx, subject)
	switch {
	case err != nil:
		return false, err.Error()
	case which == "target" && t.Pod != nil:
		return t.Pod.Ready && !t.Pod.Deleting, t.Object.String() + " is ready, or not"
	case t.Workload == nil:
		return false, t.Object.String() + " has no workload"
	}
	return t.Workload.Settled()
}
