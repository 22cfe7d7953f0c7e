package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/notifications"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/chironhq/chiron/internal/promparse"
)

// Defaults of remote read, the same as Prometheus's own.
const (
	DefaultReadSampleLimit = 50_000_000
	DefaultReadConcurrency = 10
	DefaultReadFrameBytes  = 1 << 20
)

// Alertmanagers tells where alerts go.
type Alertmanagers interface {
	Alertmanagers() []*url.URL
	DroppedAlertmanagers() []*url.URL
}

// APIOptions configure the stock HTTP API. Engine, Queryable and Exemplars are
// required.
type APIOptions struct {
	Engine    promql.QueryEngine
	Queryable storage.SampleAndChunkQueryable
	Exemplars storage.ExemplarQueryable
	// Parser reads selectors and queries. nil: promparse.New without options.
	Parser parser.Parser
	// Alertmanagers are shown by /alertmanagers. nil: none.
	Alertmanagers Alertmanagers
	// ExternalLabels are added to what remote read answers. nil: none.
	ExternalLabels func() labels.Labels
	// CORSOrigin matches the origins that browsers may call from. nil: all.
	CORSOrigin *regexp.Regexp
	// ReadSampleLimit, ReadConcurrency and ReadFrameBytes bound remote read.
	// 0: 50,000,000 samples a request, 10 requests at once, 1 MiB a frame.
	ReadSampleLimit, ReadConcurrency, ReadFrameBytes int
	// Lookback and Timeout repeat what the engine was built with. 0: 5 and 2
	// minutes.
	Lookback, Timeout time.Duration
	// Gatherer feeds /status/self_metrics. nil: nothing.
	Gatherer prometheus.Gatherer
	// Logger receives failures to answer. nil: slog.Default.
	Logger *slog.Logger
	// Registerer receives the metrics of remote read. nil: none.
	Registerer prometheus.Registerer
}

// API holds the handlers of Prometheus's HTTP API v1 by the pattern they are
// registered under there, for instance "/query" or "/label/:name/values".
type API struct {
	handlers map[string]http.HandlerFunc
}

// NewAPI builds the stock API without a router, without scraping and without
// writing: which of its endpoints are served, and where, is the caller's choice.
func NewAPI(o APIOptions) (*API, error) {
	if o.Engine == nil || o.Queryable == nil || o.Exemplars == nil {
		return nil, errors.New("cannot build the query API without engine, queryable and exemplar queryable")
	}
	o = o.withDefaults()
	// The arguments of v0.316.0, in order.
	a := apiv1.NewAPI(
		o.Engine,
		o.Queryable,
		nil, // AppendableV2: only for the write and OTLP receivers, which stay off
		o.Exemplars,
		func(context.Context) apiv1.ScrapePoolsRetriever { return noScraping{} },
		func(context.Context) apiv1.TargetRetriever { return noScraping{} },
		func(context.Context) apiv1.AlertmanagerRetriever { return o.Alertmanagers },
		func() config.Config { // for remote read: external labels
			return config.Config{GlobalConfig: config.GlobalConfig{ExternalLabels: o.ExternalLabels()}}
		},
		nil,                      // flags: /status/flags is not taken from here
		apiv1.GlobalURLOptions{}, // for links to scrape targets
		func(f http.HandlerFunc) http.HandlerFunc { return f }, // readiness is the caller's
		noTSDB{}, // admin and statistics
		"",       // folder of snapshots
		false,    // admin API
		false,    // search API
		0,        // limit of a search
		o.Logger,
		func(context.Context) apiv1.RulesRetriever { return noRules{} },
		o.ReadSampleLimit,
		o.ReadConcurrency,
		o.ReadFrameBytes,
		false, // agent mode
		o.CORSOrigin,
		func() (apiv1.RuntimeInfo, error) { return apiv1.RuntimeInfo{}, nil },
		&apiv1.PrometheusVersion{},
		func() []notifications.Notification { return []notifications.Notification{} },
		func() (<-chan notifications.Notification, func(), bool) { return nil, nil, false },
		o.Gatherer,
		o.Registerer,
		nil,   // renderer of query statistics: the default
		false, // remote-write receiver
		nil,   // its message types
		false, // OTLP receiver
		false, // OTLP delta to cumulative
		false, // OTLP native delta
		o.Lookback,
		false, // type and unit labels
		false, // append metadata
		nil,   // override of status codes
		nil,   // registry of features
		apiv1.OpenAPIOptions{},
		o.Parser,
		false, // query-cost endpoints
		o.Timeout,
	)
	a.ClearCodecs()
	a.InstallCodec(jsonCodec{})
	api := &API{handlers: map[string]http.HandlerFunc{}}
	// The router is used once, to learn the handlers: the instrumentation hook
	// sees every one with its pattern.
	a.Register(route.New().WithInstrumentation(func(pattern string, h http.HandlerFunc) http.HandlerFunc {
		if pattern == "/query_range" {
			h = streamed(h)
		}
		api.handlers[pattern] = h
		return h
	}))
	return api, nil
}

