package tsdbcache

import (
	"math"
	"unsafe"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
	"github.com/zeebo/xxh3"
)

// Tx is one transaction: it collects, and Commit stores everything at once. It
// belongs to one goroutine and must end with Commit or Rollback, after which
// it must not be used.
type Tx struct {
	db   *DB
	id   uint64
	prev uint32 // series looked up last

	floats []txFloat
	hists  []txHist
	exs    []txExemplar
	metas  []txMeta
	held   []uint32 // pending series this transaction holds

	predicted, cached, missed int

	refs     []uint32
	enc      []byte
	examples []Refusal
	strict   bool // some sample must not be late
	key      [16]byte
	val      [16]byte
}

type txFloat struct {
	ref   storage.SeriesRef
	st, t int64
	v     float64
}

type txHist struct {
	ref    storage.SeriesRef
	st, t  int64
	h      *histogram.Histogram
	fh     *histogram.FloatHistogram
	reason Reason
	floats int // floats buffered before it
}

type txExemplar struct {
	ref storage.SeriesRef
	e   exemplar.Exemplar
}

type txMeta struct {
	family string
	m      metadata.Metadata
}

// Begin starts a transaction.
func (db *DB) Begin() *Tx {
	s := &db.txs
	s.mu.Lock()
	defer s.mu.Unlock()
	var tx *Tx
	if n := len(s.idle); n > 0 {
		tx, s.idle = s.idle[n-1], s.idle[:n-1]
	} else {
		tx = &Tx{db: db}
	}
	s.last++
	s.open = append(s.open, s.last)
	tx.id = s.last
	return tx
}

// maxIdle bounds the pool of transactions, keepSamples what a pooled one keeps.
const (
	maxIdle     = 32
	keepSamples = 32 << 10
)

func (tx *Tx) end() {
	db := tx.db
	clear(tx.hists)
	clear(tx.exs)
	clear(tx.metas)
	tx.floats, tx.hists, tx.exs, tx.metas, tx.held = tx.floats[:0], tx.hists[:0], tx.exs[:0], tx.metas[:0], tx.held[:0]
	tx.prev, tx.predicted, tx.cached, tx.missed, tx.strict = 0, 0, 0, 0, false
	db.txs.end(tx.id)
	if cap(tx.floats) > keepSamples || cap(tx.hists) > keepSamples {
		return
	}
	db.txs.mu.Lock()
	if len(db.txs.idle) < maxIdle {
		db.txs.idle = append(db.txs.idle, tx)
	}
	db.txs.mu.Unlock()
}

// Float buffers a sample; Commit judges it. Times are in milliseconds, st 0
// means that the start is not known.
func (tx *Tx) Float(ref storage.SeriesRef, st, t int64, v float64) {
	tx.floats = append(tx.floats, txFloat{ref, st, t, v})
}

// Histogram buffers a native histogram: h, or else fh. Commit does not keep
// them after it returns and does not change them.
func (tx *Tx) Histogram(ref storage.SeriesRef, st, t int64, h *histogram.Histogram, fh *histogram.FloatHistogram) {
	tx.hists = append(tx.hists, txHist{ref: ref, st: st, t: t, h: h, fh: fh, floats: len(tx.floats)})
}

// Exemplar buffers an exemplar.
func (tx *Tx) Exemplar(ref storage.SeriesRef, e exemplar.Exemplar) {
	tx.exs = append(tx.exs, txExemplar{ref, e})
}

// Metadata buffers what is known of a metric family.
func (tx *Tx) Metadata(family string, m metadata.Metadata) {
	tx.metas = append(tx.metas, txMeta{family, m})
}

// Rollback drops everything.
func (tx *Tx) Rollback() {
	if len(tx.held) > 0 {
		tx.db.mu.Lock()
		tx.letGo()
		tx.db.mu.Unlock()
	}
	tx.end()
}

// letGo releases the pending series this transaction held; one that nobody
// holds any more leaves.
func (tx *Tx) letGo() {
	db := tx.db
	for _, slot := range tx.held {
		c := db.series.cold(slot)
		c.pend--
		if c.state == statePending && c.pend == 0 {
			db.pend--
			db.series.bury(slot, db.txs.newest())
		}
	}
	tx.held = tx.held[:0]
}

// limits are the times between which a commit accepts samples.
type limits struct{ lo, hi int64 }

func (db *DB) limits() limits {
	l := limits{math.MinInt64 + 1, math.MaxInt64}
	if db.opts.MaxFuture > 0 || db.opts.Retention > 0 {
		earliest, latest := db.clock.bounds()
		if db.opts.MaxFuture > 0 {
			l.hi = latest.Add(db.opts.MaxFuture).UnixMilli()
		}
		if db.opts.Retention > 0 {
			l.lo = earliest.Add(-db.opts.Retention).UnixMilli()
		}
	}
	return l
}

// Commit stores the transaction: afterwards a query sees all of it that was
// not refused, and a killed process does not lose it. On an error nothing of
// it is visible.
func (tx *Tx) Commit() (Result, error) {
	db := tx.db
	lim := db.limits()
	for i := range tx.hists {
		tx.hists[i].check()
	}
	db.mu.Lock()
	res, err := tx.commit(lim)
	db.mu.Unlock()
	tx.end()
	return res, err
}

