package tsdbcache

import "sync"

// sample is one decoded sample.
type sample struct {
	st, t int64
	v     uint64
	hist  histRecord
}

// finder is the scratch space of a search.
type finder struct {
	out   points
	chain copied
	bytes []byte
}

var finders = sync.Pool{New: func() any { return new(finder) }}

// sampleAt finds the sample of a series at a time. DB.mu is held. A sender that
// says again what it has said, as Prometheus does after a restart, asks for
// every sample: so floats are looked for where they lie, and a packed page is
// decoded no further than the block that can hold the time.
func (db *DB) sampleAt(slot uint32, t int64) (sample, bool) {
	e := db.series.entry(slot)
	f := finders.Get().(*finder)
	defer finders.Put(f)
	if e.raw != 0 {
		if s, found := rawAt(db.arena.page(e.raw), t); found {
			return s, true
		}
	}
	for i := e.head; i != 0; i = db.arena.link[i] {
		pg := db.arena.page(i)
		if n, _ := pg.published(); n == 0 || pg.minT() > t || pg.maxT() < t {
			continue
		}
		var s sample
		var found bool
		switch pg.kind() {
		case kindPacked:
			s, found = f.packedAt(pg, t)
		case kindLate:
			s, found = lateAt(pg, t)
		default:
			s, found = f.histAt(db, i, e.lateN, t)
		}
		if found {
			return s, true
		}
	}
	return sample{}, false
}

func rawAt(pg page, t int64) (sample, bool) {
	n, _ := pg.published()
	if n == 0 || t < pg.minT() || t > pg.maxT() {
		return sample{}, false
	}
	for i := range min(n, rawSamples) {
		if pg.rawTime(i) == t {
			return sample{st: pg.rawST(), t: t, v: pg.rawValue(i)}, true
		}
	}
	return sample{}, false
}

func lateAt(pg page, t int64) (sample, bool) {
	n, _ := pg.published()
	for i := range min(n, lateSamples) {
		if pg.lateTime(i) == t {
			return sample{st: pg.lateST(), t: t, v: pg.lateValue(i)}, true
		}
	}
	return sample{}, false
}

// packedAt trusts a page no more than a reader does: what it cannot decode is
// not there.
func (f *finder) packedAt(pg page, t int64) (sample, bool) {
	n, used := pg.published()
	if used > pagePayload {
		return sample{}, false
	}
	b, s, ok := readStart(pg, pg[pageHeader:pageHeader+used])
	for err := error(nil); ok && n > 0; n -= len(f.out.t) {
		f.out.reset()
		if b, err = decodeBlock(b, n, &s, &f.out); err != nil {
			break
		}
		if s.t < t {
			continue
		}
		for i, x := range f.out.t {
			if x == t {
				return sample{st: f.out.st[i], t: t, v: f.out.v[i]}, true
			}
		}
		break
	}
	return sample{}, false
}

// histAt looks through a chunk of histogram records.
func (f *finder) histAt(db *DB, i, lateN uint32, t int64) (sample, bool) {
	pg := db.arena.page(i)
	k := chunkCopy{kind: pg.kind(), minT: pg.minT(), maxT: pg.maxT()}
	f.chain.buf = f.chain.buf[:0]
	db.arena.each(i, func(j uint32) {
		f.chain.buf = append(f.chain.buf, db.arena.page(j)...)
		k.pages++
	})
	f.out.reset()
	defer func() { clear(f.out.hs) }() // what a record points to must not live on
	if f.chain.decode(k, lateN, &f.out, &f.bytes) != nil {
		return sample{}, false
	}
	for i, x := range f.out.t {
		if x == t {
			s := sample{st: f.out.st[i], t: t, v: f.out.v[i]}
			if len(f.out.hs) > i {
				s.hist = f.out.hs[i]
			}
			return s, true
		}
	}
	return sample{}, false
}
