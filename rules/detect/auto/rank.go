package auto

import "math"

// ranking orders values by how odd they are, whether or not that is worth an
// alert: by how far out they are among all values of weeks, from the value
// before, and from the same time on other days. Its widths are those that an
// incident does not stretch.
type ranking struct {
	place, step, time sturdy
	before            float64
	far               float64 // of late, falling back
}

const (
	placeMemory, timeMemory = 60000, 20000 // points
	placeWeight             = 2            // of the square; the others' is 1
	mostFar                 = 300
	halfRank                = 8 // widths at which the rank is half of mostRank
	mostRank                = 0.9
	// The rank falls back over so many points, more in a series that changes
	// little from one to the next.
	leastRelease, mostRelease, releaseFactor = 6, 60, 3
)

func (r *ranking) of(s *scene) float64 {
	return mostRank / (1 + halfRank/max(r.distance(s), r.fallen(), 1e-9))
}

func (r *ranking) distance(s *scene) float64 {
	floor := leastOfLevel*math.Abs(s.say[byLevel]) + least
	far := func(a *sturdy, d, w float64) float64 {
		if a.n <= fewPoints {
			return 0
		}
		return min(mostFar, math.Abs(d)/max(w, floor))
	}
	place := far(&r.place, s.x-r.place.mean, r.place.width())
	step := far(&r.step, s.x-r.before, r.step.width())
	all := r.time.width()
	time := far(&r.time, s.x-s.say[byTime], math.Sqrt((s.width*s.width+all*all)/2))
	return math.Sqrt(placeWeight*place*place + step*step + time*time)
}

// fallen is what is left of the ranks before.
func (r *ranking) fallen() float64 {
	release := float64(leastRelease)
	if w := r.step.width(); r.place.n > fewPoints && w > 0 {
		release = max(release, min(mostRelease, releaseFactor*r.place.width()/w))
	}
	return r.far * math.Exp(-1/release)
}

func (r *ranking) learn(s *scene) {
	r.far = max(r.distance(s), r.fallen())
	r.place.add(s.x, placeMemory)
	if r.place.n > 1 {
		r.step.add(s.x-r.before, placeMemory)
	}
	r.time.add(s.x-s.say[byTime], timeMemory)
	r.before = s.x
}

// sturdy is an average whose width large values hardly stretch: they count as
// clipped to three widths (P. Huber, Robust estimation of a location parameter,
// Annals of Mathematical Statistics 35, 1964), though not for less than a tenth
// of what they are, up to a hundred widths.
type sturdy struct {
	mean, spread, wild, n float64 // spread of clipped values, wild of all
}

const (
	sturdyClip, wildClip = 3, 100
	sturdyShare          = 0.1
)

func (a *sturdy) width() float64 {
	return math.Sqrt(max(a.spread, sturdyShare*sturdyShare*a.wild))
}

func (a *sturdy) add(x, memory float64) {
	share := max(1/(a.n+1), 1/(1+memory))
	d := x - a.mean
	if w := a.width(); a.n >= settled && w > 0 {
		d = clip(d, wildClip*w)
	}
	a.wild = (1 - share) * (a.wild + share*d*d)
	if w := math.Sqrt(a.spread); a.n >= settled && w > 0 {
		d = clip(d, sturdyClip*w)
	}
	a.mean += share * d
	a.spread = (1 - share) * (a.spread + share*d*d)
	a.n = min(a.n+1, memory)
}
