package rules

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"

	"github.com/chironhq/chiron/internal/upstream"
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
	Choices             []Choice       // of auto, at most maxChoices of them
	Health              string
	LastError           string
	EvaluationTime      time.Duration
	LastEvaluation      time.Time
}

// Choice is what auto has chosen for one series, and why.
type Choice struct {
	Labels labels.Labels
	Text   string
}

// maxChoices bounds what one answer says of a rule over many series.
const maxChoices = 100

// Groups returns a snapshot of all groups in the order of their files.
func (m *Manager) Groups() []GroupStatus {
	var out []GroupStatus
	for _, g := range m.snapshotGroups() {
		s := GroupStatus{
			Name: g.Name(), File: g.File(), Interval: g.Interval(), Limit: g.Limit(),
			EvaluationTime: g.GetEvaluationTime(), LastEvaluation: g.GetLastEvaluation(),
		}
		for i, r := range g.Rules() {
			s.Rules = append(s.Rules, status(r, g.specs[i].Prometheus))
		}
		out = append(out, s)
	}
	return out
}

func status(r upstream.Rule, spec rulefmt.Rule) RuleStatus {
	s := RuleStatus{
		Name: r.Name(), Query: r.Query().String(), Labels: r.Labels(), Health: string(r.Health()),
		EvaluationTime: r.GetEvaluationDuration(), LastEvaluation: r.GetEvaluationTimestamp(),
	}
	if err := r.LastError(); err != nil {
		s.LastError = err.Error()
	}
	switch r := r.(type) {
	case *anomalyRule:
		s.Kind, s.Model, s.Strategy, s.Models = KindAnomaly, r.spec.Model.String(), r.strategy(), r.states()
		s.Choices = r.choices()
	case *upstream.AlertingRule:
		s.Kind, s.Annotations = KindAlerting, r.Annotations()
		s.For, s.KeepFiringFor = time.Duration(spec.For), time.Duration(spec.KeepFiringFor)
		if !r.GetEvaluationTimestamp().IsZero() {
			s.State = r.State().String()
		}
		s.Alerts = r.ActiveAlerts()
	}
	return s
}
