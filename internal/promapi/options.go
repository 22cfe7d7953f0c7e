package promapi

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/internal/promparse"
	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/tsdbcache"
)

// Store is what is asked: *tsdbcache.DB.
type Store interface {
	storage.SampleAndChunkQueryable
	storage.ExemplarQueryable
	// EachMetadata calls f for each metric family until f returns false.
	EachMetadata(f func(family string, m metadata.Metadata) bool)
	// Stats describes the store with top lists of at most limit lines.
	Stats(limit int) tsdbcache.Stats
}

// Options configure the API. Store and Engine are required; the zero value of
// the rest is usable. Limits of a query (samples, time, how many at once) are
// the engine's.
type Options struct {
	Store  Store
	Engine promql.QueryEngine
	// Parser must be the engine's. nil: promparse.New without options.
	Parser parser.Parser
	// Rules returns a snapshot of all rule groups in a stable order. nil: none.
	Rules func() []Group
	// Alertmanagers are shown by /alertmanagers. nil: none.
	Alertmanagers upstream.Alertmanagers
	// Ready tells whether queries can be answered; until then everything but
	// /status/walreplay answers 503. nil: always.
	Ready func() bool
	// ConfigYAML returns the configuration with secrets blanked out. nil: empty.
	ConfigYAML func() string
	// Flags are shown by /status/flags.
	Flags map[string]string
	// ExternalLabels are added to what remote read answers. nil: none.
	ExternalLabels func() labels.Labels
	// Build is shown by /status/buildinfo.
	Build BuildInfo
	// Runtime is shown by /status/runtimeinfo. nil: only what the process
	// knows of itself.
	Runtime func() Runtime
	// CORSOrigin is a regular expression for the whole origin that browsers may
	// call from. Empty: all origins.
	CORSOrigin string
	// ReadSampleLimit, ReadConcurrency and ReadFrameBytes bound remote read.
	// 0: 50,000,000 samples a request, 10 requests at once, 1 MiB a frame.
	ReadSampleLimit, ReadConcurrency, ReadFrameBytes int
	// Lookback and Timeout repeat what the engine was built with. 0: 5 and 2
	// minutes.
	Lookback, Timeout time.Duration
	// Now is the clock of /status/runtimeinfo. nil: time.Now.
	Now func() time.Time
	// Gatherer feeds /status/self_metrics. nil: nothing.
	Gatherer prometheus.Gatherer
	// Logger receives failures to answer. nil: slog.Default.
	Logger *slog.Logger
	// Registerer receives the metrics. nil: none.
	Registerer prometheus.Registerer
}

// BuildInfo says what is running. Grafana takes a server whose answer has
// features for another product, so there are none.
type BuildInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}

// Runtime is what the server knows about its own run.
type Runtime struct {
	StartTime time.Time
	// LastConfigTime is when the running configuration was read, and
	// ReloadConfigSuccess whether the last attempt to read it succeeded.
	LastConfigTime      time.Time
	ReloadConfigSuccess bool
	// CorruptionCount counts damaged records that were cut away.
	CorruptionCount int64
	// StorageRetention says how far back the store may reach, for instance
	// "24h or 1GiB".
	StorageRetention string
}

// withDefaults returns o with every zero field replaced and the origin
// compiled, or says what is missing.
func (o Options) withDefaults() (Options, *regexp.Regexp, error) {
	if o.Store == nil || o.Engine == nil {
		return o, nil, errors.New("cannot serve the query API without a store and an engine")
	}
	if o.Parser == nil {
		o.Parser = promparse.New(promparse.Options{})
	}
	if o.Rules == nil {
		o.Rules = func() []Group { return nil }
	}
	if o.Ready == nil {
		o.Ready = func() bool { return true }
	}
	if o.ConfigYAML == nil {
		o.ConfigYAML = func() string { return "" }
	}
	if o.Flags == nil {
		o.Flags = map[string]string{}
	}
	if o.Runtime == nil {
		o.Runtime = func() Runtime { return Runtime{ReloadConfigSuccess: true} }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	origin := upstream.AnyOrigin()
	if o.CORSOrigin != "" {
		var err error
		if origin, err = regexp.Compile("^(?:" + o.CORSOrigin + ")$"); err != nil {
			return o, nil, fmt.Errorf("cannot use the CORS origin: %w", err)
		}
	}
	return o, origin, nil
}
