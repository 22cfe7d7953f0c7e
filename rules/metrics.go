package rules

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/chironhq/chiron/rules/detect"
)

type metrics struct {
	evaluations *prometheus.CounterVec // by way
	overLimit   prometheus.Counter
	startedOver prometheus.Counter
	snapshots   *prometheus.CounterVec // by result
	snapshot    prometheus.Gauge       // bytes
	restored    prometheus.Counter
	caughtUp    prometheus.Counter
}

// Ways in which an anomaly rule gets its vector.
const (
	wayStreamed = "streamed"
	wayQueried  = "queried"
)

func newMetrics(reg prometheus.Registerer, m *Manager) *metrics {
	f := promauto.With(reg)
	if reg != nil {
		reg.MustRegister(&modelCollector{m})
	}
	return &metrics{
		evaluations: f.NewCounterVec(prometheus.CounterOpts{Name: "chiron_rules_evaluations_total", Help: "Evaluations of anomaly rules, by how their vector was had."}, []string{"way"}),
		overLimit:   f.NewCounter(prometheus.CounterOpts{Name: "chiron_rules_series_over_limit_total", Help: "Series that an anomaly rule returned and did not model because of its limit, counted at every evaluation."}),
		startedOver: f.NewCounter(prometheus.CounterOpts{Name: "chiron_rules_started_over_total", Help: "Rules that forgot their models because the clock had been more than an hour ahead while they learned."}),
		snapshots:   f.NewCounterVec(prometheus.CounterOpts{Name: "chiron_rules_state_snapshots_total", Help: "Snapshots of all model states, by result."}, []string{"result"}),
		snapshot:    f.NewGauge(prometheus.GaugeOpts{Name: "chiron_rules_state_snapshot_bytes", Help: "Size of the newest snapshot of all model states."}),
		restored:    f.NewCounter(prometheus.CounterOpts{Name: "chiron_rules_state_restored_models_total", Help: "Models that took their state from a snapshot."}),
		caughtUp:    f.NewCounter(prometheus.CounterOpts{Name: "chiron_rules_state_caught_up_samples_total", Help: "Samples that models learned from the ring instead of live."}),
	}
}

// modelCollector counts models by state at scrape time.
type modelCollector struct{ m *Manager }

var modelsDesc = prometheus.NewDesc("chiron_rules_models", "Models, one a series and anomaly rule, by state.", []string{"state"}, nil)

// Describe implements prometheus.Collector.
func (c *modelCollector) Describe(ch chan<- *prometheus.Desc) { ch <- modelsDesc }

// Collect implements prometheus.Collector.
func (c *modelCollector) Collect(ch chan<- prometheus.Metric) {
	counts := map[string]int{}
	for _, g := range c.m.snapshotGroups() {
		for _, r := range g.anomalies {
			for state, n := range r.states() {
				counts[state] += n
			}
		}
	}
	for s := detect.Cold; s <= detect.Frozen; s++ {
		ch <- prometheus.MustNewConstMetric(modelsDesc, prometheus.GaugeValue, float64(counts[s.String()]), s.String())
	}
}
