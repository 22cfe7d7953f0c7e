package detect

import (
	"cmp"
	"math"
	"slices"
)

// digest holds a distribution that forgets: the merging t-digest of T. Dunning
// and O. Ertl, Computing extremely accurate quantiles using t-digests (2019),
// with the scale function k1, whose weights fall by e with every time constant.
// A quantile q is right to within 2π·√(q(1−q))/δ of rank, so the tails are
// finer than the middle.
type digest struct {
	tau   float64    // time constant in milliseconds
	delta float64    // δ: about how many centroids there are at most
	means []centroid // sorted; weights as of since
	fresh []centroid // not merged yet; weights as of since
	since int64      // milliseconds
}

// centroid stands for values that lie close to each other.
type centroid struct{ value, weight float64 }

// digestFresh is how many points are taken in at once.
const digestFresh = 16

func newDigest(delta, tau float64) digest { return digest{delta: delta, tau: tau} }

// add takes a value in and reports whether the quantiles may have changed.
func (d *digest) add(p Point, weight float64) bool {
	if len(d.means)+len(d.fresh) == 0 {
		d.since = p.T
		d.reserve()
	}
	due := float64(p.T-d.since) > d.tau/8 || len(d.fresh) == digestFresh
	if due {
		d.merge(p.T)
	}
	d.fresh = append(d.fresh, centroid{p.V, weight * math.Exp(float64(p.T-d.since)/d.tau)})
	if len(d.means) < int(d.delta)/2 { // the first points count at once
		d.merge(p.T)
		return true
	}
	return due
}

// reserve makes room for all that the digest ever holds.
func (d *digest) reserve() {
	d.means = make([]centroid, 0, int(d.delta)+2)
	d.fresh = make([]centroid, 0, digestFresh)
}

// merge joins all centroids and the fresh values while they lie within one
// step of k1, and lets time pass up to now.
func (d *digest) merge(now int64) {
	decay := math.Exp(-float64(now-d.since) / d.tau)
	d.since = now
	var all [128 + 2 + digestFresh]centroid
	n := copy(all[:], d.means)
	n += copy(all[n:], d.fresh)
	d.means, d.fresh = d.means[:0], d.fresh[:0]
	slices.SortFunc(all[:n], func(a, b centroid) int { return cmp.Compare(a.value, b.value) })
	total := 0.0
	for i := range n {
		all[i].weight *= decay
		total += all[i].weight
	}
	kept := all[:0]
	for _, c := range all[:n] { // what is forgotten
		if c.weight > 1e-9*total {
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 {
		return
	}
	open, before := kept[0], 0.0
	limit := d.next(0)
	for _, c := range kept[1:] {
		if (before+open.weight+c.weight)/total <= limit && len(kept) > minPoints {
			open.weight += c.weight
			open.value += (c.value - open.value) * c.weight / open.weight
			continue
		}
		d.means = append(d.means, open)
		before += open.weight
		limit = d.next(before / total)
		open = c
	}
	d.means = append(d.means, open)
}

// next is the quantile one step of k1 = δ/2π·asin(2q−1) above q.
func (d *digest) next(q float64) float64 {
	k := math.Asin(min(max(2*q-1, -1), 1)) + 2*math.Pi/d.delta
	if k >= math.Pi/2 {
		return 1
	}
	return (math.Sin(k) + 1) / 2
}

// weight is how many points the digest stands for, as of the newest merge.
func (d *digest) weight() float64 {
	sum := 0.0
	for _, c := range d.means {
		sum += c.weight
	}
	return sum
}

// quantile interpolates between the middles of the centroids.
func (d *digest) quantile(q float64) float64 {
	if len(d.means) == 0 {
		return math.NaN()
	}
	want, sum := q*d.weight(), 0.0
	for i, c := range d.means {
		at := sum + c.weight/2
		if want <= at {
			if i == 0 {
				return c.value
			}
			b := d.means[i-1]
			from := sum - b.weight/2
			return b.value + (c.value-b.value)*(want-from)/(at-from)
		}
		sum += c.weight
	}
	return d.means[len(d.means)-1].value
}

func (d *digest) write(w *writer) {
	w.int(d.since)
	for _, list := range [][]centroid{d.means, d.fresh} {
		w.int(int64(len(list)))
		for _, c := range list {
			w.float(c.value)
			w.float(c.weight)
		}
	}
}

func (d *digest) read(r *reader) {
	d.since = r.int()
	d.means = r.centroids(int(d.delta) + 2)
	d.fresh = r.centroids(digestFresh)
	if !slices.IsSortedFunc(d.means, func(a, b centroid) int { return cmp.Compare(a.value, b.value) }) {
		r.fail("centroids out of order")
	}
}

// centroids reads a list of at most that many.
func (r *reader) centroids(most int) []centroid {
	out := make([]centroid, 0, most)
	for range r.index(most + 1) {
		c := centroid{r.float(), r.float()}
		if !(math.Abs(c.value) < beyondUse && c.weight >= 0 && c.weight < beyondUse) {
			r.fail("a centroid that cannot be")
			return out
		}
		out = append(out, c)
	}
	return out
}
