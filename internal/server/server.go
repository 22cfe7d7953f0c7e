// Package server is the process behind `chiron serve`: it builds the parts
// from the configuration, starts them in order, reloads what can be reloaded,
// and stops them in the opposite order.
//
// It decides nothing about numbers or consequences; that is the parts' work.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/internal/config"
	"github.com/chironhq/chiron/internal/promapi"
	"github.com/chironhq/chiron/internal/promparse"
	"github.com/chironhq/chiron/internal/promql"
	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/receiver"
	"github.com/chironhq/chiron/remediation"
	"github.com/chironhq/chiron/rules"
	"github.com/chironhq/chiron/rules/emit"
	"github.com/chironhq/chiron/tsdbcache"
)

// Options are what must be known before the configuration is read.
type Options struct {
	ConfigFile     string // empty: no rules, no alerts, no remediation
	ListenAddress  string
	WebConfigFile  string
	ExternalURL    string // empty: made of the host's name and the port
	StoragePath    string
	CacheMemory    int64 // bytes
	CacheRetention time.Duration
	Logger         *slog.Logger
	Banner         io.Writer // receives what to open and what to point here; nil: nothing
}

// drainTimeout bounds how long requests under way may take at the end.
const drainTimeout = 20 * time.Second

// server holds the parts that a reload touches.
type server struct {
	o      Options
	logger *slog.Logger
	reg    *prometheus.Registry
	cfg    atomic.Pointer[config.Config]
	start  time.Time

	db          *tsdbcache.DB
	engine      *promql.Engine
	parser      parser.Parser        // of everything that reads PromQL
	output      storage.AppendableV2 // the ring, then every remote write
	forwarders  []*emit.Forwarder    // one a remote write
	notifier    *upstream.Notifier
	rules       *rules.Manager
	remediation *remediation.Remediator // nil: off
	externalURL string

	tokens   *tokens // nil: no client needs a bearer token
	loopback bool    // only this machine can connect

	ready    atomic.Bool
	reloads  reloadStatus
	reloader chan chan error
}

// Run serves until ctx ends or a part fails.
func Run(ctx context.Context, o Options) (err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &server{o: o, logger: o.Logger, reg: prometheus.NewRegistry(), start: time.Now(), reloader: make(chan chan error)}
	s.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("chiron"))
	s.reloads.register(s.reg)
	cfg, err := s.loadConfig()
	if err != nil {
		return err
	}
	s.cfg.Store(cfg)
	s.parser = promparse.New(promparse.Options{ExperimentalFunctions: cfg.Query.ExperimentalFunctions})

	if err := s.checkAuthentication(cfg); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.ListenAddress)
	if err != nil {
		return fmt.Errorf("cannot listen: %w; choose another address with --web.listen-address", err)
	}
	defer func() { _ = listener.Close() }()
	s.externalURL = externalURL(o.ExternalURL, listener.Addr())
	s.loopback = loopback(listener.Addr())

	life := newLifecycle(s.logger)
	defer func() { err = errors.Join(err, life.stop(), s.close()) }()
	if err := s.build(cfg, life); err != nil {
		return err
	}
	if err := s.serve(life, listener); err != nil {
		return err
	}
	s.banner(listener.Addr())
	s.logger.Info("Chiron is ready", "address", listener.Addr().String(), "version", version.Info())
	select {
	case <-ctx.Done():
		s.logger.Info("stopping: answering what was taken")
	case err = <-life.failed:
		s.logger.Error("stopping: a part failed", "err", err)
	}
	s.ready.Store(false)
	return err
}

