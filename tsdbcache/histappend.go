package tsdbcache

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// histTail is what appending to an open histogram chunk needs: the encoder's
// state and, for counter resets and duplicates, the newest histogram.
type histTail struct {
	enc  histState
	last histRecord // a copy of our own
	page uint32     // page that the next record byte goes to, 0 = new chunk
}

// fresh forgets the chunk but not the newest histogram.
func (h *histTail) fresh() { h.enc, h.page = histState{}, 0 }

const (
	histChunkBytes = 6 * chainRoom  // a chunk with more is closed
	maxRecord      = 32 << 10       // a larger record is refused
	maxChainBytes  = math.MaxUint16 // what a head's pub can count
	maxChainCount  = math.MaxUint16
)

// check validates a histogram and brings its resolution down to what the
// standard knows. It runs before the commit's lock is taken.
func (h *txHist) check() {
	h.reason = InvalidHistogram
	if h.h == nil && h.fh == nil {
		return
	}
	if h.fh != nil {
		if histogram.IsExponentialSchemaReserved(h.fh.Schema) && h.fh.Schema > histogram.ExponentialSchemaMax {
			h.fh = h.fh.Copy()
			if h.fh.ReduceResolution(histogram.ExponentialSchemaMax) != nil {
				return
			}
		}
		if !histogram.IsValidSchema(h.fh.Schema) || h.fh.Validate() != nil {
			return
		}
	} else {
		if histogram.IsExponentialSchemaReserved(h.h.Schema) && h.h.Schema > histogram.ExponentialSchemaMax {
			h.h = h.h.Copy()
			if h.h.ReduceResolution(histogram.ExponentialSchemaMax) != nil {
				return
			}
		}
		if !histogram.IsValidSchema(h.h.Schema) || h.h.Validate() != nil {
			return
		}
	}
	h.reason = Accepted
}

func (r histRecord) none() bool { return r.h == nil && r.fh == nil }

func (r histRecord) hint() histogram.CounterResetHint {
	if r.fh != nil {
		return r.fh.CounterResetHint
	}
	return r.h.CounterResetHint
}

func (r histRecord) setHint(c histogram.CounterResetHint) {
	if r.fh != nil {
		r.fh.CounterResetHint = c
	} else {
		r.h.CounterResetHint = c
	}
}

func (r histRecord) sum() float64 {
	if r.fh != nil {
		return r.fh.Sum
	}
	return r.h.Sum
}

func (r histRecord) float() *histogram.FloatHistogram {
	if r.fh != nil {
		return r.fh
	}
	return r.h.ToFloat(nil)
}

// clone copies everything that shares memory.
func (r histRecord) clone() histRecord {
	if r.fh != nil {
		return histRecord{fh: r.fh.Copy()}
	}
	return histRecord{h: r.h.Copy()}
}

// equal ignores the hints: an unchanged resend has another one.
func (r histRecord) equal(o histRecord) bool {
	switch {
	case r.fh != nil && o.fh != nil:
		return r.fh.Equals(o.fh)
	case r.h != nil && o.h != nil:
		return r.h.Equals(o.h)
	}
	return false
}

// hintAfter is the hint to store for cur behind prev. A detected reset is
// unknown, as in Prometheus: PromQL then compares for itself.
func hintAfter(prev, cur histRecord) histogram.CounterResetHint {
	if c := cur.hint(); c == histogram.GaugeType || c == histogram.CounterReset {
		return c
	}
	if prev.none() || value.IsStaleNaN(prev.sum()) || prev.hint() == histogram.GaugeType {
		return histogram.UnknownCounterReset
	}
	if value.IsStaleNaN(cur.sum()) || !cur.float().DetectReset(prev.float()) {
		return histogram.NotCounterReset
	}
	return histogram.UnknownCounterReset
}

// appendHist stores one histogram in its series.
func (db *DB) appendHist(slot uint32, e *entry, lim limits, h *txHist) Reason {
	st, t := h.st, h.t
	if t > lim.hi {
		return TooFarAhead
	}
	if t < lim.lo {
		return TooOld
	}
	rec := histRecord{h: h.h, fh: h.fh}
	if rec.fh != nil {
		rec.h = nil
	}
	if t <= e.lastT {
		return db.lateHist(slot, e, st, t, rec)
	}
	if e.lateN&flagHist == 0 {
		if e.raw != 0 {
			if n, _ := db.arena.page(e.raw).published(); n > 0 {
				db.seal(slot, e)
			}
			db.arena.give(e.raw)
			e.raw = 0
			db.nraw--
		}
		db.closeOpen(slot, e)
		delete(db.hists, slot)
	}
	tail := db.hists[slot]
	if tail == nil {
		tail = &histTail{}
		if e.lateN&flagHist != 0 {
			if old, found := db.sampleAt(slot, e.lastT); found && !old.hist.none() {
				tail.last = old.hist
			}
		}
		db.hists[slot] = tail
	}
	hint := hintAfter(tail.last, rec)
	if r := db.appendRecord(slot, e, tail, false, st, t, flatten(rec.h, rec.fh, hint)); r != Accepted {
		if e.head == 0 && e.raw == 0 {
			db.buryEmpty(slot, e)
		}
		return r
	}
	tail.last = rec.clone()
	tail.last.setHint(hint)
	e.lateN |= flagHist
	e.lastT = t
	return Accepted
}

