package rules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/internal/diag"
	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/tsdbcache"
)

// Options configure a Manager. Engine, Queryable and Appendable are required.
type Options struct {
	Engine     promql.QueryEngine
	Queryable  storage.Queryable
	Appendable storage.AppendableV2 // what a rule writes must be readable at once
	// Notify takes the alerts. nil: they go nowhere.
	Notify upstream.NotifyFunc
	// DB streams what can be streamed. nil: everything is queried.
	DB *tsdbcache.DB
	// StateDir keeps the models over restarts. Empty: they start afresh.
	StateDir string
	// StateInterval is how often the models are saved. 0: 1m.
	StateInterval time.Duration
	ExternalURL   string
	// Lookback is the engine's. 0: 5m.
	Lookback time.Duration
	// ForGracePeriod and ResendDelay as in Prometheus. 0: 10m and 1m.
	ForGracePeriod, ResendDelay time.Duration
	Logger                      *slog.Logger
	Registerer                  prometheus.Registerer
}

// Settings are what a reload can change besides the files.
type Settings struct {
	// Interval of groups that set none. 0: 1m.
	Interval time.Duration
	// QueryOffset of groups that set none.
	QueryOffset    time.Duration
	ExternalLabels labels.Labels
}

// Manager owns all groups.
type Manager struct {
	o       Options
	env     *upstream.RuleEnvironment
	metrics *metrics

	update   sync.Mutex // one Update at a time
	mu       sync.Mutex // guards what follows
	groups   []*group   // in the order of the files
	saved    map[string]savedRule
	running  context.Context // nil before Run and after it
	restored bool
	buried   map[string]*burial // by key of the group, until its series have ended
	burials  sync.WaitGroup
}

// NewManager makes a manager without groups and reads the saved models. A
// damaged file of saved models is reported and set aside: models learn again.
func NewManager(o Options) (*Manager, error) {
	if o.Engine == nil || o.Queryable == nil || o.Appendable == nil {
		return nil, errors.New("cannot run rules without an engine and a store")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.StateInterval == 0 {
		o.StateInterval = time.Minute
	}
	if o.Lookback == 0 {
		o.Lookback = 5 * time.Minute
	}
	if o.Notify == nil {
		o.Notify = func(context.Context, string, ...*upstream.RuleAlert) {}
	}
	m := &Manager{o: o, buried: map[string]*burial{}}
	m.metrics = newMetrics(o.Registerer, m)
	var err error
	m.env, err = upstream.NewRuleEnvironment(upstream.RuleEnvironmentOptions{
		Context: context.Background(), Engine: o.Engine, Queryable: o.Queryable, Appendable: o.Appendable, Notify: o.Notify,
		ExternalURL: o.ExternalURL, ResendDelay: o.ResendDelay, ForGracePeriod: o.ForGracePeriod,
		Parser: lang.PromQL(), Logger: o.Logger, Registerer: o.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot run rules: %w", err)
	}
	if o.StateDir == "" {
		return m, nil
	}
	if err := os.MkdirAll(o.StateDir, 0o750); err != nil {
		return nil, fmt.Errorf("cannot keep models: %w", err)
	}
	if m.saved, err = loadState(m.stateFile()); err != nil {
		aside := m.stateFile() + ".damaged"
		o.Logger.Warn("saved models cannot be read; models learn again from the ring", "err", err, "moved_to", aside)
		if err := os.Rename(m.stateFile(), aside); err != nil {
			return nil, fmt.Errorf("cannot set damaged models aside: %w", err)
		}
	}
	return m, nil
}

// LoadFiles reads and checks all files that match the patterns.
func LoadFiles(patterns []string) ([]*lang.File, diag.Problems, error) {
	var names []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot use rule file pattern %q: %w", pattern, err)
		}
		if len(found) == 0 && !strings.ContainsAny(pattern, "*?[") {
			return nil, nil, fmt.Errorf("cannot read rule file %s: no such file", pattern)
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	var files []*lang.File
	var problems diag.Problems
	for _, name := range slices.Compact(names) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, problems, fmt.Errorf("cannot read rule file: %w", err)
		}
		file, ps := lang.Load(name, text)
		problems = append(problems, ps...)
		if !ps.HasErrors() {
			files = append(files, file)
		}
	}
	if !problems.HasErrors() {
		problems = append(problems, lang.CheckFiles(files...)...)
	}
	return files, problems, problems.Err()
}

