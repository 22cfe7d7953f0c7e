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
// series that followed the one before it last time, then the table of keys. It
// takes no lock and does not allocate.
func (tx *Tx) Lookup(space KeySpace, key []byte) (storage.SeriesRef, bool) {
	t := tx.db.series
	h := tx.db.keyHash(space, key)
	if tx.prev != 0 {
		if next := atomic.LoadUint32(&t.entry(tx.prev).next); next != 0 {
			e := t.entry(next)
			// The generation is read before the hash: see bury.
			gen := atomic.LoadUint32(&e.gen)
			if t.hasKey(e, h) {
				tx.prev = next
				tx.predicted++
				return makeRef(next, gen), true
			}
		}
	}
	slot, gen := t.keys.find(t, h)
	if slot == 0 {
		slot, gen = tx.other(h)
	}
	if slot == 0 {
		tx.missed++
		return 0, false
	}
	tx.cached++
	tx.follow(slot)
	return makeRef(slot, gen), true
}

// follow makes slot the successor of the series before it.
func (tx *Tx) follow(slot uint32) {
	if tx.prev != 0 && tx.prev != slot {
		atomic.StoreUint32(&tx.db.series.entry(tx.prev).next, slot)
	}
	tx.prev = slot
}

// other finds the series of a key that is not the newest of its series.
func (tx *Tx) other(h xxh3.Uint128) (slot, gen uint32) {
	t := tx.db.series
	c := t.keys.others.Load()
	if c == nil {
		return 0, 0
	}
	binary.LittleEndian.PutUint64(tx.key[:], h.Lo)
	binary.LittleEndian.PutUint64(tx.key[8:], h.Hi)
	if got := c.Get(tx.val[:0], tx.key[:]); len(got) == 8 {
		slot, gen = splitRef(storage.SeriesRef(binary.LittleEndian.Uint64(got)))
		if t.known(slot) && atomic.LoadUint32(&t.entry(slot).gen) == gen {
			return slot, gen
		}
	}
	return 0, 0
}

// setOther keeps the key that slot had until now.
func (k *keyTable) setOther(h xxh3.Uint128, slot, gen uint32) {
	var key [16]byte
	var val [8]byte
	binary.LittleEndian.PutUint64(key[:], h.Lo)
	binary.LittleEndian.PutUint64(key[8:], h.Hi)
	binary.LittleEndian.PutUint64(val[:], uint64(makeRef(slot, gen)))
	k.others.Load().Set(key[:], val[:])
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
	return tx.create(space, key, refs)
}

// CreateSymbols is Create for labels as symbols of this transaction: name,
// value, name, value, ... The caller has seen to it that names ascend and no
// value is empty.
func (tx *Tx) CreateSymbols(space KeySpace, key []byte, refs []uint32) (storage.SeriesRef, Reason) {
	if len(refs) == 0 || len(refs)%2 != 0 {
		return 0, InvalidLabels
	}
	return tx.create(space, key, refs)
}

// create finds or makes the series with these symbols and gives it the key,
// if there is one.
func (tx *Tx) create(space KeySpace, key []byte, refs []uint32) (storage.SeriesRef, Reason) {
	db, t := tx.db, tx.db.series
	tx.enc = encodeRefs(tx.enc[:0], refs)
	if len(tx.enc) > maxLabelBytes {
		return 0, InvalidLabels
	}
	hash := t.hash(tx.enc)
	var h xxh3.Uint128
	if key != nil {
		h = db.keyHash(space, key)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	slot := t.find(hash, tx.enc)
	if slot == 0 {
		if db.full() {
			return 0, SeriesLimit
		}
		if t.metrics.full(tx.enc) {
			return 0, MetricSeriesLimit
		}
		slot = t.add(hash, tx.enc)
		for _, id := range refs {
			db.syms.at(id).uses++
		}
		db.pend++
		tx.hold(slot)
	} else if t.cold(slot).state == statePending {
		tx.hold(slot)
	}
	if key != nil {
		t.keys.set(t, slot, h)
		tx.follow(slot)
	}
	return t.ref(slot), Accepted
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
