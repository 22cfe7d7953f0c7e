package tsdbcache

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"pgregory.net/rapid"
)

func testHistogram(i int) *histogram.Histogram {
	n := int64(i)
	return &histogram.Histogram{
		Count: uint64(5*n + 4), ZeroCount: uint64(n), Sum: 18.4 * float64(n+1), ZeroThreshold: 0.001, Schema: int32(i % 3),
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}},
		PositiveBuckets: []int64{n + 1, 1, -1}, // counts n+1, n+2, n+1
		NegativeSpans:   []histogram.Span{{Offset: 1, Length: 1}},
		NegativeBuckets: []int64{n},
	}
}

func testNHCB(i int) *histogram.FloatHistogram {
	n := float64(i)
	return &histogram.FloatHistogram{
		Schema: histogram.CustomBucketsSchema, Count: 3*n + 1.5, Sum: n, CustomValues: []float64{0.5, 1, float64(5 + i%4)},
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 3}}, PositiveBuckets: []float64{n, n + 1, n + 0.5},
	}
}

// got is a sample as a query returns it, in a form that can be compared.
type got struct {
	st, t int64
	v     string
}

func printed(v uint64, h *histogram.Histogram, fh *histogram.FloatHistogram) string {
	switch {
	case h != nil:
		return fmt.Sprintf("h%d%v%x", h.Schema, h, math.Float64bits(h.Sum))
	case fh != nil:
		return fmt.Sprintf("f%d%v%x", fh.Schema, fh, math.Float64bits(fh.Sum))
	}
	return fmt.Sprintf("%x", v)
}

