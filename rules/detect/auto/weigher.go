package auto

// weigher makes evidence of deviations from what is expected, whoever expects
// it: a Model its own expectations, a Judge those that it is given.
type weigher struct {
	c Config

	n    int64 // points learned
	last int64 // milliseconds of the newest
	raw  float64
	step float64 // mean seconds between points
	gaps [stepPoints]float32
	ev   evidence
	same resting
	ep   episode

	now *scene // of the value under way; scratch
}

// Seen tells whether there has been a point.
func (m *weigher) Seen() bool { return m.n > 0 }

// Reserve takes the scratch that is held between judging a value and learning it.
func (m *weigher) Reserve() {
	if m.now == nil {
		m.now = new(scene)
	}
}

// age is for how many seconds there have been points, without gaps.
func (m *weigher) age() float64 { return float64(m.n) * m.step }

// measureStep takes in the seconds between the newest points, of which there
// are n, and tells whether the step is known now.
func (m *weigher) measureStep(dt float64) bool {
	if m.n < 2 || m.n > stepPoints+1 {
		return false
	}
	m.gaps[m.n-2] = float32(dt)
	m.step = meanGap(m.gaps[:min(m.n-1, stepPoints)])
	return m.n == stepPoints+1
}

// meanGap is the mean of the distances that are no gaps.
func meanGap(gaps []float32) float64 {
	least := gaps[0]
	for _, g := range gaps {
		least = min(least, g)
	}
	sum, n := 0.0, 0.0
	for _, g := range gaps {
		if g < 1.6*least {
			sum += float64(g)
			n++
		}
	}
	return sum / max(n, 1)
}
