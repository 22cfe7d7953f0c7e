package detect

// follower is a model that expects no level which could be accepted: it judges
// shapes, changes, pairs of values or members, or where a line goes. While
// something is anomalous it goes on learning, at a small weight that grows (see
// damping), and so gets used to what lasts. All other models learn nothing then.
type follower interface{ follows() }

// These judge the shape of the newest values, or what changes.
func (*Spectral) follows()    {}
func (*Changepoint) follows() {}
func (*Discord) follows()     {}
func (LSTMAlone) follows()    {}
func (*LSTM) follows()        {}

// These judge which values come together; no one number is expected.
func (*Alone) follows()   {}
func (*IForest) follows() {}

// Trend expects a line. A level less an offset is no line, and a forecast that
// did not follow would be wrong for as long as something leaks.
func (*Trend) follows() {}

// These judge who is there. What they know of a member they learn in one step
// for all.
func (*Presence) follows() {}
func (*Novelty) follows()  {}

// learnAt has a model learn p at the weight that is for its kind; bounded is the
// value that models learn which are not told of anomalies.
func learnAt(m Model, p Point, bounded float64, w weights) {
	switch m := m.(type) {
	case *Combined:
		for _, part := range m.models {
			learnAt(part, p, bounded, w)
		}
	case *Auto:
		m.learnAt(p, bounded, w)
	case *Budgeted:
		m.learnAt(p, bounded, w)
	case *leveled:
		learnAt(m.Model, m.seen(p), bounded-m.offset, w)
	case follower:
		m.(Model).Learn(Point{p.T, bounded}, w.shape)
	default:
		m.Learn(Point{p.T, bounded}, w.level)
	}
}

// learnVectorAt is learnAt of a model of several inputs, which must not keep
// bounded.
func learnVectorAt(m VectorModel, p Vector, bounded []float64, w weights) {
	switch m := m.(type) {
	case *CombinedVector:
		for _, part := range m.models {
			learnVectorAt(part, p, bounded, w)
		}
	case *Each:
		for i, part := range m.models {
			learnAt(part, Point{T: p.T, V: p.V[i]}, bounded[i], w)
		}
	case *Joint:
		m.learnAt(p, bounded, w)
	case follower:
		m.(VectorModel).Learn(Vector{p.T, bounded}, w.shape)
	default:
		m.Learn(Vector{p.T, bounded}, w.level)
	}
}
