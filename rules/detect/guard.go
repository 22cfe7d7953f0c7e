package detect

import "math"

// guard bounds the values that models learn, by what the series has shown: no
// single value, however large, and no few of them, moves a model by more than
// one of some ten deviations would. Models that judge are given values as they
// are, and what lies within a model's band is learned as it is. What comes again
// is let through farther each time, and what stays, after a few values: the
// bounds are around the median of the newest ones.
type guard struct {
	newest [guardValues]float64
	early  [guardFew - 1]int64 // milliseconds of the first ones, which wait to be learned
	usual  float64             // mean distance of the newest values from their median
	reach  float64             // how far from the median values have been let through
	next   float64             // what that will be when values are back; 0: they are not out
	home   float64             // median before the newest ones that were out
	n      int32               // values so far, up to guardMemory
	below  bool                // there has been a value below 0
}

const (
	// guardValues are so many that three of them leave the median where it is.
	guardValues = 7
	// guardFew is how many values must be known to bound the next one.
	guardFew = 3
	// guardMemory is how many values the usual distance is a mean of, guardClip of
	// how many usual distances one counts as most.
	guardMemory, guardClip = 200, 4
	// guardWidths is how many usual distances from the median a value may be: they
	// are medians of absolute deviations, of which 0.67 are a standard deviation
	// of a normal distribution.
	guardWidths = 10
)

// bound is what is learned of v.
func (g *guard) bound(v float64) float64 {
	if g.n < guardFew || !(math.Abs(v) < beyondUse) {
		return v
	}
	median, spread := g.middle()
	far := g.far(median, spread)
	if math.Abs(v-g.home) <= far { // where it was before it went off
		return v
	}
	return min(max(v, median-far), median+far)
}

// floor takes from an interval what a series that is never negative cannot reach.
func (g *guard) floor(mid, lower, upper float64) (float64, float64, float64) {
	if g.below {
		return mid, lower, upper
	}
	return max(mid, 0), max(lower, 0), max(upper, 0)
}

// firsts is what is learned of the first values, once p makes them guardFew. Before,
// they wait: nothing bounds a glitch among them. It takes p in.
func (g *guard) firsts(p Point) (out []Point) {
	if !(math.Abs(p.V) < beyondUse) {
		return nil
	}
	if int(g.n) < len(g.early) {
		g.early[g.n] = p.T
		g.learn(p.V)
		return nil
	}
	g.learn(p.V)
	median, spread := g.middle()
	far := g.far(median, spread)
	for i := range int(g.n) {
		t := p.T
		if i < len(g.early) {
			t = g.early[i]
		}
		out = append(out, Point{t, min(max(g.newest[i], median-far), median+far)})
	}
	return out
}

// learn takes v in.
func (g *guard) learn(v float64) {
	g.below = g.below || v < 0
	if !(math.Abs(v) < beyondUse) {
		return
	}
	if g.n >= guardFew {
		median, spread := g.middle()
		d, far := math.Abs(v-median), g.far(median, spread)
		switch {
		case d <= far || math.Abs(v-g.home) <= far:
			g.reach, g.next = max(g.reach, g.next), 0
		case g.next == 0: // of a few values on end the first one counts
			g.next = min(d, 2*far)
			g.home = median
		}
		if g.usual > 0 {
			spread = min(spread, guardClip*g.usual)
		}
		g.usual += (spread - g.usual) / float64(g.n-guardFew+1)
	}
	if g.n == 0 {
		g.home = v
	}
	g.newest[g.n%guardValues] = v
	if g.n++; g.n == guardMemory+guardValues {
		g.n -= guardValues
	}
}

// far is how far from the median a value may be. Of a series that has been
// constant it is not known, but that its level is a measure for it.
func (g *guard) far(median, spread float64) float64 {
	far := max(guardWidths*max(g.usual, spread), g.reach)
	if far == 0 {
		far = math.Abs(median)
	}
	if far == 0 {
		return beyondUse
	}
	return far
}

// middle is the median of the newest values, and of their distances from it.
func (g *guard) middle() (median, spread float64) {
	var all [guardValues]float64
	n := min(g.n, guardValues)
	sorted := all[:n]
	copy(sorted, g.newest[:n])
	insertionSort(sorted)
	median = sorted[(n-1)/2]
	for i, v := range sorted {
		sorted[i] = math.Abs(v - median)
	}
	insertionSort(sorted)
	return median, sorted[n/2]
}

// insertionSort sorts a few values.
func insertionSort(a []float64) {
	for i := 1; i < len(a); i++ {
		for j := i; j > 0 && a[j] < a[j-1]; j-- {
			a[j], a[j-1] = a[j-1], a[j]
		}
	}
}

func (g *guard) write(w *writer) {
	w.floats(g.newest[:])
	w.int(int64(g.n))
	for _, t := range g.early {
		w.int(t)
	}
	w.floats([]float64{g.usual, g.reach, g.next, g.home})
	w.bool(g.below)
}

func (g *guard) read(r *reader) {
	r.floats(g.newest[:])
	g.n = int32(r.index(guardMemory + guardValues)) //nolint:gosec // it is small
	for i := range g.early {
		g.early[i] = r.int()
	}
	var f [4]float64
	r.floats(f[:])
	g.usual, g.reach, g.next, g.home = f[0], f[1], f[2], f[3]
	g.below = r.bool()
	if !(g.usual >= 0 && g.reach >= 0 && g.next >= 0) {
		r.fail("a distance that cannot be")
	}
}
