package rules

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
)

// Kind tells the kinds of rules apart.
type Kind uint8

// The kinds of rules.
const (
	KindRecording Kind = iota
	KindAlerting
	KindAnomaly
)

// GroupStatus is a snapshot of one group.
type GroupStatus struct {
	Name, File     string
	Interval       time.Duration
	Limit          int
	EvaluationTime time.Duration
	LastEvaluation time.Time
	Rules          []RuleStatus
}

// RuleStatus is a snapshot of one rule.
type RuleStatus struct {
	Kind                Kind
	Name, Query         string
	Labels, Annotations labels.Labels
	For, KeepFiringFor  time.Duration
	State               string // of an alerting rule; empty: unknown yet
	Alerts              []*upstream.RuleAlert
	Model, Strategy     string         // of an anomaly rule
	Models              map[string]int // by state, of an anomaly rule
	Choices             []eval.Choice  // of auto, at most maxChoices of them
	Warnings            []string       // of an anomaly rule: what it passes over or cannot know
	Budget              string         // of an anomaly rule: how many false alerts it allows
	Bytes               int64          // that its models hold
	CatchingUp          bool           // its models learn what they have missed
	Health              string
	LastError           string
	EvaluationTime      time.Duration
	LastEvaluation      time.Time
}

// Groups returns a snapshot of all groups in the order of their files.
func (m *Manager) Groups() []GroupStatus {
	var out []GroupStatus
	for _, g := range m.snapshotGroups() {
		s := GroupStatus{
			Name: g.Name(), File: g.File(), Interval: g.Interval(), Limit: g.Limit(),
			EvaluationTime: g.GetEvaluationTime(), LastEvaluation: g.GetLastEvaluation(),
		}
		for i, r := range g.Rules() {
			s.Rules = append(s.Rules, status(r, g.specs[i]))
		}
		out = append(out, s)
	}
	return out
}

func status(r upstream.Rule, spec lang.Rule) RuleStatus {
	s := RuleStatus{
		Name: r.Name(), Query: r.Query().String(), Labels: r.Labels(), Health: string(r.Health()),
		EvaluationTime: r.GetEvaluationDuration(), LastEvaluation: r.GetEvaluationTimestamp(),
	}
	if err := r.LastError(); err != nil {
		s.LastError = err.Error()
	}
	switch r := r.(type) {
	case *anomalyRule:
		s.Kind, s.Model, s.Strategy = KindAnomaly, r.spec.Model.String(), r.source.strategy()
		report := r.report.Load()
		s.Models, s.Choices, s.Warnings, s.Bytes, s.CatchingUp = map[string]int{}, report.choices, report.warnings(), report.held, report.catchingUp
		series := 0
		for stage, n := range report.stages {
			if series += n; n > 0 {
				s.Models[detect.State(stage).String()] = n
			}
		}
		s.Budget = falseAlerts(r.spec, series)
	case *upstream.AlertingRule:
		s.Kind, s.Annotations = KindAlerting, r.Annotations()
		s.For, s.KeepFiringFor = time.Duration(spec.Prometheus.For), time.Duration(spec.Prometheus.KeepFiringFor)
		if w := spec.Written; w != nil {
			s.Labels, s.Annotations = withTexts(s.Labels, w.Labels), withTexts(s.Annotations, w.Annotations)
		}
		if !r.GetEvaluationTimestamp().IsZero() {
			s.State = r.State().String()
		}
		s.Alerts = r.ActiveAlerts()
	}
	return s
}

// falseAlerts says how many false alerts a week a rule allows, of all its series.
func falseAlerts(spec *lang.Anomaly, series int) string {
	perWeek, known := spec.Budget()
	if !known {
		return ""
	}
	return fmt.Sprintf("about %s a week: %d series, %s each", lang.FalseAlerts(perWeek*float64(series)), series, lang.TwoDigits(perWeek))
}

// withTexts is a label set with some values as they are written.
func withTexts(ls labels.Labels, written map[string]string) labels.Labels {
	b := labels.NewBuilder(ls)
	for name, text := range written {
		b.Set(name, text)
	}
	return b.Labels()
}
