package rules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/internal/diag"
	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/rules/modelstore"
	"github.com/chironhq/chiron/tsdbcache"
)

// Options configure a Manager. Engine, Queryable and Appendable are required.
type Options struct {
	Engine     promql.QueryEngine
	Queryable  storage.Queryable
	Appendable storage.AppendableV2 // what a rule writes must be readable at once
	// Notify takes the alerts. nil: they go nowhere.
	Notify upstream.NotifyFunc
	// Parser reads the rules' expressions; it must be the engine's.
	// nil: lang.PromQL().
	Parser parser.Parser
	// DB streams what can be streamed. nil: everything is queried.
	DB *tsdbcache.DB
	// Clock tells when the slots of groups are. nil: the machine's.
	Clock Clock
	// StateDir keeps the models over restarts. Empty: they start afresh.
	StateDir string
	// StateInterval is how long a round of saving all models takes at least.
	// 0: 1m.
	StateInterval time.Duration
	// SaveBytesPerMinute limits what is written of models. A round of saving
	// takes at most a quarter of what the ring reaches back, though: then more
	// is written. 0: 64 MiB.
	SaveBytesPerMinute int64
	// ModelMemory limits the bytes that the models of all rules hold; over it
	// rules take no new series. 0: no limit.
	ModelMemory int64
	// Retention is the longest that the ring keeps a sample. A rule whose season
	// is longer says so. 0: not known.
	Retention   time.Duration
	ExternalURL string
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
	o        Options
	env      *upstream.RuleEnvironment
	metrics  *metrics
	store    *modelstore.Store // nil: models are not kept
	budget   budget
	learning chan struct{} // as many places as rules may catch up at once

	update   sync.Mutex // one Update at a time
	mu       sync.Mutex // guards what follows; nobody waits for models or files while it is held
	groups   []*group   // in the order of the files
	changes  []FileChange
	running  context.Context // nil before Run and after it
	restored bool
	buried   map[string]*burial // by key of the group, until its series have ended
	burials  sync.WaitGroup
}

