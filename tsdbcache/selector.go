package tsdbcache

import (
	"math/bits"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// term is one matcher of a selection.
type term struct {
	name string
	choice
	out bool // take away what matches, instead of keeping it
	// What judge found out without the lock: the values that match, when the
	// name had had so many.
	judged   bool
	added    uint64
	known    map[uint32]bool
	accepted []uint32
	// onlyJudged leaves series alone that have a value which came later.
	onlyJudged bool
}

// terms turns matchers into terms. Series without the label match too when a
// matcher accepts the empty value: then those are taken away that have it with
// a value that does not match.
func terms(ms []*labels.Matcher) []term {
	var out []term
	for _, m := range ms {
		switch {
		case m.Name == "" && m.Value == "" && m.Type == labels.MatchEqual: // Prometheus's way to say "everything"
		case !m.Matches(""):
			out = append(out, term{name: m.Name, choice: accept(m)})
		case m.Type == labels.MatchRegexp && m.Value == ".*":
		default:
			out = append(out, term{name: m.Name, choice: refuse(m), out: true})
		}
	}
	return out
}

// choice says which values of a label to unite: those listed, or those that
// match accepts, or all.
type choice struct {
	all    bool
	values []string
	match  func(string) bool
}

func accept(m *labels.Matcher) choice {
	switch {
	case m.Type == labels.MatchEqual:
		return choice{values: []string{m.Value}}
	case m.Type == labels.MatchRegexp && len(m.SetMatches()) > 0:
		return choice{values: m.SetMatches()}
	case m.Type == labels.MatchRegexp && m.Value == ".+", m.Type == labels.MatchNotEqual && m.Value == "":
		return choice{all: true}
	}
	return choice{match: m.Matches}
}

func refuse(m *labels.Matcher) choice {
	switch {
	case m.Type == labels.MatchNotEqual:
		return choice{values: []string{m.Value}}
	case m.Type == labels.MatchNotRegexp && len(m.SetMatches()) > 0:
		return choice{values: m.SetMatches()}
	case m.Value == "" && m.Type != labels.MatchNotRegexp:
		return choice{all: true}
	}
	return choice{match: func(s string) bool { return !m.Matches(s) }}
}

// plan makes terms of matchers and applies costly ones to all values their
// label has, without holding the lock meanwhile. The caller has a transaction
// or querier open, so that no symbol changes its meaning.
func (db *DB) plan(ms []*labels.Matcher) []term {
	ts := terms(ms)
	for i := range ts {
		if ts[i].match != nil {
			db.judge(&ts[i])
		}
	}
	return ts
}

func (db *DB) judge(t *term) {
	var values []uint32
	db.mu.RLock()
	if n := db.nameIndex(t.name); n != nil && !db.closed {
		t.added = n.added
		values = make([]uint32, 0, len(n.vals))
		for v := range n.vals {
			values = append(values, v)
		}
	}
	db.mu.RUnlock()
	t.judged, t.known = true, make(map[uint32]bool, len(values))
	for _, v := range values {
		yes := t.match(db.syms.get(v))
		t.known[v] = yes
		if yes {
			t.accepted = append(t.accepted, v)
		}
	}
}

func (db *DB) nameIndex(name string) *nameIndex {
	sym := db.syms.findString(name)
	if sym == nil {
		return nil
	}
	return db.post.names[sym.id]
}

// lists are those of the values that a term chooses. DB.mu is held.
func (db *DB) lists(t *term) []*slotList {
	n := db.nameIndex(t.name)
	if n == nil {
		return nil
	}
	var out []*slotList
	switch {
	case t.values != nil:
		seen := map[string]bool{}
		for _, v := range t.values {
			if v == "" || seen[v] {
				continue
			}
			seen[v] = true
			if s := db.syms.findString(v); s != nil && n.vals[s.id] != nil {
				out = append(out, n.vals[s.id])
			}
		}
	case t.judged && t.added == n.added:
		for _, v := range t.accepted {
			if l := n.vals[v]; l != nil {
				out = append(out, l)
			}
		}
	default:
		for v, l := range n.vals {
			yes, known := t.known[v]
			switch {
			case t.all || known:
				yes = yes || t.all
			case t.onlyJudged:
				yes = t.out
			default:
				yes = t.match(db.syms.get(v))
			}
			if yes {
				out = append(out, l)
			}
		}
	}
	return out
}

// selectSlots returns the live series that all terms accept, ascending. The
// result is the caller's. DB.mu is held for reading.
func (db *DB) selectSlots(ts []term) []uint32 {
	type set struct {
		lists []*slotList
		n     int
		out   bool
	}
	var sets []set
	for i := range ts {
		s := set{lists: db.lists(&ts[i]), out: ts[i].out}
		for _, l := range s.lists {
			s.n += int(l.n)
		}
		if s.n == 0 && !s.out {
			return nil
		}
		sets = append(sets, s)
	}
	// The smallest set to keep is the base; those to take away come last.
	slices.SortFunc(sets, func(a, b set) int {
		if a.out != b.out {
			if b.out {
				return -1
			}
			return 1
		}
		return a.n - b.n
	})
	var base []uint32
	if len(sets) == 0 || sets[0].out {
		base = make([]uint32, 0, db.series.live)
		for slot := uint32(1); slot < db.series.next; slot++ {
			if db.series.cold(slot).state == stateLive {
				base = append(base, slot)
			}
		}
	} else {
		base, sets = db.union(sets[0].lists, sets[0].n), sets[1:]
		base = slices.DeleteFunc(base, func(slot uint32) bool { return db.series.cold(slot).state != stateLive })
	}
	for _, s := range sets {
		switch {
		case s.n == 0:
		case len(s.lists) == 1:
			base = s.lists[0].filter(base, !s.out)
		default:
			base = db.bitset(s.lists).filter(base, !s.out)
		}
	}
	return base
}

// union returns the slots of lists that have none in common, ascending.
func (db *DB) union(lists []*slotList, n int) []uint32 {
	if len(lists) == 1 {
		return lists[0].appendTo(nil)
	}
	if n > int(db.series.next)/64 {
		return db.bitset(lists).slots(n)
	}
	out := make([]uint32, 0, n)
	for _, l := range lists {
		out = l.appendTo(out)
	}
	slices.Sort(out)
	return out
}

// slotBits has one bit a slot.
type slotBits []uint64

func (db *DB) bitset(lists []*slotList) slotBits {
	b := make(slotBits, db.series.next/64+1)
	for _, l := range lists {
		l.each(b.set)
	}
	return b
}

func (b slotBits) set(slot uint32) { b[slot/64] |= 1 << (slot % 64) }

func (b slotBits) unset(slot uint32) { b[slot/64] &^= 1 << (slot % 64) }

func (b slotBits) has(slot uint32) bool { return b[slot/64]>>(slot%64)&1 != 0 }

func (b slotBits) filter(a []uint32, in bool) []uint32 {
	return slices.DeleteFunc(a, func(slot uint32) bool { return b.has(slot) != in })
}

func (b slotBits) slots(n int) []uint32 {
	out := make([]uint32, 0, n)
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			out = append(out, uint32(i*64+bits.TrailingZeros64(w)))
		}
	}
	return out
}
