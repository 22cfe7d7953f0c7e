package detect

// GroupScorer is all series of one rule under a model that judges them
// together. Of the rule's fields all apply that a verdict allows.
type GroupScorer struct {
	model GroupModel
	c     ScorerConfig
	first int64 // milliseconds of the first step; valid when seen
	seen  bool
}

// NewGroupScorer makes a scorer around m, which it owns from then on.
func NewGroupScorer(m GroupModel, c ScorerConfig) *GroupScorer {
	return &GroupScorer{model: m, c: c.complete()}
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
		for _, m := range members {
			v := unknown(Frozen)
			v.Score = 0
			out = append(out, MemberVerdict{Key: m.Key, V: m.V, Verdict: v})
		}
		return out
	}
	judged := len(out)
	out = s.model.Step(t, members, out)
	for i := range out[judged:] {
		v := &out[judged+i]
		v.Verdict = s.c.judge(v.V, v.Verdict, t-s.first)
	}
	return out
}

const (
	idGroupScorer      byte = 58
	groupScorerVersion byte = 1
)

// AppendBinary appends the state of the scorer and its model.
func (s *GroupScorer) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idGroupScorer, groupScorerVersion)
	w.bool(s.seen)
	w.int(s.first)
	err := w.part(s.model)
	return w.b, err
}

// UnmarshalBinary restores what AppendBinary wrote for the same model and
// configuration. On an error the scorer must not be used further.
func (s *GroupScorer) UnmarshalBinary(b []byte) error {
	r := newReader(b, idGroupScorer, groupScorerVersion)
	s.seen, s.first = r.bool(), r.int()
	r.part(s.model)
	return r.done()
}
