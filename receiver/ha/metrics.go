package ha

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	descElected = prometheus.NewDesc("chiron_receiver_ha_elected_replica_info",
		"The elected replica of a cluster; the value is 1.", []string{"cluster", "replica"}, nil)
	descHeard = prometheus.NewDesc("chiron_receiver_ha_elected_replica_timestamp_seconds",
		"When the elected replica of a cluster was noted last.", []string{"cluster"}, nil)
	descChanges = prometheus.NewDesc("chiron_receiver_ha_elected_replica_changes_total",
		"How often another replica of a cluster took over.", []string{"cluster"}, nil)
	descDropped = prometheus.NewDesc("chiron_receiver_ha_deduplicated_samples_total",
		"Samples of a cluster that were dropped, because another replica is elected.", []string{"cluster"}, nil)
	descClusters = prometheus.NewDesc("chiron_receiver_ha_clusters",
		"Clusters that are tracked.", nil, nil)
	descRefused = prometheus.NewDesc("chiron_receiver_ha_refused_requests_total",
		"Requests of clusters beyond the limit of clusters.", nil, nil)
)

// Describe implements prometheus.Collector.
func (t *Tracker) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descElected, descHeard, descChanges, descDropped, descClusters, descRefused} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. The number of series is bounded by
// MaxClusters.
func (t *Tracker) Collect(ch chan<- prometheus.Metric) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for name, c := range t.clusters {
		name, replica := strings.ToValidUTF8(name, "\uFFFD"), strings.ToValidUTF8(c.replica, "\uFFFD")
		ch <- prometheus.MustNewConstMetric(descElected, prometheus.GaugeValue, 1, name, replica)
		ch <- prometheus.MustNewConstMetric(descHeard, prometheus.GaugeValue, float64(c.heard.Load())/1000, name)
		ch <- prometheus.MustNewConstMetric(descChanges, prometheus.CounterValue, float64(c.changes), name)
		ch <- prometheus.MustNewConstMetric(descDropped, prometheus.CounterValue, float64(c.dropped.Load()), name)
	}
	ch <- prometheus.MustNewConstMetric(descClusters, prometheus.GaugeValue, float64(len(t.clusters)))
	ch <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(t.refused.Load()))
}
