package remediation

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	alerts    *prometheus.CounterVec
	truncated prometheus.Counter
	queue     prometheus.Gauge
	oldest    prometheus.Gauge
	decisions *prometheus.CounterVec
	actions   *prometheus.CounterVec
	undos     *prometheus.CounterVec
	active    prometheus.Gauge
	storeErrs prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		alerts: f.NewCounterVec(prometheus.CounterOpts{Name: "chiron_remediation_alerts_total",
			Help: "Alerts in deliveries, by what they said: new, duplicate, repeat, older (stale), resolved, early, old_end, disputed, own_caused."}, []string{"seen"}),
		truncated: f.NewCounter(prometheus.CounterOpts{Name: "chiron_remediation_alerts_truncated_total", Help: "Alerts that Alertmanager cut off; they are in no message."}),
		queue:     f.NewGauge(prometheus.GaugeOpts{Name: "chiron_remediation_queue_length", Help: "Deliveries on record that wait for a decision."}),
		oldest:    f.NewGauge(prometheus.GaugeOpts{Name: "chiron_remediation_queue_oldest_age_seconds", Help: "Age of the oldest delivery that waits for a decision."}),
		decisions: f.NewCounterVec(prometheus.CounterOpts{Name: "chiron_remediation_decisions_total", Help: "Runs that came to a phase, by policy, phase and reason."}, []string{"policy", "outcome", "reason"}),
		actions:   f.NewCounterVec(prometheus.CounterOpts{Name: "chiron_remediation_actions_total", Help: "Writes to the cluster, by action and result."}, []string{"action", "result"}),
		undos:     f.NewCounterVec(prometheus.CounterOpts{Name: "chiron_remediation_undos_total", Help: "Changes taken back, by action and result."}, []string{"action", "result"}),
		active:    f.NewGauge(prometheus.GaugeOpts{Name: "chiron_remediation_runs_active", Help: "Runs that are not at their end."}),
		storeErrs: f.NewCounter(prometheus.CounterOpts{Name: "chiron_remediation_store_errors_total", Help: "Failed writes of the run store; nothing is done until they succeed."}),
	}
	for _, s := range []seen{seenNew, seenDuplicate, seenRepeat, seenOlder, seenClosed, seenEarly, seenDisputed, seenOldEnd, seenSelf} {
		m.alerts.WithLabelValues(string(s))
	}
	return m
}