// NewManager makes a manager without groups and opens the saved models. A
// damaged file of saved models is reported and set aside: models learn again.
// Close it.
func NewManager(o Options) (*Manager, error) {
	if o.Engine == nil || o.Queryable == nil || o.Appendable == nil {
		return nil, errors.New("cannot run rules without an engine and a store")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.StateInterval = cmp.Or(o.StateInterval, time.Minute)
	o.Lookback = cmp.Or(o.Lookback, 5*time.Minute)
	o.SaveBytesPerMinute = cmp.Or(o.SaveBytesPerMinute, defaultSaveLimit)
	if o.Clock == nil {
		o.Clock = wallClock{}
	}
	if o.Parser == nil {
		o.Parser = lang.PromQL()
	}
	if o.Notify == nil {
		o.Notify = func(context.Context, string, ...*upstream.RuleAlert) {}
	}
	m := &Manager{o: o, buried: map[string]*burial{}, learning: make(chan struct{}, 1)}
	m.budget.limit = o.ModelMemory
	m.metrics = newMetrics(o.Registerer, m)
	var err error
	m.env, err = upstream.NewRuleEnvironment(upstream.RuleEnvironmentOptions{
		Context: context.Background(), Engine: o.Engine, Queryable: o.Queryable, Appendable: o.Appendable, Notify: o.Notify,
		ExternalURL: o.ExternalURL, ResendDelay: o.ResendDelay, ForGracePeriod: o.ForGracePeriod,
		Parser: o.Parser, Logger: o.Logger, Registerer: o.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot run rules: %w", err)
	}
	return m, m.openStore()
}

// openStore opens the file of saved models.
func (m *Manager) openStore() error {
	if m.o.StateDir == "" {
		return nil
	}
	if err := os.MkdirAll(m.o.StateDir, 0o750); err != nil {
		return fmt.Errorf("cannot keep models: %w", err)
	}
	store, aside, err := modelstore.Open(m.stateFile())
	if aside != nil {
		m.o.Logger.Warn("saved models cannot be read; models learn again from the ring", "file", m.stateFile(), "moved_to", m.stateFile()+".damaged", "err", aside)
	}
	if err != nil && store == nil {
		return fmt.Errorf("cannot keep models: %w", err)
	}
	if err != nil { // no room; it is tried again with every round
		m.o.Logger.Error("models are not saved until there is room for their file", "err", err)
	}
	m.store = store
	return nil
}

// Close closes the file of saved models, after Run has returned.
func (m *Manager) Close() error {
	if m.store == nil {
		return nil
	}
	return m.store.Close()
}

// LoadFiles reads and checks all files that match the patterns.
func LoadFiles(patterns []string, o lang.Options) ([]*lang.File, diag.Problems, error) {
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
		file, ps := o.Load(name, text)
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
// changed, rules that are the same keep their alerts, and anomaly rules that
// learn the same keep what they have learned. It returns all problems of the
// files, warnings included; Changes tells what has become of the rules.
func (m *Manager) Update(patterns []string, s Settings) (diag.Problems, error) {
	m.update.Lock()
	defer m.update.Unlock()
	files, problems, err := LoadFiles(patterns, lang.Options{Parser: m.o.Parser})
	if err != nil {
		return problems, err
	}
	s.Interval = cmp.Or(s.Interval, time.Minute)
	m.mu.Lock()
	env, restore := m.env.With(s.ExternalLabels, s.QueryOffset), !m.restored
	old := m.groups
	m.mu.Unlock()
	var groups []*group
	for _, f := range files {
		for _, spec := range f.Groups {
			g, err := m.newGroup(env, f.Name, spec, s, restore)
			if err != nil {
				return problems, fmt.Errorf("cannot build group %q of %s: %w", spec.Name, f.Name, err)
			}
			groups = append(groups, g)
		}
	}
	m.replace(old, groups)
	return problems, nil
}

// Changes are those of the newest Update, by file.
func (m *Manager) Changes() []FileChange {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.changes)
}

// replace hands over from the old groups to the new ones.
func (m *Manager) replace(old, groups []*group) {
	before := map[string]*group{}
	for _, g := range old {
		before[g.key()] = g
	}
	var begin, kept, stopped []*group
	for i, g := range groups {
		if o := before[g.key()]; o != nil && o.same(g) {
			groups[i] = o
			kept = append(kept, o)
			delete(before, g.key())
		} else {
			begin = append(begin, g)
		}
	}
	for _, g := range old {
		if before[g.key()] == g {
			stopped = append(stopped, g)
		}
	}
	stopAll(stopped)
	buried := m.buriedGroups() // before some are called off, which forgets them
	for _, g := range begin {
		if o := before[g.key()]; o != nil {
			g.CopyState(o.RuleGroup)
			g.last, g.before = o.last, o.Interval()
			g.keep.inherit(o.keep)
			delete(before, g.key())
		} else {
			m.exhume(g)
		}
	}
	learned := m.handOver(begin, append(slices.Clone(stopped), buried...), kept)
	if err := m.adopt(begin); err != nil && !errors.Is(err, modelstore.ErrClosed) { // the next round of saving tries again
		m.o.Logger.Error("models of new rules are not saved yet", "err", err)
	}
	changes := compare(old, groups, learned)
	for _, c := range changes {
		c.log(m.o.Logger)
	}
	for _, g := range stopped {
		g.close()
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	m.groups, m.restored, m.changes = groups, true, changes
	if m.running == nil {
		return
	}
	for _, g := range before {
		m.bury(g)
	}
	for _, g := range begin {
		g.start(m.running)
	}
}

// stopAll stops groups side by side.
func stopAll(groups []*group) {
	for _, g := range groups {
		if g.cancel != nil {
			g.cancel()
		}
	}
	for _, g := range groups {
		g.stop()
	}
}

// buriedGroups are groups that have gone and whose models are still there.
func (m *Manager) buriedGroups() (out []*group) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.buried)) {
		out = append(out, m.buried[key].group)
	}
	return out
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

// exhume hands the series and alerts over to a group that was gone for less
// than its burial takes.
func (m *Manager) exhume(g *group) {
	m.mu.Lock()
	b := m.buried[g.key()]
	m.mu.Unlock()
	if b != nil && b.callOff() {
		g.CopyState(b.group.RuleGroup)
		g.last, g.before = b.group.last, b.group.Interval()
		g.keep.inherit(b.group.keep)
	}
}

// Run evaluates all groups until ctx ends, then saves the models.
func (m *Manager) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	m.update.Lock() // what an update under way stops must not be started
	m.mu.Lock()
	m.running = inner
	for _, g := range m.groups {
		g.start(inner)
	}
	m.mu.Unlock()
	m.update.Unlock()
	s := &saver{m: m, fates: map[*anomalyRule]fate{}}
	if m.store != nil {
		s.run(ctx)
	} else {
		<-ctx.Done()
	}

	m.update.Lock() // an update under way ends first
	defer m.update.Unlock()
	m.mu.Lock()
	m.running = nil
	cancel()
	groups := m.groups
	m.mu.Unlock()
	stopAll(groups)
	m.burials.Wait()
	defer func() {
		for _, g := range groups {
			g.close()
		}
	}()
	if m.store == nil {
		return nil
	}
	return s.end()
}

func (m *Manager) snapshotGroups() []*group {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.groups)
}

func (m *Manager) stateFile() string { return filepath.Join(m.o.StateDir, "models.db") }

// held is how many bytes all models hold.
func (m *Manager) held() (n int64) {
	for _, g := range m.snapshotGroups() {
		for _, a := range g.anomalies {
			n += a.report.Load().held
		}
	}
	return n
}

// reach is how far back the ring reaches; 0 when that is not known, or when the
// ring has given nothing back yet, so that it still grows.
func (m *Manager) reach() time.Duration {
	if m.o.DB == nil || m.o.DB.Evicted() == 0 {
		return 0
	}
	oldest, err := m.o.DB.StartTime()
	if err != nil || oldest == 0 {
		return 0
	}
	return max(m.o.Clock.Now().Sub(time.UnixMilli(oldest)), 0)
}
