// Package config reads Chiron's configuration file: one strict YAML document
// whose every mistake is reported with its place and the nearest right word.
//
// It checks what can be checked without looking at the world; rule and policy
// files that it names are read by their own packages.
package config

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Config is a checked configuration. The zero value of every part is not
// usable; start from Default.
type Config struct {
	Global      Global
	RuleFiles   []string // globs, relative to the configuration file's folder until Load makes them absolute
	Alerting    []byte   // the alerting section as YAML, in Prometheus's form; nil when absent
	RemoteWrite []RemoteWrite
	Receiver    Receiver
	Web         Web
	Query       Query
	Models      Models
	Self        Self
	Remediation Remediation

	text []byte // as read, for Redacted
}

// Global holds what every rule group starts from.
type Global struct {
	EvaluationInterval time.Duration
	IntervalGiven      bool // evaluation_interval stands in the file
	QueryOffset        time.Duration
	ExternalLabels     labels.Labels
}

// RemoteWrite is one far side that what the rules write is sent on to.
type RemoteWrite struct {
	Name     string
	URL      string
	Protocol string // "2.0" or "1.0"
	Timeout  time.Duration
	MaxBytes int64  // limit of the disk queue that bridges an outage
	YAML     []byte // HTTP client settings in Prometheus's form (basic_auth, authorization, tls_config, headers ...)
}

// Query bounds what one query may use, and how it is evaluated.
type Query struct {
	Timeout       time.Duration
	MaxSamples    int
	MaxConcurrent int
	Lookback      time.Duration
	RangeShortWay bool // common range queries are evaluated series by series; false: by Prometheus's engine alone
	// ExperimentalFunctions switches PromQL's experimental functions on, in
	// queries, rules and policies alike.
	ExperimentalFunctions bool
}

// Self is Chiron's watch over itself: its own metrics as ordinary series.
type Self struct {
	Enabled  bool
	Interval time.Duration
	Labels   map[string]string // besides job="chiron" and instance
}

// Remediation configures the acting half; without policy files it is off.
type Remediation struct {
	PolicyFiles []string // globs
	Kubernetes  Kubernetes
	Webhook     Webhook
}

// Enabled reports whether policies are configured.
func (r Remediation) Enabled() bool { return len(r.PolicyFiles) > 0 }

// Kubernetes says which cluster to act on.
type Kubernetes struct {
	Kubeconfig string // path; empty with InCluster false: no cluster
	Context    string
	InCluster  bool
}

// Configured reports whether a cluster is named.
func (k Kubernetes) Configured() bool { return k.Kubeconfig != "" || k.InCluster }

// Webhook says who may bring alerts.
type Webhook struct {
	BearerTokens     []string
	BearerTokenFiles []string
}

// Authenticates reports whether the webhook asks for a token of its own.
func (w Webhook) Authenticates() bool { return len(w.BearerTokens)+len(w.BearerTokenFiles) > 0 }

// Default returns what holds where the file is silent.
func Default() *Config {
	return &Config{
		Global: Global{EvaluationInterval: time.Minute},
		Query:  Query{Timeout: 2 * time.Minute, MaxSamples: 50_000_000, MaxConcurrent: 20, Lookback: 5 * time.Minute, RangeShortWay: true},
		Models: Models{SaveBytesPerMinute: 64 << 20},
		Self:   Self{Interval: 15 * time.Second},
	}
}
