package promapi

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Group is a snapshot of one rule group.
type Group struct {
	Name, File     string
	Interval       time.Duration
	Limit          int // 0: none
	EvaluationTime time.Duration
	LastEvaluation time.Time // zero: not yet evaluated
	Rules          []Rule
}

// Kind tells the kinds of rules apart.
type Kind uint8

// The kinds of rules.
const (
	KindRecording Kind = iota
	KindAlerting
	KindAnomaly
)

// Rule is a snapshot of one rule of any kind.
type Rule struct {
	Kind Kind
	// Name is the record's, the alert's or the anomaly's name.
	Name string
	// Query is the rule's expression.
	Query string
	// Labels and Annotations are templates as written. Those of an anomaly's
	// alert clause include the ones that it inherits.
	Labels, Annotations labels.Labels

	// Duration is for: how long the condition must hold; KeepFiringFor how
	// long an alert outlives it. Of alerting rules and alert clauses.
	Duration, KeepFiringFor time.Duration
	// State is inactive, pending or firing, of alerting rules and alert
	// clauses. Empty: unknown, not yet evaluated or restored.
	State string
	// Alerts are the active ones, of alerting rules and alert clauses.
	Alerts []Alert

	// AlertName and AlertQuery describe an anomaly rule's alert clause; an
	// empty name means that it has none.
	AlertName, AlertQuery string
	// Model is an anomaly rule's model string; Models counts the models by
	// state, "ready" for instance; Strategy says how its input is read:
	// streamed, or by query and why.
	Model    string
	Models   map[string]int
	Strategy string
	// Warnings say what an anomaly rule passes over or cannot know.
	Warnings []string
	// Budget says how many false alerts an anomaly rule allows. Empty: its model
	// has no such number.
	Budget string
	// ModelBytes is the memory that an anomaly rule's models hold.
	ModelBytes int64
	// CatchingUp tells that an anomaly rule's models learn what they missed.
	CatchingUp bool
	// Choices say what auto has chosen for its series, the first hundred.
	Choices []Choice

	// Health is ok or err. Empty: unknown, not yet evaluated.
	Health         string
	LastError      string
	EvaluationTime time.Duration
	LastEvaluation time.Time // zero: not yet evaluated
}

// Choice is what auto has chosen for one series, and why.
type Choice struct {
	Labels labels.Labels `json:"labels"`
	Choice string        `json:"choice"`
}

// Alert is one active alert, its templates expanded.
type Alert struct {
	Labels, Annotations labels.Labels
	State               string // pending or firing
	ActiveAt            time.Time
	KeepFiringSince     time.Time // zero: the condition still holds
	Value               float64
}
