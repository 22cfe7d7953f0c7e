package rules

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/chironhq/chiron/internal/upstream"
)

// outageTolerance is how long no process may have evaluated for an alert to go
// on, as upstream has it for `for`. A longer keep_firing_for makes it longer.
const outageTolerance = time.Hour

// restoreKeepFiring gives the rules the alerts that fired when the process
// before this one ended. It comes before the group's first evaluation, which is
// at slot, and is done once.
func (g *group) restoreKeepFiring(ctx context.Context, slot time.Time) {
	if !g.keep.pending {
		return
	}
	g.keep.pending = false
	for _, r := range g.keep.rules {
		if err := g.restoreKept(ctx, r, slot); err != nil {
			g.logger.Warn("alerts that fired before the start are not known; keep_firing_for begins anew", "rule", r.Name(), "err", err)
		}
	}
}

func (g *group) restoreKept(ctx context.Context, r *keptRule, slot time.Time) error {
	saved, err := g.savedAlerts(ctx, r, slot)
	if err != nil || len(saved) == 0 {
		return err
	}
	refused, err := g.env.Resume(ctx, r.AlertingRule, saved)
	if err != nil {
		return err
	}
	for _, ls := range refused {
		g.logger.Warn("an alert that fired is not known any more: the rule's label templates give other labels now", "rule", r.Name(), "alert", ls.String())
	}
	// Those that do not fire at the first evaluation are ended by its record.
	for _, a := range saved {
		r.firing[string(a.Labels.Bytes(nil))] = r.alert(a.Labels)
	}
	r.silent = true
	g.logger.Info("alerts go on as before the start", "rule", r.Name(), "alerts", len(saved)-len(refused))
	return nil
}

// savedAlerts reads which alerts of a rule fired when it was evaluated last.
func (g *group) savedAlerts(ctx context.Context, r *keptRule, slot time.Time) (out []upstream.FiringAlert, err error) {
	offset := g.QueryOffset()
	// One evaluation more than it takes is that at which the condition held last.
	reach := max(r.KeepFiringFor(), outageTolerance) + 2*g.Interval()
	// Open to the future: a record of when the clock was ahead is recognised,
	// and what was recorded before it is not taken for the newest.
	q, err := g.m.o.Queryable.Querier(slot.Add(-offset-reach).UnixMilli(), math.MaxInt64)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	states, err := newestRuns(r.series(ctx, q, metricKeepState))
	if err != nil || len(states) == 0 {
		return nil, err
	}
	values, err := newestRuns(r.series(ctx, q, metricKeepValue))
	if err != nil {
		return nil, err
	}
	set, err := r.QueryForStateSeries(ctx, q)
	if err != nil {
		return nil, err
	}
	actives, err := newestRuns(set)
	if err != nil {
		return nil, err
	}
	began, err := g.beginnings(ctx, r, states, actives)
	if err != nil {
		return nil, err
	}
	for key, state := range states {
		since, err := keptSince(state.v, time.UnixMilli(state.to).Add(offset), slot, g.Interval(), r.KeepFiringFor())
		if err != nil {
			g.logger.Warn("an alert that fired is not kept", "rule", r.Name(), "alert", state.labels.String(), "err", err)
			continue
		}
		a := upstream.FiringAlert{Labels: state.labels, Value: math.NaN(), FiredAt: time.UnixMilli(began[key]).Add(offset), KeepFiringSince: since}
		if v, ok := values[key]; ok && v.to == state.to {
			a.Value = v.v
		}
		if a.HeldAt = time.UnixMilli(state.held).Add(offset); state.held == 0 {
			a.HeldAt = time.UnixMilli(state.from).Add(offset)
		}
		a.ActiveAt = a.FiredAt.Add(-r.HoldDuration())
		if active, ok := actives[key]; ok && active.seconds().Before(a.FiredAt) {
			a.ActiveAt = active.seconds()
		}
		out = append(out, a)
	}
	return out, nil
}

// keptValue is how a record says since when an alert is kept.
func keptValue(since time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	// Rounded down: evaluations are whole milliseconds apart, so the end stays
	// at the same one.
	return float64(since.UnixMilli()) / 1000
}

