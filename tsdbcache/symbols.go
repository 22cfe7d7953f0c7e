package tsdbcache

import (
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// symbols numbers strings. Numbers last while a series uses the string, and
// at least until every transaction that saw the number has ended.
//
// get and find take no lock: the tables they read are replaced, never moved
// under them. Everything else is under mu.
type symbols struct {
	seed uint64
	dir  atomic.Pointer[[]*symbolChunk]
	tab  atomic.Pointer[symbolTable]

	mu     sync.Mutex
	freed  []uint32
	next   uint32
	live   int
	bytes  int
	unused int          // symbols that no series uses, roughly
	kept   int          // symbols after the last sweep; under DB.mu
	fresh  atomic.Int64 // symbols made since then
}

const symbolChunkSize = 1024

type symbolChunk [symbolChunkSize]atomic.Pointer[symbol]

type symbol struct {
	s      string
	hash   uint64
	id     uint32
	uses   int32         // pairs of series that name it; under DB.mu
	logged bool          // in the series log; under DB.mu
	taps   uint32        // list of those that ask for this metric name, see taps; under DB.mu
	seen   atomic.Uint64 // number of the last transaction that asked for it

	// The posting list of this value under the name it was used with last;
	// under DB.mu.
	list     *slotList
	listName uint32
}

type symbolTable struct {
	slots []atomic.Pointer[symbol] // power of two, linear probing
	used  int
}

func newSymbols(seed uint64) *symbols {
	s := &symbols{seed: seed, next: 1}
	s.dir.Store(&[]*symbolChunk{})
	s.tab.Store(&symbolTable{slots: make([]atomic.Pointer[symbol], 1024)})
	s.put(0, "")
	return s
}

// get is the string of a number that its caller knows to be in use.
func (s *symbols) get(id uint32) string {
	if p := s.at(id); p != nil {
		return p.s
	}
	return ""
}

func (s *symbols) at(id uint32) *symbol {
	dir := *s.dir.Load()
	if int(id/symbolChunkSize) >= len(dir) {
		return nil
	}
	return dir[id/symbolChunkSize][id%symbolChunkSize].Load()
}

func (s *symbols) find(b []byte) *symbol {
	h := xxh3.HashSeed(b, s.seed)
	tab := s.tab.Load()
	mask := uint64(len(tab.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		p := tab.slots[i].Load()
		if p == nil {
			return nil
		}
		if p.hash == h && p.s == string(b) {
			return p
		}
	}
}

// findString is find for a string.
func (s *symbols) findString(x string) *symbol {
	h := xxh3.HashStringSeed(x, s.seed)
	tab := s.tab.Load()
	mask := uint64(len(tab.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		p := tab.slots[i].Load()
		if p == nil {
			return nil
		}
		if p.hash == h && p.s == x {
			return p
		}
	}
}

// intern returns the symbol of b and notes that transaction tx saw it.
func (s *symbols) intern(b []byte, tx uint64) *symbol {
	if p := s.find(b); p != nil {
		if p.seen.Load() != tx {
			p.seen.Store(tx)
			// A sweep may have dropped it between find and here.
			if s.at(p.id) == p {
				return p
			}
		} else {
			return p
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.find(b); p != nil {
		p.seen.Store(tx)
		return p
	}
	id := s.next
	if n := len(s.freed); n > 0 {
		id, s.freed = s.freed[n-1], s.freed[:n-1]
	} else {
		s.next++
	}
	p := s.put(id, string(b))
	p.seen.Store(tx)
	return p
}

// put stores a symbol under a number that nothing has. mu is held, or nobody
// else knows s yet.
func (s *symbols) put(id uint32, x string) *symbol {
	p := &symbol{s: x, hash: xxh3.HashStringSeed(x, s.seed), id: id}
	dir := *s.dir.Load()
	if need := int(id/symbolChunkSize) + 1; need > len(dir) {
		bigger := make([]*symbolChunk, need, need+need/4)
		copy(bigger, dir)
		for i := len(dir); i < need; i++ {
			bigger[i] = new(symbolChunk)
		}
		dir = bigger
		s.dir.Store(&bigger)
	}
	dir[id/symbolChunkSize][id%symbolChunkSize].Store(p)
	tab := s.tab.Load()
	if 4*(tab.used+1) > 3*len(tab.slots) {
		tab = s.rebuild(2 * len(tab.slots))
	}
	tab.insert(p)
	s.live++
	s.fresh.Add(1)
	s.bytes += len(x)
	s.next = max(s.next, id+1)
	return p
}

func (t *symbolTable) insert(p *symbol) {
	mask := uint64(len(t.slots) - 1)
	i := p.hash & mask
	for t.slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	t.slots[i].Store(p)
	t.used++
}

// rebuild makes a table of the symbols that have a number.
func (s *symbols) rebuild(size int) *symbolTable {
	old := s.tab.Load()
	tab := &symbolTable{slots: make([]atomic.Pointer[symbol], size)}
	for i := range old.slots {
		if p := old.slots[i].Load(); p != nil && s.at(p.id) == p {
			tab.insert(p)
		}
	}
	s.tab.Store(tab)
	return tab
}

// crowded reports whether so many symbols were made that a sweep is due: a
// series that is refused leaves its symbols behind, and a sender may try for
// ever. What no series uses is so at most as much as what was kept, or
// minFresh. DB.mu is held.
func (s *symbols) crowded() bool { return s.fresh.Load() >= int64(max(minFresh, s.kept)) }

const minFresh = 64 << 10

// sweep drops the symbols that no series uses and no transaction since
// oldest has seen. DB.mu is held.
func (s *symbols) sweep(oldest uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped, unused := 0, 0
	for _, c := range *s.dir.Load() {
		for i := range c {
			p := c[i].Load()
			if p == nil || p.uses > 0 || p.id == 0 {
				continue
			}
			if p.seen.Load() >= oldest {
				unused++
				continue
			}
			c[i].Store(nil)
			if p.seen.Load() >= oldest { // seen meanwhile: keep it
				c[i].Store(p)
				unused++
				continue
			}
			s.freed = append(s.freed, p.id)
			s.live--
			s.bytes -= len(p.s)
			dropped++
		}
	}
	s.unused, s.kept = unused, s.live
	s.fresh.Store(0)
	if dropped > 0 {
		size := 1024
		for 4*s.live > 2*size {
			size *= 2
		}
		s.rebuild(size)
	}
}
