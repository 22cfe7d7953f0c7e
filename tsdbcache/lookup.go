package tsdbcache

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/zeebo/xxh3"
)

// KeySpace tells how a lookup key was made. Equal bytes in different spaces
// are different keys.
type KeySpace uint8

// The key spaces.
const (
	KeyV1     KeySpace = 1 + iota // raw label bytes as on the RW 1.0 wire
	KeyV2                         // little-endian uint32 symbols: name, value, name, value, ...
	keyLabels                     // labels.Labels.Bytes, for AppenderV2
)

func (db *DB) keyHash(space KeySpace, key []byte) xxh3.Uint128 {
	h := xxh3.Hash128Seed(key, db.keySeed+uint64(space))
	h.Lo |= 1 // 0 means that a series has no key yet
	return h
}

// Lookup finds the series of a key without looking at its labels: first the
// series that followed the one before it last time, then the cache. It takes
// no lock and does not allocate.
func (tx *Tx) Lookup(space KeySpace, key []byte) (storage.SeriesRef, bool) {
	db := tx.db
	h := db.keyHash(space, key)
	if tx.prev != 0 {
		if next := atomic.LoadUint32(&db.series.entry(tx.prev).next); next != 0 {
			e := db.series.entry(next)
			// The generation is read before the hash: see bury.
			gen := atomic.LoadUint32(&e.gen)
			if atomic.LoadUint64(&e.hashLo) == h.Lo && atomic.LoadUint64(&e.hashHi) == h.Hi {
				tx.prev = next
				tx.predicted++
				return makeRef(next, gen), true
			}
		}
	}
	binary.LittleEndian.PutUint64(tx.key[:], h.Lo)
	binary.LittleEndian.PutUint64(tx.key[8:], h.Hi)
	got := db.cache.Get(tx.val[:0], tx.key[:])
	if len(got) == 8 {
		slot, gen := splitRef(storage.SeriesRef(binary.LittleEndian.Uint64(got)))
		if db.series.known(slot) && atomic.LoadUint32(&db.series.entry(slot).gen) == gen {
			tx.cached++
			tx.learn(slot, h)
			return makeRef(slot, gen), true
		}
	}
	tx.missed++
	return 0, false
}

// learn makes slot the successor of the series before it.
func (tx *Tx) learn(slot uint32, h xxh3.Uint128) {
	e := tx.db.series.entry(slot)
	if atomic.LoadUint64(&e.hashLo) != h.Lo || atomic.LoadUint64(&e.hashHi) != h.Hi {
		atomic.StoreUint64(&e.hashLo, h.Lo)
		atomic.StoreUint64(&e.hashHi, h.Hi)
	}
	if tx.prev != 0 && tx.prev != slot {
		atomic.StoreUint32(&tx.db.series.entry(tx.prev).next, slot)
	}
	tx.prev = slot
}

// remember makes key find slot from now on.
func (tx *Tx) remember(slot, gen uint32, h xxh3.Uint128) {
	binary.LittleEndian.PutUint64(tx.key[:], h.Lo)
	binary.LittleEndian.PutUint64(tx.key[8:], h.Hi)
	binary.LittleEndian.PutUint64(tx.val[:], uint64(makeRef(slot, gen)))
	tx.db.cache.Set(tx.key[:], tx.val[:8])
	tx.learn(slot, h)
}

// Symbol numbers a string. The number lasts while a series uses the string,
// and until this transaction ends. The empty string is 0.
func (tx *Tx) Symbol(s []byte) uint32 {
	if len(s) == 0 {
		return 0
	}
	return tx.db.syms.intern(s, tx.id).id
}

// Create finds the series of a label set or makes it, and lets key find it.
// The labels must be valid; nothing of them is kept. A new series can be
// queried once a transaction that stores a sample in it commits.
func (tx *Tx) Create(space KeySpace, key []byte, ls labels.Labels) (storage.SeriesRef, Reason) {
	db := tx.db
	refs := tx.refs[:0]
	ok, last := true, ""
	ls.Range(func(l labels.Label) {
		if l.Value == "" {
			return
		}
		ok = ok && l.Name > last
		last = l.Name
		refs = append(refs, db.syms.intern(stringBytes(l.Name), tx.id).id, db.syms.intern(stringBytes(l.Value), tx.id).id)
	})
	tx.refs = refs
	if !ok || len(refs) == 0 {
		return 0, InvalidLabels
	}
	slot, reason := tx.create(refs)
	if reason != Accepted {
		return 0, reason
	}
	gen := atomic.LoadUint32(&db.series.entry(slot).gen)
	if key != nil {
		tx.remember(slot, gen, db.keyHash(space, key))
	}
	return makeRef(slot, gen), Accepted
}

func (tx *Tx) create(refs []uint32) (uint32, Reason) {
	db := tx.db
	hash := db.series.hash(refs)
	db.mu.Lock()
	defer db.mu.Unlock()
	if slot := db.series.find(hash, refs); slot != 0 {
		if db.series.cold(slot).state == statePending {
			tx.hold(slot)
		}
		return slot, Accepted
	}
	if db.full() {
		return 0, SeriesLimit
	}
	own := append(make([]uint32, 0, len(refs)), refs...)
	slot := db.series.add(hash, own)
	for _, id := range own {
		db.syms.at(id).uses++
	}
	db.pend++
	tx.hold(slot)
	return slot, Accepted
}

// full reports whether a new series must be refused: by the limit, or because
// the series there are may need every page for what is open.
func (db *DB) full() bool {
	n := db.series.live + db.pend
	if db.opts.MaxSeries > 0 && n >= db.opts.MaxSeries {
		return true
	}
	open := int(db.arena.n) - 1 - db.arena.available() - db.arena.nclosed
	return 2*(db.nraw+db.pend)+(open-db.nraw)/2 >= int(db.arena.n)-1
}

func (tx *Tx) hold(slot uint32) {
	tx.db.series.cold(slot).pend++
	tx.held = append(tx.held, slot)
}