// lateHist stores a histogram that is not newer than the newest sample.
func (db *DB) lateHist(slot uint32, e *entry, st, t int64, rec histRecord) Reason {
	if t < e.lastT && db.opts.OutOfOrderWindow >= 0 && e.lastT-t > db.opts.OutOfOrderWindow.Milliseconds() {
		return TooOld
	}
	if tail := db.hists[slot]; t == e.lastT && tail != nil && !tail.last.none() {
		if tail.last.equal(rec) {
			return sameSample
		}
		return Duplicate
	}
	if old, found := db.sampleAt(slot, t); found {
		if !old.hist.none() && old.hist.equal(rec) {
			return sameSample
		}
		return Duplicate
	}
	if t == e.lastT {
		return Duplicate
	}
	if e.late != 0 && db.arena.page(e.late).kind() != kindLateHist {
		db.closeLate(slot, e)
	}
	tail := db.lates[slot]
	if tail == nil {
		tail = &histTail{}
		db.lates[slot] = tail
	}
	hint := rec.hint()
	if hint == histogram.NotCounterReset {
		hint = histogram.UnknownCounterReset
	}
	if r := db.appendRecord(slot, e, tail, true, st, t, flatten(rec.h, rec.fh, hint)); r != Accepted {
		return r
	}
	db.countLate(e)
	return Accepted
}

// appendRecord encodes a histogram into the open chunk of a series, or a new
// one. The record's bytes are all in place before the head counts them.
func (db *DB) appendRecord(slot uint32, e *entry, tail *histTail, late bool, st, t int64, f flat) Reason {
	chunk := &e.open
	if late {
		chunk = &e.late
	}
	end := func() {
		if late {
			db.closeLate(slot, e)
			db.lates[slot] = tail
			tail.fresh()
		} else {
			db.closeOpen(slot, e)
		}
	}
	if *chunk != 0 {
		pg := db.arena.page(*chunk)
		if n, used := pg.published(); used >= histChunkBytes || n == maxChainCount || !fitsSpan(pg, t) {
			end()
		}
	}
	if *chunk == 0 {
		tail.fresh()
	}
	b := appendRecord(db.pack.buf[:0], &tail.enc, st, t, f)
	db.pack.buf = b
	if *chunk != 0 {
		if _, used := db.arena.page(*chunk).published(); used+len(b) > maxChainBytes {
			end()
			b = appendRecord(db.pack.buf[:0], &tail.enc, st, t, f)
			db.pack.buf = b
		}
	}
	if len(b) > maxRecord || len(b) > len(db.arena.mem)/8 {
		end()
		tail.fresh()
		return InvalidHistogram
	}
	if *chunk == 0 {
		kind := uint8(kindHist)
		if late {
			kind = kindLateHist
		}
		i := db.take(slot, e, kind)
		if i == 0 {
			return SeriesLimit
		}
		pg := db.arena.page(i)
		*pg.chainKey() = e.lateN & lateMask
		pg.setPart(0)
		pg.setTimes(t, t)
		db.chain(e, i)
		*chunk, tail.page = i, i
	}
	if !db.writeChain(slot, e, *chunk, tail, b) {
		end()
		return SeriesLimit
	}
	pg := db.arena.page(*chunk)
	n, used := pg.published()
	pg.setTimes(min(pg.minT(), t), max(pg.maxT(), t))
	pg.publish(n+1, used+len(b))
	return Accepted
}

// writeChain copies record bytes behind what the chunk has, adding pages. The
// chunk is open, so no eviction can take it; what its series has besides may
// go.
func (db *DB) writeChain(slot uint32, e *entry, head uint32, tail *histTail, b []byte) bool {
	hp := db.arena.page(head)
	_, used := hp.published()
	pages := (used + len(b) + chainRoom - 1) / chainRoom
	have := max((used+chainRoom-1)/chainRoom, 1)
	cur := tail.page
	for p := have; p < pages; p++ {
		i := db.arena.take(slot, uint16(e.gen), kindCont)
		for i == 0 {
			if !db.evict(slot) {
				return false
			}
			i = db.arena.take(slot, uint16(e.gen), kindCont)
		}
		cp := db.arena.page(i)
		*cp.chainKey() = hp.seq()
		cp.setPart(uint16(p))
		if cur == head {
			db.arena.extra[head] = i
		} else {
			db.arena.link[cur] = i
		}
		cur = i
	}
	// Fill from the page the chunk's end is in.
	i := tail.page
	off := used - (have-1)*chainRoom
	for len(b) > 0 {
		if off == chainRoom {
			if i == head {
				i = db.arena.extra[head]
			} else {
				i = db.arena.link[i]
			}
			off = 0
		}
		k := copy(db.arena.page(i)[pageHeader+chainData+off:], b)
		b = b[k:]
		off += k
	}
	tail.page = i
	return true
}
