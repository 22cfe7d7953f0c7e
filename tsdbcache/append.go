package tsdbcache

import "math"

// sameSample says that the sample is there already, bit for bit.
const sameSample = NumReasons

// appendFloat stores one float in its series. The first branch is the steady
// state and touches the entry and one page.
func (db *DB) appendFloat(slot uint32, e *entry, lim limits, st, t int64, v uint64) Reason {
	if t > lim.hi {
		return TooFarAhead
	}
	if t < lim.lo {
		return TooOld
	}
	if t <= e.lastT {
		return db.lateFloat(slot, e, st, t, v)
	}
	if e.raw == 0 || e.lateN&flagHist != 0 {
		if !db.openRaw(slot, e) {
			return SeriesLimit
		}
	}
	pg := db.arena.page(e.raw)
	n, _ := pg.published()
	if n == rawSamples || n > 0 && (st != pg.rawST() || t-pg.minT() > math.MaxUint32) {
		db.seal(slot, e)
		n = 0
	}
	if n == 0 {
		pg.rawStart(st, t)
	}
	pg.rawPut(n, t, v)
	e.lastT, e.lastV = t, v
	return Accepted
}

// openRaw gets a series its page of raw samples, and ends what histograms came
// before.
func (db *DB) openRaw(slot uint32, e *entry) bool {
	if e.lateN&flagHist != 0 {
		db.closeOpen(slot, e)
	}
	if e.raw == 0 {
		i := db.take(slot, e, kindRaw)
		if i == 0 {
			return false
		}
		e.raw = i
		db.nraw++
	}
	e.lateN &^= flagHist
	return true
}

// lateFloat stores a sample that is not newer than the newest of its series.
func (db *DB) lateFloat(slot uint32, e *entry, st, t int64, v uint64) Reason {
	if t == e.lastT && e.lateN&flagHist == 0 {
		if v == e.lastV {
			return sameSample
		}
		return Duplicate
	}
	if db.opts.OutOfOrderWindow >= 0 && e.lastT-t > db.opts.OutOfOrderWindow.Milliseconds() {
		return TooOld
	}
	if old, found := db.sampleAt(slot, t); found {
		if old.hist.h == nil && old.hist.fh == nil && old.v == v {
			return sameSample
		}
		return Duplicate
	}
	var pg page
	n := 0
	if e.late != 0 {
		pg = db.arena.page(e.late)
		n, _ = pg.published()
		if pg.kind() != kindLate || n == lateSamples || pg.lateST() != st || !fitsSpan(pg, t) {
			db.closeLate(slot, e)
		}
	}
	if e.late == 0 {
		i := db.take(slot, e, kindLate)
		if i == 0 {
			return SeriesLimit
		}
		pg, n = db.arena.page(i), 0
		*pg.u32(pageHeader) = e.lateN & lateMask
		*pg.i64(pageHeader + 8) = st
		e.late = i
		db.chain(e, i)
	}
	pg.latePut(n, t, v)
	db.countLate(e)
	return Accepted
}

func (db *DB) countLate(e *entry) {
	e.lateN = e.lateN&^lateMask | (e.lateN+1)&lateMask
	db.n.late++
}

// fitsSpan reports whether a page's header can hold t beside its other times.
func fitsSpan(pg page, t int64) bool {
	return max(pg.maxT(), t)-min(pg.minT(), t) <= math.MaxUint32
}

// chain makes a chunk the newest of its series.
func (db *DB) chain(e *entry, i uint32) {
	if e.tail == 0 {
		e.head = i
	} else {
		db.arena.link[e.tail] = i
	}
	e.tail = i
}

// unchain takes a chunk out of its series, nearly always from the front.
func (db *DB) unchain(e *entry, i uint32) {
	link := db.arena.link
	if e.head == i {
		e.head = link[i]
		if e.head == 0 {
			e.tail = 0
		}
		return
	}
	for p := e.head; p != 0; p = link[p] {
		if link[p] == i {
			link[p] = link[i]
			if e.tail == i {
				e.tail = p
			}
			return
		}
	}
}

// take claims a page for a series, evicting as needed. If every other page is
// open it gives up the series' own open chunks; 0 means there is no page.
func (db *DB) take(slot uint32, e *entry, kind uint8) uint32 {
	for {
		if i := db.arena.take(slot, uint16(e.gen), kind); i != 0 {
			return i
		}
		if db.evict(slot) {
			continue
		}
		switch {
		case e.open != 0:
			db.closeOpen(slot, e)
		case e.late != 0:
			db.closeLate(slot, e)
		default:
			return 0
		}
	}
}

// evict drops the oldest closed chunk. The series pinned is being appended to
// and stays even without a page.
func (db *DB) evict(pinned uint32) bool {
	i, ok := db.arena.oldest()
	if !ok {
		return false
	}
	slot := db.arena.page(i).slot()
	e := db.series.entry(slot)
	db.dropped(db.arena.page(i).maxT())
	db.unchain(e, i)
	db.n.evicted += db.arena.release(i)
	if slot != pinned {
		db.buryEmpty(slot, e)
	}
	return true
}

// buryEmpty removes a series that has no page left.
func (db *DB) buryEmpty(slot uint32, e *entry) {
	if e.head != 0 || e.raw != 0 {
		return
	}
	if db.series.cold(slot).state != stateLive {
		return
	}
	delete(db.hists, slot)
	delete(db.lates, slot)
	db.series.bury(slot, db.txs.newest())
	db.series.live--
	db.n.removed++
}

// closeOpen and closeLate end a chunk and queue it for eviction.
func (db *DB) closeOpen(slot uint32, e *entry) {
	if e.open == 0 {
		return
	}
	db.arena.enqueue(e.open)
	e.open = 0
	if h := db.hists[slot]; h != nil {
		h.fresh()
	}
}

func (db *DB) closeLate(slot uint32, e *entry) {
	if e.late == 0 {
		return
	}
	db.arena.enqueue(e.late)
	e.late = 0
	delete(db.lates, slot)
}
