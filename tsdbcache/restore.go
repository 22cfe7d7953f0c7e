package tsdbcache

import (
	"math"
	"slices"
)

// restoreSeries brings back one series with its pages, oldest first.
func (db *DB) restoreSeries(slot uint32, said *replay, s *loggedSeries, pages []foundPage, parts map[partKey][]foundPage) {
	t := db.series
	hash := t.hash(s.labels)
	if t.find(hash, s.labels) != 0 {
		// Two slots with the same labels: only damage can say so.
		for _, f := range pages {
			db.drop(f.page, &db.rec.orphaned)
		}
		return
	}
	refs := decodeRefs(db.refs[:0], s.labels)
	db.refs = refs
	for _, id := range refs {
		if db.syms.at(id) == nil {
			db.syms.put(id, *said.symbols.at(id))
		}
	}
	t.reach(slot)
	t.next = max(t.next, slot+1)
	t.set(slot, cold{hash: hash, labels: t.labels.put(s.labels), n: uint16(len(s.labels))})
	e, c := t.entry(slot), t.cold(slot)
	e.gen = s.gen
	var raws []uint32
	var newest newestPacked
	for _, f := range pages {
		pg := db.arena.page(f.page)
		n, used := pg.published()
		var state packState
		switch pg.kind() {
		case kindRaw:
			raws = append(raws, f.page)
			continue
		case kindHist, kindLateHist:
			if !db.restoreChain(f, parts, n, used) {
				continue
			}
		case kindPacked:
			var ok bool
			if state, ok = db.restorePacked(pg); !ok {
				db.drop(f.page, &db.rec.corrupt)
				continue
			}
		case kindLate:
			if n > lateSamples {
				db.drop(f.page, &db.rec.corrupt)
				continue
			}
		}
		if n == 0 {
			db.release(f.page)
			continue
		}
		db.chain(e, f.page)
		switch pg.kind() {
		case kindLate, kindLateHist:
			db.restoreLate(e, *pg.u32(pageHeader), n)
		default:
			e.lastT = max(e.lastT, pg.maxT())
			e.lateN &^= flagHist
			newest = newestPacked{f.page, state}
			if pg.kind() == kindHist {
				e.lateN |= flagHist
				newest.page = 0
			}
		}
	}
	db.reopen(e, newest)
	for i, p := range raws {
		db.restoreRaw(slot, e, p, i == len(raws)-1)
	}
	if e.head == 0 && e.raw == 0 && e.lastT == noTime {
		t.remove(slot)
		t.labels.drop(c.labels, int(c.n))
		*c = cold{}
		return
	}
	db.restoreValue(e, newest)
	for _, id := range refs {
		db.syms.at(id).uses++
	}
	c.state = stateLive
	t.live++
	db.post.add(db.syms, slot, refs)
}

func (db *DB) release(head uint32) { db.arena.each(head, func(i uint32) { db.arena.page(i).free() }) }

// restoreLate moves the number of late samples behind those of a chunk.
func (db *DB) restoreLate(e *entry, first uint32, n int) {
	end := (first + uint32(n)) & lateMask
	if before(e.lateN&lateMask, end) {
		e.lateN = e.lateN&^lateMask | end
	}
}

// newestPacked is the packed page that a series had last, 0 if histograms came
// behind it, and the state after it unless it is closed.
type newestPacked struct {
	page  uint32
	state packState
}

// restorePacked checks a packed page that was open; its header may be behind.
func (db *DB) restorePacked(pg page) (packState, bool) {
	n, _ := pg.published()
	if pg.closed() || n == 0 {
		return packState{}, true
	}
	dec := &db.pack.dec
	dec.reset()
	s, err := decodePacked(pg, dec)
	if err != nil || !slices.IsSorted(dec.t) || s.t-pg.minT() > math.MaxUint32 {
		return s, false
	}
	pg.setTimes(pg.minT(), s.t)
	return s, true
}

// reopen opens the packed page again that was open last.
func (db *DB) reopen(e *entry, newest newestPacked) {
	if newest.page == 0 {
		return
	}
	pg := db.arena.page(newest.page)
	if pg.closed() {
		return
	}
	e.lastV = newest.state.v
	if keepsOpen(pg) {
		_, used := pg.published()
		writeTrailer(pg, used, newest.state)
		e.open = newest.page
	}
}

