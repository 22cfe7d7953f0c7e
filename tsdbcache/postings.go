package tsdbcache

import "slices"

// postings lists, for every label name and value, the series that have the
// pair, by ascending slot. Series that left stay in the lists until the next
// sweep; readers skip them by state. All of it is under DB.mu.
type postings struct {
	names map[uint32]*nameIndex
	pairs int
	added uint64 // pairs that were ever added
}

type nameIndex struct {
	vals  map[uint32]*slotList
	added uint64 // postings.added when a value was added last
}

func newPostings() *postings { return &postings{names: map[uint32]*nameIndex{}} }

// add lists a series under its pairs. A value's symbol remembers the list that
// it was used for last: most values have one name.
func (p *postings) add(syms *symbols, slot uint32, refs []uint32) {
	for i := 0; i+1 < len(refs); i += 2 {
		v := syms.at(refs[i+1])
		if v.list == nil || v.listName != refs[i] {
			v.list, v.listName = p.list(refs[i], refs[i+1]), refs[i]
		}
		v.list.add(slot)
	}
}

func (p *postings) list(name, value uint32) *slotList {
	n := p.names[name]
	if n == nil {
		n = &nameIndex{vals: map[uint32]*slotList{}}
		p.names[name] = n
	}
	l := n.vals[value]
	if l == nil {
		l = &slotList{}
		n.vals[value] = l
		p.added++
		n.added = p.added
		p.pairs++
	}
	return l
}

// drop removes from the lists of the given pairs every slot for which gone is
// true, and the pairs and names that end up empty.
func (p *postings) drop(syms *symbols, pairs map[uint64]struct{}, gone func(slot uint32) bool) {
	for k := range pairs {
		name, val := uint32(k>>32), uint32(k)
		n := p.names[name]
		if n == nil || n.vals[val] == nil {
			continue
		}
		syms.at(val).list = nil
		if l := n.vals[val].without(gone); l.n > 0 {
			n.vals[val] = l
			continue
		}
		delete(n.vals, val)
		p.pairs--
		if len(n.vals) == 0 {
			delete(p.names, name)
		}
	}
}

// labelNames returns the symbols of the names that live series have.
func (db *DB) labelNames(ts []term) map[uint32]bool {
	seen := map[uint32]bool{}
	if len(ts) == 0 && len(db.series.dead) == 0 {
		for id := range db.post.names {
			seen[id] = true
		}
		return seen
	}
	var refs []uint32
	for _, slot := range db.selectSlots(ts) {
		refs = decodeRefs(refs[:0], db.series.encoded(slot))
		for i := 0; i+1 < len(refs); i += 2 {
			seen[refs[i]] = true
		}
	}
	return seen
}

// labelValues returns the symbols of the values that live series have for a
// name.
func (db *DB) labelValues(name string, ts []term) map[uint32]bool {
	n, sym := db.nameIndex(name), db.syms.findString(name)
	if n == nil {
		return nil
	}
	seen := map[uint32]bool{}
	if len(ts) == 0 && len(db.series.dead) == 0 {
		for v := range n.vals {
			seen[v] = true
		}
		return seen
	}
	var refs []uint32
	for _, slot := range db.selectSlots(ts) {
		refs = decodeRefs(refs[:0], db.series.encoded(slot))
		for i := 0; i+1 < len(refs); i += 2 {
			if refs[i] == sym.id {
				seen[refs[i+1]] = true
			}
		}
	}
	return seen
}

// sorted returns the strings of symbols that the caller keeps in use.
func (s *symbols) sorted(ids map[uint32]bool) []string {
	out := make([]string, 0, len(ids))
	for id := range ids {
		out = append(out, s.get(id))
	}
	slices.Sort(out)
	return out
}
