package tsdbcache

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// taps are the open taps. A new series looks at those that ask for its metric
// name, and at those that ask for none. It is under DB.mu.
type taps struct {
	byKey      map[string]*tap
	named      [][]*tap // by the number that the symbol of the metric name has; 0 is empty
	freed      []uint32 // numbers
	nameless   []*tap
	metricName uint32 // symbol of __name__, in use once a tap was open
	last       uint64 // id
	sets       tapSets

	blocks  sync.Pool // of *tapBlock
	dropped atomic.Uint64
}

// open adds a tap and keeps its symbols in use.
func (ts *taps) open(syms *symbols, t *tap) {
	if ts.byKey == nil {
		ts.byKey, ts.named = map[string]*tap{}, make([][]*tap, 1)
		ts.metricName = t.metricName
		syms.at(ts.metricName).uses++ // for good
	}
	ts.last++
	t.id = ts.last
	t.hold(syms, 1)
	ts.byKey[t.key] = t
	if t.name == 0 {
		ts.nameless = append(ts.nameless, t)
		return
	}
	name := syms.at(t.name)
	if n := len(ts.freed); name.taps == 0 && n > 0 {
		name.taps, ts.freed = ts.freed[n-1], ts.freed[:n-1]
	} else if name.taps == 0 {
		name.taps = uint32(len(ts.named))
		ts.named = append(ts.named, nil)
	}
	ts.named[name.taps] = append(ts.named[name.taps], t)
}

// of are the taps for a metric name, those without one apart.
func (ts *taps) of(syms *symbols, metricName uint32) []*tap {
	if n := syms.at(metricName).taps; n != 0 {
		return ts.named[n]
	}
	return nil
}

// end takes a tap away. Its series find out when they are appended to.
func (ts *taps) end(syms *symbols, t *tap) {
	same := func(x *tap) bool { return x == t }
	delete(ts.byKey, t.key)
	if t.name == 0 {
		ts.nameless = slices.DeleteFunc(ts.nameless, same)
	} else {
		name := syms.at(t.name)
		left := slices.DeleteFunc(ts.named[name.taps], same)
		if ts.named[name.taps] = left; len(left) == 0 {
			ts.named[name.taps] = nil
			ts.freed = append(ts.freed, name.taps)
			name.taps = 0
		}
	}
	ts.sets.end(t)
	t.hold(syms, -1)
}

func (ts *taps) readers() (n int) {
	for _, t := range ts.byKey {
		n += t.count()
	}
	return n
}

func (ts *taps) bytes() (n int) {
	for _, t := range ts.byKey {
		n += t.bytes()
	}
	return n
}

// hold keeps the symbols of a tap in use, or no more.
func (t *tap) hold(syms *symbols, d int32) {
	if t.name != 0 {
		syms.at(t.name).uses += d
	}
	for _, q := range t.equals {
		syms.at(q.name).uses += d
		syms.at(q.value).uses += d
	}
	for _, o := range t.others {
		syms.at(o.name).uses += d
	}
}

// tapSets knows for every slot which taps want it. Few sets of taps occur, so
// a slot has the number of one; 0 is the empty set. It is under DB.mu.
type tapSets struct {
	slots []*[seriesChunkSize]uint32 // set of a slot, nil: of none of these
	sets  []tapSet                   // by number
	freed []uint32
	grown map[grownSet]uint32 // what with answered
	ids   map[string]uint32   // by content
}

// tapSet is a set of taps by ascending id. It empties when they end.
type tapSet struct {
	taps []*tap
	uses int // slots that have it
}

type grownSet struct {
	set uint32
	t   *tap
}

func (s *tapSets) of(slot uint32) uint32 {
	if c := int(slot / seriesChunkSize); c < len(s.slots) && s.slots[c] != nil {
		return s.slots[c][slot%seriesChunkSize]
	}
	return 0
}

func (s *tapSets) tapsOf(slot uint32) []*tap {
	if set := s.of(slot); set != 0 {
		return s.sets[set].taps
	}
	return nil
}

// assign gives a slot a set.
func (s *tapSets) assign(slot, set uint32) {
	old := s.of(slot)
	if old == set {
		return
	}
	c := int(slot / seriesChunkSize)
	if c >= len(s.slots) {
		s.slots = append(s.slots, make([]*[seriesChunkSize]uint32, c+1-len(s.slots))...)
	}
	if s.slots[c] == nil {
		s.slots[c] = new([seriesChunkSize]uint32)
	}
	s.slots[c][slot%seriesChunkSize] = set
	s.sets[old].uses--
	s.sets[set].uses++
}

// with is the set that has one more tap.
func (s *tapSets) with(set uint32, t *tap) uint32 {
	if set == 0 && t.alone != 0 {
		return t.alone
	}
	if to, ok := s.grown[grownSet{set, t}]; ok {
		return to
	}
	if s.sets == nil {
		s.sets, s.grown, s.ids = make([]tapSet, 1), map[grownSet]uint32{}, map[string]uint32{}
	}
	to := set
	if at, found := slices.BinarySearchFunc(s.sets[set].taps, t.id, func(x *tap, id uint64) int { return cmp.Compare(x.id, id) }); !found {
		to = s.number(slices.Insert(slices.Clone(s.sets[set].taps), at, t))
	}
	if set == 0 {
		t.alone = to
	} else {
		s.grown[grownSet{set, t}] = to
	}
	return to
}

// number finds the number of a set, or gives it one.
func (s *tapSets) number(taps []*tap) uint32 {
	key := setKey(taps)
	if id, ok := s.ids[key]; ok {
		return id
	}
	id := uint32(len(s.sets))
	if n := len(s.freed); n > 0 {
		id, s.freed = s.freed[n-1], s.freed[:n-1]
	} else {
		s.sets = append(s.sets, tapSet{})
	}
	s.sets[id] = tapSet{taps: taps}
	s.ids[key] = id
	return id
}

func setKey(taps []*tap) string {
	var b []byte
	for _, t := range taps {
		b = binary.AppendUvarint(b, t.id)
	}
	return string(b)
}

// end takes a tap out of all sets, and gives up the sets that no slot has.
func (s *tapSets) end(t *tap) {
	if s.sets == nil {
		return
	}
	clear(s.ids)
	s.freed = s.freed[:0]
	gone := map[uint32]bool{}
	for i := range s.sets[1:] {
		id, set := uint32(i+1), &s.sets[i+1]
		set.taps = slices.DeleteFunc(set.taps, func(x *tap) bool { return x == t })
		switch {
		case set.uses == 0:
			if len(set.taps) == 1 && set.taps[0].alone == id {
				set.taps[0].alone = 0
			}
			*set = tapSet{}
			s.freed = append(s.freed, id)
			gone[id] = true
		case len(set.taps) > 0:
			s.ids[setKey(set.taps)] = id
		}
	}
	maps.DeleteFunc(s.grown, func(g grownSet, to uint32) bool { return g.t == t || gone[g.set] || gone[to] })
}
