package detect

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// c(n) of the paper: with the logarithm for the harmonic number, as printed
// there, and exact where that is rough.
func TestExpectedCuts(t *testing.T) {
	for n := 2; n <= 2000; n++ {
		m := float64(n)
		want := 2*(math.Log(m-1)+0.5772156649015329) - 2*(m-1)/m
		if got := expectedCuts(n); math.Abs(got-want) > 1/(m-1) {
			t.Errorf("c(%d) = %v, the paper has %v", n, got, want)
		}
	}
	for n, want := range map[int]float64{0: 0, 1: 0, 2: 1, 3: 5.0 / 3, 4: 13.0 / 6} {
		if got := expectedCuts(n); math.Abs(got-want) > 1e-12 {
			t.Errorf("c(%d) = %v, want %v", n, got, want)
		}
	}
}

// Every row of the sample ends in exactly one leaf, and each leaf says how many
// rows it has, and how many cuts isolate one of them.
func TestIsolationTree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for round := range 300 {
		n, inputs := 1+r.IntN(treeSample), 1+r.IntN(4)
		f := must2(NewIForest(IForestConfig{Trees: 1, Window: time.Hour, Inputs: inputs}))
		f.reserve()
		for range n * inputs {
			v := float32(r.IntN(6)) // many are equal
			if round%2 == 0 {
				v = r.Float32() // as many cuts as there can be
			}
			f.grown = append(f.grown, v)
		}
		rows := make([]uint8, n)
		for i := range rows {
			rows[i] = uint8(i)
		}
		f.growTree(0, rows, r)
		type leaf struct {
			path string
			rows uint8
		}
		count, depths := map[leaf]int{}, map[leaf]int{}
		for k := range n {
			x := f.grown[k*inputs : (k+1)*inputs]
			path, at := "", f.roots[0]
			for at < isLeaf {
				n := &f.nodes[at]
				lo, hi := f.grown[int(n.lo)*inputs+int(n.input)], f.grown[int(n.hi)*inputs+int(n.input)]
				if v := x[n.input]; v < lo || v > hi {
					t.Fatalf("row %d: %v does not lie between %v and %v", k, v, lo, hi)
				} else if v < n.cut(lo, hi) {
					path, at = path+"l", n.left
				} else {
					path, at = path+"r", n.right
				}
			}
			l := leaf{path, at - isLeaf + 1}
			count[l]++
			if depths[l] = len(path); len(path) > treeDepth {
				t.Fatalf("row %d: a leaf at depth %d", k, len(path))
			}
			if got, want := f.cuts(0, x, 0), float64(len(path))+expectedCuts(int(l.rows)); math.Abs(got-want) > 1e-9 {
				t.Fatalf("row %d is alone after %v cuts, want %v", k, got, want)
			}
		}
		for l, rows := range count {
			if int(l.rows) != rows {
				t.Fatalf("leaf %q of %d rows says %d", l.path, rows, l.rows)
			}
		}
	}
}

// simpleTree is an isolation tree as one would write it: pointers, and no
// bound but the depth.
type simpleTree struct {
	rows        int
	input       int
	cut, lo, hi float64
	left, right *simpleTree
}

func growSimple(rows [][]float64, depth int, r *rand.Rand) *simpleTree {
	n := &simpleTree{rows: len(rows)}
	if len(rows) < 2 || depth == treeDepth {
		return n
	}
	for _, i := range r.Perm(len(rows[0])) {
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, row := range rows {
			lo, hi = min(lo, row[i]), max(hi, row[i])
		}
		if lo == hi {
			continue
		}
		n.input, n.lo, n.hi, n.cut = i, lo, hi, hi-r.Float64()*(hi-lo)
		var left, right [][]float64
		for _, row := range rows {
			if row[i] < n.cut {
				left = append(left, row)
			} else {
				right = append(right, row)
			}
		}
		n.left, n.right = growSimple(left, depth+1, r), growSimple(right, depth+1, r)
		break
	}
	return n
}

