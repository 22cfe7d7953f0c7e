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

// Every row of the sample ends in exactly one leaf, and the depths are those
// of the tree: the sum over leaves of rows gives the sample.
func TestIsolationTree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		n, inputs := 1+r.IntN(treeSample), 1+r.IntN(4)
		sample := make([]float32, n*inputs)
		for i := range sample {
			sample[i] = float32(r.IntN(6)) // many are equal
		}
		rows := r.Perm(n)
		var tree isolationTree
		tree.grow(sample, inputs, rows, 0, 0, r)
		count := map[int]int{}
		for k := range n {
			node, depth := 0, 0
			for tree.input[node] != isLeaf {
				if sample[k*inputs+int(tree.input[node])] < tree.cut[node] {
					node = 2*node + 1
				} else {
					node = 2*node + 2
				}
				depth++
			}
			if depth > treeDepth || float64(tree.depth[node]) < float64(depth) {
				t.Fatalf("row %d: leaf at depth %d says %v", k, depth, tree.depth[node])
			}
			count[node]++
		}
		for node, rows := range count {
			depth := math.Floor(math.Log2(float64(node + 1)))
			if want := float32(depth + expectedCuts(rows)); tree.depth[node] != want {
				t.Fatalf("a leaf of %d rows at depth %v says %v, want %v", rows, depth, tree.depth[node], want)
			}
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
	if _, err := NewJoint(MaxInputs + 1); err == nil {
		t.Error("too many inputs are accepted")
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
