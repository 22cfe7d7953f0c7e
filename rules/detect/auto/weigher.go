package auto

import "slices"

// weigher makes evidence of deviations from what is expected, whoever expects
// it: a Model its own expectations, a Judge those that it is given.
type weigher struct {
	c Config

	n    int64 // points learned
	last int64 // milliseconds of the newest
	raw  float64
	step float64 // mean seconds between points
	gaps [stepPoints]float32
	pace half // mean of the newest distances, off of them, in steps, that are not of the step
	off  uint8
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

// meanGap is the mean of the distances that are like most.
func meanGap(gaps []float32) float64 {
	sorted := make([]float32, 0, stepPoints)
	sorted = append(sorted, gaps...)
	slices.Sort(sorted)
	usual := sorted[(len(sorted)-1)/2]
	sum, n := 0.0, 0.0
	for _, g := range gaps {
		if g < steadyPace*usual && usual < steadyPace*g {
			sum += float64(g)
			n++
		}
	}
	return sum / max(n, 1)
}

// steadyPace is the ratio of two distances that are still of the same pace,
// paceChanges how many on end must be of another one to be the step from then on.
const (
	steadyPace  = 1.6
	paceChanges = 30
)

// repace takes in the seconds between the newest points, and tells whether they
// come at another step now.
func (m *weigher) repace(dt float64) bool {
	if m.n <= stepPoints || dt < steadyPace*m.step && m.step < steadyPace*dt {
		m.off = 0
		return false
	}
	pace := m.pace.float()
	if dt /= m.step; m.off == 0 || dt >= steadyPace*pace || pace >= steadyPace*dt {
		m.off, pace = 0, dt
	}
	m.off++
	pace += (dt - pace) / float64(m.off)
	if m.pace = toHalf(pace); m.off < paceChanges {
		return false
	}
	m.step, m.off = pace*m.step, 0
	return true
}
