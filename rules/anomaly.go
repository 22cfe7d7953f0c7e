package rules

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/rules/modelstore"
)

// anomalyRule is the third kind of rule in one of Prometheus's groups: it
// returns the vector of its outputs, and the group appends them, marks stale
// what has gone, and keeps the order.
//
// What it has learned belongs to the goroutine of its group while that runs,
// and to whoever has stopped it otherwise. Everybody else reads the report.
type anomalyRule struct {
	spec    *lang.Anomaly
	text    string // everything that makes two rules the same
	source  *source
	logger  *slog.Logger
	metrics *metrics
	budget  *budget
	// retention is the longest that the ring keeps; 0: not known.
	retention time.Duration

	owner   modelstore.Owner // whose records its models are; without ID and mark
	id      atomic.Uint64    // of the owner; 0: it has none yet
	models  *eval.Rule
	charged atomic.Int64 // what the budget has been charged for models
	known   int64        // milliseconds up to which models were learned from the ring, which may have held nothing
	behind  *catchUp     // what learns beside it; nil: models know all that they can
	anew    bool         // the models have started over, and the ring may know what they knew
	saving  saving
	saved   bool // there is a store that takes what saving has

	report     atomic.Pointer[report]
	status     ruleStatus
	chosenAt   int64 // when the report's choices were made
	complaints complaints
}

func newAnomalyRule(spec *lang.Anomaly, file, group string, m *Manager, logger *slog.Logger) (*anomalyRule, error) {
	models, err := eval.New(spec)
	if err != nil {
		return nil, err
	}
	text := ruleText(spec)
	a := &anomalyRule{
		spec: spec, text: text, source: newSource(spec, m.o, m.metrics), logger: logger.With("rule", spec.Name), metrics: m.metrics, budget: &m.budget, retention: m.o.Retention, saved: m.store != nil,
		owner:  modelstore.Owner{Rule: spec.Name, Key: spec.LearnedKey(), File: file, Group: group, Text: text},
		models: models,
	}
	a.status.health = upstream.HealthUnknown
	a.report.Store(&report{})
	return a, nil
}

// Name is the anomaly's name.
func (a *anomalyRule) Name() string { return a.spec.Name }

// Labels are those of the group and the rule.
func (a *anomalyRule) Labels() labels.Labels { return labels.FromMap(a.spec.Labels) }

// Query is the rule's expression.
func (a *anomalyRule) Query() parser.Expr { return a.spec.Expr }

// String holds everything that makes two rules the same.
func (a *anomalyRule) String() string { return a.text }

func ruleText(s *lang.Anomaly) string {
	text := fmt.Sprintf("anomaly: %s expr: %s model: %s direction: %s min_dev: %v min_rel_dev: %v range: %v width: %v warmup: %v accept: %v output: %v limit: %d labels: %v",
		s.Name, s.Expr, s.Model, s.Direction, s.MinDev, s.MinRelDev, s.Range, s.Width, s.Warmup, s.Accept, s.Output.Metrics(), s.Limit, labels.FromMap(s.Labels))
	if s.Inputs != nil {
		text += fmt.Sprintf(" inputs: %q join: %q explain: %d", s.Inputs, s.Join, s.Explain)
	}
	if s.Ratio != nil {
		text += " of a total"
	}
	if len(s.Cohort) > 0 {
		text += fmt.Sprintf(" cohort: %q", s.Cohort)
	}
	if len(s.Exclude) > 0 {
		text += fmt.Sprintf(" exclude: %q", s.Exclude)
	}
	if s.Forecast != nil {
		text += " forecast: " + s.Forecast.String()
	}
	return text
}

// Eval scores the expression's vector and returns the outputs.
func (a *anomalyRule) Eval(ctx context.Context, offset time.Duration, ts time.Time, query upstream.RuleQueryFunc, _ *url.URL, _ int) (promql.Vector, error) {
	at := ts.Add(-offset)
	frame, err := a.source.frame(ctx, at, query)
	if err != nil {
		return nil, err
	}
	if a.behind != nil {
		a.behind.keep(at.UnixMilli(), frame)
	}
	a.models.Admit(a.budget.room(a.charged.Load()))
	out, err := a.models.Step(at.UnixMilli(), frame)
	a.charge()
	if err != nil {
		return nil, err
	}
	if a.saved {
		a.saving.note(a.models, out.Changes)
	}
	a.anew = a.anew || out.Changes.StartedOver
	a.say(out.Changes, at.UnixMilli())
	vector := make(promql.Vector, len(out.Outputs))
	for i, o := range out.Outputs {
		vector[i] = promql.Sample{T: at.UnixMilli(), F: o.V, Metric: o.Labels}
	}
	return vector, nil
}

// charge tells the budget what the models hold now.
func (a *anomalyRule) charge() {
	now := a.models.Charged()
	a.budget.move(a.charged.Swap(now), now)
}

// use makes models those of the rule.
func (a *anomalyRule) use(models *eval.Rule) {
	a.models = models
	a.saving.reset(len(a.spec.Cohort) > 0)
	a.charge()
}

// close gives back what the rule holds, when no evaluation can come any more.
func (a *anomalyRule) close() {
	a.source.close()
	a.budget.move(a.charged.Swap(0), 0)
}