// build makes every part and starts those that run on their own.
func (s *server) build(cfg *config.Config, life *lifecycle) (err error) {
	if err := os.MkdirAll(s.o.StoragePath, 0o750); err != nil {
		return fmt.Errorf("cannot use --storage.path: %w", err)
	}
	s.db, err = tsdbcache.Open(tsdbcache.Options{
		Dir: filepath.Join(s.o.StoragePath, "ring"), Memory: s.o.CacheMemory, Retention: s.o.CacheRetention,
		OutOfOrderWindow: cfg.Receiver.OutOfOrderWindow, MaxFuture: cfg.Receiver.MaxFuture,
		MaxSeries: cfg.Receiver.MaxSeries, MaxSeriesPerMetric: cfg.Receiver.MaxSeriesPerMetric, MaxExemplars: cfg.Receiver.MaxExemplars,
		Logger: s.logger.With("part", "ring"), Registerer: s.reg,
	})
	if err != nil {
		return fmt.Errorf("cannot open the ring: %w", err)
	}
	life.start("ring", s.db.Run)
	s.engine, err = upstream.NewQueryEngine(upstream.EngineOptions{
		MaxSamples: cfg.Query.MaxSamples, Timeout: cfg.Query.Timeout, Concurrency: cfg.Query.MaxConcurrent,
		Lookback: cfg.Query.Lookback, EngineAlone: !cfg.Query.RangeShortWay, ActiveQueryDir: s.o.StoragePath, Parser: s.parser, Logger: s.logger.With("part", "query"), Registerer: s.reg,
	})
	if err != nil {
		return err
	}
	if err := s.forward(cfg, life); err != nil {
		return err
	}
	s.notifier, err = upstream.NewNotifier(upstream.NotifierOptions{
		Alerting: s.alerting(cfg), UserAgent: "Chiron/" + version.Version, Logger: s.logger.With("part", "notifier"), Registerer: s.reg,
	})
	if err != nil {
		return err
	}
	life.start("notifier", s.notifier.Run)
	<-s.notifier.Started()
	if err := s.buildRules(cfg); err != nil {
		return err
	}
	life.start("rules", s.rules.Run)
	if err := s.buildRemediation(cfg, life); err != nil {
		return err
	}
	if cfg.Self.Enabled {
		life.start("self monitor", (&selfMonitor{
			gatherer: s.reg, ring: s.db, interval: cfg.Self.Interval, logger: s.logger.With("part", "self monitor"),
			extra: selfLabels(cfg.Self, s.o.ListenAddress),
		}).Run)
	}
	life.start("reload", s.watch)
	return nil
}

// forward puts a disk queue and a sender behind the ring for every remote
// write of the configuration.
func (s *server) forward(cfg *config.Config, life *lifecycle) error {
	s.output = s.db
	for _, w := range cfg.RemoteWrite {
		client := func(protocol string) (*upstream.WriteClient, error) {
			return upstream.NewWriteClient(upstream.WriteClientOptions{
				Name: w.Name, URL: w.URL, Protocol: protocol, Timeout: w.Timeout, YAML: w.YAML, Dir: filepath.Dir(s.o.ConfigFile),
				UserAgent: "Chiron/" + version.Version,
			})
		}
		o := emit.ForwarderOptions{
			Dir: filepath.Join(s.o.StoragePath, "remote-write", w.Name), MaxBytes: w.MaxBytes,
			Logger:     s.logger.With("part", "remote write", "to", w.Name),
			Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"remote": w.Name}, s.reg),
		}
		old, err := client("1.0")
		if err != nil {
			return err
		}
		o.Fallback = old
		if w.Protocol == "2.0" {
			if o.Client, err = client("2.0"); err != nil {
				return err
			}
		}
		f, err := emit.OpenForwarder(o)
		if err != nil {
			return fmt.Errorf("cannot open the queue of remote write %q: %w", w.Name, err)
		}
		f.SetExternalLabels(cfg.Global.ExternalLabels)
		s.forwarders = append(s.forwarders, f)
		life.start("remote write "+w.Name, f.Run)
		s.output = emit.Appendable(s.output, f)
	}
	return nil
}