func collect(t testing.TB, it chunkenc.Iterator) []got {
	t.Helper()
	var out []got
	for k := it.Next(); k != chunkenc.ValNone; k = it.Next() {
		g := got{st: it.AtST(), t: it.AtT()}
		switch k {
		case chunkenc.ValFloat:
			_, v := it.At()
			g.v = printed(math.Float64bits(v), nil, nil)
		case chunkenc.ValHistogram:
			_, h := it.AtHistogram(nil)
			g.v = printed(0, h, nil)
		case chunkenc.ValFloatHistogram:
			_, fh := it.AtFloatHistogram(nil)
			g.v = printed(0, nil, fh)
		}
		out = append(out, g)
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// query returns everything in [mint, maxt] by series.
func query(t testing.TB, q storage.Queryable, mint, maxt int64, ms ...*labels.Matcher) map[string][]got {
	t.Helper()
	qr, err := q.Querier(mint, maxt)
	if err != nil {
		t.Fatal(err)
	}
	defer qr.Close()
	if len(ms) == 0 {
		ms = append(ms, labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".*"))
	}
	set := qr.Select(context.Background(), true, nil, ms...)
	out := map[string][]got{}
	var it chunkenc.Iterator
	last := labels.EmptyLabels()
	for set.Next() {
		s := set.At()
		if !last.IsEmpty() && labels.Compare(last, s.Labels()) >= 0 {
			t.Fatalf("%s does not sort before %s", last, s.Labels())
		}
		last = s.Labels()
		it = s.Iterator(it)
		if gs := collect(t, it); len(gs) > 0 {
			out[s.Labels().String()] = gs
		}
	}
	if set.Err() != nil {
		t.Fatal(set.Err())
	}
	return out
}

// copyDir copies the ring's files as a crash at this moment would leave them.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(from, n.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, n.Name()), b, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// modelRun drives a ring and an unbounded map with the same operations.
type modelRun struct {
	t      *rapid.T
	tb     *testing.T
	o      Options
	db     *DB
	want   map[string]map[int64]got
	newest map[string]int64
	late   bool
	mixed  bool
	churn  bool // other series after a while
	steps  int
}

func (m *modelRun) step() {
	m.steps++
	tx := m.db.Begin()
	type put struct {
		name string
		g    got
	}
	var puts []put
	touched := map[string]bool{}
	for range rapid.IntRange(1, 40).Draw(m.t, "samples") {
		id := rapid.IntRange(0, 5).Draw(m.t, "series")
		if m.churn {
			id = (id + m.steps/20*3) % 17
		}
		ls := labels.FromStrings(labels.MetricName, "m", "i", fmt.Sprint(id), "kind", fmt.Sprint(id%2))
		name := ls.String()
		key := ls.Bytes(nil)
		ref, ok := tx.Lookup(KeyV1, key)
		if !ok {
			var r Reason
			if ref, r = tx.Create(KeyV1, key, ls); r != Accepted {
				m.t.Fatalf("create %s: %s", ls, r)
			}
		}
		last := m.newest[name]
		ts := last + rapid.SampledFrom([]int64{15000, 15000, 15000, 15003, 1, 60000, 1 << 33}).Draw(m.t, "step")
		if m.late && last > 0 && !touched[name] && rapid.IntRange(0, 5).Draw(m.t, "late") == 0 {
			ts = last - rapid.Int64Range(1, 300_000).Draw(m.t, "behind")
		}
		touched[name] = true
		if _, ok := m.want[name][ts]; ok {
			continue
		}
		st := rapid.SampledFrom([]int64{0, 0, 0, 77}).Draw(m.t, "st")
		g := got{st: st, t: ts}
		n := rapid.IntRange(0, 1000).Draw(m.t, "n")
		switch k := rapid.IntRange(0, 9).Draw(m.t, "type"); {
		case !m.mixed || k > 2:
			v := []float64{1, float64(n), float64(n) / 100, math.Sqrt(float64(n * m.steps)), math.Float64frombits(0x7ff0000000000002)}[n%5]
			tx.Float(ref, st, ts, v)
			g.v = printed(math.Float64bits(v), nil, nil)
		case k == 0:
			h := testHistogram(n)
			tx.Histogram(ref, st, ts, h, nil)
			g.v = printed(0, h, nil)
		default:
			fh := testNHCB(n)
			tx.Histogram(ref, st, ts, nil, fh)
			g.v = printed(0, nil, fh)
		}
		if m.want[name] == nil {
			m.want[name] = map[int64]got{}
		}
		// The model holds at once what the ring holds after the commit.
		m.want[name][ts] = g
		m.newest[name] = max(last, ts)
		puts = append(puts, put{name, g})
	}
	if rapid.IntRange(0, 9).Draw(m.t, "rollback") == 0 {
		tx.Rollback()
		for _, p := range puts {
			delete(m.want[p.name], p.g.t)
		}
		for name := range m.newest {
			m.newest[name] = 0
			for ts := range m.want[name] {
				m.newest[name] = max(m.newest[name], ts)
			}
		}
		return
	}
	res, err := tx.Commit()
	if err != nil || res.RefusedTotal() > 0 || res.Samples+res.Histograms != len(puts) {
		m.t.Fatalf("commit of %d: %+v, %v", len(puts), res, err)
	}
}

func (m *modelRun) restart() {
	crash := rapid.Bool().Draw(m.t, "crash")
	if crash {
		m.o.Dir = copyDir(m.tb, m.o.Dir)
	}
	if err := m.db.Close(); err != nil {
		m.t.Fatal(err)
	}
	db, err := Open(m.o)
	if err != nil {
		m.t.Fatal(err)
	}
	m.db = db
	if db.rec.corrupt > 0 {
		m.t.Fatalf("%d corrupt pages", db.rec.corrupt)
	}
}

// check compares all that a query returns with the model. A ring that evicted
// may lack the oldest; without late samples the rest is a suffix.
func (m *modelRun) check(exact bool) {
	checkPages(m.tb, m.db)
	mint, maxt := int64(math.MinInt64), int64(math.MaxInt64)
	if rapid.Bool().Draw(m.t, "range") {
		mint = rapid.Int64Range(0, 1_000_000).Draw(m.t, "mint")
		maxt = mint + rapid.Int64Range(0, 1_000_000).Draw(m.t, "length")
	}
	have := query(m.tb, m.db, mint, maxt)
	for name, samples := range m.want {
		var want []got
		for _, g := range samples {
			if g.t >= mint && g.t <= maxt {
				want = append(want, g)
			}
		}
		slices.SortFunc(want, func(a, b got) int { return int(max(-1, min(1, a.t-b.t))) })
		hs := have[name]
		switch {
		case exact:
		case m.late:
			in := map[got]bool{}
			for _, g := range want {
				in[g] = true
			}
			for _, g := range hs {
				if !in[g] {
					m.t.Fatalf("%s: %+v was never stored", name, g)
				}
			}
			continue
		case len(hs) < len(want):
			want = want[len(want)-len(hs):]
		}
		if !slices.Equal(hs, want) {
			for i := range min(len(hs), len(want)) {
				if hs[i] != want[i] {
					m.t.Fatalf("%s: sample %d is %+v, want %+v (%d and %d samples)", name, i, hs[i], want[i], len(hs), len(want))
				}
			}
			m.t.Fatalf("%s: %d samples, want %d", name, len(hs), len(want))
		}
	}
	if exact {
		m.checkFind()
	}
}

// checkFind looks for every sample, and for one a millisecond later, in the way
// in which duplicates are told from late samples.
func (m *modelRun) checkFind() {
	tx := m.db.Begin()
	defer tx.Rollback()
	for id := range 17 {
		ls := labels.FromStrings(labels.MetricName, "m", "i", fmt.Sprint(id), "kind", fmt.Sprint(id%2))
		ref, ok := tx.Lookup(KeyV1, ls.Bytes(nil))
		if !ok {
			continue
		}
		want := m.want[ls.String()]
		for ts := range want {
			for _, at := range []int64{ts, ts + 1} {
				s, found := m.db.sampleAt(uint32(ref), at)
				g, there := want[at]
				if found != there {
					m.t.Fatalf("%s: a sample at %d is found: %v, want %v", ls, at, found, there)
				}
				if found && (got{st: s.st, t: s.t, v: printed(s.v, s.hist.h, s.hist.fh)}) != g {
					m.t.Fatalf("%s: found %+v, want %+v", ls, s, g)
				}
			}
		}
	}
}

func (m *modelRun) run(steps int, exact bool) {
	db, err := Open(m.o)
	if err != nil {
		m.t.Fatal(err)
	}
	m.db, m.want, m.newest = db, map[string]map[int64]got{}, map[string]int64{}
	defer func() { m.db.Close() }()
	for range rapid.IntRange(1, steps).Draw(m.t, "steps") {
		switch rapid.IntRange(0, 12).Draw(m.t, "op") {
		case 0:
			if m.o.Dir != "" {
				m.restart()
			}
		case 1:
			m.check(exact)
		case 2:
			m.db.closeIdle()
		case 3:
			m.db.sweepNow()
		default:
			m.step()
		}
	}
	m.check(exact)
}

// A ring with room enough equals an unbounded map, over any history of
// appends, late samples, histograms, rollbacks, idle scans and restarts.
func TestRingEqualsMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &modelRun{t: rt, tb: t, o: Options{Dir: t.TempDir(), Memory: 1 << 20, OutOfOrderWindow: -1, MaxFuture: -1, Logger: quiet()}, late: true, mixed: true}
		m.run(60, true)
	})
}

// A ring that is too small keeps a suffix of every series.
func TestSmallRingEqualsSuffix(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &modelRun{t: rt, tb: t, o: Options{Memory: minMemory, OutOfOrderWindow: -1, MaxFuture: -1, Logger: quiet()}, churn: rapid.Bool().Draw(rt, "churn")}
		if rapid.Bool().Draw(rt, "files") {
			m.o.Dir = t.TempDir()
		}
		m.run(300, false)
	})
}

// The same with late samples and histograms: what is there was stored.
func TestSmallRingHoldsOnlyWhatWasStored(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &modelRun{t: rt, tb: t, o: Options{Dir: t.TempDir(), Memory: minMemory, OutOfOrderWindow: -1, MaxFuture: -1, Logger: quiet()}, late: true, mixed: true, churn: true}
		m.run(200, false)
	})
}