func (o APIOptions) withDefaults() APIOptions {
	if o.Parser == nil {
		o.Parser = promparse.New(promparse.Options{})
	}
	if o.Alertmanagers == nil {
		o.Alertmanagers = noAlertmanagers{}
	}
	if o.ExternalLabels == nil {
		o.ExternalLabels = labels.EmptyLabels
	}
	if o.CORSOrigin == nil {
		o.CORSOrigin = AnyOrigin()
	}
	if o.ReadSampleLimit == 0 {
		o.ReadSampleLimit = DefaultReadSampleLimit
	}
	if o.ReadConcurrency == 0 {
		o.ReadConcurrency = DefaultReadConcurrency
	}
	if o.ReadFrameBytes == 0 {
		o.ReadFrameBytes = DefaultReadFrameBytes
	}
	if o.Lookback == 0 {
		o.Lookback = DefaultLookback
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultQueryTimeout
	}
	if o.Gatherer == nil {
		o.Gatherer = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// AnyOrigin matches every origin, in the one spelling that is answered with a
// plain "*".
func AnyOrigin() *regexp.Regexp { return regexp.MustCompile("^(?:.*)$") }

// Handler returns the stock handler of a pattern, or an error when the pinned
// version has none.
func (a *API) Handler(pattern string) (http.Handler, error) {
	h, ok := a.handlers[pattern]
	if !ok {
		return nil, fmt.Errorf("the stock API has no endpoint %q", pattern)
	}
	return h, nil
}

// WithParam returns r with a path parameter set for a stock handler, as
// Prometheus's own router would.
func WithParam(r *http.Request, name, value string) *http.Request {
	return r.WithContext(route.WithParam(r.Context(), name, value))
}

// noScraping answers for a server without targets.
type noScraping struct{}

func (noScraping) ScrapePools() []string                       { return []string{} }
func (noScraping) TargetsActive() map[string][]*scrape.Target  { return map[string][]*scrape.Target{} }
func (noScraping) TargetsDropped() map[string][]*scrape.Target { return map[string][]*scrape.Target{} }
func (noScraping) TargetsDroppedCounts() map[string]int        { return map[string]int{} }
func (noScraping) ScrapePoolConfig(pool string) (*config.ScrapeConfig, error) {
	return nil, fmt.Errorf("scrape pool %q not found: this server receives and does not scrape", pool)
}

// noAlertmanagers answers for a server that alerts nobody.
type noAlertmanagers struct{}

func (noAlertmanagers) Alertmanagers() []*url.URL        { return nil }
func (noAlertmanagers) DroppedAlertmanagers() []*url.URL { return nil }

// noRules keeps the stock rule endpoints empty; they know two kinds of rules
// and answer 500 for a third, so ours are served elsewhere.
type noRules struct{}

func (noRules) RuleGroups() []*rules.Group           { return nil }
func (noRules) AlertingRules() []*rules.AlertingRule { return nil }

// errNoAdmin is never reached while the admin API is off.
var errNoAdmin = errors.New("the ring has no admin API")

// noTSDB answers for a store that is not Prometheus's.
type noTSDB struct{}

func (noTSDB) CleanTombstones() error                                         { return errNoAdmin }
func (noTSDB) Delete(context.Context, int64, int64, ...*labels.Matcher) error { return errNoAdmin }
func (noTSDB) Snapshot(string, bool) error                                    { return errNoAdmin }
func (noTSDB) Stats(string, int) (*tsdb.Stats, error)                         { return nil, errNoAdmin }
func (noTSDB) WALReplayStatus() (tsdb.WALReplayStatus, error)                 { return tsdb.WALReplayStatus{}, nil }
func (noTSDB) BlockMetas() ([]tsdb.BlockMeta, error)                          { return []tsdb.BlockMeta{}, nil }