// keptSince is since when an alert is kept, zero if it is not, at the first
// evaluation after the start; last is the evaluation that v was recorded at.
//
// An alert whose condition held then and does not hold any more is kept from
// that first evaluation on, as if those in between had only been missed. But
// where keep_firing_for is shorter than what was missed, the alert may have
// ended meanwhile, and it does not come back for a condition that nobody sees.
func keptSince(v float64, last, slot time.Time, interval, keep time.Duration) (time.Time, error) {
	ms := math.Round(v * 1000)
	switch earliest := last.Add(interval); {
	case last.After(slot.Add(interval)):
		return time.Time{}, fmt.Errorf("it was recorded at %s: the clock was ahead", last.UTC().Format(time.RFC3339))
	case v == 0 && slot.Sub(earliest) >= keep:
		return earliest, nil
	case v == 0:
		return time.Time{}, nil
	case ms > 0 && ms <= float64(slot.Add(interval).UnixMilli()):
		return time.UnixMilli(int64(ms)), nil
	}
	return time.Time{}, fmt.Errorf("cannot be kept since %v seconds", v)
}

// sampleRun is what follows the newest stale marker of a series.
type sampleRun struct {
	labels   labels.Labels
	from, to int64 // milliseconds of the first and the newest sample
	held     int64 // of the newest sample of 0; 0: none
	v        float64
	whole    bool // nothing before from belongs to it
}

// seconds is the time that the newest sample tells.
func (r sampleRun) seconds() time.Time {
	if math.IsNaN(r.v) || math.Abs(r.v) > math.MaxInt32*1000 {
		return time.UnixMilli(r.from)
	}
	return time.Unix(int64(r.v), 0)
}

// newestRuns reads the series that have not ended, by the labels of their alerts.
func newestRuns(set storage.SeriesSet) (map[string]sampleRun, error) {
	out := map[string]sampleRun{}
	var it chunkenc.Iterator
	for set.Next() {
		var run sampleRun
		open := false
		it = set.At().Iterator(it)
		for it.Next() == chunkenc.ValFloat {
			t, v := it.At()
			switch {
			case value.IsStaleNaN(v):
				run, open = sampleRun{whole: true}, false
				continue
			case !open:
				run.from, open = t, true
			}
			run.to, run.v = t, v
			if v == 0 {
				run.held = t
			}
		}
		if err := it.Err(); err != nil {
			return nil, err
		}
		if open {
			run.labels = alertOf(set.At().Labels())
			out[string(run.labels.Bytes(nil))] = run
		}
	}
	return out, set.Err()
}

// alertOf are the labels of the alert that a series is about.
func alertOf(series labels.Labels) labels.Labels {
	return labels.NewBuilder(series).Del(labels.MetricName, labelKeepRule).Labels()
}

// beginnings are the times of the first record of each alert, in milliseconds.
// An alert that fires for longer than the runs reach back is looked for from
// when it became active.
func (g *group) beginnings(ctx context.Context, r *keptRule, states, actives map[string]sampleRun) (_ map[string]int64, err error) {
	out := map[string]int64{}
	look := map[string]int64{} // by alert, the time to begin at
	oldest := int64(math.MaxInt64)
	for key, s := range states {
		out[key] = s.from
		if a, ok := actives[key]; ok && !s.whole {
			look[key] = a.seconds().Add(r.HoldDuration() - g.QueryOffset()).UnixMilli()
			oldest = min(oldest, look[key])
		}
	}
	if len(look) == 0 {
		return out, nil
	}
	q, err := g.m.o.Queryable.Querier(oldest, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	set := r.series(ctx, q, metricKeepState)
	var it chunkenc.Iterator
	for set.Next() {
		key := string(alertOf(set.At().Labels()).Bytes(nil))
		from, ok := look[key]
		if !ok {
			continue
		}
		it = set.At().Iterator(it)
		for vt := it.Seek(from); vt == chunkenc.ValFloat; vt = it.Next() {
			if t, v := it.At(); !value.IsStaleNaN(v) {
				out[key] = min(out[key], t)
				break
			}
		}
		if err := it.Err(); err != nil {
			return nil, err
		}
	}
	return out, set.Err()
}

// series selects what was recorded for the rule.
func (r *keptRule) series(ctx context.Context, q storage.Querier, metric string) storage.SeriesSet {
	return q.Select(ctx, false, nil,
		labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, metric), labels.MustNewMatcher(labels.MatchEqual, labelKeepRule, r.key))
}
