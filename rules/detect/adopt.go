package detect

// StartFrom gives the scorer what another one of the same model and
// configuration has learned. Until a point of its own has come it scores NaN.
// On an error the scorer must not be used further.
func (s *Scorer) StartFrom(from *Scorer) error {
	b, err := from.AppendBinary(nil)
	if err != nil {
		return err
	}
	if err := s.UnmarshalBinary(b); err != nil {
		return err
	}
	s.adopt()
	s.guard = guard{} // of another one's values
	return nil
}

// Learned is for how many milliseconds the scorer has learned: what makes it
// one to start from. It is 0 while it is not ready, and while something is
// anomalous.
func (s *Scorer) Learned() int64 {
	if s.State() != Ready {
		return 0
	}
	return s.learned()
}

// StartFrom is that of Scorer.
func (s *VectorScorer) StartFrom(from *VectorScorer) error {
	b, err := from.AppendBinary(nil)
	if err != nil {
		return err
	}
	if err := s.UnmarshalBinary(b); err != nil {
		return err
	}
	s.adopt()
	clear(s.guards)
	return nil
}

// Learned is that of Scorer.
func (s *VectorScorer) Learned() int64 {
	if s.State() != Ready {
		return 0
	}
	return s.learned()
}
