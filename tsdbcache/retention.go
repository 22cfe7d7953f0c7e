package tsdbcache

import (
	"context"
	"errors"
	"os"
	"time"
)

const (
	// idleScan is how often Run looks for series without new samples; one is
	// idle, and its pages are closed, after one to two scans. While more than
	// half of the pages are open it looks more often: closing a series early
	// wastes the rest of its pages, but room for new series counts more then.
	idleScan     = time.Hour
	idleScanFull = 5 * time.Minute
	// lockSlice is how many series one hold of the lock visits.
	lockSlice = 4096
	// minDead is how many series must have left before a commit sweeps.
	minDead = 1024
	// compactBytes is the size below which a series log is never compacted.
	compactBytes = 1 << 20
)

// Run does the background duties until ctx ends: it syncs to disk, drops what
// is behind the retention, closes idle series and compacts the series log.
func (db *DB) Run(ctx context.Context) error {
	ticker := time.NewTicker(db.opts.SyncInterval)
	defer ticker.Stop()
	scanned := db.opts.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := db.opts.Now()
		db.expire()
		if d := now.Sub(scanned); d >= db.idleInterval() || d < 0 {
			scanned = now
			db.closeIdle()
			db.sweepNow()
		}
		if err := db.Sync(); err != nil {
			db.opts.Logger.Error("cannot sync the ring to disk; a power cut would lose samples", "err", err)
		}
	}
}

func (db *DB) idleInterval() time.Duration {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if _, open, _ := db.pageCounts(); 2*open > int(db.arena.n) {
		return idleScanFull
	}
	return idleScan
}

// Sync forces pages and logs to disk: the series log first, so that no page on
// disk names a series that is not.
func (db *DB) Sync() error {
	db.syncMu.Lock()
	defer db.syncMu.Unlock()
	db.mu.Lock()
	if db.closed || db.log == nil {
		db.mu.Unlock()
		return nil
	}
	if l := db.log; l.size > compactBytes && l.records > 2*(db.series.live+db.pend) {
		if err := l.compact(db); err != nil {
			db.n.logErrors++
			db.opts.Logger.Error("cannot compact the series log", "err", err)
		}
	}
	var files []*os.File
	for _, l := range []*recordLog{db.log.recordLog, db.ex.log} {
		if l.dirty {
			files = append(files, l.file)
			l.dirty = false
		}
	}
	a := db.arena
	db.mu.Unlock()
	var errs []error
	for _, f := range files {
		// A log that was compacted meanwhile is synced and its old file closed.
		if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, a.sync())...)
}

// expire drops closed chunks whose samples are all behind the retention.
func (db *DB) expire() {
	if db.opts.Retention == 0 {
		return
	}
	earliest, _ := db.clock.bounds()
	limit := earliest.Add(-db.opts.Retention).UnixMilli()
	for more := true; more; {
		db.mu.Lock()
		more = false
		for range lockSlice {
			if db.closed || db.arena.qlen == 0 || db.arena.page(db.arena.queue[db.arena.qhead]).maxT() >= limit {
				break
			}
			more = db.evict(0)
		}
		db.mu.Unlock()
	}
}

// closeIdle closes the pages of every series that has had no new sample since
// the scan before.
func (db *DB) closeIdle() {
	for from, more := uint32(1), true; more; from += lockSlice {
		db.mu.Lock()
		more = !db.closed && from < db.series.next
		for slot := from; more && slot < min(from+lockSlice, db.series.next); slot++ {
			c := db.series.cold(slot)
			if c.state != stateLive {
				continue
			}
			e := db.series.entry(slot)
			mark := uint32(e.lastT)<<1 ^ e.lateN<<2 | 1
			if c.mark == mark && (e.raw != 0 || e.open != 0 || e.late != 0) {
				db.closeSeries(slot, e)
			}
			c.mark = mark
		}
		db.mu.Unlock()
	}
}

// maybeSweep frees what series that left still hold, once it is worth a pass.
func (db *DB) maybeSweep() {
	if n := len(db.series.dead); n >= minDead && n >= db.series.live/8 || db.syms.crowded() {
		db.sweep()
	}
}

func (db *DB) sweepNow() {
	db.mu.Lock()
	defer db.mu.Unlock()
	if !db.closed {
		db.sweep()
	}
}

// sweep takes dead series out of the posting lists and lets their slots and
// symbols be used again, but for those that an open transaction may know.
func (db *DB) sweep() {
	oldest := db.txs.oldest()
	pairs := map[uint64]struct{}{}
	gone := map[uint32]bool{}
	keep := db.series.dead[:0]
	var refs []uint32
	for _, d := range db.series.dead {
		if d.tx >= oldest || db.series.cold(d.slot).pend > 0 {
			keep = append(keep, d)
			continue
		}
		gone[d.slot] = true
		refs = decodeRefs(refs[:0], db.series.encoded(d.slot))
		for i := 0; i+1 < len(refs); i += 2 {
			pairs[uint64(refs[i])<<32|uint64(refs[i+1])] = struct{}{}
		}
	}
	db.series.dead = keep
	db.post.drop(db.syms, pairs, func(slot uint32) bool { return gone[slot] })
	for slot := range gone {
		refs = decodeRefs(refs[:0], db.series.encoded(slot))
		for _, id := range refs {
			db.syms.at(id).uses--
		}
		db.series.wipe(slot)
	}
	db.syms.sweep(oldest)
}
