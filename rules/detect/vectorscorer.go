package detect

import "math"

// VectorScorer is one entity of several inputs under one rule, as a Scorer is
// one series: of the rule's fields, width and warm-up apply.
type VectorScorer struct {
	model  VectorModel
	levels []*leveled // those in model
	c      ScorerConfig
	episode
	guards  []guard   // of each input
	bounded []float64 // scratch
}

// NewVectorScorer makes a scorer around m, which it owns from then on.
func NewVectorScorer(m VectorModel, c ScorerConfig) *VectorScorer {
	s := &VectorScorer{model: m, c: c.complete(), guards: make([]guard, m.inputs()), bounded: make([]float64, m.inputs())}
	levelVector(m, &s.levels)
	acceptVectorAfter(m, s.c.Accept)
	return s
}

// Name is the model's name.
func (s *VectorScorer) Name() string { return s.model.Name() }

// State tells how far the model is, as Step would say it.
func (s *VectorScorer) State() State {
	if st := s.model.State(); st != Ready || s.last-s.first >= s.c.Warmup.Milliseconds() {
		return st
	}
	return Learning
}

// Step scores p, then learns it, and fills share, when it is not nil, with the
// inputs' shares of the score. A point that is not newer than the newest one
// is scored and not learned.
func (s *VectorScorer) Step(p Vector, share []float64) Verdict {
	s.begin(p.T)
	newer := p.T > s.last
	w, v, accepted := s.settle(p.T, &s.c, s.judge(p, share), math.NaN(), false, s.levels)
	if accepted { // the model says otherwise now
		onset := v.Onset
		v = s.show(s.judge(p, share))
		v.Onset = onset
	}
	if newer {
		for i, v := range p.V {
			s.bounded[i] = s.guards[i].bound(v)
			if !w.none {
				s.guards[i].learn(v)
			}
		}
		learnVectorAt(s.model, p, s.bounded, w)
	}
	if math.IsNaN(v.Score) {
		for i := range share {
			share[i] = v.Score
		}
	}
	return v
}

// judge applies the rule's fields to the model's verdict.
func (s *VectorScorer) judge(p Vector, share []float64) Verdict {
	v := s.model.Score(p, share)
	if learning := v.State < Ready || p.T-s.first < s.c.Warmup.Milliseconds(); learning {
		v = unknown(min(v.State, Learning))
	}
	v.Score /= s.c.Width[1]
	v.Hold /= s.c.Width[1]
	return v
}

func (s *VectorScorer) reserve() { reserve(s.model) }

const (
	idVectorScorer      byte = 57
	vectorScorerVersion byte = 6
)

// AppendBinary appends the state of the scorer and its model.
func (s *VectorScorer) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idVectorScorer, vectorScorerVersion)
	s.write(w)
	for i := range s.guards {
		s.guards[i].write(w)
	}
	err := w.part(s.model)
	return w.b, err
}

// UnmarshalBinary restores what AppendBinary wrote for the same model and
// configuration. On an error the scorer must not be used further.
func (s *VectorScorer) UnmarshalBinary(b []byte) error {
	r := newReader(b, idVectorScorer, vectorScorerVersion)
	s.read(r)
	for i := range s.guards {
		s.guards[i].read(r)
	}
	r.part(s.model)
	return r.done()
}