// cuts is the expected number of cuts until x is alone.
func (n *simpleTree) cuts(x []float64, depth float64) float64 {
	if n.left == nil {
		return depth + expectedCuts(n.rows)
	}
	v, apart := x[n.input], 0.0
	if v < n.lo {
		apart = (n.lo - v) / (n.hi - v)
	} else if v > n.hi {
		apart = (v - n.hi) / (v - n.lo)
	}
	next := n.right
	if v < n.cut {
		next = n.left
	}
	return apart*(depth+1) + (1-apart)*next.cuts(x, depth+1)
}

// TestAForestIsWhatSimpleTreesAre holds isolation scores of forests against
// those of simple trees over the same samples: smooth ones, ones that are a few
// values only, and ones with values far away.
func TestAForestIsWhatSimpleTreesAre(t *testing.T) {
	const trees = 1000
	for name, value := range map[string]func(r *rand.Rand) float64{
		"smooth":     func(r *rand.Rand) float64 { return r.NormFloat64() },
		"few values": func(r *rand.Rand) float64 { return float64(r.IntN(4)) },
		"far":        func(r *rand.Rand) float64 { return math.Exp(4 * r.NormFloat64()) },
		"mostly one": func(r *rand.Rand) float64 { return math.Trunc(r.ExpFloat64() / 2) },
	} {
		r := rand.New(rand.NewPCG(8, 8))
		f := must2(NewIForest(IForestConfig{Trees: trees, Window: time.Hour, Inputs: 2}))
		var rows [][]float64
		for i := range forestSample {
			row := []float64{float64(float32(value(r))), float64(float32(value(r)))}
			rows = append(rows, row)
			f.Learn(Vector{T: int64(i) * 60_000, V: row}, 1)
		}
		if len(f.grown) != 2*len(rows) {
			t.Fatalf("the forest has seen %d of %d rows", len(f.grown)/2, len(rows))
		}
		var simple []*simpleTree
		for range trees {
			r.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
			simple = append(simple, growSimple(rows[:treeSample], 0, r))
		}
		for k := range 60 {
			x := []float64{value(r), value(r)}
			if k%3 == 0 {
				x[k%2] *= 10
			}
			sum := 0.0
			for _, n := range simple {
				sum += n.cuts(x, 0)
			}
			want := math.Exp2(-sum / trees / expectedCuts(treeSample))
			if got := f.isolation([]float32{float32(x[0]), float32(x[1])}); math.Abs(got-want) > 0.015 {
				t.Errorf("%s: %v has %v, simple trees say %v", name, x, got, want)
			}
		}
	}
}

// A cut lies above the least of two values and not above the greatest one, so
// that both sides have rows, however near or far they are.
func TestACutLiesBetween(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 100_000 {
		lo := float32(math.Ldexp(r.NormFloat64(), r.IntN(240)-120))
		hi := max(lo, float32(math.Ldexp(r.NormFloat64(), r.IntN(240)-120)))
		if r.IntN(3) == 0 {
			hi = math.Nextafter32(lo, math.MaxFloat32)
		}
		n := isolationNode{place: [2]uint8{uint8(r.Uint32()), uint8(r.Uint32())}}
		if cut := n.cut(lo, hi); lo < hi && !(lo < cut && cut <= hi) {
			t.Fatalf("%v between %v and %v", cut, lo, hi)
		}
	}
}

// A series' forest takes at most 64 KiB, whatever it has seen; of more inputs
// 2 KiB more for each, up to whole pages.
func TestForestsAreSmall(t *testing.T) {
	for inputs := 2; inputs <= MaxInputs; inputs += 31 {
		f := must2(NewIForest(IForestConfig{Trees: 100, Window: 24 * time.Hour, Inputs: inputs}))
		s := subject{fresh: func() saved { return NewVectorScorer(f, ScorerConfig{}) }}
		if inputs == 2 {
			s.fresh = func() saved { return NewScorer(NewAlone(f), ScorerConfig{}) }
		}
		x, r := s.fresh(), rand.New(rand.NewPCG(6, 6))
		v := make([]float64, inputs)
		for i := range 600 {
			for k := range v {
				v[k] = r.Float64()
			}
			switch x := x.(type) {
			case *Scorer:
				x.Step(Point{int64(i) * 600_000, v[0]})
			case *VectorScorer:
				x.Step(Vector{int64(i) * 600_000, v}, nil)
			}
		}
		most := 64 << 10
		if inputs > 2 {
			most += 2048*inputs + 16<<10
		}
		if size := Size(x); size > most || f.State() != Ready {
			t.Errorf("%d inputs: %d bytes, want at most %d; %s", inputs, size, most, f.State())
		}
	}
}

