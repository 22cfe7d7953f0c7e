package tsdbcache

import (
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a DB. The zero value is usable: a ring of 1 GiB in
// anonymous memory that nothing survives.
type Options struct {
	// Dir holds the ring's files. Empty: anonymous memory, nothing survives.
	Dir string
	// Memory is the size of the ring in bytes, mapped once. 0: 1 GiB.
	Memory int64
	// Retention drops closed pages whose newest sample is older than this.
	// 0: only what fits limits how far back the ring reaches.
	Retention time.Duration
	// OutOfOrderWindow is how far behind the newest sample of its series a
	// late sample may be. 0: 10 minutes; negative: unbounded.
	OutOfOrderWindow time.Duration
	// MaxFuture is how far ahead of Now a sample may be. 0: 10 minutes;
	// negative: unbounded.
	MaxFuture time.Duration
	// MaxSeries limits the series held at one time. 0: the pages limit them.
	MaxSeries int
	// MaxSeriesPerMetric limits the series of one metric name. 0: no limit.
	MaxSeriesPerMetric int
	// MaxExemplars limits the exemplars held over all series. 0: 100,000.
	// Negative: exemplars are refused.
	MaxExemplars int
	// SyncInterval is how often Run forces pages and logs to disk, so what a
	// power cut can lose at most. A killed process loses nothing. 0: 5 s.
	SyncInterval time.Duration
	// Now is the clock of MaxFuture, Retention and idle series. nil: time.Now.
	Now func() time.Time
	// Logger receives what an operator can act on. nil: slog.Default.
	Logger *slog.Logger
	// Registerer receives the metrics. nil: they are registered nowhere.
	Registerer prometheus.Registerer
}

const (
	defaultMemory       = 1 << 30
	minMemory           = 16 << 10
	defaultWindow       = 10 * time.Minute
	defaultMaxExemplars = 100_000
	defaultSync         = 5 * time.Second
)

// withDefaults returns o with every zero field replaced, or says which field
// cannot be used.
func (o Options) withDefaults() (Options, error) {
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Memory < minMemory {
		return o, fmt.Errorf("cannot use a ring of %d bytes: at least %d are needed", o.Memory, minMemory)
	}
	if o.Memory/pageSize > math.MaxUint32-1 {
		return o, fmt.Errorf("cannot use a ring of %d bytes: at most %d pages of %d bytes can be addressed", o.Memory, math.MaxUint32-1, pageSize)
	}
	if o.Retention < 0 || o.MaxSeries < 0 || o.MaxSeriesPerMetric < 0 {
		return o, fmt.Errorf("cannot use a negative limit: retention %v, series %d, of a metric %d", o.Retention, o.MaxSeries, o.MaxSeriesPerMetric)
	}
	if o.OutOfOrderWindow == 0 {
		o.OutOfOrderWindow = defaultWindow
	}
	if o.MaxFuture == 0 {
		o.MaxFuture = defaultWindow
	}
	if o.MaxExemplars == 0 {
		o.MaxExemplars = defaultMaxExemplars
	}
	if o.SyncInterval <= 0 {
		o.SyncInterval = defaultSync
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}
