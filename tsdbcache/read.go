package tsdbcache

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
)

// note is where a series stood when a query began: samples after lastT and
// late samples from lateN on came later and are not shown.
type note struct {
	slot, gen uint32
	lateN     uint32
	lastT     int64
	labels    []byte // see labelStore
}

// chunkCopy is one copied chunk; its pages lie behind each other in buf.
type chunkCopy struct {
	off, pages int
	kind       uint8
	minT, maxT int64
}

// copied holds a series' pages as a reader took them.
type copied struct {
	buf    []byte
	chunks []chunkCopy // in-order ones by time, late ones anywhere
	late   bool
}

// copyRange copies the pages of a series that overlap [mint, maxt]. DB.mu is
// held for reading.
func (db *DB) copyRange(c *copied, e *entry, mint, maxt int64) {
	c.buf, c.chunks, c.late = c.buf[:0], c.chunks[:0], false
	for i := e.head; i != 0; i = db.arena.link[i] {
		pg := db.arena.page(i)
		n, _ := pg.published()
		if n == 0 || pg.minT() > maxt || pg.maxT() < mint {
			continue
		}
		k := chunkCopy{off: len(c.buf), kind: pg.kind(), minT: pg.minT(), maxT: pg.maxT()}
		db.arena.each(i, func(j uint32) {
			c.buf = append(c.buf, db.arena.page(j)...)
			k.pages++
		})
		c.late = c.late || k.kind == kindLate || k.kind == kindLateHist
		c.chunks = append(c.chunks, k)
	}
	if e.raw != 0 {
		pg := db.arena.page(e.raw)
		if n, _ := pg.published(); n > 0 && pg.minT() <= maxt && pg.maxT() >= mint {
			c.chunks = append(c.chunks, chunkCopy{off: len(c.buf), pages: 1, kind: kindRaw, minT: pg.minT(), maxT: pg.maxT()})
			c.buf = append(c.buf, pg...)
		}
	}
}

// decode appends the samples of one copied chunk. scratch holds the bytes of
// a chain while they are read.
func (c *copied) decode(k chunkCopy, lateN uint32, out *points, scratch *[]byte) error {
	pg := page(c.buf[k.off : k.off+pageSize])
	switch k.kind {
	case kindRaw:
		n, _ := pg.published()
		if n > rawSamples {
			return errCorrupt
		}
		for i := range n {
			out.t = append(out.t, pg.rawTime(i))
			out.st = append(out.st, pg.rawST())
			out.v = append(out.v, pg.rawValue(i))
		}
	case kindPacked:
		_, err := decodePacked(pg, out)
		return err
	case kindLate:
		n, _ := pg.published()
		if n > lateSamples {
			return errCorrupt
		}
		for i := range n {
			if !before(pg.lateFirst()+uint32(i), lateN) {
				break
			}
			out.t = append(out.t, pg.lateTime(i))
			out.st = append(out.st, pg.lateST())
			out.v = append(out.v, pg.lateValue(i))
		}
	case kindHist, kindLateHist:
		b := (*scratch)[:0]
		for i := range k.pages {
			o := k.off + i*pageSize
			b = append(b, c.buf[o+pageHeader+chainData:o+pageSize]...)
		}
		*scratch = b
		n, used := pg.published()
		if used > len(b) {
			return errCorrupt
		}
		return decodeRecords(b[:used], n, func(i int) bool {
			return k.kind == kindHist || before(*pg.chainKey()+uint32(i), lateN)
		}, out)
	}
	return nil
}

// before compares late sample numbers, which wrap.
func before(a, b uint32) bool { return (b-a)&lateMask != 0 && (b-a)&lateMask < lateMask/2 }

func decodeRecords(b []byte, n int, want func(i int) bool, out *points) error {
	r := recordReader{b: b}
	var s histState
	for i := range n {
		rec, ok := r.next(&s)
		if !ok {
			return errCorrupt
		}
		if !want(i) {
			break
		}
		out.pad()
		out.t = append(out.t, s.t)
		out.st = append(out.st, s.st)
		out.v = append(out.v, 0)
		out.hs = append(out.hs, rec)
	}
	return nil
}

// pad gives every float before the first histogram an empty record, so that
// hs is either empty or as long as t.
func (p *points) pad() {
	for len(p.hs) < len(p.t) {
		p.hs = append(p.hs, histRecord{})
	}
}

// merge decodes all chunks into one sequence by time, as late samples need.
func (c *copied) merge(lateN uint32, out *points, scratch *[]byte) error {
	var all points
	var source []int
	for i, k := range c.chunks {
		if err := c.decode(k, lateN, &all, scratch); err != nil {
			return err
		}
		if len(all.hs) > 0 {
			all.pad()
		}
		// Late chunks each are a source of their own, all others are one.
		if k.kind != kindLate && k.kind != kindLateHist {
			i = -1
		}
		for len(source) < len(all.t) {
			source = append(source, i)
		}
	}
	order := make([]int, len(all.t))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case all.t[a] < all.t[b]:
			return -1
		case all.t[a] > all.t[b]:
			return 1
		}
		return 0
	})
	last, from := int64(noTime), -1
	for _, i := range order {
		if all.t[i] == last {
			continue
		}
		out.t = append(out.t, all.t[i])
		out.st = append(out.st, all.st[i])
		out.v = append(out.v, all.v[i])
		if len(all.hs) > 0 {
			// A hint speaks of the sample before in the same source only.
			if rec := all.hs[i]; !rec.none() && from != source[i] && rec.hint() == histogram.NotCounterReset && last != noTime {
				rec.setHint(histogram.UnknownCounterReset)
			}
			out.hs = append(out.hs, all.hs[i])
		}
		last, from = all.t[i], source[i]
	}
	return nil
}

// bounds are the times of the oldest and newest sample. DB.mu is held.
func (db *DB) bounds() (minT, maxT int64, ok bool) {
	minT, maxT = math.MaxInt64, math.MinInt64
	for slot := uint32(1); slot < db.series.next; slot++ {
		e := db.series.entry(slot)
		if e.head == 0 && e.raw == 0 {
			continue
		}
		maxT = max(maxT, e.lastT)
		for i := e.head; i != 0; i = db.arena.link[i] {
			if n, _ := db.arena.page(i).published(); n > 0 {
				minT = min(minT, db.arena.page(i).minT())
				if k := db.arena.page(i).kind(); k != kindLate && k != kindLateHist {
					break
				}
			}
		}
		if e.raw != 0 && e.head == 0 {
			if n, _ := db.arena.page(e.raw).published(); n > 0 {
				minT = min(minT, db.arena.page(e.raw).minT())
			}
		}
	}
	return minT, maxT, minT <= maxT
}
