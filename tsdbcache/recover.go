package tsdbcache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pagesFile     = "pages.ring"
	seriesFile    = "series.log"
	exemplarsFile = "exemplars.log"
	lockFile      = "LOCK"
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
		f.Close()
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

// The first page of the file: magic, u32 version, u32 page size, u64 pages,
// u32 pages from which on none was ever used.
const (
	pagesMagic   = "CHIRONPG"
	pagesVersion = 1
)

func (a *arena) writeHeader() {
	h := a.page(0)
	binary.LittleEndian.PutUint32(h[8:], pagesVersion)
	binary.LittleEndian.PutUint32(h[12:], pageSize)
	binary.LittleEndian.PutUint64(h[16:], uint64(a.n))
	*h.u32(24) = a.fresh
	copy(h, pagesMagic)
}

// noteFresh stores how far pages are used before one there is claimed.
func (a *arena) noteFresh() {
	if a.file != nil {
		atomic.StoreUint32(a.page(0).u32(24), a.fresh)
	}
}

// openPages maps the page file; one of another size is first copied into a
// file of the wanted size, the newest pages first.
func (db *DB) openPages() error {
	path := db.path(pagesFile)
	old, err := oldPages(path)
	if err != nil {
		return err
	}
	want := db.opts.Memory / pageSize
	if old > 0 && old != want {
		if err := db.resize(path, old, want); err != nil {
			return err
		}
	}
	if db.arena, err = newArena(path, db.opts.Memory); err != nil {
		return err
	}
	if old == 0 {
		db.arena.writeHeader()
		return nil
	}
	db.arena.fresh = min(max(*db.arena.page(0).u32(24), 1), db.arena.n)
	return nil
}

// oldPages reads how many pages a file has; 0 if there is none.
func oldPages(path string) (int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot open the ring's pages: %w", err)
	}
	defer f.Close()
	var h [28]byte
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if _, err := f.ReadAt(h[:], 0); err != nil || h == [28]byte{} {
		return 0, nil // the process that made it was stopped before it wrote anything
	}
	if string(h[:8]) != pagesMagic {
		return 0, fmt.Errorf("cannot use %s: it is not a page file; move it away", path)
	}
	version, size := binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[12:])
	if version != pagesVersion || size != pageSize {
		return 0, fmt.Errorf("cannot use %s: version %d with pages of %d bytes, this program knows version %d with %d; start the program that wrote it, or remove the directory",
			path, version, size, pagesVersion, pageSize)
	}
	n := int64(binary.LittleEndian.Uint64(h[16:]))
	if n <= 0 || n > math.MaxUint32 {
		n = info.Size() / pageSize
	}
	return min(n, info.Size()/pageSize), nil
}