// restoreValue finds the newest float of a series if that is on a closed page.
func (db *DB) restoreValue(e *entry, newest newestPacked) {
	if newest.page == 0 {
		return
	}
	if pg := db.arena.page(newest.page); pg.closed() && pg.maxT() == e.lastT {
		db.pack.dec.reset()
		s, err := decodePacked(pg, &db.pack.dec)
		if err == nil {
			e.lastV = s.v
		}
	}
}

// restoreRaw takes back a raw page. What of it was packed before the kill is
// dropped; the last raw page of a series stays its raw page.
func (db *DB) restoreRaw(slot uint32, e *entry, i uint32, keep bool) {
	pg := db.arena.page(i)
	n, _ := pg.published()
	if n > rawSamples {
		db.drop(i, &db.rec.corrupt)
		return
	}
	done := 0
	for done < n && pg.rawTime(done) <= e.lastT {
		done++
	}
	for k := 1; k < n; k++ {
		if pg.rawTime(k) <= pg.rawTime(k-1) {
			db.drop(i, &db.rec.corrupt)
			return
		}
	}
	if done == n {
		pg.free()
		return
	}
	*pg.u32(24) = uint32(pg.rawTime(n-1) - pg.minT())
	e.lastT, e.lastV = pg.rawTime(n-1), pg.rawValue(n-1)
	e.lateN &^= flagHist
	if done == 0 && keep {
		e.raw = i
		db.nraw++
		return
	}
	// Rare: a kill within a seal. The rest is packed once pages are free.
	db.rec.unpacked = append(db.rec.unpacked, unpacked{slot, i, done})
}

// unpacked is a raw page whose samples from the given one on must be packed.
type unpacked struct {
	slot, page uint32
	from       int
}

// finishSeals packs what kills left half packed. The raw page goes last, so
// another kill loses nothing.
func (db *DB) finishSeals() {
	for _, u := range db.rec.unpacked {
		pg, e := db.arena.page(u.page), db.series.entry(u.slot)
		n, _ := pg.published()
		var ts []int64
		var vs []uint64
		for i := u.from; i < n; i++ {
			ts, vs = append(ts, pg.rawTime(i)), append(vs, pg.rawValue(i))
		}
		db.sealSamples(u.slot, e, pg.rawST(), ts, vs)
		db.arena.give(u.page)
	}
	db.rec.unpacked = nil
}

// restoreChain links the further pages of a histogram chunk.
func (db *DB) restoreChain(f foundPage, parts map[partKey][]foundPage, n, used int) bool {
	key := partKey{f.slot, f.seq}
	ps := parts[key]
	delete(parts, key)
	slices.SortFunc(ps, func(x, y foundPage) int {
		return int(db.arena.page(x.page).part()) - int(db.arena.page(y.page).part())
	})
	need := max((used+chainRoom-1)/chainRoom, 1) - 1
	ok := len(ps) >= need
	for i := range min(need, len(ps)) {
		ok = ok && int(db.arena.page(ps[i].page).part()) == i+1
	}
	if !ok {
		db.drop(f.page, &db.rec.corrupt)
		for _, p := range ps {
			db.drop(p.page, &db.rec.corrupt)
		}
		return false
	}
	for _, p := range ps[need:] {
		db.arena.page(p.page).free()
	}
	prev := uint32(0)
	for _, p := range ps[:need] {
		if prev == 0 {
			db.arena.extra[f.page] = p.page
		} else {
			db.arena.link[prev] = p.page
		}
		prev = p.page
	}
	if !db.arena.page(f.page).closed() {
		return db.checkChain(f.page, n)
	}
	return true
}

// checkChain decodes an open histogram chunk, whose times may be behind.
func (db *DB) checkChain(head uint32, n int) bool {
	var c copied
	var scratch []byte
	var dec points
	db.arena.each(head, func(i uint32) { c.buf = append(c.buf, db.arena.page(i)...) })
	k := chunkCopy{pages: len(c.buf) / pageSize, kind: kindHist}
	err := c.decode(k, 0, &dec, &scratch)
	if err == nil && n > 0 {
		minT, maxT := slices.Min(dec.t), slices.Max(dec.t)
		if maxT-minT <= math.MaxUint32 {
			db.arena.page(head).setTimes(minT, maxT)
			return true
		}
		err = errCorrupt
	}
	if err != nil {
		db.arena.each(head, func(i uint32) { db.drop(i, &db.rec.corrupt) })
		delete(db.arena.extra, head)
		return false
	}
	return true
}