// Update replaces the groups by those of the files that match the patterns,
// all or nothing. Groups that are the same go on undisturbed; in those that
// changed, rules that are the same keep alerts and models. It returns all
// problems of the files, warnings included.
func (m *Manager) Update(patterns []string, s Settings) (diag.Problems, error) {
	m.update.Lock()
	defer m.update.Unlock()
	files, problems, err := LoadFiles(patterns)
	if err != nil {
		return problems, err
	}
	if s.Interval == 0 {
		s.Interval = time.Minute
	}
	m.mu.Lock()
	env, restore := m.env.With(s.ExternalLabels, s.QueryOffset), !m.restored
	old := m.groups
	m.mu.Unlock()
	var groups []*group
	for _, f := range files {
		for _, spec := range f.Groups {
			g, err := m.newGroup(env, f.Name, spec, s.Interval, restore)
			if err != nil {
				return problems, fmt.Errorf("cannot build group %q of %s: %w", spec.Name, f.Name, err)
			}
			groups = append(groups, g)
		}
	}
	m.replace(old, groups)
	return problems, nil
}

// replace hands over from the old groups to the new ones.
func (m *Manager) replace(old, groups []*group) {
	before := map[string]*group{}
	for _, g := range old {
		before[g.key()] = g
	}
	var begin []*group
	for i, g := range groups {
		key := g.key()
		o := before[key]
		delete(before, key)
		switch {
		case o != nil && o.Equals(g.RuleGroup):
			groups[i] = o
			continue
		case o != nil:
			o.stop()
			g.CopyState(o.RuleGroup)
			g.inherit(o)
			o.close()
		default:
			g.inheritSaved(m.saved)
			m.exhume(g)
		}
		begin = append(begin, g)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.groups, m.restored, m.saved = groups, true, nil
	for _, g := range before {
		g.stop()
		g.close()
		if m.running != nil {
			m.bury(g)
		}
	}
	if m.running != nil {
		for _, g := range begin {
			g.start(m.running)
		}
	}
}

// bury lets a group's series end. The lock is held.
func (m *Manager) bury(g *group) {
	ctx, cancel := context.WithCancel(m.running)
	b := &burial{group: g, cancel: cancel, done: make(chan struct{})}
	m.buried[g.key()] = b
	m.burials.Go(func() {
		defer cancel()
		b.bury(ctx)
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.buried[g.key()] == b {
			delete(m.buried, g.key())
		}
	})
}

// exhume hands over to a group that was gone for less than its burial takes.
func (m *Manager) exhume(g *group) {
	m.mu.Lock()
	b := m.buried[g.key()]
	m.mu.Unlock()
	if b != nil && b.callOff() {
		g.CopyState(b.group.RuleGroup)
		g.inherit(b.group)
	}
}

// inherit takes the models of equal rules over.
func (g *group) inherit(from *group) {
	byKey := map[string]*anomalyRule{}
	for _, a := range from.anomalies {
		byKey[a.key] = a
	}
	for _, a := range g.anomalies {
		if o := byKey[a.key]; o != nil {
			a.take(o)
		}
	}
}

// Run evaluates all groups until ctx ends, then saves the models.
func (m *Manager) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	m.mu.Lock()
	m.running = inner
	for _, g := range m.groups {
		g.start(inner)
	}
	m.mu.Unlock()
	m.saveLoop(ctx)

	m.mu.Lock()
	m.running = nil
	cancel()
	groups := m.groups
	m.mu.Unlock()
	for _, g := range groups {
		g.stop()
		defer g.close()
	}
	m.burials.Wait()
	if m.o.StateDir == "" {
		return nil
	}
	return m.save()
}

func (m *Manager) saveLoop(ctx context.Context) {
	tick := time.NewTicker(m.o.StateInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if m.o.StateDir == "" {
				continue
			}
			if err := m.save(); err != nil {
				m.o.Logger.Error("models not saved; after a crash they learn from the ring again", "err", err)
			}
		}
	}
}

func (m *Manager) snapshotGroups() []*group {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.groups)
}

func (m *Manager) stateFile() string { return filepath.Join(m.o.StateDir, "models") }
