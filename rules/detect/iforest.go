package detect

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// IForestConfig configures an isolation forest.
type IForestConfig struct {
	// Trees is how many trees vote; 100 is usual. More are smoother and slower.
	Trees int
	// Window is how far back the sample reaches that the trees are grown from.
	Window time.Duration
	// Inputs is how many numbers a point has.
	Inputs int
}

// IForest finds points that few random cuts set apart from the others: an
// isolation forest (F. T. Liu, K. M. Ting, Z.-H. Zhou, Isolation forest, ICDM
// 2008) that keeps up with the stream. It holds a sample of points at even
// distances in the window and grows its trees anew whenever an eighth of the
// sample has changed, so the forest is never older than that. A point is judged
// as if it had been in the sample: a cut may fall between it and all others
// (S. Guha et al., Robust random cut forest based anomaly detection on streams,
// ICML 2016), so that farther is more isolated. The isolation score becomes a
// tail probability of the entity's own past.
type IForest struct {
	c IForestConfig

	sample []float32 // rows of the newest forestSample points, a ring
	rows   int       // in the sample
	next   int       // row to be replaced
	taken  int64     // milliseconds of the newest row
	grown  []float32 // the sample that the trees were grown from
	fresh  int       // rows of the sample that the trees have not seen
	round  int64     // how often they were grown; part of their seed

	last int64 // milliseconds of the newest point
	seen bool
	rare calibrator

	nodes    []isolationNode // of all trees, treeNodes each; made of grown and round
	roots    []uint8         // of each tree, as a child of a node
	usual    float64         // number of cuts for a tree's sample
	middle   []float32       // medians of grown
	constant []bool          // inputs that do not change in grown
	x        []float32       // scratch
}

const (
	forestSample = 256
	// treeSample and treeDepth: each tree isolates a random half of the sample;
	// beyond the depth of a balanced tree nothing is told apart.
	treeSample = 128
	treeDepth  = 7
	// treeNodes bounds the cuts of a tree. Those near the root come first: what
	// is not cut any more are leaves of the last level. A tree of real values
	// has 50 to 70 cuts.
	treeNodes = 80
	// forestLeast is the smallest sample that trees are grown from.
	forestLeast = 32
	// forestRarity is the tail probability that scores 1.
	forestRarity = 1e-3
)

// isolationNode is a cut of a tree. Its rows lie between two values of that
// input, which are those of two rows of grown. With 7 bytes a cut, a hundred
// trees take 55 KiB.
type isolationNode struct {
	input       uint8    // that the node cuts
	lo, hi      uint8    // rows of grown
	left, right uint8    // below isLeaf another node; else a leaf of so many rows more than isLeaf, and one
	place       [2]uint8 // of the cut between lo and hi, in 65536 parts
}

const isLeaf = 128

// cut is the value below which rows go left. Some rows lie on either side.
func (n *isolationNode) cut(lo, hi float32) float32 {
	part := float32(1+uint32(n.place[0])|uint32(n.place[1])<<8) * (1.0 / (1 << 16))
	if cut := lo + float32((hi-lo)*part); lo < cut && cut < hi {
		return cut
	}
	return hi
}

// NewIForest makes the model.
func NewIForest(c IForestConfig) (*IForest, error) {
	if c.Trees < 1 || c.Trees > 1000 {
		return nil, fmt.Errorf("an isolation forest has 1 to 1000 trees, not %d", c.Trees)
	}
	if c.Inputs < 1 || c.Inputs > MaxInputs {
		return nil, fmt.Errorf("an isolation forest takes 1 to %d inputs, not %d", MaxInputs, c.Inputs)
	}
	if c.Window <= 0 {
		return nil, fmt.Errorf("the window must be above 0, not %v", c.Window)
	}
	return &IForest{
		c: c, rare: prior(), sample: make([]float32, forestSample*c.Inputs), grown: make([]float32, 0, forestSample*c.Inputs),
		x: make([]float32, c.Inputs), middle: make([]float32, c.Inputs), constant: make([]bool, c.Inputs),
	}, nil
}

func (f *IForest) inputs() int { return f.c.Inputs }

// Name is iforest.
func (*IForest) Name() string { return "iforest" }

// State is ready once there are trees and some past to compare with.
func (f *IForest) State() State {
	switch {
	case !f.seen:
		return Cold
	case len(f.roots) == 0 || f.rare.total < forestLeast:
		return Learning
	}
	return Ready
}

// Score judges p. The share of an input is how much less isolated the point
// would be if that input had its usual value.
func (f *IForest) Score(p Vector, share []float64) Verdict {
	v := unknown(f.State())
	for i := range share {
		share[i] = math.NaN()
	}
	if v.State != Ready || !f.take(p) {
		return v
	}
	s := f.isolation(f.x)
	v.Score = min(f.rare.score(forestDeviation(s))*(logBorder/math.Log(forestRarity)), maxScore)
	v.Hold = v.Score
	if share == nil {
		return v
	}
	total := 0.0
	for i, x := range f.x {
		f.x[i] = f.middle[i]
		share[i] = max(0, s-f.isolation(f.x))
		f.x[i] = x
		total += share[i]
	}
	for i := range share {
		if total > 0 {
			share[i] /= total
		} else {
			share[i] = 1 / float64(len(share))
		}
	}
	return v
}

