package tsdbcache

import (
	"math"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/zeebo/xxh3"
)

// entry is the part of a series that an append touches: one cache line.
//
// gen, hashLo, hashHi and next are read and written atomically, because
// lookups take no lock; the rest is under DB.mu.
type entry struct {
	hashLo, hashHi uint64 // hash of the wire key seen last
	lastT          int64  // newest time, noTime before the first sample
	lastV          uint64 // bits of the newest float
	gen            uint32 // changes when the series leaves
	next           uint32 // series that followed this one on the wire
	raw            uint32 // page of raw samples
	open           uint32 // open packed page or histogram chunk
	head, tail     uint32 // chunks, oldest first; linked through arena.link
	late           uint32 // open chunk of late samples
	lateN          uint32 // late samples ever, and flags
}

const noTime = math.MinInt64

// Flags in entry.lateN.
const (
	lateMask   = 1<<29 - 1
	flagTapped = 1 << 29 // some tap wants this series
	flagHist   = 1 << 30 // the newest sample is a histogram
)

// cold is the rest of a series.
type cold struct {
	hash   uint32 // of the encoded labels, seeded
	labels uint32 // where labelStore has them
	n      uint16 // and how many bytes
	state  uint8
	logged bool   // in the series log
	mark   uint32 // of the newest sample at the last idle scan, 0 before the first
	pend   int32  // transactions that hold the pending series
}

const (
	stateFree    = iota
	statePending // a transaction created it; in no posting list yet
	stateLive
	stateDead // left the index; its number is not reused yet
)

const seriesChunkSize = 4096

// seriesTable holds series by slot. Slot 0 is never used.
type seriesTable struct {
	mem    *offHeap
	labels *labelStore
	dir    atomic.Pointer[[]*[seriesChunkSize]entry]
	colds  []*[seriesChunkSize]cold
	next   uint32
	freed  []uint32
	gen0   uint32 // first generation of a new slot
	seed   uint64
	index  []uint32 // canonical table: slots by hash of labels, linear probing
	used   int
	live   int
	dead   []deadSeries
	keys   keyTable

	metrics *metricCounts // nil without MaxSeriesPerMetric
}

// deadSeries left the index.
type deadSeries struct {
	slot uint32
	tx   uint64       // number of the transaction that was newest then
	key  xxh3.Uint128 // if it is revived
}

func newSeriesTable(mem *offHeap, seed uint64) *seriesTable {
	t := &seriesTable{mem: mem, labels: newLabelStore(mem), next: 1, gen0: uint32(seed>>32) | 1, seed: seed, index: mem.numbers(minTable)}
	t.dir.Store(&[]*[seriesChunkSize]entry{})
	t.keys.init(mem)
	return t
}

// minTable is how many places a hash table has at least.
const minTable = 1024

// entry is the series of a slot below the highest ever used.
func (t *seriesTable) entry(slot uint32) *entry {
	return &(*t.dir.Load())[slot/seriesChunkSize][slot%seriesChunkSize]
}

// known reports whether a slot was ever handed out.
func (t *seriesTable) known(slot uint32) bool {
	return slot != 0 && int(slot/seriesChunkSize) < len(*t.dir.Load())
}

func (t *seriesTable) cold(slot uint32) *cold {
	return &t.colds[slot/seriesChunkSize][slot%seriesChunkSize]
}

func makeRef(slot, gen uint32) storage.SeriesRef {
	return storage.SeriesRef(uint64(gen)<<32 | uint64(slot))
}

func splitRef(ref storage.SeriesRef) (slot, gen uint32) { return uint32(ref), uint32(ref >> 32) }

func (t *seriesTable) ref(slot uint32) storage.SeriesRef {
	return makeRef(slot, atomic.LoadUint32(&t.entry(slot).gen))
}

// reach makes slot addressable.
func (t *seriesTable) reach(slot uint32) {
	dir := *t.dir.Load()
	need := int(slot/seriesChunkSize) + 1
	if need <= len(dir) {
		return
	}
	bigger := make([]*[seriesChunkSize]entry, need, need+need/4+1)
	copy(bigger, dir)
	for i := len(dir); i < need; i++ {
		c := mapped[[seriesChunkSize]entry](t.mem)
		for j := range c {
			c[j].gen, c[j].lastT = t.gen0, noTime
		}
		bigger[i] = c
		t.colds = append(t.colds, mapped[[seriesChunkSize]cold](t.mem))
	}
	t.dir.Store(&bigger)
}

func (t *seriesTable) hash(enc []byte) uint32 { return uint32(xxh3.HashSeed(enc, t.seed)) }

