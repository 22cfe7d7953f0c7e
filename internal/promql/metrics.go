package promql

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// way is who answered a range query. Its word is stable.
type way string

const (
	wayShort  way = "short"  // the short way
	wayEngine way = "engine" // the engine: the shape is not known, or the short way is off
	wayBoth   way = "both"   // the engine, after the short way had met what it does not know
)

// newQueries returns the counter of range queries.
func newQueries(reg prometheus.Registerer) (*prometheus.CounterVec, error) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chiron_query_range_total",
		Help: "Range queries by the way they were evaluated: short, engine, or both where the short way was begun in vain.",
	}, []string{"way"})
	for _, w := range []way{wayShort, wayEngine, wayBoth} {
		c.WithLabelValues(string(w))
	}
	if reg == nil {
		return c, nil
	}
	if err := reg.Register(c); err != nil {
		return nil, fmt.Errorf("cannot register the metric of range queries: %w", err)
	}
	return c, nil
}