// take puts p in x; what is missing has its usual value.
func (f *IForest) take(p Vector) bool {
	present := false
	for i, v := range p.V {
		switch {
		case math.IsNaN(v):
			f.x[i] = f.middle[i]
			continue
		case math.Abs(v) > math.MaxFloat32/4: // differences stay finite
			v = math.Copysign(math.MaxFloat32/4, v)
		}
		f.x[i] = float32(v)
		present = true
	}
	return present
}

// isolation is Liu's score: 2 to the power of minus the mean number of cuts
// over the expected one. About 0.5 is usual, towards 1 isolated.
func (f *IForest) isolation(x []float32) float64 {
	off := 0 // inputs that never changed, and have now
	for i, constant := range f.constant {
		if constant && x[i] != f.middle[i] {
			off++
		}
	}
	elsewhere := float64(off) / float64(f.c.Inputs)
	sum := 0.0
	for i := range f.roots {
		sum += f.cuts(i, x, elsewhere)
	}
	return math.Exp2(-sum / float64(len(f.roots)) / f.usual)
}

// cuts is the expected number of cuts of a tree until x is alone; elsewhere is
// the chance of each cut to be at an input that alone sets x apart.
func (f *IForest) cuts(tree int, x []float32, elsewhere float64) float64 {
	nodes, at := f.nodes[tree*treeNodes:][:treeNodes], f.roots[tree]
	depth, sum, together := 0.0, 0.0, 1.0
	for at < isLeaf {
		n := &nodes[at]
		i := int(n.input)
		v, lo, hi := x[i], f.grown[int(n.lo)*len(x)+i], f.grown[int(n.hi)*len(x)+i]
		depth++
		apart := 0.0 // chance that the cut falls between x and the rows
		if v < lo {
			apart = float64(lo-v) / float64(hi-v)
		} else if v > hi {
			apart = float64(v-hi) / float64(v-lo)
		}
		if apart += (1 - apart) * elsewhere; apart > 0 {
			sum += together * apart * depth
			together *= 1 - apart
		}
		if v < n.cut(lo, hi) {
			at = n.left
		} else {
			at = n.right
		}
	}
	return sum + together*(depth+leafCuts[at-isLeaf])
}

// leafCuts is how many more cuts isolate one of the rows of a leaf, by their
// number less one.
var leafCuts = func() (out [treeSample]float64) {
	for i := range out {
		out[i] = expectedCuts(i + 1)
	}
	return out
}()

// expectedCuts is c(n), the mean number of cuts that isolate one of n points:
// that of an unsuccessful search in a binary search tree.
func expectedCuts(n int) float64 {
	if n < 2 {
		return 0
	}
	harmonic := 0.0
	for i := 1; i < n; i++ {
		harmonic += 1 / float64(i)
	}
	return 2*harmonic - 2*float64(n-1)/float64(n)
}

// forestDeviation spreads isolation scores, an exponential tail, over what the
// calibrator tells apart.
func forestDeviation(s float64) float64 { return math.Exp2(32 * (s - 0.5)) }

// Learn takes p in.
func (f *IForest) Learn(p Vector, weight float64) {
	if f.seen && p.T <= f.last || weight <= 0 || !f.take(p) {
		return
	}
	if len(f.roots) > 0 {
		f.rare.learn(forestDeviation(f.isolation(f.x)))
	}
	f.last = p.T
	first := !f.seen
	f.seen = true
	// At first all points are sampled. Those that weigh little are sampled as
	// much more seldom.
	if due := f.taken + int64(float64(f.c.Window.Milliseconds())/forestSample/max(weight, 1e-3)); !first && p.T < due && (f.rows == forestSample || weight < 1) {
		return
	}
	copy(f.sample[f.next*f.c.Inputs:], f.x)
	f.next = (f.next + 1) % forestSample
	f.rows = min(f.rows+1, forestSample)
	f.fresh++
	f.taken = p.T
	if f.rows >= forestLeast && f.fresh >= max(forestLeast, f.rows/8) {
		f.grown = append(f.grown[:0], f.sample[:f.rows*f.c.Inputs]...)
		f.round++
		f.fresh = 0
		f.grow()
	}
}

// grow makes the trees of grown. The same sample and round give the same trees.
func (f *IForest) grow() {
	n := f.c.Inputs
	rows := len(f.grown) / n
	if f.roots == nil {
		f.reserve()
	}
	r := rand.New(rand.NewPCG(uint64(f.round), 0x150a7e3)) //nolint:gosec // chance that repeats
	f.usual = expectedCuts(min(treeSample, rows))
	var order [forestSample]uint8
	for i := range order {
		order[i] = uint8(i) //nolint:gosec // below 256
	}
	picked := min(treeSample, rows)
	for tree := range f.roots {
		for k := range picked { // the head of a shuffle
			m := k + r.IntN(rows-k)
			order[k], order[m] = order[m], order[k]
		}
		f.growTree(tree, order[:picked], r)
	}
	var sorted [forestSample]float32
	column := sorted[:rows]
	for i := range n {
		for k := range rows {
			column[k] = f.grown[k*n+i]
		}
		slices.Sort(column)
		f.middle[i], f.constant[i] = column[rows/2], column[0] == column[rows-1]
	}
}

