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
	longSeason bool     // the ring does not reach back over a season of the model
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
		a.countStartedOver()
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
	r.longSeason = a.longSeason(t)
	r.notes = a.notes(r)
	a.report.Store(r)
	a.complaints.log(a, r, t)
}

// complaint is a set of kinds of what an anomaly rule cannot do.
type complaint uint8

const (
	overLimit complaint = 1 << iota
	overMemory
	histograms
	longSeason
	smallGroups
)

// complaintRest is for how many milliseconds a rule must have been without
// complaints for the log to say that they are over.
const complaintRest = 10 * 60 * 1000

// complaints is what the log has been told of a rule.
type complaints struct {
	logged complaint
	newest int64 // milliseconds of the newest step with a complaint
}

// log tells each kind once, however its numbers change: series come and go at
// every evaluation, and so does what a limit refuses.
func (c *complaints) log(a *anomalyRule, r *report, t int64) {
	kinds := r.complaints()
	if kinds&^c.logged != 0 {
		a.logger.Warn("an anomaly rule cannot do all that it should", "why", strings.Join(append(r.problems(a.spec.Limit), r.warnings()...), "; "))
	}
	c.logged |= kinds
	switch {
	case kinds != 0:
		c.newest = t
	case c.logged != 0 && (t-c.newest >= complaintRest || t < c.newest):
		c.logged = 0
		a.logger.Info("an anomaly rule does all that it should again")
	}
}

// complaints are those of problems and warnings.
func (r *report) complaints() (kinds complaint) {
	for _, x := range []struct {
		is   bool
		kind complaint
	}{
		{r.overLimit > 0, overLimit}, {r.overMemory > 0, overMemory}, {r.histograms > 0, histograms},
		{r.longSeason, longSeason}, {r.small.Groups > 0, smallGroups},
	} {
		if x.is {
			kinds |= x.kind
		}
	}
	return kinds
}

// countStartedOver says that the models have forgotten everything.
func (a *anomalyRule) countStartedOver() {
	a.metrics.startedOver.Inc()
	a.logger.Warn("the clock was ahead when the models learned; they learn again")
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

// longSeason reports whether models that begin at time t cannot learn a season
// from the ring, and those that run have not been there for one.
func (a *anomalyRule) longSeason(t int64) bool {
	season := lang.LongestSeason(a.spec.Model)
	return a.retention > 0 && season > a.retention && t-a.models.Oldest() < season.Milliseconds()
}

// notes says what the rule cannot do as it is.
func (a *anomalyRule) notes(r *report) (out []string) {
	if r.longSeason {
		out = append(out, fmt.Sprintf("the model has a season of %s and the ring keeps %s: a model that begins anew knows the season only after it has run for that long",
			model.Duration(lang.LongestSeason(a.spec.Model)), model.Duration(a.retention)))
	}
	if r.small.Groups > 0 {
		out = append(out, fmt.Sprintf("%d groups with %d series in all are not judged, reason %s: they have fewer members than min_members of the model; lower it, or compare by fewer labels",
			r.small.Groups, r.small.Members, detect.BelowMinMembers))
	}
	return out
}
