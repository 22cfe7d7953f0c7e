package tsdbcache

import (
	"github.com/prometheus/client_golang/prometheus"
)

// counters are kept under DB.mu and read by the collector.
type counters struct {
	samples, hists, exemplars uint64
	refused                   [NumReasons]uint64
	late                      uint64
	evicted                   int // pages
	lost                      int // samples that no page could be had for
	created, removed          uint64
	predicted, cached, missed uint64
	logErrors                 uint64
}

func (n *counters) add(tx *Tx, r *Result) {
	n.samples += uint64(r.Samples)
	n.hists += uint64(r.Histograms)
	n.exemplars += uint64(r.Exemplars)
	for i, c := range r.Refused {
		n.refused[i] += uint64(c)
	}
	n.predicted += uint64(tx.predicted)
	n.cached += uint64(tx.cached)
	n.missed += uint64(tx.missed)
}

// collector makes the metrics from the counters when they are asked for, so
// that the write path touches no atomic.
type collector struct {
	db    *DB
	descs []*prometheus.Desc
	rows  []metricRow
}

type metricRow struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	label string
	value func(db *DB) float64
}

func newCollector(db *DB) *collector {
	c := &collector{db: db}
	add := func(kind prometheus.ValueType, name, help, label string, vals []string, f func(db *DB, i int) float64) {
		var names []string
		if label != "" {
			names = []string{label}
		} else {
			vals = []string{""}
		}
		d := prometheus.NewDesc("chiron_tsdbcache_"+name, help, names, nil)
		c.descs = append(c.descs, d)
		for i, v := range vals {
			row := metricRow{desc: d, kind: kind, value: func(db *DB) float64 { return f(db, i) }}
			if label != "" {
				row.label = v
			}
			c.rows = append(c.rows, row)
		}
	}
	gauge := func(name, help string, f func(db *DB) float64) {
		add(prometheus.GaugeValue, name, help, "", nil, func(db *DB, _ int) float64 { return f(db) })
	}
	counter := func(name, help string, f func(db *DB) float64) {
		add(prometheus.CounterValue, name, help, "", nil, func(db *DB, _ int) float64 { return f(db) })
	}
	gauge("series", "Series that have samples in the ring.", func(db *DB) float64 { return float64(db.series.live) })
	add(prometheus.GaugeValue, "pages", "Pages of the ring by state.", "state", []string{"free", "open", "closed"}, func(db *DB, i int) float64 {
		free, open, closed := db.pageCounts()
		return float64([]int{free, open, closed}[i])
	})
	gauge("bytes", "Bytes of the ring.", func(db *DB) float64 { return float64(len(db.arena.mem)) })
	gauge("symbols", "Distinct label names and values.", func(db *DB) float64 {
		db.syms.mu.Lock()
		defer db.syms.mu.Unlock()
		return float64(db.syms.live)
	})
	add(prometheus.CounterValue, "samples_appended_total", "Samples stored.", "type", []string{"float", "histogram", "exemplar"}, func(db *DB, i int) float64 {
		return float64([]uint64{db.n.samples, db.n.hists, db.n.exemplars}[i])
	})
	counter("samples_late_total", "Samples stored behind the newest of their series.", func(db *DB) float64 { return float64(db.n.late) })
	add(prometheus.CounterValue, "samples_refused_total", "Samples and exemplars refused.", "reason", reasonWords[1:], func(db *DB, i int) float64 {
		return float64(db.n.refused[i+1])
	})
	counter("samples_lost_total", "Samples dropped because every page was open.", func(db *DB) float64 { return float64(db.n.lost) })
	counter("evicted_pages_total", "Pages given back to make room or by retention.", func(db *DB) float64 { return float64(db.n.evicted) })
	gauge("oldest_sample_timestamp_seconds", "Time of the oldest chunk that eviction would take next; 0 while none is closed.", func(db *DB) float64 {
		if db.arena.qlen == 0 {
			return 0
		}
		return float64(db.arena.page(db.arena.queue[db.arena.qhead]).minT()) / 1000
	})
	counter("series_created_total", "Series that entered the index.", func(db *DB) float64 { return float64(db.n.created) })
	counter("series_removed_total", "Series that left the index.", func(db *DB) float64 { return float64(db.n.removed) })
	gauge("series_log_bytes", "Size of the series log.", func(db *DB) float64 {
		if db.log == nil {
			return 0
		}
		return float64(db.log.size)
	})
	counter("log_errors_total", "Writes to a log that failed.", func(db *DB) float64 { return float64(db.n.logErrors) })
	add(prometheus.CounterValue, "lookups_total", "Series lookups by wire key.", "result", []string{"predicted", "cached", "missed"}, func(db *DB, i int) float64 {
		return float64([]uint64{db.n.predicted, db.n.cached, db.n.missed}[i])
	})
	gauge("exemplars", "Exemplars held.", func(db *DB) float64 { return float64(len(db.ex.ring)) })
	gauge("taps", "Open taps; askers for equal matchers share one.", func(db *DB) float64 { return float64(len(db.taps.byKey)) })
	gauge("tap_readers", "Askers that read from taps.", func(db *DB) float64 { return float64(db.taps.readers()) })
	gauge("tap_bytes", "Bytes of what waits in taps.", func(db *DB) float64 { return float64(db.taps.bytes()) })
	counter("tap_dropped_samples_total", "Samples that waited for a reader of a tap when there were too many, or came after.", func(db *DB) float64 { return float64(db.taps.dropped.Load()) })
	gauge("recovery_seconds", "Time that the last start took to read back the ring.", func(db *DB) float64 { return db.rec.took.Seconds() })
	add(prometheus.GaugeValue, "recovery_pages", "Pages found at the last start.", "result", []string{"kept", "corrupt", "orphaned"}, func(db *DB, i int) float64 {
		return float64([]int{db.rec.kept, db.rec.corrupt, db.rec.orphaned}[i])
	})
	gauge("recovery_log_damage_bytes", "Bytes cut from the logs at the last start.", func(db *DB) float64 { return float64(db.rec.cut) })
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	db := c.db
	db.mu.RLock()
	out := make([]prometheus.Metric, 0, len(c.rows))
	for _, r := range c.rows {
		if db.closed {
			break
		}
		var ls []string
		if r.label != "" {
			ls = []string{r.label}
		}
		out = append(out, prometheus.MustNewConstMetric(r.desc, r.kind, r.value(db), ls...))
	}
	db.mu.RUnlock()
	for _, m := range out {
		ch <- m
	}
}

func (db *DB) pageCounts() (free, open, closed int) {
	free, closed = db.arena.available(), db.arena.nclosed
	return free, int(db.arena.n) - 1 - free - closed, closed
}
