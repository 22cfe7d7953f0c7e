package promapi

import (
	"cmp"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

type wireGroups struct {
	Groups         []wireGroup `json:"groups"`
	GroupNextToken string      `json:"groupNextToken,omitempty"`
}

// wireGroup is a group as clients read it; durations in seconds.
type wireGroup struct {
	Name           string    `json:"name"`
	File           string    `json:"file"`
	Rules          []any     `json:"rules"`
	Interval       float64   `json:"interval"`
	Limit          int       `json:"limit"`
	EvaluationTime float64   `json:"evaluationTime"`
	LastEvaluation time.Time `json:"lastEvaluation"`
}

// wireHealth is how a rule fares, the same for all types.
type wireHealth struct {
	Health         string    `json:"health"`
	LastError      string    `json:"lastError,omitempty"`
	EvaluationTime float64   `json:"evaluationTime"`
	LastEvaluation time.Time `json:"lastEvaluation"`
	Type           string    `json:"type"`
}

type wireRecordingRule struct {
	Name   string        `json:"name"`
	Query  string        `json:"query"`
	Labels labels.Labels `json:"labels"`
	wireHealth
}

type wireAlertingRule struct {
	State         string        `json:"state"`
	Name          string        `json:"name"`
	Query         string        `json:"query"`
	Duration      float64       `json:"duration"`
	KeepFiringFor float64       `json:"keepFiringFor"`
	Labels        labels.Labels `json:"labels"`
	Annotations   labels.Labels `json:"annotations"`
	Alerts        []wireAlert   `json:"alerts"` // null when not asked for
	wireHealth
}

type wireAnomalyRule struct {
	Name     string         `json:"name"`
	Query    string         `json:"query"`
	Model    string         `json:"model"`
	Models   map[string]int `json:"models,omitempty"`
	Strategy string         `json:"strategy,omitempty"`
	Choices  []Choice       `json:"choices,omitempty"`
	Warnings []string       `json:"warnings,omitempty"`
	Budget   string         `json:"budget,omitempty"`
	// ModelBytes is the memory that the rule's models hold.
	ModelBytes int64             `json:"modelBytes,omitempty"`
	CatchingUp bool              `json:"catchingUp,omitempty"`
	Labels     labels.Labels     `json:"labels"`
	Alert      *wireAlertingRule `json:"alert,omitempty"`
	wireHealth
}

type wireAlert struct {
	Labels          labels.Labels `json:"labels"`
	Annotations     labels.Labels `json:"annotations"`
	State           string        `json:"state"`
	ActiveAt        *time.Time    `json:"activeAt,omitempty"`
	KeepFiringSince *time.Time    `json:"keepFiringSince,omitempty"`
	Value           string        `json:"value"`
}

const unknown = "unknown"

func health(r Rule, typ string) wireHealth {
	return wireHealth{
		Health:         cmp.Or(r.Health, unknown),
		LastError:      r.LastError,
		EvaluationTime: r.EvaluationTime.Seconds(),
		LastEvaluation: r.LastEvaluation,
		Type:           typ,
	}
}

func wireRecording(r Rule) wireRecordingRule {
	return wireRecordingRule{Name: r.Name, Query: r.Query, Labels: r.Labels, wireHealth: health(r, "recording")}
}

// wireAlerting shows an alerting rule, or under its own name the alert clause
// of an anomaly rule.
func (f ruleFilter) wireAlerting(r Rule, name, query string) wireAlertingRule {
	w := wireAlertingRule{
		State:         cmp.Or(r.State, unknown),
		Name:          name,
		Query:         query,
		Duration:      r.Duration.Seconds(),
		KeepFiringFor: r.KeepFiringFor.Seconds(),
		Labels:        r.Labels,
		Annotations:   r.Annotations,
		wireHealth:    health(r, "alerting"),
	}
	if !f.excludeAlerts {
		w.Alerts = wireAlerts(r.Alerts)
	}
	return w
}

func (f ruleFilter) wireAnomaly(r Rule) wireAnomalyRule {
	w := wireAnomalyRule{
		Name: r.Name, Query: r.Query, Model: r.Model, Models: r.Models, Strategy: r.Strategy, Choices: r.Choices,
		Warnings: r.Warnings, Budget: r.Budget, ModelBytes: r.ModelBytes, CatchingUp: r.CatchingUp,
		Labels: r.Labels, wireHealth: health(r, "anomaly"),
	}
	if r.AlertName != "" {
		alert := f.wireAlerting(r, r.AlertName, r.AlertQuery)
		w.Alert = &alert
	}
	return w
}

func wireAlerts(alerts []Alert) []wireAlert {
	out := make([]wireAlert, 0, len(alerts))
	for _, a := range alerts {
		out = append(out, wireAlert{
			Labels:          a.Labels,
			Annotations:     a.Annotations,
			State:           a.State,
			ActiveAt:        optional(a.ActiveAt),
			KeepFiringSince: optional(a.KeepFiringSince),
			Value:           strconv.FormatFloat(a.Value, 'e', -1, 64),
		})
	}
	return out
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
