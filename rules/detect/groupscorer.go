package detect

import (
	"maps"
	"slices"
)

// GroupScorer is all series of one rule under a model that judges them
// together. Of the rule's fields all apply that a verdict allows.
type GroupScorer struct {
	model   GroupModel
	c       ScorerConfig
	first   int64 // milliseconds of the first step; valid when seen
	seen    bool
	members map[string]*groupMember // those of which there is anything to know
	less    []Member                // scratch
}

// groupMember is a member that is anomalous, or was a little so, or of which a
// level was accepted. Of all others there is nothing to keep.
type groupMember struct {
	episode
	leveled
	at int64 // milliseconds of the newest step that had it
}

const (
	// memberForget is for how long a member that has gone is remembered, in milliseconds.
	memberForget = 24 * 60 * 60 * 1000
	// memberLeast is the evidence below which nothing is remembered.
	memberLeast = 0.1
)

// NewGroupScorer makes a scorer around m, which it owns from then on.
func NewGroupScorer(m GroupModel, c ScorerConfig) *GroupScorer {
	return &GroupScorer{model: m, c: c.complete(), members: map[string]*groupMember{}}
}

// Name is the model's name.
func (s *GroupScorer) Name() string { return s.model.Name() }

// Small tells of the groups that were too small to be judged in the newest
// step. At excluded times nobody is judged, and what was said before holds.
func (s *GroupScorer) Small() Small {
	if m, ok := s.model.(interface{ Small() Small }); ok {
		return m.Small()
	}
	return Small{}
}

// Step judges and learns all members that are present at t, milliseconds, and
// appends the verdicts to out, those on absent members as well.
func (s *GroupScorer) Step(t int64, members []Member, out []MemberVerdict) []MemberVerdict {
	if !s.seen {
		s.first, s.seen = t, true
	}
	if s.c.excluded(t) {
		for _, m := range s.members {
			m.settle(t, &s.c, Verdict{}, 0, false, nil)
			m.held = held{}
		}
		for _, m := range members {
			v := unknown(Frozen)
			v.Score, v.Hold, v.Onset = 0, 0, 0
			out = append(out, MemberVerdict{Key: m.Key, V: m.V, Verdict: v})
		}
		return out
	}
	judged := len(out)
	out = s.model.Step(t, s.lessOffsets(members), out)
	for i := range out[judged:] {
		s.settle(t, &out[judged+i])
	}
	maps.DeleteFunc(s.members, func(_ string, m *groupMember) bool {
		return t-m.at > memberForget || !m.on && m.offset == 0 && m.recent < memberLeast
	})
	return out
}

// lessOffsets are the members as the model sees them.
func (s *GroupScorer) lessOffsets(members []Member) []Member {
	s.less = s.less[:0]
	if len(s.members) == 0 {
		return members
	}
	for _, p := range members {
		if m := s.members[p.Key]; m != nil {
			p.V -= m.offset
		}
		s.less = append(s.less, p)
	}
	return s.less
}

// settle applies the rule's fields and keeps the member's state. What a model
// of a group learns it has learned by now, of all members at once.
func (s *GroupScorer) settle(t int64, v *MemberVerdict) {
	m := s.members[v.Key]
	if m == nil {
		m = &groupMember{}
	} else {
		v.V += m.offset
		v.Verdict = m.said(Point{T: t, V: v.V}, v.Verdict)
	}
	v.Verdict = s.c.judge(v.V, v.Verdict, t-s.first)
	if !s.keeps(m, v.Verdict) {
		v.Verdict = m.show(v.Verdict)
		v.Onset = v.Score // there is nothing that it is less than
		return
	}
	m.asked, m.expected, m.low, m.high = Point{T: t, V: v.V}, v.Expected, v.Lower, v.Upper
	s.members[v.Key] = m
	m.begin(t)
	m.at = t
	var levels []*leveled
	if _, ok := s.model.(follower); !ok {
		levels = []*leveled{&m.leveled}
	}
	var accepted bool
	if _, v.Verdict, accepted = m.settle(t, &s.c, v.Verdict, v.V-v.Expected, s.c.outside(v.V), levels); accepted {
		v.Score, v.Hold = min(v.Score, 1), 0
	}
}

// keeps tells whether there is anything to know of a member.
func (s *GroupScorer) keeps(m *groupMember, v Verdict) bool {
	return m.at != 0 || v.Score >= memberLeast
}

const (
	idGroupScorer      byte = 58
	groupScorerVersion byte = 3
)

// AppendBinary appends the state of the scorer, its members in the order of
// their keys, and its model.
func (s *GroupScorer) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idGroupScorer, groupScorerVersion)
	w.bool(s.seen)
	w.int(s.first)
	w.int(int64(len(s.members)))
	for _, key := range slices.Sorted(maps.Keys(s.members)) {
		m := s.members[key]
		w.text(key)
		w.int(m.at)
		m.episode.write(w)
		m.leveled.write(w)
	}
	err := w.part(s.model)
	return w.b, err
}

// UnmarshalBinary restores what AppendBinary wrote for the same model and
// configuration. On an error the scorer must not be used further.
func (s *GroupScorer) UnmarshalBinary(b []byte) error {
	r := newReader(b, idGroupScorer, groupScorerVersion)
	s.seen, s.first = r.bool(), r.int()
	s.members = map[string]*groupMember{}
	for range r.index(len(b) + 1) {
		m := &groupMember{}
		key := r.text(maxKey)
		m.at = r.int()
		m.episode.read(r)
		m.leveled.read(r)
		if r.err != nil {
			break
		}
		s.members[key] = m
	}
	r.part(s.model)
	return r.done()
}
