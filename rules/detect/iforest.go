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

	trees    []isolationTree // made of grown and round
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
	treeNodes  = 1<<(treeDepth+1) - 1
	// forestLeast is the smallest sample that trees are grown from.
	forestLeast = 32
	// forestRarity is the tail probability that scores 1.
	forestRarity = 1e-3
)

// isolationTree is a full binary tree in an array: the children of node i are
// 2i+1 and 2i+2.
type isolationTree struct {
	input  [treeNodes]int16 // that the node cuts; leaf: -1
	cut    [treeNodes]float32
	lo, hi [treeNodes]float32 // of the node's rows, in that input
	depth  [treeNodes]float32 // of a leaf: expected number of cuts
}

const isLeaf = -1

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

// Name is iforest.
func (*IForest) Name() string { return "iforest" }

// State is ready once there are trees and some past to compare with.
func (f *IForest) State() State {
	switch {
	case !f.seen:
		return Cold
	case len(f.trees) == 0 || f.rare.total < forestLeast:
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
	for i := range f.trees {
		sum += f.trees[i].cuts(x, elsewhere)
	}
	return math.Exp2(-sum / float64(len(f.trees)) / f.usual)
}

// cuts is the expected number of cuts until x is alone; elsewhere is the
// chance of each cut to be at an input that alone sets x apart.
func (t *isolationTree) cuts(x []float32, elsewhere float64) float64 {
	n, depth, sum, together := 0, 1.0, 0.0, 1.0
	for ; t.input[n] != isLeaf; depth++ {
		v, lo, hi := x[t.input[n]], t.lo[n], t.hi[n]
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
		if v < t.cut[n] {
			n = 2*n + 1
		} else {
			n = 2*n + 2
		}
	}
	return sum + together*float64(t.depth[n])
}

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
	if f.seen && p.T <= f.last || !f.take(p) {
		return
	}
	if len(f.trees) > 0 {
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
	if f.trees == nil {
		f.trees = make([]isolationTree, f.c.Trees)
	}
	r := rand.New(rand.NewPCG(uint64(f.round), 0x150a7e)) //nolint:gosec // chance that repeats
	f.usual = expectedCuts(min(treeSample, rows))
	order := make([]int, rows)
	for i := range order {
		order[i] = i
	}
	for i := range f.trees {
		picked := min(treeSample, rows)
		for k := range picked { // the head of a shuffle
			m := k + r.IntN(rows-k)
			order[k], order[m] = order[m], order[k]
		}
		f.trees[i].grow(f.grown, n, order[:picked], 0, 0, r)
	}
	column := make([]float32, rows)
	for i := range n {
		for k := range rows {
			column[k] = f.grown[k*n+i]
		}
		slices.Sort(column)
		f.middle[i], f.constant[i] = column[rows/2], column[0] == column[rows-1]
	}
}

// grow cuts the given rows at node, an input and a place by chance, until each
// row is alone or the depth is reached.
func (t *isolationTree) grow(sample []float32, inputs int, rows []int, node, depth int, r *rand.Rand) {
	if len(rows) > 1 && depth < treeDepth {
		// An input in which the rows do not differ cannot cut them: another one.
		for i, tries := r.IntN(inputs), 0; tries < inputs; i, tries = (i+1)%inputs, tries+1 {
			lo, hi := float32(math.Inf(1)), float32(math.Inf(-1))
			for _, k := range rows {
				v := sample[k*inputs+i]
				lo, hi = min(lo, v), max(hi, v)
			}
			cut := float32(float64(lo) + r.Float64()*(float64(hi)-float64(lo)))
			if !(lo < cut) { // rows below a cut are below it, others not: both sides have some
				cut = hi
			}
			if !(lo < hi) {
				continue
			}
			left := 0
			for k, row := range rows {
				if sample[row*inputs+i] < cut {
					rows[left], rows[k] = rows[k], rows[left]
					left++
				}
			}
			t.input[node], t.cut[node], t.lo[node], t.hi[node] = int16(i), cut, lo, hi
			t.grow(sample, inputs, rows[:left], 2*node+1, depth+1, r)
			t.grow(sample, inputs, rows[left:], 2*node+2, depth+1, r)
			return
		}
	}
	t.input[node], t.depth[node] = isLeaf, float32(float64(depth)+expectedCuts(len(rows)))
}

func (f *IForest) reserve() { f.trees = make([]isolationTree, f.c.Trees) }

// Usual is the median of an input; NaN while there are no trees.
func (f *IForest) Usual(input int) float64 {
	if len(f.trees) == 0 {
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
	if f.trees = nil; len(f.grown) > 0 {
		f.grow()
	}
	return nil
}