// resize writes a page file of another size. Raw pages go first: they hold
// what is newest, whatever their sequence number.
func (db *DB) resize(path string, have, want int64) error {
	from, err := newArena(path, have*pageSize)
	if err != nil {
		return err
	}
	defer from.close()
	fresh := min(max(*from.page(0).u32(24), 1), from.n)
	var used []uint32
	for i := uint32(1); i < fresh; i++ {
		if from.page(i).kind() != kindFree {
			used = append(used, i)
		}
	}
	slices.SortFunc(used, func(a, b uint32) int {
		pa, pb := from.page(a), from.page(b)
		if ra, rb := pa.kind() == kindRaw, pb.kind() == kindRaw; ra != rb {
			if ra {
				return -1
			}
			return 1
		}
		return int(int32(pb.seq() - pa.seq()))
	})
	kept := used[:min(int64(len(used)), want-1)]
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	to, err := newArena(path+".new", want*pageSize)
	if err != nil {
		return err
	}
	for i, p := range kept {
		copy(to.page(uint32(i)+1), from.page(p))
	}
	to.fresh = uint32(len(kept)) + 1
	to.writeHeader()
	if err := errors.Join(to.sync(), to.close()); err != nil {
		return fmt.Errorf("cannot write pages of the new size: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("cannot replace the page file: %w", err)
	}
	db.opts.Logger.Info("page file resized", "pages_before", have, "pages_now", want, "kept", len(kept), "dropped", len(used)-len(kept))
	return syncDir(db.opts.Dir)
}

// foundPage is a page that belongs to a known series.
type foundPage struct{ slot, seq, page uint32 }

// restore rebuilds index, queue and free list from the log and the pages.
func (db *DB) restore(said *replay) {
	heads, parts := db.scanPages(said)
	for lo := 0; lo < len(heads); {
		hi := lo
		for hi < len(heads) && heads[hi].slot == heads[lo].slot {
			hi++
		}
		db.restoreSeries(heads[lo].slot, said, heads[lo:hi], parts)
		lo = hi
	}
	// Further pages that no head took are leftovers of a kill.
	for _, ps := range parts {
		for _, p := range ps {
			db.drop(p.page, &db.rec.orphaned)
		}
	}
	db.requeue(heads)
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

// scanPages sorts out what is on the pages: heads by series and age, further
// pages by chunk.
func (db *DB) scanPages(said *replay) ([]foundPage, map[partKey][]foundPage) {
	a := db.arena
	var heads []foundPage
	parts := map[partKey][]foundPage{}
	first := true
	for i := uint32(1); i < a.fresh; i++ {
		pg := a.page(i)
		k := pg.kind()
		if k == kindFree {
			continue
		}
		s, ok := said.series[pg.slot()]
		switch {
		case k >= numKinds || pg.closed() && *pg.u32(28) != pg.checksum():
			db.drop(i, &db.rec.corrupt)
			continue
		case !ok || uint16(s.gen) != pg.gen() || !said.complete(s):
			db.drop(i, &db.rec.orphaned)
			continue
		}
		if first || int32(pg.seq()-a.seq) > 0 {
			a.seq, first = pg.seq(), false
		}
		f := foundPage{pg.slot(), pg.seq(), i}
		if k == kindCont {
			key := partKey{pg.slot(), *pg.chainKey()}
			parts[key] = append(parts[key], f)
		} else {
			heads = append(heads, f)
		}
	}
	slices.SortFunc(heads, func(x, y foundPage) int {
		switch {
		case x.slot < y.slot:
			return -1
		case x.slot > y.slot:
			return 1
		}
		return int(int32(x.seq - y.seq))
	})
	return heads, parts
}

// complete reports whether all symbols of a series are known.
func (r *replay) complete(s loggedSeries) bool {
	for _, id := range s.refs {
		if _, ok := r.symbols[id]; !ok {
			return false
		}
	}
	return true
}

// restoreSeries brings back one series with its pages, oldest first.
func (db *DB) restoreSeries(slot uint32, said *replay, pages []foundPage, parts map[partKey][]foundPage) {
	t := db.series
	s := said.series[slot]
	refs := make([]uint32, len(s.refs))
	for i, id := range s.refs {
		refs[i] = id
		if db.syms.at(id) == nil {
			db.syms.put(id, said.symbols[id])
		}
	}
	hash := t.hash(refs)
	if t.find(hash, refs) != 0 {
		// Two slots with the same labels: only damage can say so.
		for _, f := range pages {
			db.drop(f.page, &db.rec.orphaned)
		}
		return
	}
	t.reach(slot)
	t.next = max(t.next, slot+1)
	t.set(slot, hash, refs)
	e, c := t.entry(slot), t.cold(slot)
	e.gen = s.gen
	var raws []uint32
	var dec points
	for _, f := range pages {
		pg := db.arena.page(f.page)
		n, used := pg.published()
		switch pg.kind() {
		case kindRaw:
			raws = append(raws, f.page)
			continue
		case kindHist, kindLateHist:
			if !db.restoreChain(f, parts, n, used) {
				continue
			}
		case kindPacked:
			if !db.restorePacked(pg, e, &dec) {
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
			if pg.kind() == kindHist {
				e.lateN |= flagHist
			}
		}
	}
	db.restoreNewest(e, &dec)
	for i, p := range raws {
		db.restoreRaw(slot, e, p, i == len(raws)-1)
	}
	if e.head == 0 && e.raw == 0 && e.lastT == noTime {
		t.remove(slot)
		*c = cold{}
		return
	}
	for _, id := range refs {
		db.syms.at(id).uses++
	}
	c.state = stateLive
	t.live++
	db.post.add(slot, refs)
}

func (db *DB) release(head uint32) { db.arena.each(head, func(i uint32) { db.arena.page(i).free() }) }

// restoreLate moves the number of late samples behind those of a chunk.
func (db *DB) restoreLate(e *entry, first uint32, n int) {
	end := (first + uint32(n)) & lateMask
	if before(e.lateN&lateMask, end) {
		e.lateN = e.lateN&^lateMask | end
	}
}

// restorePacked checks a packed page that was open; its header may be behind.
func (db *DB) restorePacked(pg page, e *entry, dec *points) bool {
	if pg.closed() {
		return true
	}
	n, _ := pg.published()
	if n == 0 {
		return true
	}
	dec.reset()
	s, err := decodePacked(pg, dec)
	if err != nil || !slices.IsSorted(dec.t) || s.t-pg.minT() > math.MaxUint32 {
		return false
	}
	pg.setTimes(pg.minT(), s.t)
	return true
}

// restoreNewest finds the newest float of a series whose last chunk is packed
// and, if that page was open, opens it again.
func (db *DB) restoreNewest(e *entry, dec *points) {
	var last uint32
	for i := e.head; i != 0; i = db.arena.link[i] {
		if k := db.arena.page(i).kind(); k == kindPacked || k == kindHist {
			last = i
		}
	}
	if last == 0 || db.arena.page(last).kind() != kindPacked {
		return
	}
	pg := db.arena.page(last)
	dec.reset()
	s, err := decodePacked(pg, dec)
	if err != nil {
		return
	}
	e.lastV = s.v
	if !pg.closed() && keepsOpen(pg) {
		writeTrailer(pg, s)
		e.open = last
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

// requeue queues the chunks of all series by age, closing those that no
// series has open.
func (db *DB) requeue(heads []foundPage) {
	var queue []uint32
	for slot := uint32(1); slot < db.series.next; slot++ {
		e := db.series.entry(slot)
		for i := e.head; i != 0; i = db.arena.link[i] {
			if i != e.open {
				queue = append(queue, i)
			}
		}
	}
	a := db.arena
	slices.SortFunc(queue, func(x, y uint32) int { return int(int32(a.page(x).seq() - a.page(y).seq())) })
	for _, i := range queue {
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
