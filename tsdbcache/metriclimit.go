package tsdbcache

import "github.com/prometheus/prometheus/model/labels"

// metricCounts counts the series of each metric name, pending or live, for
// MaxSeriesPerMetric. It is kept where series enter and leave the canonical
// table, so what an append costs does not change. nil counts nothing. All of
// it is under DB.mu.
type metricCounts struct {
	syms  *symbols
	limit int
	n     map[uint32]int // symbol of the metric name -> series
}

func newMetricCounts(syms *symbols, limit int) *metricCounts {
	if limit <= 0 {
		return nil
	}
	return &metricCounts{syms: syms, limit: limit, n: map[uint32]int{}}
}

// name is the symbol of the metric name of an encoded label set, 0 without.
func (m *metricCounts) name(enc []byte) uint32 {
	for len(enc) > 0 {
		var name, value uint32
		name, enc = nextRef(enc)
		value, enc = nextRef(enc)
		if m.syms.get(name) == labels.MetricName {
			return value
		}
	}
	return 0
}

func (m *metricCounts) add(enc []byte, d int) {
	if m == nil {
		return
	}
	name := m.name(enc)
	if m.n[name] += d; m.n[name] <= 0 {
		delete(m.n, name)
	}
}

// full reports whether the metric of a new series has all that it may have.
func (m *metricCounts) full(enc []byte) bool {
	return m != nil && m.n[m.name(enc)] >= m.limit
}