// encoded is the label set of a series, see labelStore.
func (t *seriesTable) encoded(slot uint32) []byte {
	c := t.cold(slot)
	return t.labels.at(c.labels, int(c.n))
}

// find is the slot of an encoded label set, pending or live, or 0.
func (t *seriesTable) find(hash uint32, enc []byte) uint32 {
	mask := uint32(len(t.index) - 1)
	for i := hash & mask; t.index[i] != 0; i = (i + 1) & mask {
		c := t.cold(t.index[i])
		if c.hash == hash && string(t.labels.at(c.labels, int(c.n))) == string(enc) {
			return t.index[i]
		}
	}
	return 0
}

func (t *seriesTable) insert(slot uint32) {
	if 4*(t.used+1) > 3*len(t.index) {
		old := t.index
		t.index = t.mem.numbers(2 * len(old))
		for _, s := range old {
			if s != 0 {
				t.place(s)
			}
		}
		t.mem.drop(old)
	}
	t.place(slot)
	t.used++
	t.metrics.add(t.encoded(slot), 1)
}

func (t *seriesTable) place(slot uint32) {
	mask := uint32(len(t.index) - 1)
	i := t.cold(slot).hash & mask
	for t.index[i] != 0 {
		i = (i + 1) & mask
	}
	t.index[i] = slot
}

// remove takes a slot out of the canonical table, closing the gap.
func (t *seriesTable) remove(slot uint32) {
	mask := uint32(len(t.index) - 1)
	i := t.cold(slot).hash & mask
	for t.index[i] != slot {
		i = (i + 1) & mask
	}
	t.used--
	t.metrics.add(t.encoded(slot), -1)
	for j := (i + 1) & mask; t.index[j] != 0; j = (j + 1) & mask {
		home := t.cold(t.index[j]).hash & mask
		if (j-home)&mask >= (j-i)&mask {
			t.index[i] = t.index[j]
			i = j
		}
	}
	t.index[i] = 0
}

// add puts a new pending series into a slot of its own.
func (t *seriesTable) add(hash uint32, enc []byte) uint32 {
	slot := t.next
	if n := len(t.freed); n > 0 {
		slot, t.freed = t.freed[n-1], t.freed[:n-1]
	} else {
		t.next++
		t.reach(slot)
	}
	t.set(slot, cold{hash: hash, labels: t.labels.put(enc), n: uint16(len(enc))})
	return slot
}

// set makes slot a pending series with the labels of c.
func (t *seriesTable) set(slot uint32, c cold) {
	e := t.entry(slot)
	e.lastT, e.lastV, e.raw, e.open, e.head, e.tail, e.late, e.lateN = noTime, 0, 0, 0, 0, 0, 0, 0
	atomic.StoreUint32(&e.next, 0)
	*t.cold(slot) = cold{hash: c.hash, labels: c.labels, n: c.n, state: statePending}
	t.insert(slot)
}

// bury makes every reference to the series stale. The hash goes first, so a
// lookup that still sees it holds the old generation.
func (t *seriesTable) bury(slot uint32, tx uint64) {
	e := t.entry(slot)
	key := xxh3.Uint128{Hi: e.hashHi, Lo: e.hashLo}
	t.keys.remove(t, slot)
	atomic.StoreUint64(&e.hashLo, 0)
	atomic.StoreUint64(&e.hashHi, 0)
	atomic.AddUint32(&e.gen, 1)
	t.remove(slot)
	t.cold(slot).state = stateDead
	t.dead = append(t.dead, deadSeries{slot, tx, key})
}

// wipe frees the slot of a dead series, and its labels.
func (t *seriesTable) wipe(slot uint32) {
	c := t.cold(slot)
	t.labels.drop(c.labels, int(c.n))
	*c = cold{}
	t.freed = append(t.freed, slot)
}

func (db *DB) labelsOf(slot uint32, b *labels.ScratchBuilder) labels.Labels {
	b.Reset()
	db.syms.build(b, db.series.encoded(slot))
	return b.Labels()
}

// build adds an encoded label set to b.
func (s *symbols) build(b *labels.ScratchBuilder, enc []byte) {
	for len(enc) > 0 {
		var name, value uint32
		name, enc = nextRef(enc)
		value, enc = nextRef(enc)
		b.Add(s.get(name), s.get(value))
	}
}

// Labels returns the labels of a series, or false if it left.
func (db *DB) Labels(ref storage.SeriesRef) (labels.Labels, bool) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	slot, gen := splitRef(ref)
	if !db.series.known(slot) || db.series.entry(slot).gen != gen || db.series.cold(slot).state == stateFree {
		return labels.EmptyLabels(), false
	}
	b := labels.NewScratchBuilder(16)
	return db.labelsOf(slot, &b), true
}
