package detect

import "math"

// stuck notices that a series that used to change has stopped. A run of
// unchanged points is news once, when it is three times as long as any before and chance
// would hardly make it: the share of unchanged points to the power of its length.
type stuck struct {
	run, longest int64
	same, moved  int64 // points unchanged and changed; both are halved when many
}

const (
	stuckLeast  = 20    // points
	stuckChance = 1e-12 // of such a run
	stuckMemory = 20000
	stuckScore  = 1.5
)

// is tells whether a run is too long.
func (s *stuck) is(run int64) bool {
	if run < stuckLeast || run <= 3*s.longest || s.moved < stuckLeast {
		return false
	}
	share := float64(s.same+1) / float64(s.same+s.moved+2)
	return float64(run)*math.Log(share) < math.Log(stuckChance)
}

// news tells whether the next point makes the series stuck.
func (s *stuck) news(unchanged bool) bool { return unchanged && s.is(s.run+1) && !s.is(s.run) }

func (s *stuck) learn(unchanged bool) {
	if unchanged {
		s.run++
		return
	}
	s.longest = max(s.longest, s.run)
	s.same += s.run // a run counts when it is over
	s.moved++
	s.run = 0
	if s.same+s.moved > stuckMemory {
		s.same, s.moved, s.longest = s.same/2, s.moved/2, s.longest-s.longest/8
	}
}

func (s *stuck) write(w *writer) {
	for _, v := range []int64{s.run, s.longest, s.same, s.moved} {
		w.int(v)
	}
}

func (s *stuck) read(r *reader) {
	for _, v := range []*int64{&s.run, &s.longest, &s.same, &s.moved} {
		if *v = r.int(); *v < 0 || *v > math.MaxInt64/4 {
			r.fail("a run that cannot be")
			*v = 0
		}
	}
}
