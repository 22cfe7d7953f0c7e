package emit

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// dropReason says why samples were not sent. Its word is stable.
type dropReason string

const (
	dropOverflow dropReason = "queue_full" // the oldest went, the queue is at its limit
	dropMemory   dropReason = "disk_slow"  // too many waited in memory for the disk
	dropDisk     dropReason = "disk_error" // they could not be written
	dropDamaged  dropReason = "damaged"    // they could not be read back
	dropRefused  dropReason = "refused"    // the far side answered that a retry cannot help
)

type metrics struct {
	reg          prometheus.Registerer
	all          []prometheus.Collector
	queuedTotal  prometheus.Counter
	sent         prometheus.Counter
	failures     prometheus.Counter
	dropped      *prometheus.CounterVec
	damagedBytes prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, f *Forwarder) (*metrics, error) {
	m := &metrics{
		reg: reg,
		queuedTotal: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chiron_emit_queued_samples_total", Help: "Samples put into the remote write queue on disk.",
		}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chiron_emit_sent_samples_total", Help: "Samples that the remote write receiver acknowledged.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chiron_emit_failures_total", Help: "Remote write requests that failed, each attempt counted.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chiron_emit_dropped_samples_total", Help: "Samples given up before they were sent, by reason.",
		}, []string{"reason"}),
		damagedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chiron_emit_damaged_bytes_total", Help: "Bytes cut from torn or damaged queue segments at the start.",
		}),
	}
	for _, r := range []dropReason{dropOverflow, dropMemory, dropDisk, dropDamaged, dropRefused} {
		m.dropped.WithLabelValues(string(r))
	}
	m.all = []prometheus.Collector{
		m.queuedTotal, m.sent, m.failures, m.dropped, m.damagedBytes,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "chiron_emit_queue_bytes", Help: "Size of the remote write queue on disk.",
		}, func() float64 { b, _ := f.queue.stats(); return float64(b) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "chiron_emit_queue_samples", Help: "Samples that wait to be sent, in memory and on disk, without those in flight.",
		}, func() float64 { _, n := f.queue.stats(); return float64(n + f.pending.count()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "chiron_emit_oldest_age_seconds", Help: "How long the sample to be sent next has waited.",
		}, func() float64 {
			if t := f.oldest.Load(); t > 0 {
				return max(0, f.o.Now().Sub(time.UnixMilli(t)).Seconds())
			}
			return 0
		}),
	}
	if reg == nil {
		return m, nil
	}
	for i, c := range m.all {
		if err := reg.Register(c); err != nil {
			m.all = m.all[:i]
			m.unregister()
			return nil, errors.Join(fmt.Errorf("cannot register metrics of the remote write queue: %w", err))
		}
	}
	return m, nil
}

func (m *metrics) unregister() {
	if m.reg == nil {
		return
	}
	for _, c := range m.all {
		m.reg.Unregister(c)
	}
}

func (m *metrics) drop(r dropReason, n int) {
	if n > 0 {
		m.dropped.WithLabelValues(string(r)).Add(float64(n))
	}
}