// branch is a part of a tree that has not been grown yet.
type branch struct {
	rows  []uint8
	depth int
	at    *uint8 // what leads to it
}

// growTree cuts rows, an input and a place by chance, level by level, until
// each row is alone, or the depth or the number of nodes is reached.
func (f *IForest) growTree(tree int, rows []uint8, r *rand.Rand) {
	nodes := f.nodes[tree*treeNodes:][:treeNodes]
	var queue [1 + 2*treeNodes]branch
	queue[0] = branch{rows, 0, &f.roots[tree]}
	waiting, used := 1, 0
	for i := 0; i < waiting; i++ {
		b := queue[i]
		*b.at = uint8(isLeaf + len(b.rows) - 1) //nolint:gosec // at most treeSample rows
		if len(b.rows) == 1 || b.depth == treeDepth || used == treeNodes {
			continue
		}
		n := &nodes[used]
		left := f.split(n, b.rows, r)
		if left == 0 {
			continue
		}
		*b.at = uint8(used) //nolint:gosec // below treeNodes
		queue[waiting] = branch{b.rows[:left], b.depth + 1, &n.left}
		queue[waiting+1] = branch{b.rows[left:], b.depth + 1, &n.right}
		waiting += 2
		used++
	}
}

// split makes n a cut of the rows and returns how many of them, which come to
// be the first ones, lie below it; 0 when the rows are all equal.
func (f *IForest) split(n *isolationNode, rows []uint8, r *rand.Rand) (left int) {
	inputs := f.c.Inputs
	// An input in which the rows do not differ cannot cut them: another one.
	for i, tries := r.IntN(inputs), 0; tries < inputs; i, tries = (i+1)%inputs, tries+1 {
		n.lo, n.hi = rows[0], rows[0]
		lo, hi := f.grown[int(n.lo)*inputs+i], f.grown[int(n.hi)*inputs+i]
		for _, k := range rows[1:] {
			switch v := f.grown[int(k)*inputs+i]; {
			case v < lo:
				lo, n.lo = v, k
			case v > hi:
				hi, n.hi = v, k
			}
		}
		if !(lo < hi) {
			continue
		}
		place := r.Uint32()
		n.input, n.place = uint8(i), [2]uint8{uint8(place), uint8(place >> 8)} //nolint:gosec // 16 bits of chance
		cut := n.cut(lo, hi)
		for k, row := range rows {
			if f.grown[int(row)*inputs+i] < cut {
				rows[left], rows[k] = rows[k], rows[left]
				left++
			}
		}
		return left
	}
	return 0
}

func (f *IForest) reserve() {
	f.nodes, f.roots = make([]isolationNode, f.c.Trees*treeNodes), make([]uint8, f.c.Trees)
}

// Usual is the median of an input; NaN while there are no trees.
func (f *IForest) Usual(input int) float64 {
	if len(f.roots) == 0 {
		return math.NaN()
	}
	return float64(f.middle[input])
}

const (
	idIForest      byte = 41
	iforestVersion byte = 1
)

// AppendBinary appends the state: the samples, from which the trees are grown
// again.
func (f *IForest) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idIForest, iforestVersion)
	for _, n := range []int64{int64(f.rows), int64(f.next), f.taken, int64(f.fresh), f.round, f.last, int64(len(f.grown) / f.c.Inputs)} {
		w.int(n)
	}
	w.bool(f.seen)
	w.float32s(f.sample[:f.rows*f.c.Inputs])
	w.float32s(f.grown)
	f.rare.write(w)
	return w.b, nil
}

// UnmarshalBinary restores what AppendBinary wrote for the same configuration.
func (f *IForest) UnmarshalBinary(b []byte) error {
	r := newReader(b, idIForest, iforestVersion)
	f.rows, f.next, f.taken = r.index(forestSample+1), r.index(forestSample), r.int()
	f.fresh, f.round, f.last = r.index(forestSample+1), r.int(), r.int()
	grown := r.index(forestSample + 1)
	f.seen = r.bool()
	r.float32s(f.sample[:f.rows*f.c.Inputs])
	f.grown = f.grown[:grown*f.c.Inputs]
	r.float32s(f.grown)
	f.rare.read(r)
	if err := r.done(); err != nil {
		return err
	}
	for _, v := range append(f.sample[:f.rows*f.c.Inputs:f.rows*f.c.Inputs], f.grown...) {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return errors.Join(errState, errors.New("a sampled number is missing"))
		}
	}
	if f.nodes, f.roots = nil, nil; len(f.grown) > 0 {
		f.grow()
	}
	return nil
}