// serve starts the HTTP side: last to start, first to stop.
func (s *server) serve(life *lifecycle, listener net.Listener) error {
	cfg := s.cfg.Load()
	write, err := receiver.New(s.receiverOptions(cfg.Receiver))
	if err != nil {
		return err
	}
	api, err := promapi.New(promapi.Options{
		Store: s.db, Engine: s.engine, Parser: s.parser, Rules: s.ruleGroups, Alertmanagers: s.notifier, Ready: s.ready.Load,
		ConfigYAML: func() string { return s.cfg.Load().Redacted() }, Flags: s.flags(),
		ExternalLabels: func() labels.Labels { return s.cfg.Load().Global.ExternalLabels },
		Build: promapi.BuildInfo{
			Version: version.Version, Revision: version.GetRevision(), Branch: version.Branch,
			BuildUser: version.BuildUser, BuildDate: version.BuildDate, GoVersion: version.GoVersion,
		},
		Runtime: s.runtime, Lookback: cfg.Query.Lookback, Timeout: cfg.Query.Timeout,
		Gatherer: s.reg, Logger: s.logger.With("part", "api"), Registerer: s.reg,
	})
	if err != nil {
		return err
	}
	r := routes{write: write, api: api, reload: s.requestReload, ready: s.ready.Load, registry: s.reg, guarded: s.guarded, tokens: s.tokens}
	if s.remediation != nil {
		r.webhook, r.remediation = s.remediation.Webhook(), s.remediation.Routes
		r.webhookAsks = cfg.Remediation.Webhook.Authenticates()
	}
	handler, err := r.handler()
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler: handler, ReadHeaderTimeout: cmp.Or(cfg.Web.HeaderTimeout, headerTimeout), ReadTimeout: cmp.Or(cfg.Web.BodyTimeout, bodyTimeout), IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ConnState: newConnections(cfg.Web.MaxConnections, s.reg).state, ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	addresses, systemd := []string{s.o.ListenAddress}, false
	flags := &web.FlagConfig{WebListenAddresses: &addresses, WebSystemdSocket: &systemd, WebConfigFile: &s.o.WebConfigFile}
	life.start("http", func(ctx context.Context) error {
		ended := make(chan error, 1)
		go func() { ended <- web.Serve(listener, srv, flags, s.logger.With("part", "http")) }()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
		write.Drain()
		limit, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		err := srv.Shutdown(limit)
		if err != nil {
			err = errors.Join(err, srv.Close())
		}
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	s.ready.Store(true)
	return nil
}

// close gives back what build opened, after everything that used it has
// stopped.
func (s *server) close() error {
	var errs []error
	if s.remediation != nil {
		errs = append(errs, s.remediation.Close())
	}
	if s.rules != nil {
		errs = append(errs, s.rules.Close())
	}
	for _, f := range s.forwarders {
		errs = append(errs, f.Close())
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

func selfLabels(c config.Self, instance string) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set("job", "chiron")
	b.Set("instance", instance)
	for name, value := range c.Labels {
		b.Set(name, value)
	}
	return b.Labels()
}

// externalURL is where users reach the server, without a slash at the end.
func externalURL(given string, a net.Addr) string {
	if given != "" {
		return strings.TrimRight(given, "/")
	}
	host := "localhost"
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return "http://" + host
	}
	if name, err := os.Hostname(); err == nil && !tcp.IP.IsLoopback() {
		host = name
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

func (s *server) flags() map[string]string {
	return map[string]string{
		"config.file": s.o.ConfigFile, "web.listen-address": s.o.ListenAddress, "web.config.file": s.o.WebConfigFile,
		"web.external-url": s.o.ExternalURL, "storage.path": s.o.StoragePath,
		"cache.memory": strconv.FormatInt(s.o.CacheMemory, 10), "cache.retention": s.o.CacheRetention.String(),
	}
}

func (s *server) runtime() promapi.Runtime {
	at, ok := s.reloads.last()
	return promapi.Runtime{
		StartTime: s.start, LastConfigTime: at, ReloadConfigSuccess: ok,
		StorageRetention: fmt.Sprintf("%s or %d MiB", s.o.CacheRetention, s.o.CacheMemory>>20),
	}
}
