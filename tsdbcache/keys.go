package tsdbcache

import (
	"sync/atomic"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/zeebo/xxh3"
)

// keyTable finds the slot of a wire key by its hash. It stores slots only: the
// hash is in the entry, which a hit reads anyway. Readers take no lock; a
// reader that meets a change may miss, which costs it a look at the labels.
// It changes under DB.mu.
//
// An entry has room for one key. A series that is sent under another one too,
// by both protocols for example, has its older key in others.
type keyTable struct {
	mem    *offHeap
	tab    atomic.Pointer[[]uint32] // power of two, linear probing
	used   int
	others atomic.Pointer[fastcache.Cache]
}

// otherKeys is the size of the cache of further keys, the least that fastcache
// takes. It touches memory only as it fills.
const otherKeys = 32 << 20

func (k *keyTable) init(mem *offHeap) {
	tab := mem.numbers(minTable)
	k.mem = mem
	k.tab.Store(&tab)
}

func (t *seriesTable) hasKey(e *entry, h xxh3.Uint128) bool {
	return atomic.LoadUint64(&e.hashLo) == h.Lo && atomic.LoadUint64(&e.hashHi) == h.Hi
}

// find is the slot with this key and its generation, or 0.
func (k *keyTable) find(t *seriesTable, h xxh3.Uint128) (slot, gen uint32) {
	tab := *k.tab.Load()
	mask := uint64(len(tab) - 1)
	for i := h.Hi & mask; ; i = (i + 1) & mask {
		s := atomic.LoadUint32(&tab[i])
		if s == 0 {
			return 0, 0
		}
		e := t.entry(s)
		// The generation is read before the hash: see bury.
		gen := atomic.LoadUint32(&e.gen)
		if t.hasKey(e, h) {
			return s, gen
		}
	}
}

// set makes h the key of slot. DB.mu is held.
func (k *keyTable) set(t *seriesTable, slot uint32, h xxh3.Uint128) {
	e := t.entry(slot)
	if t.hasKey(e, h) {
		return
	}
	if e.hashLo != 0 {
		if k.others.Load() == nil {
			k.others.Store(fastcache.New(otherKeys))
		}
		k.setOther(xxh3.Uint128{Hi: e.hashHi, Lo: e.hashLo}, slot, e.gen)
		k.remove(t, slot)
	}
	atomic.StoreUint64(&e.hashLo, h.Lo)
	atomic.StoreUint64(&e.hashHi, h.Hi)
	if tab := *k.tab.Load(); 2*(k.used+1) > len(tab) {
		k.grow(t, 2*len(tab)) // slot is in it by now
		return
	}
	k.place(*k.tab.Load(), h.Hi, slot)
}

func (k *keyTable) place(tab []uint32, hash uint64, slot uint32) {
	mask := uint64(len(tab) - 1)
	i := hash & mask
	for tab[i] != 0 {
		i = (i + 1) & mask
	}
	atomic.StoreUint32(&tab[i], slot)
	k.used++
}

// grow makes a larger table of all entries that have a key.
func (k *keyTable) grow(t *seriesTable, size int) {
	old, tab := *k.tab.Load(), k.mem.numbers(size)
	k.used = 0
	for slot := uint32(1); slot < t.next; slot++ {
		if e := t.entry(slot); e.hashLo != 0 {
			k.place(tab, e.hashHi, slot)
		}
	}
	k.tab.Store(&tab)
	k.mem.forget(old)
}

// remove takes the key of slot out, closing the gap. DB.mu is held.
func (k *keyTable) remove(t *seriesTable, slot uint32) {
	e := t.entry(slot)
	if e.hashLo == 0 {
		return
	}
	tab := *k.tab.Load()
	mask := uint64(len(tab) - 1)
	i := e.hashHi & mask
	for tab[i] != slot {
		i = (i + 1) & mask
	}
	k.used--
	for j := (i + 1) & mask; tab[j] != 0; j = (j + 1) & mask {
		home := t.entry(tab[j]).hashHi & mask
		if (j-home)&mask >= (j-i)&mask {
			atomic.StoreUint32(&tab[i], tab[j])
			i = j
		}
	}
	atomic.StoreUint32(&tab[i], 0)
}