func (tx *Tx) commit(lim limits) (Result, error) {
	db := tx.db
	defer tx.letGo()
	if db.closed {
		return Result{}, ErrClosed
	}
	// In the steady state no series is new or gone and this pass is skipped.
	if db.pend > 0 || len(db.series.dead) > 0 || len(tx.metas) > 0 {
		if err := tx.prepare(); err != nil {
			return Result{}, err
		}
	}
	tx.examples = tx.examples[:0]
	var res Result
	next := 0
	for i := range tx.hists {
		h := &tx.hists[i]
		tx.applyFloats(tx.floats[next:h.floats], lim, &res)
		next = h.floats
		tx.applyHist(h, lim, &res)
	}
	tx.applyFloats(tx.floats[next:], lim, &res)
	tx.applyExemplars(&res)
	for _, m := range tx.metas {
		db.meta.set(m.family, m.m)
	}
	res.Examples = append([]Refusal(nil), tx.examples...) // tx goes back to the pool
	db.n.add(tx, &res)
	db.maybeSweep()
	return res, nil
}

func (tx *Tx) applyFloats(fs []txFloat, lim limits, res *Result) {
	db := tx.db
	for i := range fs {
		f := &fs[i]
		slot, gen := splitRef(f.ref)
		if (!db.series.known(slot) || db.series.entry(slot).gen != gen) && !tx.again(slot, gen) {
			tx.refuse(res, f.ref, f.t, UnknownSeries)
			continue
		}
		e := db.series.entry(slot)
		if len(db.snaps.gens) > 0 {
			db.snaps.keep(slot, e)
		}
		if r := db.appendFloat(slot, e, lim, f.st, f.t, math.Float64bits(f.v)); r != Accepted {
			if r != sameSample {
				tx.refuse(res, f.ref, f.t, r)
				continue
			}
		} else {
			db.stored(slot, e, TapSample{Ref: f.ref, T: f.t, V: f.v})
		}
		res.Samples++
	}
}

func (tx *Tx) applyHist(h *txHist, lim limits, res *Result) {
	db := tx.db
	slot, gen := splitRef(h.ref)
	switch {
	case h.reason != Accepted:
		tx.refuse(res, h.ref, h.t, h.reason)
		return
	case (!db.series.known(slot) || db.series.entry(slot).gen != gen) && !tx.again(slot, gen):
		tx.refuse(res, h.ref, h.t, UnknownSeries)
		return
	}
	e := db.series.entry(slot)
	if len(db.snaps.gens) > 0 {
		db.snaps.keep(slot, e)
	}
	if r := db.appendHist(slot, e, lim, h); r != Accepted {
		if r != sameSample {
			tx.refuse(res, h.ref, h.t, r)
			return
		}
	} else {
		db.stored(slot, e, TapSample{Ref: h.ref, T: h.t, V: histRecord{h: h.h, fh: h.fh}.sum(), Histogram: true})
	}
	res.Histograms++
}

// stored publishes a series with its first sample and feeds the taps.
func (db *DB) stored(slot uint32, e *entry, s TapSample) {
	if db.pend > 0 {
		if c := db.series.cold(slot); c.state == statePending {
			db.publish(slot, c)
		}
	}
	if e.lateN&flagTapped != 0 {
		db.feed(slot, e, s)
	}
}

func (tx *Tx) refuse(res *Result, ref storage.SeriesRef, t int64, r Reason) {
	res.Refused[r]++
	if len(tx.examples) < maxExamples {
		tx.examples = append(tx.examples, Refusal{ref, t, r})
	}
}

// publish puts a pending series into the index.
func (db *DB) publish(slot uint32, c *cold) {
	c.state = stateLive
	db.pend--
	db.series.live++
	db.n.created++
	db.refs = decodeRefs(db.refs[:0], db.series.encoded(slot))
	db.post.add(db.syms, slot, db.refs)
	db.tapSeries(slot, db.refs)
}

// prepare follows references to series that left since they were looked up,
// and writes what the series log must have before a sample is answered.
func (tx *Tx) prepare() error {
	db := tx.db
	var fresh []uint32
	visit := func(ref *storage.SeriesRef) {
		slot, gen := splitRef(*ref)
		if !db.series.known(slot) {
			return
		}
		c := db.series.cold(slot)
		if c.state == stateDead && db.series.entry(slot).gen == gen+1 {
			slot = db.revive(slot, c)
			*ref = db.series.ref(slot)
			c = db.series.cold(slot)
		}
		if c.state == statePending && db.series.entry(slot).gen == uint32(*ref>>32) {
			tx.hold(slot)
			if !c.logged {
				c.logged = true // record takes it back if it cannot be written
				fresh = append(fresh, slot)
			}
		}
	}
	for i := range tx.floats {
		visit(&tx.floats[i].ref)
	}
	for i := range tx.hists {
		visit(&tx.hists[i].ref)
	}
	if db.log == nil {
		return nil
	}
	return db.log.record(db, fresh, tx.metas)
}

// again brings back a series that this very commit evicted before it came to
// the series' own sample. The series log still has it.
func (tx *Tx) again(slot, gen uint32) bool {
	db := tx.db
	if !db.series.known(slot) || db.series.entry(slot).gen != gen+1 {
		return false
	}
	c := db.series.cold(slot)
	if c.state != stateDead || db.revive(slot, c) != slot {
		return false
	}
	tx.hold(slot)
	return true
}

// revive brings back a series that left while a transaction held a reference
// to it, or finds the one that has its labels by now.
func (db *DB) revive(slot uint32, c *cold) uint32 {
	if s := db.series.find(c.hash, db.series.encoded(slot)); s != 0 {
		return s
	}
	e := db.series.entry(slot)
	var key xxh3.Uint128
	for i, d := range db.series.dead {
		if d.slot == slot {
			key = d.key
			db.series.dead = append(db.series.dead[:i], db.series.dead[i+1:]...)
			break
		}
	}
	e.gen--
	db.series.set(slot, *c)
	if key.Lo != 0 {
		db.series.keys.set(db.series, slot, key)
	}
	db.pend++
	return slot
}

func stringBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
