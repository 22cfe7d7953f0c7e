package rules

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/internal/upstream"
)

// What a rule with keep_firing_for writes for each alert that fires, behind
// every evaluation, so that another process can go on with it. The group's own
// series do not do: nothing tells since when an alert is kept, and after a start
// ALERTS is not written before `for` has been restored, behind the second
// evaluation.
const (
	metricKeepState = "ALERTS_KEEP_FIRING_STATE" // seconds since when the alert is kept; 0 while its condition holds
	metricKeepValue = "ALERTS_KEEP_FIRING_VALUE" // of the expression when the condition held last
	// labelKeepRule tells whose alert it is: two rules may have the same alert.
	labelKeepRule = "keep_firing_rule"
)

// keepFiring has the alerts of a group's rules with keep_firing_for outlive the
// process. It belongs to the group's loop, and to the manager while that does
// not run.
type keepFiring struct {
	rules   []*keptRule
	orphans []labels.Labels // series of rules that have gone, to be ended
	pending bool            // alerts have yet to be read from the ring
}

// keptRule is an alert rule and what the ring says of its alerts.
type keptRule struct {
	*upstream.AlertingRule
	key    string
	firing map[string]*keptAlert // by labels; as of the newest record
	// silent tells that the group has not written the alerts at the evaluation
	// of the newest record, so that it does not know which of its series end.
	silent bool
}

type keptAlert struct {
	labels       labels.Labels
	state, value labels.Labels // series
}

// newKeepFiring finds the rules. Rules are told apart as a reload tells them:
// by file, group, name and labels, and by their order where these are equal.
func newKeepFiring(file, group string, rules []upstream.Rule, restore bool) *keepFiring {
	k := &keepFiring{pending: restore}
	equal := map[string]int{}
	for _, r := range rules {
		a, ok := r.(*upstream.AlertingRule)
		if !ok || a.KeepFiringFor() <= 0 {
			continue
		}
		h := fnv.New64a()
		text := fmt.Sprintf("%q %q %q %q", file, group, a.Name(), a.Labels().String())
		_, _ = fmt.Fprint(h, text, equal[text]) // a hash takes everything
		equal[text]++
		k.rules = append(k.rules, &keptRule{AlertingRule: a, key: strconv.FormatUint(h.Sum64(), 16), firing: map[string]*keptAlert{}})
	}
	return k
}

// inherit takes over what the predecessor has written, as CopyState does with
// the group's own series.
func (k *keepFiring) inherit(from *keepFiring) {
	k.pending, k.orphans = from.pending, from.orphans
	byKey := map[string]*keptRule{}
	for _, r := range k.rules {
		byKey[r.key] = r
	}
	for _, o := range from.rules {
		if r := byKey[o.key]; r != nil {
			r.firing, r.silent = o.firing, o.silent
			continue
		}
		k.orphans = append(k.orphans, o.open()...)
	}
}

// open are the series that the rule has written and not ended.
func (r *keptRule) open() (out []labels.Labels) {
	for _, a := range r.firing {
		out = append(out, a.state, a.value)
	}
	return out
}

func (r *keptRule) alert(ls labels.Labels) *keptAlert {
	b := labels.NewBuilder(ls)
	b.Set(labelKeepRule, r.key)
	b.Set(labels.MetricName, metricKeepState)
	state := b.Labels()
	b.Set(labels.MetricName, metricKeepValue)
	return &keptAlert{labels: ls, state: state, value: b.Labels()}
}

// recordKeepFiring writes which alerts fire after the evaluation at slot. It
// comes before RestoreForState. A process that is killed between the evaluation
// and this leaves the record of the evaluation before.
func (g *group) recordKeepFiring(ctx context.Context, slot time.Time) {
	if len(g.keep.rules) == 0 && len(g.keep.orphans) == 0 {
		return
	}
	w := g.newSampleWriter(ctx, slot)
	now := make([]map[string]*keptAlert, len(g.keep.rules))
	for i, r := range g.keep.rules {
		now[i] = r.record(w)
	}
	for _, series := range g.keep.orphans {
		w.end(series)
	}
	refused, err := w.commit()
	if refused != nil || err != nil {
		g.logger.Warn("alerts that fire are not on record; after a restart keep_firing_for goes by the last record", "refused", refused, "err", err)
	}
	for i, r := range g.keep.rules {
		if err != nil { // what was to end is ended by the next record
			maps.Copy(now[i], r.firing)
		}
		r.firing, r.silent = now[i], !r.Restored()
	}
	if err == nil {
		g.keep.orphans = nil
	}
}

// record writes and returns the rule's alerts that fire.
func (r *keptRule) record(w *sampleWriter) map[string]*keptAlert {
	now := map[string]*keptAlert{}
	for _, f := range upstream.Firing(r.AlertingRule) {
		key := string(f.Labels.Bytes(nil))
		a := r.firing[key]
		if a == nil {
			a = r.alert(f.Labels)
		}
		now[key] = a
		w.write(a.state, keptValue(f.KeepFiringSince))
		w.write(a.value, f.Value)
	}
	for key, a := range r.firing {
		if now[key] != nil {
			continue
		}
		w.end(a.state)
		w.end(a.value)
		if r.silent && !r.has(a.labels) {
			for _, series := range upstream.AlertSeries(r.AlertingRule, a.labels) {
				w.end(series)
			}
		}
	}
	return now
}

// has reports whether the rule has the alert, be it pending only.
func (r *keptRule) has(alert labels.Labels) bool {
	for _, a := range r.ActiveAlerts() {
		if labels.Equal(a.Labels, alert) {
			return true
		}
	}
	return false
}

// endKeepFiring ends all series, of a group that has gone.
func (g *group) endKeepFiring(ctx context.Context, at time.Time) {
	w := g.newSampleWriter(ctx, at)
	series := g.keep.orphans
	for _, r := range g.keep.rules {
		series = append(series, r.open()...)
	}
	for _, s := range series {
		w.end(s)
	}
	if refused, err := w.commit(); refused != nil || err != nil {
		g.logger.Warn("series of alerts not ended", "refused", refused, "err", err)
	}
}

// sampleWriter appends samples of one evaluation as a group does.
type sampleWriter struct {
	app     storage.AppenderV2
	t       int64
	refused error // the first
}

func (g *group) newSampleWriter(ctx context.Context, slot time.Time) *sampleWriter {
	return &sampleWriter{app: g.m.o.Appendable.AppenderV2(ctx), t: slot.Add(-g.QueryOffset()).UnixMilli()}
}

func (w *sampleWriter) write(series labels.Labels, v float64) {
	if err := w.append(series, v); err != nil && w.refused == nil {
		w.refused = fmt.Errorf("%s: %w", series, err)
	}
}

// end marks a series stale. It is refused where somebody has done so, or has
// taken the series over.
func (w *sampleWriter) end(series labels.Labels) {
	err := w.append(series, math.Float64frombits(value.StaleNaN))
	for _, expected := range []error{storage.ErrOutOfOrderSample, storage.ErrTooOldSample, storage.ErrDuplicateSampleForTimestamp} {
		if errors.Is(err, expected) {
			return
		}
	}
	if err != nil && w.refused == nil {
		w.refused = fmt.Errorf("%s: %w", series, err)
	}
}

func (w *sampleWriter) append(series labels.Labels, v float64) error {
	_, err := w.app.Append(0, series, 0, w.t, v, nil, nil, storage.AOptions{RejectOutOfOrder: true})
	return err
}

// commit stores what was not refused, or nothing on an error.
func (w *sampleWriter) commit() (refused, err error) { return w.refused, w.app.Commit() }
