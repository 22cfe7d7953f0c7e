package tsdbcache

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync"

	"github.com/prometheus/prometheus/storage"
)

// DB is the ring. Its methods may be called from any goroutine.
type DB struct {
	opts  Options
	clock clock
	lock  *dirLock // nil without Dir
	syms  *symbols

	mem     *offHeap
	keySeed uint64

	// mu guards everything below. A commit holds it for writing once; a query
	// holds it for reading while it notes positions and copies pages.
	mu     sync.RWMutex
	closed bool
	arena  *arena
	series *seriesTable
	post   *postings
	pack   packer
	refs   []uint32             // scratch space of whoever holds mu for writing
	hists  map[uint32]*histTail // series with an open histogram chunk
	lates  map[uint32]*histTail // series with an open chunk of late histograms
	log    *seriesLog           // nil without Dir
	ex     *exemplars
	meta   *metas
	taps   taps
	pend   int // pending series
	nraw   int // raw pages in use
	n      counters
	rec    recovery
	snaps  snapshots
	edge   edge

	txs    txSet
	reg    *collector
	syncMu sync.Mutex // held while files are synced; before mu
}

var (
	_ storage.Storage           = (*DB)(nil)
	_ storage.ExemplarQueryable = (*DB)(nil)
)

// Open maps the ring and, with a directory, takes back what an earlier process
// left there.
func Open(o Options) (*DB, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	seed := rand.Uint64()
	db := &DB{
		opts: o, clock: newClock(o.Now), keySeed: rand.Uint64(), syms: newSymbols(seed), post: newPostings(),
		hists: map[uint32]*histTail{}, lates: map[uint32]*histTail{}, meta: newMetas(),
	}
	db.mem = newOffHeap(db)
	db.snaps.limit = maxUndo
	db.series = newSeriesTable(db.mem, seed)
	db.series.metrics = newMetricCounts(db.syms, o.MaxSeriesPerMetric)
	db.ex = newExemplars(max(o.MaxExemplars, 0))
	if o.Dir == "" {
		if db.arena, err = newArena(db.mem, "", o.Memory); err != nil {
			return nil, err
		}
	} else if err := db.openDir(); err != nil {
		if db.arena != nil {
			err = errors.Join(err, db.arena.close())
		}
		if db.log != nil {
			err = errors.Join(err, db.log.close())
		}
		err = errors.Join(err, db.ex.close(), db.lock.release())
		return nil, err
	}
	if o.Registerer != nil {
		db.reg = newCollector(db)
		if err := o.Registerer.Register(db.reg); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

func (db *DB) path(name string) string { return filepath.Join(db.opts.Dir, name) }

// Close syncs and unmaps the ring. Transactions and queriers that are still
// open fail afterwards.
func (db *DB) Close() error {
	db.syncMu.Lock()
	defer db.syncMu.Unlock()
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	var errs []error
	if db.log != nil {
		errs = append(errs, db.log.sync(), db.ex.sync(), db.arena.sync(), db.log.close(), db.ex.close())
	}
	errs = append(errs, db.arena.close(), db.lock.release())
	if db.reg != nil {
		db.opts.Registerer.Unregister(db.reg)
	}
	if c := db.series.keys.others.Load(); c != nil {
		c.Reset()
	}
	return errors.Join(errs...)
}

// StartTime is the time of the oldest sample in milliseconds, 0 while there is
// none.
func (db *DB) StartTime() (int64, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return 0, ErrClosed
	}
	minT, _, ok := db.bounds()
	if !ok {
		return 0, nil
	}
	return minT, nil
}

// Appender returns an appender whose methods all fail: the old interface
// cannot carry what AppenderV2 does, and nothing here calls it.
func (db *DB) Appender(context.Context) storage.Appender { return appenderV1{} }

// txSet knows which transactions and queriers are open, so that numbers they
// may hold are not given to something else.
type txSet struct {
	mu   sync.Mutex
	last uint64
	open []uint64
	idle []*Tx
}

func (s *txSet) begin() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.open = append(s.open, s.last)
	return s.last
}

func (s *txSet) end(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, x := range s.open {
		if x == n {
			s.open[i] = s.open[len(s.open)-1]
			s.open = s.open[:len(s.open)-1]
			return
		}
	}
}

// oldest is a number that no open one is below; newest the one handed out last.
func (s *txSet) oldest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	least := s.last + 1
	for _, x := range s.open {
		least = min(least, x)
	}
	return least
}

func (s *txSet) newest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}
