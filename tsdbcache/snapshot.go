package tsdbcache

import "sync"

// snapshots let all Selects of a querier see the same commits. While queriers
// are open, a commit notes where a series stood before it is first appended to
// since the newest of them began; a Select undoes what the notes name.
//
// A writer holds DB.mu for writing. Queriers hold it for reading, and mu.
type snapshots struct {
	mu      sync.Mutex
	gens    []*generation // oldest first; the last one takes notes
	total   int           // notes
	limit   int           // of notes
	touched slotBits      // slots that the last one has
}

// generation is what was noted after one or more queriers began and before the
// next one did.
type generation struct {
	open  int // queriers
	notes []undo
	lost  bool // there were too many notes; queriers see the newest state
}

// undo is where a series stood.
type undo struct {
	slot  uint32
	lateN uint32
	lastT int64
}

// maxUndo bounds the notes, which take 16 bytes each.
const maxUndo = 1 << 22

// begin starts a snapshot. DB.mu is held for reading.
func (s *snapshots) begin() *generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.gens)
	if n == 0 || len(s.gens[n-1].notes) > 0 {
		s.gens = append(s.gens, &generation{})
		clear(s.touched)
		n++
	}
	g := s.gens[n-1]
	g.open++
	return g
}

// end gives a snapshot up. DB.mu is held for reading.
func (s *snapshots) end(g *generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.open--
	for len(s.gens) > 0 && s.gens[0].open == 0 {
		s.total -= len(s.gens[0].notes)
		s.gens[0] = nil
		s.gens = s.gens[1:]
	}
}

// keep notes where a series stands, before it is appended to. DB.mu is held
// for writing.
func (s *snapshots) keep(slot uint32, e *entry) {
	if int(slot/64) >= len(s.touched) {
		s.touched = append(s.touched, make(slotBits, int(slot/64)+1-len(s.touched)+len(s.touched)/2)...)
	}
	if s.touched.has(slot) {
		return
	}
	s.touched.set(slot)
	g := s.gens[len(s.gens)-1]
	g.notes = append(g.notes, undo{slot, e.lateN & lateMask, e.lastT})
	if s.total++; s.total > s.limit {
		for _, g := range s.gens {
			g.notes, g.lost = nil, true
		}
		s.gens, s.total = nil, 0
	}
}

// since says where those of some series stood that were appended to after the
// snapshot. DB.mu is held for reading.
func (s *snapshots) since(g *generation, wanted func() slotBits) map[uint32]undo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.lost {
		return nil
	}
	from := 0
	for s.gens[from] != g {
		from++
	}
	var out map[uint32]undo
	var want slotBits
	for _, g := range s.gens[from:] {
		for _, u := range g.notes {
			if want == nil {
				want, out = wanted(), map[uint32]undo{}
			}
			if want.has(u.slot) {
				want.unset(u.slot) // the oldest note counts
				out[u.slot] = u
			}
		}
	}
	return out
}
