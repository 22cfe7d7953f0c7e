package upstream

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
)

// The parts of Prometheus's rule groups that the rule manager builds on.
type (
	// RuleGroup evaluates its rules in order, appends what they return and
	// writes stale markers for what they returned before.
	RuleGroup = rules.Group
	// Rule is one rule of any kind; anomaly rules implement it as well.
	Rule = rules.Rule
	// AlertingRule is Prometheus's.
	AlertingRule = rules.AlertingRule
	// RecordingRule is Prometheus's.
	RecordingRule = rules.RecordingRule
	// RuleAlert is an active alert of an AlertingRule.
	RuleAlert = rules.Alert
	// RuleHealth is the outcome of a rule's last evaluation.
	RuleHealth = rules.RuleHealth
	// RuleQueryFunc evaluates an instant query for a rule.
	RuleQueryFunc = rules.QueryFunc
	// NotifyFunc takes the alerts of one rule.
	NotifyFunc = rules.NotifyFunc
)

// Health of a rule.
const (
	HealthUnknown = rules.HealthUnknown
	HealthGood    = rules.HealthGood
	HealthBad     = rules.HealthBad
)

// RuleEnvironment is what all groups share.
type RuleEnvironment struct {
	opts           *rules.ManagerOptions
	externalLabels labels.Labels
	externalURL    string
}

// RuleEnvironmentOptions configure a RuleEnvironment.
type RuleEnvironmentOptions struct {
	Context     context.Context
	Engine      promql.QueryEngine
	Queryable   storage.Queryable
	Appendable  storage.AppendableV2
	Notify      NotifyFunc
	ExternalURL string
	// ExternalLabels are known to templates as $externalLabels.
	ExternalLabels labels.Labels
	// ResendDelay is how often a firing alert is sent again. 0: 1m.
	ResendDelay time.Duration
	// ForGracePeriod is the least time between a restored alert and its
	// firing. 0: 10m, as Prometheus has it.
	ForGracePeriod time.Duration
	// QueryOffset delays every group that sets none.
	QueryOffset time.Duration
	Parser      parser.Parser
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

// NewRuleEnvironment registers the groups' metrics and keeps what they share.
func NewRuleEnvironment(o RuleEnvironmentOptions) (*RuleEnvironment, error) {
	u, err := url.Parse(o.ExternalURL)
	if err != nil {
		return nil, err
	}
	if o.ResendDelay == 0 {
		o.ResendDelay = time.Minute
	}
	if o.ForGracePeriod == 0 {
		o.ForGracePeriod = 10 * time.Minute
	}
	return &RuleEnvironment{
		externalLabels: o.ExternalLabels, externalURL: o.ExternalURL,
		opts: &rules.ManagerOptions{
			NameValidationScheme: model.UTF8Validation, ExternalURL: u, Context: o.Context, Parser: o.Parser,
			QueryFunc: rules.EngineQueryFunc(o.Engine, o.Queryable), NotifyFunc: o.Notify,
			AppendableV2: o.Appendable, Queryable: o.Queryable, Logger: o.Logger, Registerer: o.Registerer,
			OutageTolerance: time.Hour, ForGracePeriod: o.ForGracePeriod, ResendDelay: o.ResendDelay,
			DefaultRuleQueryOffset: func() time.Duration { return o.QueryOffset },
			Metrics:                rules.NewGroupMetrics(o.Registerer),
		},
	}, nil
}

// With returns the environment under other external labels and query offset,
// sharing metrics and everything else.
func (e *RuleEnvironment) With(external labels.Labels, queryOffset time.Duration) *RuleEnvironment {
	opts := *e.opts
	opts.DefaultRuleQueryOffset = func() time.Duration { return queryOffset }
	return &RuleEnvironment{opts: &opts, externalLabels: external, externalURL: e.externalURL}
}

// QueryOffset delays every group that sets none.
func (e *RuleEnvironment) QueryOffset() time.Duration { return e.opts.DefaultRuleQueryOffset() }

// RuleGroupOptions describe one group.
type RuleGroupOptions struct {
	Name, File  string
	Interval    time.Duration
	QueryOffset *time.Duration
	Limit       int
	Rules       []Rule
	Restore     bool // alerts take their `for` state from ALERTS_FOR_STATE
}

// NewGroup makes a group. It has no loop of its own: whoever owns it calls
// Eval.
func (e *RuleEnvironment) NewGroup(o RuleGroupOptions) *RuleGroup {
	return rules.NewGroup(rules.GroupOptions{
		Name: o.Name, File: o.File, Interval: o.Interval, QueryOffset: o.QueryOffset, Limit: o.Limit,
		Rules: o.Rules, ShouldRestore: o.Restore, Opts: e.opts,
	})
}

// NewAlertingRule makes Prometheus's alerting rule; restored tells that its
// `for` state is complete, so that it may fire.
func (e *RuleEnvironment) NewAlertingRule(name string, expr parser.Expr, hold, keepFiring time.Duration, ls, annotations labels.Labels, restored bool, logger *slog.Logger) Rule {
	return rules.NewAlertingRule(name, expr, hold, keepFiring, ls, annotations, e.externalLabels, e.externalURL, restored, logger)
}

// NewRecordingRule makes Prometheus's recording rule.
func NewRecordingRule(name string, expr parser.Expr, ls labels.Labels) Rule {
	return rules.NewRecordingRule(name, expr, ls)
}

// SetBack tells the alerts of a rule that the clock was set back to a time:
// nothing of them lies behind it, and they are sent again.
func SetBack(r *AlertingRule, to time.Time) {
	r.ForEachActiveAlert(func(a *RuleAlert) {
		for _, at := range []*time.Time{&a.ActiveAt, &a.FiredAt, &a.KeepFiringSince} {
			if at.After(to) {
				*at = to
			}
		}
		a.LastSentAt = time.Time{}
	})
}

// Missed counts evaluations of a group that did not happen in time.
func (e *RuleEnvironment) Missed(g *RuleGroup, n int) {
	key := rules.GroupKey(g.File(), g.Name())
	e.opts.Metrics.IterationsMissed.WithLabelValues(key).Add(float64(n))
	e.opts.Metrics.IterationsScheduled.WithLabelValues(key).Add(float64(n))
}

// Evaluate runs the group once at ts and keeps its metrics, as
// rules.DefaultEvalIterationFunc does.
func (e *RuleEnvironment) Evaluate(ctx context.Context, g *RuleGroup, ts time.Time) {
	rules.DefaultEvalIterationFunc(ctx, g, ts)
}

// Forget drops the metrics of a group that has gone.
func (e *RuleEnvironment) Forget(g *RuleGroup) {
	key, m := rules.GroupKey(g.File(), g.Name()), e.opts.Metrics
	for _, v := range []interface{ DeleteLabelValues(...string) bool }{
		m.IterationsMissed, m.IterationsScheduled, m.EvalTotal, m.EvalFailures, m.GroupInterval, m.GroupLastEvalTime,
		m.GroupLastDuration, m.GroupRules, m.GroupSamples, m.GroupLastRuleDurationSum, m.GroupLastRestoreDuration,
	} {
		v.DeleteLabelValues(key)
	}
}

// RuleGroupKey is how the metrics of groups name one.
func RuleGroupKey(file, name string) string { return rules.GroupKey(file, name) }
