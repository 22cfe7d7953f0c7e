package tsdbcache

import (
	"encoding/binary"
	"math"
)

// While a packed page is open its last bytes remember what the next block
// continues from; the newest time is in the header.
//
//	-20 u64 newest value   -12 i64 start time   -4 u32 newest interval
const packTrailer = 20

// seal moves the raw samples of a series into its packed page, or pages. A
// kill in the middle leaves some samples in both places; recovery tells by
// their time.
func (db *DB) seal(slot uint32, e *entry) {
	raw := db.arena.page(e.raw)
	n, _ := raw.published()
	var tbuf [rawSamples]int64
	var vbuf [rawSamples]uint64
	ts, vs := tbuf[:n], vbuf[:n]
	for i := range ts {
		ts[i], vs[i] = raw.rawTime(i), raw.rawValue(i)
	}
	db.sealSamples(slot, e, raw.rawST(), ts, vs)
	raw.publish(0, 0)
}

// sealSamples packs samples that are newer than all packed ones.
func (db *DB) sealSamples(slot uint32, e *entry, st int64, ts []int64, vs []uint64) {
	for len(ts) > 0 {
		if e.open == 0 {
			i := db.take(slot, e, kindPacked)
			if i == 0 {
				// No page can be had and none is left to give up: the oldest
				// data of this series are these.
				db.n.lost += len(ts)
				db.dropped(ts[len(ts)-1])
				break
			}
			e.open = i
			db.chain(e, i)
			startPacked(db.arena.page(i), ts, vs)
		}
		done := db.sealInto(db.arena.page(e.open), st, ts, vs)
		ts, vs = ts[done:], vs[done:]
		if pg := db.arena.page(e.open); done == 0 || len(ts) > 0 || !keepsOpen(pg) {
			db.closeOpen(slot, e)
		}
	}
}

// startPacked writes what a packed page has before its first block.
func startPacked(pg page, ts []int64, vs []uint64) {
	dt := uint64(0)
	if len(ts) > 1 {
		dt = uint64(ts[1] - ts[0])
	}
	binary.LittleEndian.PutUint64(pg[pageHeader:], vs[0])
	k := binary.PutUvarint(pg[pageHeader+8:], dt)
	pg.setTimes(ts[0], ts[0])
	pg.publish(0, 8+k)
}

// packedState is what the next block of an open packed page continues from.
func packedState(pg page) packState {
	if n, _ := pg.published(); n == 0 {
		dt, _ := binary.Uvarint(pg[pageHeader+8:])
		return packState{t: pg.minT() - int64(dt), dt: int64(dt), v: binary.LittleEndian.Uint64(pg[pageHeader:])}
	}
	return packState{
		t:  pg.maxT(),
		v:  binary.LittleEndian.Uint64(pg[pageSize-20:]),
		st: int64(binary.LittleEndian.Uint64(pg[pageSize-12:])),
		dt: int64(binary.LittleEndian.Uint32(pg[pageSize-4:])),
	}
}

// keepsOpen reports whether another block may go into the page. The trailer
// is written only if so.
func keepsOpen(pg page) bool {
	_, used := pg.published()
	return pagePayload-used >= packTrailer
}

// sealInto packs as many samples as fit behind what the page has and returns
// their number. 0: the page is full.
func (db *DB) sealInto(pg page, st int64, ts []int64, vs []uint64) int {
	count, used := pg.published()
	s := packedState(pg)
	room := pagePayload - used
	n := len(ts)
	for n > 0 && ts[n-1]-pg.minT() > math.MaxUint32 {
		n--
	}
	if n == 0 {
		return 0
	}
	b, after := db.pack.encode(s, st, ts[:n], vs[:n])
	if len(b) > room && count > 0 && room < len(b)/4 {
		return 0 // the few that would fit are not worth a block
	}
	for len(b) > room {
		n = min(n-1, n*room/len(b))
		if n <= 0 {
			return 0
		}
		b, after = db.pack.encode(s, st, ts[:n], vs[:n])
	}
	copy(pg[pageHeader+used:], b)
	used += len(b)
	if pagePayload-used >= packTrailer {
		// Intervals fit: all times of a page are within 32 bits.
		writeTrailer(pg, after)
	}
	pg.setTimes(pg.minT(), after.t)
	pg.publish(count+n, used)
	return n
}

func writeTrailer(pg page, s packState) {
	binary.LittleEndian.PutUint64(pg[pageSize-20:], s.v)
	binary.LittleEndian.PutUint64(pg[pageSize-12:], uint64(s.st))
	binary.LittleEndian.PutUint32(pg[pageSize-4:], uint32(s.dt))
}

// closeSeries seals and closes everything of a series, so that all its pages
// can be evicted.
func (db *DB) closeSeries(slot uint32, e *entry) {
	if e.raw != 0 {
		if n, _ := db.arena.page(e.raw).published(); n > 0 {
			db.seal(slot, e)
		}
		db.arena.give(e.raw)
		e.raw = 0
		db.nraw--
	}
	db.closeOpen(slot, e)
	db.closeLate(slot, e)
	delete(db.hists, slot)
	db.buryEmpty(slot, e)
}
