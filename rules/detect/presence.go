package detect

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// PresenceConfig configures who is expected to be there.
type PresenceConfig struct {
	// Learn is how long a member must have been known before its absence counts.
	Learn time.Duration
	// Forget is how long an absent member is reported before it is forgotten.
	Forget time.Duration
	// Capacity is the most members that are remembered. 0: 20,000.
	Capacity int
}

// Presence finds what went silent: it learns the members of a rule and the
// cadence of each, and reports a member that stays away longer than it ever
// did. An absence scores its length over one and a half times the longest one
// so far, but at least three times the usual one; a member that comes every
// time is missed after three times. What was absent for Forget has left. The
// longest absence is forgotten by half each Forget.
//
// It is not in the literature by this name; watchdogs with a learned period
// are common practice.
type Presence struct {
	c       PresenceConfig
	members map[string]*memberSeen
	last    int64   // milliseconds of the newest step
	rhythm  float64 // mean milliseconds between steps
	steps   int64
}

// memberSeen is what is known of one member, times in milliseconds.
type memberSeen struct {
	first, last int64
	usual       float64 // mean distance of two sightings
	longest     float64 // longest one, fading
}

const (
	presenceUsual    = 3   // usual distances that an absence may always last
	presenceLongest  = 1.5 // longest absences that one may last
	presencePause    = 5   // steps left out that are a pause of ours, not of the members
	presenceCapacity = 20_000
	maxKey           = 1 << 20 // bytes of a key in a state
)

// NewPresence makes the model.
func NewPresence(c PresenceConfig) (*Presence, error) {
	if c.Capacity == 0 {
		c.Capacity = presenceCapacity
	}
	switch {
	case c.Learn < 0 || c.Forget <= 0:
		return nil, fmt.Errorf("want learn of at least 0 and forget above 0, not %v and %v", c.Learn, c.Forget)
	case c.Capacity < 1:
		return nil, fmt.Errorf("a capacity of %d members remembers nobody", c.Capacity)
	}
	return &Presence{c: c, members: map[string]*memberSeen{}}, nil
}

// Name is presence.
func (*Presence) Name() string { return "presence" }

// Step notes who is there, and reports those who are not. The value judged is
// 1 for a member that is present and 0 for one that is absent; expected is 1.
// A member whose value is NaN is absent. A time that is not newer than the
// newest one is taken for that one: the clock was set back a little.
func (m *Presence) Step(t int64, members []Member, out []MemberVerdict) []MemberVerdict {
	if m.steps > 0 && t <= m.last {
		t = m.last
	} else {
		m.pause(t)
	}
	for _, p := range members {
		if math.IsNaN(p.V) {
			continue
		}
		s := m.members[p.Key]
		if s == nil {
			if !m.makeRoom(t) {
				out = append(out, MemberVerdict{Key: p.Key, V: 1, Verdict: unknown(Cold)})
				continue
			}
			s = &memberSeen{first: t, last: t}
			m.members[p.Key] = s
		}
		m.seen(s, t)
		v := unknown(Learning)
		if m.established(s) {
			v = Verdict{Expected: 1, Lower: 0.5, Upper: 1.5, State: Ready}
		}
		out = append(out, MemberVerdict{Key: p.Key, V: 1, Verdict: v})
	}
	return m.absent(t, out)
}

// pause takes a time in which nothing was evaluated out of everybody's absence.
func (m *Presence) pause(t int64) {
	if m.steps > 0 {
		dt := float64(t - m.last)
		if m.steps > 1 && dt > presencePause*m.rhythm {
			shift := int64(dt - m.rhythm)
			for _, s := range m.members {
				s.last += shift
			}
			dt = m.rhythm
		}
		if m.rhythm == 0 {
			m.rhythm = dt
		}
		m.rhythm += (dt - m.rhythm) / 16
	}
	m.last = t
	m.steps++
}

func (m *Presence) seen(s *memberSeen, t int64) {
	dt := float64(t - s.last)
	if dt <= 0 {
		return
	}
	if s.usual == 0 {
		s.usual = dt
	}
	s.usual += (dt - s.usual) / 32
	s.longest = max(s.longest*math.Exp2(-dt/float64(m.c.Forget.Milliseconds())), dt)
	s.last = t
}

// established members are missed. One that was there only once is not.
func (m *Presence) established(s *memberSeen) bool {
	return s.usual > 0 && s.last-s.first >= m.c.Learn.Milliseconds()
}

// absent reports and forgets, in the order of keys.
func (m *Presence) absent(t int64, out []MemberVerdict) []MemberVerdict {
	var missing []string
	for key, s := range m.members {
		switch {
		case s.last == t:
		case t-s.last > m.c.Forget.Milliseconds():
			delete(m.members, key)
		case m.established(s):
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	for _, key := range missing {
		s := m.members[key]
		border := max(presenceUsual*max(s.usual, m.rhythm), presenceLongest*s.longest)
		score := min(float64(t-s.last)/border, maxScore)
		out = append(out, MemberVerdict{Key: key, V: 0, Verdict: Verdict{Score: score, Hold: score, Expected: 1, Lower: 0.5, Upper: 1.5, State: Ready}})
	}
	return out
}

// makeRoom forgets the member that has been absent longest when memory is full.
func (m *Presence) makeRoom(t int64) bool {
	if len(m.members) < m.c.Capacity {
		return true
	}
	oldest, key := t, ""
	for k, s := range m.members {
		if s.last < m.last && (s.last < oldest || s.last == oldest && k < key) {
			oldest, key = s.last, k
		}
	}
	if key == "" {
		return false
	}
	delete(m.members, key)
	return true
}

const (
	idPresence      byte = 51
	presenceVersion byte = 1
)

// AppendBinary appends the state: the members in the order of their keys.
func (m *Presence) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idPresence, presenceVersion)
	w.int(m.last)
	w.int(m.steps)
	w.float(m.rhythm)
	w.int(int64(len(m.members)))
	for _, key := range slices.Sorted(maps.Keys(m.members)) {
		s := m.members[key]
		w.text(key)
		w.int(s.first)
		w.int(s.last)
		w.floats([]float64{s.usual, s.longest})
	}
	return w.b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *Presence) UnmarshalBinary(b []byte) error {
	r := newReader(b, idPresence, presenceVersion)
	last, steps, rhythm := r.int(), r.int(), r.float()
	members := map[string]*memberSeen{}
	for range r.index(len(b) + 1) {
		key := r.text(maxKey)
		s := &memberSeen{first: r.int(), last: r.int()}
		var f [2]float64
		r.floats(f[:])
		if s.usual, s.longest = f[0], f[1]; !(s.usual >= 0 && s.longest >= 0) {
			r.fail("an absence that cannot be")
		}
		members[key] = s
		if r.err != nil {
			break
		}
	}
	if !(rhythm >= 0) || steps < 0 {
		r.fail("a distance of steps that cannot be")
	}
	if err := r.done(); err != nil {
		return err
	}
	m.last, m.steps, m.rhythm, m.members = last, steps, rhythm, members
	return nil
}
