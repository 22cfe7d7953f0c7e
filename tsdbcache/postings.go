package tsdbcache

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// postings lists, for every label name and value, the series that have the
// pair, by ascending slot. Series that left stay in the lists until the next
// sweep; readers skip them by state. All of it is under DB.mu.
type postings struct {
	names map[uint32]*nameIndex
	pairs int
}

type nameIndex struct {
	vals map[uint32]*[]uint32
}

func newPostings() *postings { return &postings{names: map[uint32]*nameIndex{}} }

func (p *postings) add(slot uint32, refs []uint32) {
	for i := 0; i+1 < len(refs); i += 2 {
		n := p.names[refs[i]]
		if n == nil {
			n = &nameIndex{vals: map[uint32]*[]uint32{}}
			p.names[refs[i]] = n
		}
		l := n.vals[refs[i+1]]
		if l == nil {
			one := make([]uint32, 1)
			one[0] = slot
			n.vals[refs[i+1]] = &one
			p.pairs++
			continue
		}
		if k := len(*l); slot > (*l)[k-1] {
			*l = append(*l, slot)
			continue
		}
		if at, found := slices.BinarySearch(*l, slot); !found {
			*l = slices.Insert(*l, at, slot)
		}
	}
}

// drop removes from the lists of the given pairs every slot for which gone is
// true, and the pairs and names that end up empty.
func (p *postings) drop(pairs map[uint64]struct{}, gone func(slot uint32) bool) {
	for k := range pairs {
		name, val := uint32(k>>32), uint32(k)
		n := p.names[name]
		if n == nil || n.vals[val] == nil {
			continue
		}
		l := slices.DeleteFunc(*n.vals[val], gone)
		switch {
		case len(l) == 0:
			delete(n.vals, val)
			p.pairs--
			if len(n.vals) == 0 {
				delete(p.names, name)
			}
		case cap(l) > 2*len(l)+8:
			l = slices.Clone(l)
			fallthrough
		default:
			*n.vals[val] = l
		}
	}
}

// selectSlots returns the live series that all matchers accept, ascending.
// The result is the caller's. DB.mu is held for reading.
func (db *DB) selectSlots(ms []*labels.Matcher) []uint32 {
	var sets [][]uint32 // intersect these
	var outs [][]uint32 // then take these away
	for _, m := range ms {
		if m.Name == "" && m.Value == "" && m.Type == labels.MatchEqual {
			continue // Prometheus's way to say "everything"
		}
		if !m.Matches("") {
			s := db.union(m.Name, accept(m))
			if len(s) == 0 {
				return nil
			}
			sets = append(sets, s)
			continue
		}
		// Series without the label match too: take away those that have it
		// with a value that does not match.
		if m.Type == labels.MatchRegexp && m.Value == ".*" {
			continue
		}
		if s := db.union(m.Name, refuse(m)); len(s) > 0 {
			outs = append(outs, s)
		}
	}
	var base []uint32
	if len(sets) == 0 {
		base = make([]uint32, 0, db.series.live)
		for slot := uint32(1); slot < db.series.next; slot++ {
			base = append(base, slot)
		}
	} else {
		slices.SortFunc(sets, func(a, b []uint32) int { return len(a) - len(b) })
		base = slices.Clone(sets[0])
		for _, s := range sets[1:] {
			base = intersect(base, s)
		}
	}
	for _, s := range outs {
		base = subtract(base, s)
	}
	return slices.DeleteFunc(base, func(slot uint32) bool { return db.series.cold(slot).state != stateLive })
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

// union returns the ascending slots of a label's chosen values. It may be a
// list of the index itself: the caller must not write to it.
func (db *DB) union(name string, c choice) []uint32 {
	sym := db.syms.findString(name)
	if sym == nil {
		return nil
	}
	n := db.post.names[sym.id]
	if n == nil {
		return nil
	}
	var lists [][]uint32
	switch {
	case c.values != nil:
		seen := map[string]bool{}
		for _, v := range c.values {
			if v == "" || seen[v] {
				continue
			}
			seen[v] = true
			if s := db.syms.findString(v); s != nil && n.vals[s.id] != nil {
				lists = append(lists, *n.vals[s.id])
			}
		}
	default:
		for v, l := range n.vals {
			if c.all || c.match(db.syms.get(v)) {
				lists = append(lists, *l)
			}
		}
	}
	switch len(lists) {
	case 0:
		return nil
	case 1:
		return lists[0]
	}
	// A series has one value of a label, so the lists are disjoint.
	total := 0
	for _, l := range lists {
		total += len(l)
	}
	out := make([]uint32, 0, total)
	for _, l := range lists {
		out = append(out, l...)
	}
	slices.Sort(out)
	return out
}

// intersect keeps in a what is in b too. Short against long searches.
func intersect(a, b []uint32) []uint32 {
	out := a[:0]
	if len(b) > 16*len(a) {
		for _, x := range a {
			at, found := slices.BinarySearch(b, x)
			if found {
				out = append(out, x)
			}
			b = b[at:]
		}
		return out
	}
	j := 0
	for _, x := range a {
		for j < len(b) && b[j] < x {
			j++
		}
		if j < len(b) && b[j] == x {
			out = append(out, x)
		}
	}
	return out
}

// subtract removes from a what is in b.
func subtract(a, b []uint32) []uint32 {
	out := a[:0]
	j := 0
	for _, x := range a {
		for j < len(b) && b[j] < x {
			j++
		}
		if j == len(b) || b[j] != x {
			out = append(out, x)
		}
	}
	return out
}

// labelNames returns the sorted names that live series have.
func (db *DB) labelNames(ms []*labels.Matcher) []string {
	var refs []uint32
	seen := map[uint32]bool{}
	if len(ms) == 0 && len(db.series.dead) == 0 {
		for id := range db.post.names {
			seen[id] = true
		}
	} else {
		for _, slot := range db.selectSlots(ms) {
			refs = decodeRefs(refs[:0], db.series.encoded(slot))
			for i := 0; i+1 < len(refs); i += 2 {
				seen[refs[i]] = true
			}
		}
	}
	return db.sortedSymbols(seen)
}

// labelValues returns the sorted values that live series have for a name.
func (db *DB) labelValues(name string, ms []*labels.Matcher) []string {
	var refs []uint32
	sym := db.syms.findString(name)
	if sym == nil || db.post.names[sym.id] == nil {
		return nil
	}
	seen := map[uint32]bool{}
	if len(ms) == 0 && len(db.series.dead) == 0 {
		for v := range db.post.names[sym.id].vals {
			seen[v] = true
		}
		return db.sortedSymbols(seen)
	}
	for _, slot := range db.selectSlots(ms) {
		refs = decodeRefs(refs[:0], db.series.encoded(slot))
		for i := 0; i+1 < len(refs); i += 2 {
			if refs[i] == sym.id {
				seen[refs[i+1]] = true
			}
		}
	}
	return db.sortedSymbols(seen)
}

func (db *DB) sortedSymbols(ids map[uint32]bool) []string {
	out := make([]string, 0, len(ids))
	for id := range ids {
		out = append(out, strings.Clone(db.syms.get(id)))
	}
	slices.Sort(out)
	return out
}
