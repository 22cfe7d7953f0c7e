package config

import (
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// Receiver bounds what remote write may bring. Zero takes the receiver's or the
// ring's own default.
type Receiver struct {
	OutOfOrderWindow   time.Duration // how much older than a series' newest sample a sample may be
	MaxFuture          time.Duration // how far ahead of now a sample may be
	MaxSeries          int           // as many as fit
	MaxSeriesPerMetric int           // no limit
	MaxExemplars       int           // in all
	MaxBodyBytes       int64         // compressed
	MaxDecodedBytes    int64
	MaxInflightBytes   int64 // bodies of all requests at once, as sent and decoded
	MaxSamples         int   // per request
	MaxConcurrent      int   // requests
	MaxLabels          int   // per series
	MaxLabelNameBytes  int
	MaxLabelValueBytes int
	QueueWait          time.Duration // how long a request waits for its turn
	ReadTimeout        time.Duration // how long a body may take
	RetryAfter         time.Duration // what 429 and 503 ask for
	HA                 *HA           // nil: HA pairs are not deduplicated
}

// HA says how replicas of senders are told apart and when one takes over.
type HA struct {
	ClusterLabel    string
	ReplicaLabel    string
	FailoverTimeout time.Duration
	UpdateTimeout   time.Duration
	MaxClusters     int
}

func (r reader) receiver(n *yaml.Node, c *Receiver) {
	r.Object(n, "receiver", map[string]diag.Field{
		"out_of_order_window":     func(_, v *yaml.Node) { c.OutOfOrderWindow = r.Duration(v, "out_of_order_window") },
		"max_future":              func(_, v *yaml.Node) { c.MaxFuture = r.Duration(v, "max_future") },
		"max_series":              func(_, v *yaml.Node) { c.MaxSeries = r.count(v, "max_series") },
		"max_series_per_metric":   func(_, v *yaml.Node) { c.MaxSeriesPerMetric = r.count(v, "max_series_per_metric") },
		"max_exemplars":           func(_, v *yaml.Node) { c.MaxExemplars = r.count(v, "max_exemplars") },
		"max_body_size":           func(_, v *yaml.Node) { c.MaxBodyBytes = r.size(v, "max_body_size") },
		"max_decoded_size":        func(_, v *yaml.Node) { c.MaxDecodedBytes = r.size(v, "max_decoded_size") },
		"max_inflight_size":       func(_, v *yaml.Node) { c.MaxInflightBytes = r.size(v, "max_inflight_size") },
		"max_samples_per_request": func(_, v *yaml.Node) { c.MaxSamples = r.count(v, "max_samples_per_request") },
		"max_concurrent_requests": func(_, v *yaml.Node) { c.MaxConcurrent = r.count(v, "max_concurrent_requests") },
		"max_labels_per_series":   func(_, v *yaml.Node) { c.MaxLabels = r.count(v, "max_labels_per_series") },
		"max_label_name_length":   func(_, v *yaml.Node) { c.MaxLabelNameBytes = r.count(v, "max_label_name_length") },
		"max_label_value_length":  func(_, v *yaml.Node) { c.MaxLabelValueBytes = r.count(v, "max_label_value_length") },
		"queue_wait":              func(_, v *yaml.Node) { c.QueueWait = r.Duration(v, "queue_wait") },
		"read_timeout":            func(_, v *yaml.Node) { c.ReadTimeout = r.Duration(v, "read_timeout") },
		"retry_after":             func(_, v *yaml.Node) { c.RetryAfter = r.Duration(v, "retry_after") },
		"ha":                      func(_, v *yaml.Node) { c.HA = r.ha(v) },
	})
}

func (r reader) ha(n *yaml.Node) *HA {
	c := &HA{ClusterLabel: "cluster", ReplicaLabel: "__replica__", FailoverTimeout: 30 * time.Second, UpdateTimeout: 15 * time.Second, MaxClusters: 1000}
	r.Object(n, "ha", map[string]diag.Field{
		"cluster_label":    func(_, v *yaml.Node) { c.ClusterLabel = r.label(v, "cluster_label") },
		"replica_label":    func(_, v *yaml.Node) { c.ReplicaLabel = r.label(v, "replica_label") },
		"failover_timeout": func(_, v *yaml.Node) { c.FailoverTimeout = r.Duration(v, "failover_timeout") },
		"update_timeout":   func(_, v *yaml.Node) { c.UpdateTimeout = r.Duration(v, "update_timeout") },
		"max_clusters":     func(_, v *yaml.Node) { c.MaxClusters = r.count(v, "max_clusters") },
	})
	if c.ClusterLabel == c.ReplicaLabel {
		r.Errorf(n, "config/ha", "ha: cluster_label and replica_label must differ")
	}
	if c.UpdateTimeout <= 0 || c.FailoverTimeout <= c.UpdateTimeout {
		r.Errorf(n, "config/ha", "ha: failover_timeout must be longer than update_timeout, which must be longer than 0")
	}
	return c
}

// label reads the name of a label.
func (r reader) label(n *yaml.Node, what string) string {
	name := r.String(n, what)
	if !model.UTF8Validation.IsValidLabelName(name) {
		r.Errorf(n, "config/label", "%s: %q is not a label name", what, name)
	}
	return name
}
