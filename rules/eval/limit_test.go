package eval

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

// numbered are samples of series from to until.
func numbered(from, until int) []Sample {
	var out []Sample
	for i := from; i < until; i++ {
		out = append(out, sample(float64(i%17), labels.MetricName, "m", "i", strconv.Itoa(1_000_000+i)))
	}
	return out
}

// full is a rule at its limit, stepped twice.
func full(t testing.TB, limit int, fields ...string) *Rule {
	t.Helper()
	r := newRule(t, ruleOf(t, append(fields, "limit: "+strconv.Itoa(limit))...))
	for n := range 2 {
		f := at(n, numbered(0, limit))
		if len(r.spec.Inputs) > 0 {
			f.Vectors = append(f.Vectors, nil)
		}
		if _, err := r.Step(f.t, f.Frame); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// TestRefusingASeriesCostsTheSameWhateverTheLimit counts the memory that steps
// take with a thousand refused series beside few and beside many that are
// followed, and those that a step takes with ten times as many refused. Steps go
// on in time, so that with and without refused series the models do the same.
// They judge by a threshold: what judges by a budget takes its scratch from a
// pool, and the race detector has a pool forget part of what it is given.
func TestRefusingASeriesCostsTheSameWhateverTheLimit(t *testing.T) {
	cost := func(r *Rule, refused int) float64 {
		frame := at(0, append(numbered(0, r.spec.Limit), numbered(r.spec.Limit, r.spec.Limit+refused)...))
		frame.Vectors = append(frame.Vectors, make([][]Sample, len(r.spec.Sources())-1)...)
		return testing.AllocsPerRun(5, func() {
			out, err := r.Step(r.Now()+minute, frame.Frame)
			if err != nil || out.Changes.OverLimit != refused {
				t.Fatalf("%d refused, %v; want %d", out.Changes.OverLimit, err, refused)
			}
		})
	}
	for _, fields := range [][]string{{"expr: m"}, {"expr: m", "cohort: [i]"}, {"inputs: {a: m, b: m}", "join: [i]"}} {
		fields = append(fields, "model: zscore(threshold=3)")
		few, many := full(t, 10, fields...), full(t, 3000, fields...)
		a, b := cost(few, 1000)-cost(few, 0), cost(many, 1000)-cost(many, 0)
		if b > 1.1*a+50 {
			t.Errorf("%s: 1000 refused series take %v allocations beside 3000 others and %v beside 10", fields, b, a)
		}
		if c := cost(few, 10_000); c > 11*a+200 {
			t.Errorf("%s: 10,000 refused series take %v allocations, 1000 take %v", fields, c, a)
		}
	}
}

// TestRefusingLooksAtNobodyElse counts the series that a step looks at: those
// that are followed are looked at as often with refused ones as without.
func TestRefusingLooksAtNobodyElse(t *testing.T) {
	r := full(t, 100, "expr: m", "model: zscore")
	st := &stepping{t: at(2).t, emit: true}
	frame := at(2, numbered(0, 1100))
	r.mark++
	if err := r.find(st, frame.Frame); err != nil {
		t.Fatal(err)
	}
	if st.out.Changes.OverLimit != 1000 || len(r.scratch.began) > 0 {
		t.Fatalf("%d refused, %d began", st.out.Changes.OverLimit, len(r.scratch.began))
	}
	// Once a step it is asked who could go; a second look would find the one
	// that goes now.
	clear(r.series)
	r.series["gone"] = &Series{key: "gone"}
	if !st.looked || r.makeRoom(st) {
		t.Error("who could make room is looked for more than once a step")
	}
	clear(r.series)
	if n := r.population(st); n != 100 {
		t.Errorf("%d series counted: the population is counted more than once a step", n)
	}
}

// TestMakingRoom holds against a plain model of it that the series that has
// been absent longest goes, and never one that is in the same frame or was in
// the one before.
func TestMakingRoom(t *testing.T) {
	for seed := range int64(50) {
		rnd := rand.New(rand.NewSource(seed))
		limit := 2 + rnd.Intn(6)
		r := newRule(t, ruleOf(t, "expr: m", "model: zscore", fmt.Sprint("limit: ", limit)))
		seen := map[string]int{} // followed series and when they were there last
		for n := range 60 {
			v := numbered(0, 10)
			rnd.Shuffle(len(v), func(i, k int) { v[i], v[k] = v[k], v[i] })
			v = v[:rnd.Intn(limit+3)]
			slices.SortFunc(v, func(a, b Sample) int { return labels.Compare(a.Labels, b.Labels) })
			there := map[string]bool{}
			for _, s := range v {
				there[s.Labels.Get("i")] = true
			}
			refused := 0
			for _, s := range v {
				key := s.Labels.Get("i")
				if _, known := seen[key]; known {
					continue
				}
				if len(seen) >= limit {
					oldest := ""
					for k, at := range seen {
						if !there[k] && at < n-1 && (oldest == "" || at < seen[oldest] || at == seen[oldest] && k < oldest) {
							oldest = k
						}
					}
					if oldest == "" {
						refused++
						continue
					}
					delete(seen, oldest)
				}
				seen[key] = n
			}
			for key := range there {
				if _, known := seen[key]; known {
					seen[key] = n
				}
			}
			f := at(n, v)
			out, err := r.Step(f.t, f.Frame)
			if err != nil || out.Changes.OverLimit != refused {
				t.Fatalf("seed %d, step %d: %d refused, %v; want %d", seed, n, out.Changes.OverLimit, err, refused)
			}
			for _, s := range out.Changes.Ended {
				if there[s.Labels().Get("i")] {
					t.Fatalf("seed %d, step %d: %s is there and was dropped", seed, n, s.Labels())
				}
			}
			if r.Len() != len(seen) {
				t.Fatalf("seed %d, step %d: %d series, want %d", seed, n, r.Len(), len(seen))
			}
			for _, s := range r.Series(nil) {
				if _, ok := seen[s.Labels().Get("i")]; !ok {
					t.Fatalf("seed %d, step %d: %s should have gone", seed, n, s.Labels())
				}
			}
		}
	}
}

// TestMemoryRefuses holds that a rule at its limit of bytes follows whom it has,
// takes another one when one has gone, and counts those that it refuses.
func TestMemoryRefuses(t *testing.T) {
	r := newRule(t, ruleOf(t, "expr: m", "model: zscore"))
	step := func(n int, v []Sample) Changes {
		t.Helper()
		f := at(n, v)
		out, err := r.Step(f.t, f.Frame)
		if err != nil {
			t.Fatal(err)
		}
		return out.Changes
	}
	step(0, numbered(0, 3))
	r.Admit(r.Charged() + r.grown/2)
	if c := step(1, numbered(0, 5)); c.OverMemory != 2 || r.Len() != 3 {
		t.Errorf("%+v, %d series", c, r.Len())
	}
	step(2, numbered(0, 2))
	if c := step(3, numbered(0, 2)); len(c.Ended) > 0 {
		t.Errorf("nobody needs room, and %v have gone", c.Ended)
	}
	if c := step(4, append(numbered(0, 2), numbered(5, 7)...)); c.OverMemory != 1 || len(c.Began) != 1 || len(c.Ended) != 1 || r.Len() != 3 {
		t.Errorf("%+v, %d series", c, r.Len())
	}
	r.Admit(0)
	if c := step(5, append(numbered(0, 2), numbered(5, 6)...)); c.OverMemory != 0 || r.Len() != 3 {
		t.Errorf("who is followed goes on: %+v, %d series", c, r.Len())
	}
	if r.Charged() < r.Held() {
		t.Errorf("charged %d, holds %d", r.Charged(), r.Held())
	}
}

// TestMemoryThatIsNotThereCostsNobodyItsModel holds that series which have gone
// keep their models while all of them together would not make enough room.
func TestMemoryThatIsNotThereCostsNobodyItsModel(t *testing.T) {
	r := newRule(t, ruleOf(t, "expr: m", "model: zscore"))
	step := func(n int, v []Sample) Changes {
		t.Helper()
		f := at(n, v)
		out, err := r.Step(f.t, f.Frame)
		if err != nil {
			t.Fatal(err)
		}
		return out.Changes
	}
	step(0, numbered(0, 6))
	step(1, numbered(0, 3))
	step(2, numbered(0, 3))
	r.Admit(3 * r.grown) // others hold what there was
	if c := step(3, append(numbered(0, 3), numbered(7, 9)...)); c.OverMemory != 2 || len(c.Ended) != 0 || r.Len() != 6 {
		t.Errorf("%d refused, %d ended, %d series", c.OverMemory, len(c.Ended), r.Len())
	}
	r.Admit(4 * r.grown)
	if c := step(4, append(numbered(0, 3), numbered(7, 9)...)); c.OverMemory != 1 || len(c.Ended) != 3 || r.Len() != 4 {
		t.Errorf("%d refused, %d ended, %d series", c.OverMemory, len(c.Ended), r.Len())
	}
}

// BenchmarkRefuse measures what each further refused series adds to a step of
// a rule at its limit, by the fastest steps of either kind: what differs
// between two of one kind is the machine.
func BenchmarkRefuse(b *testing.B) {
	for _, refused := range []int{1000, 10_000, 100_000} {
		b.Run(strconv.Itoa(refused), func(b *testing.B) {
			r := full(b, 10_000, "expr: m", "model: zscore")
			frames := [2]Frame{{Vectors: [][]Sample{numbered(0, 10_001)}}, {Vectors: [][]Sample{numbered(0, 10_001+refused)}}}
			n, fastest := 1, [2]int64{math.MaxInt64, math.MaxInt64}
			for b.Loop() {
				for i, f := range frames {
					n++
					began := nanotime()
					if _, err := r.Step(at(n).t, f); err != nil {
						b.Fatal(err)
					}
					fastest[i] = min(fastest[i], nanotime()-began)
				}
			}
			b.ReportMetric(float64(fastest[1]-fastest[0])/float64(refused), "ns/refused")
		})
	}
}
