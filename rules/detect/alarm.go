package detect

import "math"

// alarm makes one score of what the voices say. A score above 1 is news: it
// comes at once, and then a voice rests, so that it speaks again only when
// something is stranger than what it has already told, less and less so as
// time passes. Below 1 the score ranks: it follows the deviation and falls back
// slowly, over the time for which the series is like itself.
type alarm struct {
	rest [voiceCount]rest
	peak float64 // the ranking deviation, falling back
	rare float64 // peak that rareShare of the points exceed
	run  int64   // points in a row that do, the newest ones
}

func newAlarm() alarm { return alarm{rare: leastRare} }

// rest is what a voice has to exceed to be news.
type rest struct{ hold, fall float64 }

var (
	// voiceBorder is the rarity, in borders, from which on a voice is heard.
	voiceBorder = [voiceCount]float64{0.78, 1.2}
	// voiceRest is how long a voice rests, in mean distances.
	voiceRest = [voiceCount]float64{500, 100}
	// voiceAgain is by how much a voice has to exceed itself.
	voiceAgain = [voiceCount]float64{1.2, 1}
)

const (
	// nearly is from where on a voice does not repeat itself, and shown from
	// where on it shows in the score, though it is not yet news.
	nearly, shown = 0.7, 0.9
	// A deviation that rareShare of a series' points exceed scores rareScore, so
	// that a threshold means the same for a wild series as for a tame one. In a
	// tame one, leastRare widths score that.
	rareShare = 0.01
	rareScore = 0.5
	leastRare = 10
	// rareRate is how fast the rare deviation is learned, as a part of itself for
	// each point beyond it, and rareFirst by how much faster at first.
	rareRate  = 0.003
	rareFirst = 20
	// rareRun is how many points in a row count: what lasts longer is one
	// incident and not how the series is.
	rareRun = 60
	// caution is how many points add as much again to the borders of a series
	// that has shown no more than that.
	caution = 40
	// Slow release: rememberFor divided by how restless the series is, which is the width
	// of its steps over that of its values, in mean distances between points.
	rememberFor  = 3
	leastRelease = 6
	mostRelease  = 60
)

// news tells how far a voice is over its border, 0 unless it is news.
func (r *rest) news(x, steps float64) float64 {
	if x >= nearly && x > r.hold-r.fall*steps {
		return x
	}
	return 0
}

// border of a voice for a series of which so many points are known.
func border(voice int, known float64) float64 {
	return voiceBorder[voice] * (1 + caution/(known+1))
}

// loudest is how far the loudest voice is over its border, whether it rests or not.
func loudest(voices [voiceCount]float64, known float64) float64 {
	top := 0.0
	for i, x := range voices {
		top = max(top, x/border(i, known))
	}
	return top
}

// rank is the score of a ranking deviation, up to shown.
func (a *alarm) rank(far float64) float64 {
	middle := a.rare * (shown/rareScore - 1)
	return shown / (1 + middle/far)
}

// learnRare follows a quantile by steps in proportion to it (H. Robbins and
// S. Monro, A stochastic approximation method, Annals of Mathematical
// Statistics 22, 1951).
func (a *alarm) learnRare(known float64) {
	rate := max(rareRate, 2/(known+rareFirst))
	if a.peak <= a.rare {
		a.run = 0
		a.rare = max(leastRare, a.rare*(1-rate*rareShare))
		return
	}
	if a.run++; a.run <= rareRun {
		a.rare *= 1 + rate*(1-rareShare)
	}
}

// score joins the voices and the ranking deviation.
func (a *alarm) score(voices [voiceCount]float64, far, release, steps, known float64) float64 {
	far = max(far, a.peak*math.Exp(-steps/release))
	s := a.rank(far)
	for i, x := range voices {
		x = a.rest[i].news(x/border(i, known), steps)
		switch {
		case x < 1:
			if x > shown {
				s = max(s, x)
			}
		case i == voiceState: // 1 to 1.5
			s = max(s, 1.5-0.5/x)
		default: // from 2 on
			s = max(s, 1+x)
		}
	}
	return min(s, maxScore)
}

// learn notes what has been told.
func (a *alarm) learn(voices [voiceCount]float64, far, release, steps, known float64) {
	a.peak = max(far, a.peak*math.Exp(-steps/release))
	a.learnRare(known)
	for i, x := range voices {
		r := &a.rest[i]
		x = r.news(x/border(i, known), steps)
		r.hold = max(0, r.hold-r.fall*steps)
		if x == 0 {
			continue
		}
		r.hold = x * voiceAgain[i]
		r.fall = r.hold / voiceRest[i]
		if s := &a.rest[voiceState]; i == voicePoint && x >= 1 && s.hold < 1 {
			s.hold = voiceAgain[voiceState] // a point that is news is the begin of a state, too
			s.fall = s.hold / voiceRest[voiceState]
		}
	}
}

func (a *alarm) write(w *writer) {
	w.float(a.peak)
	w.float(a.rare)
	w.int(a.run)
	for _, r := range a.rest {
		w.float(r.hold)
		w.float(r.fall)
	}
}

func (a *alarm) read(r *reader) {
	a.peak, a.rare, a.run = r.float(), r.float(), r.int()
	if !(a.rare >= leastRare) {
		r.fail("a rare deviation that cannot be")
	}
	for i := range a.rest {
		a.rest[i] = rest{r.float(), r.float()}
	}
}
