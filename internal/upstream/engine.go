package upstream

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/internal/promparse"
	shortway "github.com/chironhq/chiron/internal/promql"
)

// Defaults of the engine, the same as Prometheus's own.
const (
	DefaultQueryTimeout     = 2 * time.Minute
	DefaultQueryMaxSamples  = 50_000_000
	DefaultQueryConcurrency = 20
	DefaultLookback         = 5 * time.Minute
)

// EngineOptions configure the PromQL engine. The zero value is usable.
type EngineOptions struct {
	// MaxSamples is how many samples one query may hold in memory at once.
	// 0: 50,000,000.
	MaxSamples int
	// Timeout is how long one query may take, and how long it may wait for its
	// turn. 0: 2 minutes.
	Timeout time.Duration
	// Concurrency is how many queries run at the same time; others wait within
	// their timeout. 0: 20; negative: no limit.
	Concurrency int
	// ActiveQueryDir is a folder for queries.active, the list of running
	// queries that is logged after a crash. Empty: no such file.
	ActiveQueryDir string
	// Lookback is how long an instant selector looks back for a sample.
	// 0: 5 minutes.
	Lookback time.Duration
	// EngineAlone has NewQueryEngine evaluate nothing the short way.
	EngineAlone bool
	// Parser reads the queries. nil: promparse.New without options.
	Parser parser.Parser
	// Logger receives what an operator can act on. nil: slog.Default.
	Logger *slog.Logger
	// Registerer receives the prometheus_engine_* metrics, and
	// chiron_query_range_total of NewQueryEngine. nil: none.
	Registerer prometheus.Registerer
}

// NewQueryEngine returns the engine with the short way of range queries before
// it, both under the same limits. The caller closes it.
func NewQueryEngine(o EngineOptions) (*shortway.Engine, error) {
	engine, err := NewEngine(o)
	if err != nil {
		return nil, err
	}
	return shortway.New(engine, shortway.Options{
		MaxSamples: cmp.Or(o.MaxSamples, DefaultQueryMaxSamples), EngineAlone: o.EngineAlone, Registerer: o.Registerer,
	})
}

// NewEngine returns Prometheus's PromQL engine with the @ modifier and negative
// offsets on, as Prometheus runs it. The caller closes it.
func NewEngine(o EngineOptions) (*promql.Engine, error) {
	if o.MaxSamples < 0 || o.Timeout < 0 || o.Lookback < 0 {
		return nil, fmt.Errorf("cannot use a negative query limit: samples %d, timeout %s, lookback %s", o.MaxSamples, o.Timeout, o.Lookback)
	}
	if o.MaxSamples == 0 {
		o.MaxSamples = DefaultQueryMaxSamples
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultQueryTimeout
	}
	if o.Concurrency == 0 {
		o.Concurrency = DefaultQueryConcurrency
	}
	if o.Lookback == 0 {
		o.Lookback = DefaultLookback
	}
	if o.Parser == nil {
		o.Parser = promparse.New(promparse.Options{})
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	tracker, err := newQueryTracker(o.ActiveQueryDir, o.Concurrency, o.Timeout, o.Logger)
	if err != nil {
		return nil, err
	}
	return promql.NewEngine(promql.EngineOpts{
		Logger:             o.Logger,
		Reg:                o.Registerer,
		MaxSamples:         o.MaxSamples,
		Timeout:            o.Timeout,
		ActiveQueryTracker: tracker,
		LookbackDelta:      o.Lookback,
		// A subquery without a step, expr[1h:], uses the global evaluation
		// interval in Prometheus; its default is one minute.
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnablePerStepStats:       true, // only for ?stats=all
		Parser:                   o.Parser,
	}), nil
}