// A point far from all others is the most isolated one; points of one cloud
// have scores around a half.
func TestIsolation(t *testing.T) {
	f, err := NewIForest(IForestConfig{Trees: 200, Window: time.Hour, Inputs: 2})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2, 2))
	for i := range forestSample {
		f.Learn(Vector{T: int64(i) * 1000, V: []float64{r.NormFloat64(), r.NormFloat64()}}, 1)
	}
	mean, most := 0.0, 0.0
	for range 500 {
		s := f.isolation([]float32{float32(r.NormFloat64()), float32(r.NormFloat64())})
		mean += s / 500
		most = max(most, s)
	}
	far := f.isolation([]float32{8, -8})
	if math.Abs(mean-0.5) > 0.06 || far <= most || far < 0.7 {
		t.Errorf("usual %v, at most %v; far away %v", mean, most, far)
	}
}

// Old points leave: what was usual before the window is isolated again.
func TestForestForgets(t *testing.T) {
	f, err := NewIForest(IForestConfig{Trees: 50, Window: time.Hour, Inputs: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 2000 {
		level := 0.0
		if i >= 1000 {
			level = 100
		}
		f.Learn(Vector{T: int64(i) * 15_000, V: []float64{level + r.NormFloat64()}}, 1)
	}
	if old, now := f.isolation([]float32{0}), f.isolation([]float32{100}); old < now+0.2 {
		t.Errorf("the level of hours ago %v, today's %v", old, now)
	}
}

func TestIForestConfig(t *testing.T) {
	for _, c := range []IForestConfig{{Trees: 0, Window: 1, Inputs: 1}, {Trees: 1, Window: 0, Inputs: 1}, {Trees: 1, Window: 1, Inputs: 0}, {Trees: 1, Window: 1, Inputs: MaxInputs + 1}} {
		if _, err := NewIForest(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	if _, err := NewJoint(JointConfig{Inputs: MaxInputs + 1}); err == nil {
		t.Error("too many inputs are accepted")
	}
}

// TestTreesHaveRoomForTheirCuts counts the cuts of trees over smooth values,
// which have as many as there can be: few trees are cut short.
func TestTreesHaveRoomForTheirCuts(t *testing.T) {
	f := must2(NewIForest(IForestConfig{Trees: 1000, Window: time.Hour, Inputs: 2}))
	r := rand.New(rand.NewPCG(7, 7))
	for i := range forestSample {
		f.Learn(Vector{T: int64(i) * 60_000, V: []float64{r.Float64(), r.NormFloat64()}}, 1)
	}
	full, cuts := 0, 0
	for tree := range f.roots {
		n := 0
		for _, node := range f.nodes[tree*treeNodes:][:treeNodes] {
			if node.left != 0 { // the root is nobody's child
				n++
			}
		}
		if cuts += n; n == treeNodes {
			full++
		}
	}
	t.Logf("%d cuts, %d full", cuts/len(f.roots), full)
	if full*20 > len(f.roots) {
		t.Errorf("%d of %d trees are full, with %d cuts on the average", full, len(f.roots), cuts/len(f.roots))
	}
}

func BenchmarkVectorModels(b *testing.B) {
	for _, k := range vectorModels {
		b.Run(k.name, func(b *testing.B) {
			m := newVectorModel(b, k.make, 3)
			r := taught(b, m, 3000)
			points := make([]Vector, 1000)
			for i := range points {
				points[i] = load(r, i)
			}
			t := int64(3000) * 60_000
			b.ReportAllocs()
			for i := range b.N {
				p := points[i%len(points)]
				t += 60_000
				p.T = t
				m.Score(p, nil)
				m.Learn(p, 1)
			}
			b.ReportMetric(float64(len(stateOf(b, m))), "state-B")
		})
	}
}
