package tsdbcache

import (
	"encoding/binary"
	"math"
)

// While a packed page is open it remembers what the next block continues from.
// The newest time is in the header, the newest interval where the checksum
// will be; the rest is in the last bytes, if there is room:
//
//	-26 i64 least value and   -18 u8 width of the newest steps   -17 u8 scale
//	-16 u64 newest value   -8 i64 start time
//
// or, with less room, in a shorter form that not every state has:
//
//	-13 u8 1   -12 u8 width   -11 u8 scale   -10 i16 least value   -8 u64 newest value
//
// Without either the page is decoded to know.
const (
	packTrailer  = 26
	shortTrailer = 13
	minRoom      = 8 // below which a page takes no further block
	packInterval = 28
)

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
	b := append(pg[pageHeader:pageHeader], firstRaw)
	for k := range maxScale + 1 {
		if m, ok := scaled(vs[0], k); ok && varintLen(zigzag(m)) < 8 {
			b[0] = byte(k)
			b = binary.AppendUvarint(b, zigzag(m))
			break
		}
	}
	if b[0] == firstRaw {
		b = binary.LittleEndian.AppendUint64(b, vs[0])
	}
	b = binary.AppendUvarint(b, dt)
	pg.setTimes(ts[0], ts[0])
	pg.publish(0, len(b))
}

// packedState is what the next block of an open packed page continues from.
func (db *DB) packedState(pg page) packState {
	n, used := pg.published()
	if n == 0 {
		_, s, _ := readStart(pg, pg[pageHeader:pageHeader+used])
		return s
	}
	end := pg[pageSize-packTrailer:]
	s := packState{t: pg.maxT(), dt: int64(*pg.u32(packInterval))}
	switch room := pagePayload - used; {
	case room >= packTrailer:
		s.lo, s.width, s.scale = int64(binary.LittleEndian.Uint64(end)), end[8], end[9]
		s.v, s.st = binary.LittleEndian.Uint64(end[10:]), int64(binary.LittleEndian.Uint64(end[18:]))
		return s
	case room >= shortTrailer && pg[pageSize-shortTrailer] == 1:
		end = end[packTrailer-shortTrailer:]
		s.width, s.scale, s.lo = end[1], end[2], int64(int16(binary.LittleEndian.Uint16(end[3:])))
		s.v = binary.LittleEndian.Uint64(end[5:])
		return s
	}
	db.pack.dec.reset()
	s, _ = decodePacked(pg, &db.pack.dec)
	return s
}

// keepsOpen reports whether another block may go into the page.
func keepsOpen(pg page) bool {
	_, used := pg.published()
	return pagePayload-used >= minRoom
}

// sealInto packs as many samples as fit behind what the page has and returns
// their number. 0: the page is full.
func (db *DB) sealInto(pg page, st int64, ts []int64, vs []uint64) int {
	count, used := pg.published()
	s := db.packedState(pg)
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
	writeTrailer(pg, used, after)
	pg.setTimes(pg.minT(), after.t)
	pg.publish(count+n, used)
	return n
}

// writeTrailer notes the state of an open page. Intervals fit: all times of a
// page are within 32 bits.
func writeTrailer(pg page, used int, s packState) {
	*pg.u32(packInterval) = uint32(s.dt)
	end := pg[pageSize-packTrailer:]
	switch room := pagePayload - used; {
	case room >= packTrailer:
		binary.LittleEndian.PutUint64(end, uint64(s.lo))
		end[8], end[9] = s.width, s.scale
		binary.LittleEndian.PutUint64(end[10:], s.v)
		binary.LittleEndian.PutUint64(end[18:], uint64(s.st))
	case room >= shortTrailer:
		end = end[packTrailer-shortTrailer:]
		if end[0] = 0; s.st == 0 && s.lo == int64(int16(s.lo)) {
			end[0], end[1], end[2] = 1, s.width, s.scale
			binary.LittleEndian.PutUint16(end[3:], uint16(s.lo))
			binary.LittleEndian.PutUint64(end[5:], s.v)
		}
	}
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
