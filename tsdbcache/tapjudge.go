package tsdbcache

import (
	"slices"

	"github.com/prometheus/prometheus/storage"
)

// tapNewborn lists series for which all equalities of a tap hold and its
// other matchers are still to be applied. It is under the mu of the queue.
type tapNewborn struct {
	newborn []storage.SeriesRef
	missed  bool // there were too many: all series are to be looked at
}

// maxNewborn bounds the list, which takes 8 bytes a series.
const maxNewborn = 1 << 16

// note lists a series. DB.mu is held for writing.
func (t *tap) note(ref storage.SeriesRef) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.missed:
	case len(t.newborn) == maxNewborn:
		t.newborn, t.missed = nil, true
	default:
		t.newborn = append(t.newborn, ref)
	}
}

// decide applies the matchers to the series made since the last time, without
// a lock that the write path needs.
func (t *tap) decide() {
	t.deciding.Lock()
	defer t.deciding.Unlock()
	t.mu.Lock()
	refs, missed := t.newborn, t.missed
	t.newborn, t.missed = nil, false
	t.mu.Unlock()
	if len(refs) == 0 && !missed {
		return
	}
	id := t.db.txs.begin() // no symbol changes its meaning meanwhile
	defer t.db.txs.end(id)
	if missed {
		t.loseAll()
		t.selectAll()
		return
	}
	verdicts := make([]map[uint32]bool, len(t.others))
	for i := range verdicts {
		verdicts[i] = map[uint32]bool{}
	}
	for some := range slices.Chunk(refs, lockSlice) {
		values := t.valuesOf(some)
		yes := some[:0]
		for i, ref := range some {
			if t.accepts(values[i*len(t.others):][:len(t.others)], verdicts) {
				yes = append(yes, ref)
			}
		}
		t.attach(yes, true)
	}
}

// valuesOf has the symbols of the labels that the other matchers ask for, for
// one series after the other. A series that left meanwhile has none: attach
// sees that for itself.
func (t *tap) valuesOf(refs []storage.SeriesRef) []uint32 {
	db := t.db
	values := make([]uint32, 0, len(refs)*len(t.others))
	var scratch []uint32
	db.mu.RLock()
	defer db.mu.RUnlock()
	for _, ref := range refs {
		scratch = scratch[:0]
		if slot, live := db.liveSlot(ref); live {
			scratch = decodeRefs(scratch, db.series.encoded(slot))
		}
		for _, o := range t.others {
			values = append(values, symbolOf(scratch, o.name))
		}
	}
	return values
}

// accepts applies the other matchers, each once to a value.
func (t *tap) accepts(values []uint32, verdicts []map[uint32]bool) bool {
	for i, o := range t.others {
		yes, known := verdicts[i][values[i]]
		if !known {
			yes = o.m.Matches(t.db.syms.get(values[i]))
			verdicts[i][values[i]] = yes
		}
		if !yes {
			return false
		}
	}
	return true
}

// selectAll attaches the series that there are. The tap is open already, so
// series that are made meanwhile are seen to by tapSeries. The caller has a
// transaction open and holds deciding.
func (t *tap) selectAll() {
	db := t.db
	terms := db.plan(t.ms)
	for i := range terms {
		terms[i].onlyJudged = true
	}
	db.mu.RLock()
	if db.closed {
		db.mu.RUnlock()
		return
	}
	slots := db.selectSlots(terms)
	refs := make([]storage.SeriesRef, len(slots))
	for i, slot := range slots {
		refs[i] = db.series.ref(slot)
	}
	db.mu.RUnlock()
	t.attach(refs, false)
}

// attach has series feed the tap from here on, and says so to the readers if
// they have to be read.
func (t *tap) attach(refs []storage.SeriesRef, say bool) {
	db := t.db
	for some := range slices.Chunk(refs, lockSlice) {
		db.mu.Lock()
		for _, ref := range some {
			slot, live := db.liveSlot(ref)
			if !live {
				continue
			}
			sets := &db.taps.sets
			if was := sets.of(slot); sets.with(was, t) != was {
				sets.assign(slot, sets.with(was, t))
				db.series.entry(slot).lateN |= flagTapped
			}
			if say {
				t.push(TapSample{Ref: ref, Joined: true})
			}
		}
		db.mu.Unlock()
	}
}

// liveSlot is the slot of a series that can be queried. DB.mu is held.
func (db *DB) liveSlot(ref storage.SeriesRef) (slot uint32, live bool) {
	slot, gen := splitRef(ref)
	if db.closed || !db.series.known(slot) || db.series.entry(slot).gen != gen || db.series.cold(slot).state != stateLive {
		return 0, false
	}
	return slot, true
}
