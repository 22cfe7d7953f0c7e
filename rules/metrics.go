package rules

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/detect"
)

type metrics struct {
	evaluations *prometheus.CounterVec // by way
	overLimit   prometheus.Counter
	overMemory  prometheus.Counter
	startedOver prometheus.Counter
	snapshots   *prometheus.CounterVec // by result
	snapshot    prometheus.Gauge       // bytes
	saved       prometheus.Counter     // bytes
	round       prometheus.Gauge       // seconds
	hurried     prometheus.Gauge       // 1 or 0
	restored    prometheus.Counter
	caughtUp    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, m *Manager) *metrics {
	f := promauto.With(reg)
	if reg != nil {
		reg.MustRegister(&modelCollector{m})
	}
	return &metrics{
		evaluations: f.NewCounterVec(prometheus.CounterOpts{Name: "chiron_rules_evaluations_total", Help: "Evaluations of anomaly rules, by how their vector was had."}, []string{"way"}),
		overLimit:   f.NewCounter(prometheus.CounterOpts{Name: "chiron_rules_series_over_limit_total", Help: "Series that an anomaly rule returned and did not model because of its limit, counted at every evaluation."}),
		overMemory:  f.NewCounter(prometheus.CounterOpts{Name: "chiron_rules_series_over_memory_total", Help: "Series that an anomaly rule returned and did not model because all models together may hold no more memory, counted at every evaluation."}),
		startedOver: f.NewCounter(prometheus.CounterOpts{Name: "chiron_rules_started_over_total", Help: "Rules that forgot their models because the clock had been more than an hour ahead while they learned."}),
		snapshots:   f.NewCounterVec(prometheus.CounterOpts{Name: "chiron_rules_state_snapshots_total", Help: "Rounds of saving all models, by result; failed also counts single writes."}, []string{"result"}),
		snapshot:    f.NewGauge(prometheus.GaugeOpts{Name: "chiron_rules_state_snapshot_bytes", Help: "Bytes of the newest complete round of saving all models."}),
		saved:       f.NewCounter(prometheus.CounterOpts{Name: "chiron_rules_state_saved_bytes_total", Help: "Bytes of models that were saved."}),
		round:       f.NewGauge(prometheus.GaugeOpts{Name: "chiron_rules_state_round_seconds", Help: "How long the newest complete round of saving all models took."}),
		hurried:     f.NewGauge(prometheus.GaugeOpts{Name: "chiron_rules_state_over_save_limit", Help: "1 while more is saved than the configured bytes a minute, because a round would take longer than a quarter of what the ring reaches back."}),
		restored:    f.NewCounter(prometheus.CounterOpts{Name: "chiron_rules_state_restored_models_total", Help: "Models that took their state from the saved models."}),
		caughtUp:    f.NewCounter(prometheus.CounterOpts{Name: "chiron_rules_state_caught_up_evaluations_total", Help: "Evaluations of rules that their models learned from the ring instead of live."}),
	}
}

// modelCollector counts models by state at scrape time.
type modelCollector struct{ m *Manager }

var (
	modelsDesc = prometheus.NewDesc("chiron_rules_models", "Models, one a series and anomaly rule, by state.", []string{"rule_group", "rule", "state"}, nil)
	bytesDesc  = prometheus.NewDesc("chiron_rules_models_bytes", "Memory that the models of a rule hold.", []string{"rule_group", "rule"}, nil)
	behindDesc = prometheus.NewDesc("chiron_rules_catching_up", "1 while the models of a rule learn from the ring what they have missed.", []string{"rule_group", "rule"}, nil)
	smallDesc  = prometheus.NewDesc("chiron_rules_unjudged_series", "Series that the model of a rule does not judge, however long it learns, by reason.", []string{"rule_group", "rule", "reason"}, nil)
	countsDesc = prometheus.NewDesc("chiron_rules_models_counted_bytes", "Memory of the models of all rules as it counts against chiron_rules_models_limit_bytes: what they will hold when they have learned.", nil, nil)
	limitDesc  = prometheus.NewDesc("chiron_rules_models_limit_bytes", "Memory that the models of all rules may hold; 0 is no limit.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *modelCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{modelsDesc, bytesDesc, behindDesc, smallDesc, countsDesc, limitDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It waits for no model.
func (c *modelCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(countsDesc, prometheus.GaugeValue, float64(c.m.budget.charged.Load()))
	ch <- prometheus.MustNewConstMetric(limitDesc, prometheus.GaugeValue, float64(c.m.budget.limit))
	for _, g := range c.m.snapshotGroups() {
		key := upstream.RuleGroupKey(g.File(), g.Name())
		byName := map[string]*report{} // rules of a group may share a name
		for _, a := range g.anomalies {
			r := *a.report.Load()
			if sum := byName[a.Name()]; sum != nil {
				for i, n := range r.stages {
					sum.stages[i] += n
				}
				sum.held += r.held
				sum.small.Members += r.small.Members
				sum.catchingUp = sum.catchingUp || r.catchingUp
				continue
			}
			byName[a.Name()] = &r
		}
		for name, r := range byName {
			for s, n := range r.stages {
				ch <- prometheus.MustNewConstMetric(modelsDesc, prometheus.GaugeValue, float64(n), key, name, detect.State(s).String())
			}
			if r.small.Members > 0 {
				ch <- prometheus.MustNewConstMetric(smallDesc, prometheus.GaugeValue, float64(r.small.Members), key, name, string(detect.BelowMinMembers))
			}
			behind := 0.0
			if r.catchingUp {
				behind = 1
			}
			ch <- prometheus.MustNewConstMetric(behindDesc, prometheus.GaugeValue, behind, key, name)
			ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.GaugeValue, float64(r.held), key, name)
		}
	}
}
