package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chironhq/chiron/internal/config"
	"github.com/chironhq/chiron/internal/diag"
	"github.com/chironhq/chiron/internal/upstream"
)

// settle is how long files must be quiet before a change is read: editors and
// config maps change a folder in several steps.
const settle = time.Second

// loadConfig reads the configuration file, or gives the defaults without one.
func (s *server) loadConfig() (*config.Config, error) {
	if s.o.ConfigFile == "" {
		return config.Default(), nil
	}
	cfg, problems, err := config.Load(s.o.ConfigFile)
	if err != nil {
		return nil, err
	}
	s.warn(problems)
	return cfg, nil
}

func (s *server) warn(problems diag.Problems) {
	for _, p := range problems {
		if p.Severity == diag.Warning {
			s.logger.Warn("check", "problem", p.String())
		}
	}
}

// alerting is what the notifier takes from a configuration.
func (s *server) alerting(cfg *config.Config) upstream.Alerting {
	return upstream.Alerting{
		YAML: cfg.Alerting, Dir: filepath.Dir(s.o.ConfigFile), ExternalLabels: cfg.Global.ExternalLabels, ExternalURL: s.externalURL,
	}
}

// reload applies the configuration file as it is now, entirely or not at all:
// everything is checked before anything changes.
func (s *server) reload() error {
	cfg, err := s.loadConfig()
	if err != nil {
		return err
	}
	if err := upstream.ParseAlerting(s.alerting(cfg)); err != nil {
		return err
	}
	policies, err := s.loadPolicies(cfg)
	if err != nil {
		return err
	}
	if err := s.updateRules(cfg); err != nil { // all or nothing by itself
		return err
	}
	if err := s.notifier.Apply(s.alerting(cfg)); err != nil {
		return err
	}
	for _, f := range s.forwarders {
		f.SetExternalLabels(cfg.Global.ExternalLabels)
	}
	if s.remediation != nil && policies != nil {
		s.remediation.SetPolicies(policies)
	}
	old := s.cfg.Swap(cfg)
	for _, c := range []struct {
		section  string
		old, new any
	}{
		{"receiver", old.Receiver, cfg.Receiver},
		{"web", old.Web, cfg.Web},
		{"query", old.Query, cfg.Query},
		{"models", old.Models, cfg.Models},
		{"remote_write", old.RemoteWrite, cfg.RemoteWrite},
		{"self_monitor", old.Self, cfg.Self},
		{"remediation.kubernetes", old.Remediation.Kubernetes, cfg.Remediation.Kubernetes},
		{"remediation.webhook", old.Remediation.Webhook, cfg.Remediation.Webhook},
		{"remediation.policy_files (first or last)", old.Remediation.Enabled(), cfg.Remediation.Enabled()},
	} {
		if !reflect.DeepEqual(c.old, c.new) {
			s.logger.Warn("this section has changed and needs a restart to take effect", "section", c.section)
		}
	}
	return nil
}

// requestReload has the reload part do a reload and waits for its outcome.
func (s *server) requestReload() error {
	done := make(chan error, 1)
	select {
	case s.reloader <- done:
		return <-done
	case <-time.After(10 * time.Second):
		return errors.New("another reload is under way")
	}
}

// watch reloads on SIGHUP, on request, and when a file of the configuration
// changes. A failed reload changes nothing and is logged and counted.
func (s *server) watch(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("cannot watch files: %w", err)
	}
	defer func() { _ = watcher.Close() }()
	seen := s.observe(watcher)
	quiet := time.NewTimer(0)
	<-quiet.C
	apply := func(why string) error {
		err := s.reload()
		s.reloads.record(time.Now(), err)
		if err != nil {
			s.logger.Error("not reloaded, the previous configuration stays", "why", why, "err", err)
		} else {
			s.logger.Info("reloaded", "why", why)
		}
		seen = s.observe(watcher)
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			_ = apply("SIGHUP")
		case done := <-s.reloader:
			done <- apply("request")
		case <-watcher.Events:
			quiet.Reset(settle)
		case err := <-watcher.Errors:
			s.logger.Warn("cannot watch files", "err", err)
		case <-quiet.C:
			if now := s.contents(); !reflect.DeepEqual(now, seen) {
				seen = now
				_ = apply("a file has changed")
			}
		}
	}
}

// observe watches the folders of all files of the configuration: files that
// are replaced, as config maps are, keep their folder.
func (s *server) observe(w *fsnotify.Watcher) map[string]string {
	if s.o.ConfigFile == "" {
		return nil
	}
	for _, pattern := range s.files() {
		if err := w.Add(filepath.Dir(pattern)); err != nil {
			s.logger.Debug("cannot watch a folder", "err", err)
		}
	}
	return s.contents()
}

func (s *server) files() []string {
	cfg := s.cfg.Load()
	patterns := []string{s.o.ConfigFile}
	patterns = append(patterns, cfg.RuleFiles...)
	return append(patterns, cfg.Remediation.PolicyFiles...)
}

// contents maps every file of the configuration to its text.
func (s *server) contents() map[string]string {
	out := map[string]string{}
	for _, pattern := range s.files() {
		names, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil {
				out[name] = string(text)
			}
		}
	}
	return out
}

// reloadStatus is how the last reload went.
type reloadStatus struct {
	mu      sync.Mutex
	at      time.Time
	ok      bool
	success prometheus.Gauge
	when    prometheus.Gauge
}

func (r *reloadStatus) register(reg prometheus.Registerer) {
	r.success = prometheus.NewGauge(prometheus.GaugeOpts{Name: "chiron_config_last_reload_successful", Help: "Whether the last reload of the configuration succeeded."})
	r.when = prometheus.NewGauge(prometheus.GaugeOpts{Name: "chiron_config_last_reload_success_timestamp_seconds", Help: "When the running configuration was read."})
	reg.MustRegister(r.success, r.when)
	r.record(time.Now(), nil)
}

func (r *reloadStatus) record(t time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ok = err == nil
	if !r.ok {
		r.success.Set(0)
		return
	}
	r.at = t
	r.success.Set(1)
	r.when.Set(float64(t.UnixMilli()) / 1000)
}

func (r *reloadStatus) last() (at time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at, r.ok
}
