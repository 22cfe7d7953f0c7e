package tsdbcache

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pagesFile     = "pages.ring"
	seriesFile    = "series.log"
	exemplarsFile = "exemplars.log"
	lockFile      = "LOCK"

	// freeLog is the size of a series log that is worth a collection.
	freeLog = 8 << 20
)

// recovery says what the last start found.
type recovery struct {
	took                    time.Duration
	kept, corrupt, orphaned int // pages
	cut                     int64
	unpacked                []unpacked
}

// dirLock keeps a second process out of a directory.
type dirLock struct{ f *os.File }

func lockDir(path string) (*dirLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the ring's directory: %w; make it writable", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("cannot lock %s: %w; stop the other process or use another directory", path, ErrLocked)
		}
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return &dirLock{f}, nil
}

func (l *dirLock) release() error {
	if l == nil || l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// openDir takes the directory, reads the logs, maps the pages and puts both
// together.
func (db *DB) openDir() error {
	start := time.Now()
	if err := os.MkdirAll(db.opts.Dir, 0o750); err != nil {
		return fmt.Errorf("cannot make the ring's directory: %w", err)
	}
	var err error
	if db.lock, err = lockDir(db.path(lockFile)); err != nil {
		return err
	}
	said := newReplay()
	l, d, err := openLog(db.path(seriesFile), seriesMagic, said.add)
	if err != nil {
		return err
	}
	db.log = &seriesLog{recordLog: l, records: said.records}
	db.reportDamage(db.path(seriesFile), d, said.bad)
	if err := db.openPages(); err != nil {
		return err
	}
	db.restore(said)
	if said = nil; db.log.size > freeLog {
		// What was read of the log is garbage now, and as large as all the
		// heap will be for long.
		debug.FreeOSMemory()
	}
	if err := db.restoreExemplars(); err != nil {
		return err
	}
	if db.log.records > 2*db.series.live+1000 || d.skipped > 0 {
		if err := db.log.compact(db); err != nil {
			return err
		}
	}
	db.rec.took = time.Since(start)
	if db.rec.kept+db.rec.corrupt+db.rec.orphaned > 0 {
		db.opts.Logger.Info("ring read back", "series", db.series.live, "pages", db.rec.kept, "corrupt_pages", db.rec.corrupt,
			"orphaned_pages", db.rec.orphaned, "took", db.rec.took)
	}
	return nil
}

func (db *DB) reportDamage(path string, d damage, bad int) {
	db.rec.cut += d.cut
	if d.cut > 0 || d.skipped > 0 || bad > 0 || d.badMagic {
		db.opts.Logger.Warn("damaged log repaired", "file", path, "cut_bytes", d.cut, "cut_at", d.cutAt, "bad_records", d.skipped+bad)
	}
}

// foundPage is a page that belongs to a known series.
type foundPage struct{ slot, seq, page uint32 }

// restore rebuilds index, queue and free list from the log and the pages.
func (db *DB) restore(said *replay) {
	parts := db.scanPages(said)
	var pages []foundPage
	for c, chunk := range said.series.chunks {
		for k := 0; chunk != nil && k < len(chunk); k++ {
			s, slot := &chunk[k], uint32(c*sparseChunk+k)
			if s.pages == 0 {
				continue
			}
			pages = pages[:0]
			for i := s.pages; i != 0; i, db.arena.link[i] = db.arena.link[i], 0 {
				pages = append(pages, foundPage{slot, db.arena.page(i).seq(), i})
			}
			slices.SortFunc(pages, func(x, y foundPage) int { return int(int32(x.seq - y.seq)) })
			db.restoreSeries(slot, said, s, pages, parts)
		}
	}
	// Further pages that no head took are leftovers of a kill.
	for _, ps := range parts {
		for _, p := range ps {
			db.drop(p.page, &db.rec.orphaned)
		}
	}
	db.requeue()
	for f, m := range said.metas {
		db.meta.set(f, m)
	}
	a := db.arena
	for i := a.fresh - 1; i > 0; i-- {
		if a.page(i).kind() == kindFree {
			a.link[i], a.free = a.free, i
			a.nfree++
		} else {
			db.rec.kept++
		}
	}
	// Slots below the highest that no series took.
	for slot := uint32(1); slot < db.series.next; slot++ {
		if db.series.cold(slot).state == stateFree {
			db.series.freed = append(db.series.freed, slot)
		}
	}
	slices.Reverse(db.series.freed)
	db.finishSeals()
	// Strings that only dead series had are in the file but not in memory.
	for _, c := range *db.syms.dir.Load() {
		for i := range c {
			if p := c[i].Load(); p != nil && p.id != 0 {
				p.logged = true
			}
		}
	}
}

// partKey names a histogram chunk before its head is known.
type partKey struct{ slot, seq uint32 }

func (db *DB) drop(i uint32, count *int) {
	db.arena.page(i).free()
	*count++
}

// scanPages sorts out what is on the pages: heads by series, further pages by
// chunk.
func (db *DB) scanPages(said *replay) map[partKey][]foundPage {
	a := db.arena
	parts := map[partKey][]foundPage{}
	first := true
	for i := uint32(1); i < a.fresh; i++ {
		pg := a.page(i)
		k := pg.kind()
		if k == kindFree {
			continue
		}
		s := said.series.at(pg.slot())
		switch {
		case k >= numKinds || pg.closed() && *pg.u32(28) != pg.checksum():
			db.drop(i, &db.rec.corrupt)
			continue
		case s == nil || s.labels == nil || uint16(s.gen) != pg.gen() || s.pages == 0 && !said.complete(s):
			db.drop(i, &db.rec.orphaned)
			continue
		}
		if first || int32(pg.seq()-a.seq) > 0 {
			a.seq, first = pg.seq(), false
		}
		if k == kindCont {
			key := partKey{pg.slot(), *pg.chainKey()}
			parts[key] = append(parts[key], foundPage{pg.slot(), pg.seq(), i})
		} else {
			a.link[i], s.pages = s.pages, i
		}
	}
	return parts
}

// requeue queues the chunks of all series by age, closing those that no
// series has open.
func (db *DB) requeue() {
	a := db.arena
	var queue []uint64 // age, page
	for slot := uint32(1); slot < db.series.next; slot++ {
		e := db.series.entry(slot)
		for i := e.head; i != 0; i = a.link[i] {
			if i != e.open {
				queue = append(queue, uint64(a.page(i).seq()-a.seq-1)<<32|uint64(i))
			}
		}
	}
	slices.Sort(queue)
	for _, q := range queue {
		i := uint32(q)
		if a.page(i).closed() {
			a.each(i, func(uint32) { a.nclosed++ })
			a.queue[(a.qhead+a.qlen)%len(a.queue)] = i
			a.qlen++
		} else {
			a.enqueue(i)
		}
	}
}

// restoreExemplars reads the exemplars of series that still exist.
func (db *DB) restoreExemplars() error {
	x, limit := db.ex, db.opts.MaxExemplars
	bad := 0
	l, d, err := openLog(db.path(exemplarsFile), exemplarMagic, func(p []byte) {
		x.recs++
		slot, gen, e, ok := readExemplar(p)
		if !ok {
			bad++
			return
		}
		if db.series.known(slot) && db.series.entry(slot).gen == gen && db.series.cold(slot).state == stateLive && x.judge(slot, gen, e, limit) == Accepted {
			x.put(slot, gen, e, limit)
		}
	})
	if err != nil {
		return err
	}
	x.log = l
	db.reportDamage(db.path(exemplarsFile), d, bad)
	return nil
}
