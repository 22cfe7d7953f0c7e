package rules

import (
	"fmt"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
)

// report is what others may know of an anomaly rule: a snapshot that its group
// makes behind every evaluation, so that nobody waits while models step.
type report struct {
	stages     [detect.Frozen + 1]int
	choices    []eval.Choice
	held       int64 // bytes of its models
	overLimit  int   // series without a model because of the rule's limit
	overMemory int   // because of the bytes that models may hold
	histograms int   // series that were skipped
	histogram  string
	small      detect.Small // groups with too few members to be judged
	catchingUp bool
	notes      []string // what the rule cannot do as it is
}

// maxChoices bounds what one answer says of a rule over many series.
const maxChoices = 100

// choicesEvery is for how many milliseconds a report's choices are good enough.
const choicesEvery = 30_000

// say makes the report of a step and logs what has become of complaints.
func (a *anomalyRule) say(c eval.Changes, t int64) {
	if c.OverLimit > 0 {
		a.metrics.overLimit.Add(float64(c.OverLimit))
	}
	if c.OverMemory > 0 {
		a.metrics.overMemory.Add(float64(c.OverMemory))
	}
	if c.StartedOver {
		a.metrics.startedOver.Inc()
		a.logger.Warn("the clock was ahead when the models learned; they learn again")
	}
	old := a.report.Load()
	r := &report{
		stages: a.models.Stages(), choices: old.choices, held: a.models.Held(),
		overLimit: c.OverLimit, overMemory: c.OverMemory, histograms: c.Histograms, catchingUp: a.behind != nil,
	}
	if c.Histograms > 0 {
		r.histogram = c.Histogram.String()
	}
	if t-a.chosenAt >= choicesEvery || t < a.chosenAt || r.stages != old.stages {
		r.choices, a.chosenAt = a.models.Choices(maxChoices), t
	}
	r.small = a.models.Small()
	r.notes = a.notes(r.small, t)
	a.report.Store(r)
	now := strings.Join(append(r.problems(a.spec.Limit), r.warnings()...), "; ")
	if now != a.complains {
		if a.complains = now; now != "" {
			a.logger.Warn("an anomaly rule does not model everything that it selects", "why", now)
		} else {
			a.logger.Info("an anomaly rule models everything that it selects again")
		}
	}
}

// problems are what makes the rule's health bad.
func (r *report) problems(limit int) (out []string) {
	if r.overLimit > 0 {
		out = append(out, fmt.Sprintf("%d series are over the limit of %d and have no model; raise limit or narrow expr", r.overLimit, limit))
	}
	if r.overMemory > 0 {
		out = append(out, fmt.Sprintf("%d series have no model because all models together may hold no more memory; raise models.memory in the configuration or narrow expr", r.overMemory))
	}
	return out
}

// warnings are what users should know and can live with.
func (r *report) warnings() (out []string) {
	if r.histograms > 0 {
		out = append(out, fmt.Sprintf("%d series hold native histograms, not numbers, and are skipped, %s for one; take a quantile or a rate of their count", r.histograms, r.histogram))
	}
	return append(out, r.notes...)
}

// notes says what the rule cannot do as it is.
func (a *anomalyRule) notes(small detect.Small, t int64) (out []string) {
	if season := lang.LongestSeason(a.spec.Model); a.retention > 0 && season > a.retention && t-a.models.Oldest() < season.Milliseconds() {
		out = append(out, fmt.Sprintf("the model has a season of %s and the ring keeps %s: a model that begins anew knows the season only after it has run for that long",
			model.Duration(season), model.Duration(a.retention)))
	}
	if small.Groups > 0 {
		out = append(out, fmt.Sprintf("%d groups with %d series in all are not judged, reason %s: they have fewer members than min_members of the model; lower it, or compare by fewer labels",
			small.Groups, small.Members, detect.BelowMinMembers))
	}
	return out
}
