package tsdbcache

import (
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// TapSample is one sample as a tap saw it. A histogram has no value here: the
// drainer reads it from the ring.
type TapSample struct {
	Ref       storage.SeriesRef
	ST, T     int64 // milliseconds
	V         float64
	Histogram bool
}

// Tap is a bounded queue of the samples stored in series that its matchers
// select. The write path only queues; whoever drains does the work.
type Tap struct {
	db   *DB
	ms   []*labels.Matcher
	want []uint64 // bit per slot; under DB.mu

	mu         sync.Mutex
	queue      []TapSample // never grows beyond its first capacity
	spare      []TapSample // the other half of the swap in Drain
	overflowed bool
}

// Tap opens a queue of at most capacity samples for the series that ms select,
// those there are and those to come. Close it when it is no longer drained.
func (db *DB) Tap(ms []*labels.Matcher, capacity int) *Tap {
	t := &Tap{db: db, ms: ms, queue: make([]TapSample, 0, max(capacity, 1))}
	id := db.txs.begin()
	defer db.txs.end(id)
	terms := db.plan(ms)
	db.mu.Lock()
	defer db.mu.Unlock()
	db.taps = append(db.taps, t)
	if db.closed {
		return t
	}
	for _, slot := range db.selectSlots(terms) {
		t.set(slot, true)
		db.series.entry(slot).lateN |= flagTapped
	}
	return t
}

// Close ends the tap.
func (t *Tap) Close() {
	db := t.db
	db.mu.Lock()
	defer db.mu.Unlock()
	db.taps = slices.DeleteFunc(db.taps, func(x *Tap) bool { return x == t })
	for slot := uint32(1); slot < db.series.next && len(t.want) > 0; slot++ {
		if t.has(slot) && !slices.ContainsFunc(db.taps, func(x *Tap) bool { return x.has(slot) }) {
			db.series.entry(slot).lateN &^= flagTapped
		}
	}
	t.want = nil
}

func (t *Tap) has(slot uint32) bool {
	return int(slot/64) < len(t.want) && t.want[slot/64]>>(slot%64)&1 == 1
}

func (t *Tap) set(slot uint32, on bool) {
	for on && int(slot/64) >= len(t.want) {
		t.want = append(t.want, 0)
	}
	if on {
		t.want[slot/64] |= 1 << (slot % 64)
	} else if int(slot/64) < len(t.want) {
		t.want[slot/64] &^= 1 << (slot % 64)
	}
}

// tapSeries connects a new series to the taps that want it.
func (db *DB) tapSeries(slot uint32) {
	e := db.series.entry(slot)
	e.lateN &^= flagTapped
	for _, t := range db.taps {
		on := !slices.ContainsFunc(t.ms, func(m *labels.Matcher) bool { return !m.Matches(db.value(slot, m.Name)) })
		t.set(slot, on)
		if on {
			e.lateN |= flagTapped
		}
	}
}

// value is a label value of a series, "" if it has none.
func (db *DB) value(slot uint32, name string) string {
	for enc := db.series.encoded(slot); len(enc) > 0; {
		var n, v uint32
		n, enc = nextRef(enc)
		v, enc = nextRef(enc)
		if db.syms.get(n) == name {
			return db.syms.get(v)
		}
	}
	return ""
}

// feed queues a stored sample. DB.mu is held.
func (db *DB) feed(slot uint32, s TapSample) {
	for _, t := range db.taps {
		if t.has(slot) && !t.push(s) {
			db.n.tapDropped++
		}
	}
}

// push queues a sample, or notes that it did not fit.
func (t *Tap) push(s TapSample) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == cap(t.queue) {
		t.overflowed = true
		return false
	}
	t.queue = append(t.queue, s)
	return true
}

// Drain calls f with every queued sample in the order of their commits and
// reports whether samples were lost since the last Drain; then the drainer
// resyncs with a query. Only one goroutine may drain a tap.
func (t *Tap) Drain(f func(TapSample)) (overflowed bool) {
	t.mu.Lock()
	out := t.queue
	if t.spare == nil {
		t.spare = make([]TapSample, 0, cap(out))
	}
	t.queue, t.spare = t.spare[:0], out
	overflowed, t.overflowed = t.overflowed, false
	t.mu.Unlock()
	for _, s := range out {
		f(s)
	}
	return overflowed
}
