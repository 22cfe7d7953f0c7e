package scenario

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
)

// build is a series in the making.
type build struct {
	kind  *Kind
	seed  uint64
	step  float64   // seconds
	t     []int64   // times before gaps and jitter
	local []float64 // civil time in seconds
	hits  []*hit    // incidents placed so far
	jobs  map[string][]occurrence
	may   []Window // where what recurs in the base is still new
}

// occurrence is a run of a job: samples [i, j).
type occurrence struct{ i, j int }

// rng is the source of randomness of one part of a kind. Each part has its own,
// so that none depends on how much another one draws.
func (b *build) rng(path string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(b.kind.Name + "\x00" + path))
	return rand.New(rand.NewPCG(b.seed, h.Sum64()))
}

// index is the first sample at or after local time s.
func (b *build) index(s float64) int {
	return sort.Search(len(b.local), func(i int) bool { return b.local[i] >= s })
}

func (b *build) samples(seconds float64) int { return max(1, int(math.Round(seconds/b.step))) }

const (
	monday   = 4 * 86400 // the first one of the epoch
	weekRamp = 7200      // from one day's level to the next, around midnight
)

// eval returns the values of a node and what of them can be foreseen; the
// difference is the noise. The draws do not depend on incidents.
func (b *build) eval(n *Node, path string) (x, clean []float64) {
	e := &evaluation{build: b, node: n, path: path, g: b.rng(path), x: make([]float64, len(b.t))}
	n.op.eval(e)
	for _, h := range b.hits {
		if n.ID != "" && h.in.Target == n.ID {
			h.apply(e.x, e.clean)
		}
	}
	return e.x, e.clean
}

// first lets the first three of the changes that recur in the base be told: each
// for as long as it lasts, and a while after.
func (b *build) first(at []int, last int) {
	for _, i := range at[:min(3, len(at))] {
		j := min(i+max(last, 0), len(b.t)-1)
		b.may = append(b.may, Window{Kind: May, From: b.t[i], To: b.t[j] + int64(math.Max(1800, 5*b.step))})
	}
}

// evaluation is one node of the base in the making. Its operation fills x and
// clean.
type evaluation struct {
	*build
	node     *Node
	path     string // of the node, from the base down
	g        *rand.Rand
	x, clean []float64
}

// param draws a parameter, or takes the default.
func (e *evaluation) param(name string, otherwise float64) float64 {
	if r, ok := e.node.Params[name]; ok {
		return r.draw(e.rng(e.path + "/" + name))
	}
	return otherwise
}

// child evaluates the node's argument number i.
func (e *evaluation) child(i int) (x, clean []float64) {
	return e.eval(&e.node.Of[i], e.path+"/"+strconv.Itoa(i))
}

// same fills in what can be foreseen.
func (e *evaluation) same(f func(i int) float64) {
	for i := range e.x {
		e.x[i] = f(i)
	}
	e.clean = slices.Clone(e.x)
}

// noise fills in what cannot be foreseen but for its centre.
func (e *evaluation) noise(centre float64, f func() float64) {
	e.clean = make([]float64, len(e.x))
	for i := range e.x {
		e.x[i], e.clean[i] = f(), centre
	}
}

// hour is the time of day of sample i.
func (e *evaluation) hour(i int) float64 { return float64(int64(e.local[i])%86400) / 3600 }

// since is the time from the start to sample i, in seconds.
func (e *evaluation) since(i int) float64 { return float64(e.t[i] - e.t[0]) }
