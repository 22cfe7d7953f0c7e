package tsdbcache

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"golang.org/x/sys/unix"
)

// wireSeries makes label sets like those of a pod and their RW 1.0 bytes.
func wireSeries(n int) ([]labels.Labels, [][]byte) { return wireRange(0, n) }

func wireRange(lo, hi int) ([]labels.Labels, [][]byte) {
	ls, keys := make([]labels.Labels, hi-lo), make([][]byte, hi-lo)
	for k := range ls {
		i := lo + k
		pod := i / 50
		ls[k] = labels.FromStrings(labels.MetricName, fmt.Sprintf("http_request_metric_%d_total", i%50), "cluster", "prod-eu-1", "container", "app",
			"endpoint", "http-metrics", "instance", fmt.Sprintf("10.%d.%d.%d:8080", pod>>16, pod>>8&255, pod&255), "job", "monitoring/shop",
			"namespace", fmt.Sprintf("team-%d", pod%40), "node", fmt.Sprintf("node-%d", pod%60), "pod", fmt.Sprintf("shop-%06d-abcde", pod), "service", fmt.Sprintf("shop-%d", pod%100), "zone", "a")
		var b []byte
		ls[k].Range(func(l labels.Label) {
			b = append(b, 10, byte(len(l.Name)+len(l.Value)+4), 10, byte(len(l.Name)))
			b = append(b, l.Name...)
			b = append(b, 18, byte(len(l.Value)))
			b = append(b, l.Value...)
		})
		keys[k] = b
	}
	return ls, keys
}

// steady is a ring with n series and what feeds it round after round.
type steady struct {
	db   *DB
	keys [][]byte
	t    int64
	vals []float64
}

func newSteady(t testing.TB, n int, o Options) *steady {
	s := &steady{db: openTest(t, o), t: 1_700_000_000_000, vals: make([]float64, n)}
	ls, keys := wireSeries(n)
	s.keys = keys
	for lo := 0; lo < n; lo += 2000 {
		tx := s.db.Begin()
		for i := lo; i < min(lo+2000, n); i++ {
			ref, r := tx.Create(KeyV1, keys[i], ls[i])
			if r != Accepted {
				t.Fatal(r)
			}
			tx.Float(ref, 0, s.t, 0)
		}
		if res, err := tx.Commit(); err != nil || res.RefusedTotal() > 0 {
			t.Fatal(res, err)
		}
	}
	return s
}

// round sends one sample of every series, 2000 a transaction.
func (s *steady) round(t testing.TB) {
	s.t += 15000
	for lo := 0; lo < len(s.keys); lo += 2000 {
		tx := s.db.Begin()
		for i := lo; i < min(lo+2000, len(s.keys)); i++ {
			ref, ok := tx.Lookup(KeyV1, s.keys[i])
			if !ok {
				t.Fatal("series not found")
			}
			s.vals[i] += float64(i % 17)
			tx.Float(ref, 0, s.t, s.vals[i])
		}
		if res, err := tx.Commit(); err != nil || res.RefusedTotal() > 0 {
			t.Fatal(res, err)
		}
	}
}

func BenchmarkAppendSteady(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		for _, dir := range []string{"", "files"} {
			b.Run(fmt.Sprintf("series=%d/%s", n, dir), func(b *testing.B) {
				o := Options{Memory: int64(n) * 4 * pageSize}
				if dir != "" {
					o.Dir = b.TempDir()
				}
				s := newSteady(b, n, o)
				for range 3 {
					s.round(b)
				}
				b.ReportAllocs()
				for b.Loop() {
					s.round(b)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/sample")
			})
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	s := newSteady(b, 100_000, Options{Memory: 256 << 20})
	s.round(b)
	for _, kind := range []string{"predicted", "cached"} {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			tx := s.db.Begin()
			defer tx.Rollback()
			i := 0
			for b.Loop() {
				if kind == "cached" {
					tx.prev = 0
				}
				if _, ok := tx.Lookup(KeyV1, s.keys[i]); !ok {
					b.Fatal("missed")
				}
				if i++; i == len(s.keys) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkCreate(b *testing.B) {
	const n = 100_000
	ls, keys := wireSeries(n)
	for b.Loop() {
		b.StopTimer()
		db, err := Open(Options{Dir: b.TempDir(), Memory: 512 << 20, MaxFuture: -1, Logger: quiet()})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for lo := 0; lo < n; lo += 2000 {
			tx := db.Begin()
			for i := lo; i < lo+2000; i++ {
				ref, _ := tx.Create(KeyV1, keys[i], ls[i])
				tx.Float(ref, 0, 1000, 1)
			}
			if _, err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		db.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/series")
}

// mixes are the shapes of values that ADR 0001 speaks of.
var mixes = []struct {
	name string
	next func(r *rand.Rand, v float64) float64
}{
	{"counter", func(r *rand.Rand, v float64) float64 { return v + float64(r.IntN(200)) }},
	{"steady-counter", func(r *rand.Rand, v float64) float64 { return v + 15 }},
	{"bucket", func(r *rand.Rand, v float64) float64 { return v + float64(r.IntN(8)/6) }},
	{"gauge-2-digits", func(r *rand.Rand, v float64) float64 { return math.Round(100*(50+10*r.NormFloat64())) / 100 }},
	{"bytes", func(r *rand.Rand, v float64) float64 { return v + 4096*float64(r.IntN(2000)-1000) }},
	{"constant", func(r *rand.Rand, v float64) float64 { return 1 }},
	{"noise", func(r *rand.Rand, v float64) float64 { return 100 * r.Float64() }},
}

// BenchmarkSeal measures packing and unpacking of raw blocks, and how many
// bytes of whole pages a sample takes.
// cpuNanos is the CPU time of the process: the one figure that does not change
// with what else runs on the machine.
func cpuNanos() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // the arguments are right
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkSeal(b *testing.B) {
	for _, m := range mixes {
		r := rand.New(rand.NewPCG(1, 2))
		const n = 1440
		ts, vs := make([]int64, n), make([]uint64, n)
		v := 1e6
		for i := range ts {
			v = m.next(r, v)
			ts[i], vs[i] = 1_700_000_000_000+int64(i)*15000, math.Float64bits(v)
		}
		fill := func(db *DB, slot uint32) {
			e := db.series.entry(slot)
			for i := range ts {
				db.appendFloat(slot, e, limits{math.MinInt64, math.MaxInt64}, 0, ts[i], vs[i])
			}
			db.closeSeries(slot, e)
		}
		b.Run("pack/"+m.name, func(b *testing.B) {
			db := openTest(b, Options{Memory: 1 << 20})
			tx := db.Begin()
			ref, _ := tx.Create(KeyV1, []byte("x"), labels.FromStrings("a", "b"))
			slot, _ := splitRef(ref)
			from := cpuNanos()
			for b.Loop() {
				fill(db, slot)
				for db.evict(slot) {
				}
				db.series.entry(slot).lastT = noTime
			}
			b.ReportMetric(float64(cpuNanos()-from)/float64(b.N)/n, "cpu-ns/sample")
			fill(db, slot)
			b.ReportMetric(float64(db.arena.nclosed)*pageSize/n, "B/sample")
			tx.Rollback()
		})
		b.Run("unpack/"+m.name, func(b *testing.B) {
			db := openTest(b, Options{Memory: 1 << 20})
			tx := db.Begin()
			ref, _ := tx.Create(KeyV1, []byte("x"), labels.FromStrings("a", "b"))
			slot, _ := splitRef(ref)
			fill(db, slot)
			nt := note{slot: slot, gen: db.series.entry(slot).gen, lastT: math.MaxInt64}
			var it iterator
			from := cpuNanos()
			for b.Loop() {
				it.begin(db, &nt, math.MinInt64, math.MaxInt64)
				k := 0
				for it.Next() != chunkenc.ValNone {
					k++
				}
				if k != n {
					b.Fatal(k)
				}
			}
			b.ReportMetric(float64(cpuNanos()-from)/float64(b.N)/n, "cpu-ns/sample")
			tx.Rollback()
		})
	}
}

func BenchmarkSelect(b *testing.B) {
	s := newSteady(b, 100_000, Options{Memory: 256 << 20})
	for _, c := range []struct {
		name string
		ms   []*labels.Matcher
	}{
		{"one-metric-2000", []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "http_request_metric_7_total")}},
		{"regexp-2000", []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "pod", "shop-0000[0-3].*")}},
		{"all-100000", []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "cluster", "prod-eu-1")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q, err := s.db.Querier(0, math.MaxInt64)
				if err != nil {
					b.Fatal(err)
				}
				set := q.Select(context.Background(), false, nil, c.ms...)
				var it chunkenc.Iterator
				n := 0
				for set.Next() {
					it = set.At().Iterator(it)
					for it.Next() != chunkenc.ValNone {
						n++
					}
				}
				if n == 0 {
					b.Fatal("nothing")
				}
				q.Close()
			}
		})
	}
}

// The steady path allocates nothing, by either key space.
func TestSteadyPathAllocatesNothing(t *testing.T) {
	s := newSteady(t, 500, Options{Memory: 4 << 20})
	v2 := make([][]byte, len(s.keys))
	ls, _ := wireSeries(len(s.keys))
	words := make([][]byte, 0)
	tx := s.db.Begin()
	for i := range v2 {
		ls[i].Range(func(l labels.Label) {
			for _, w := range []string{l.Name, l.Value} {
				v2[i] = binary.LittleEndian.AppendUint32(v2[i], tx.Symbol([]byte(w)))
				words = append(words, []byte(w))
			}
		})
		if _, r := tx.Create(KeyV2, v2[i], ls[i]); r != Accepted {
			t.Fatal(r)
		}
	}
	tx.Rollback()
	run := func(space KeySpace, keys [][]byte) func() {
		return func() {
			s.t += 15000
			tx := s.db.Begin()
			for _, w := range words[:100] {
				tx.Symbol(w)
			}
			for i := range keys {
				ref, ok := tx.Lookup(space, keys[i])
				if !ok {
					t.Fatal("missed")
				}
				tx.Float(ref, 0, s.t, float64(i))
			}
			if res, err := tx.Commit(); err != nil || res.Samples != len(keys) {
				t.Fatal(res, err)
			}
		}
	}
	for _, f := range []func(){run(KeyV1, s.keys), run(KeyV2, v2)} {
		for range 50 { // buffers grow to their size
			f()
		}
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%v allocations a transaction, want 0", n)
		}
	}
}

var _ storage.Queryable = (*DB)(nil)

// BenchmarkChunkenc packs the same mixes with Prometheus's XOR chunks of 120
// samples, for ADR 0001.
func BenchmarkChunkenc(b *testing.B) {
	for _, m := range mixes {
		b.Run(m.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			const n = 1440
			ts, vs := make([]int64, n), make([]float64, n)
			v := 1e6
			for i := range ts {
				v = m.next(r, v)
				ts[i], vs[i] = 1_700_000_000_000+int64(i)*15000, v
			}
			bytes, from := 0, cpuNanos()
			for b.Loop() {
				bytes = 0
				for lo := 0; lo < n; lo += 120 {
					c := chunkenc.NewXORChunk()
					app, err := c.Appender()
					if err != nil {
						b.Fatal(err)
					}
					for i := lo; i < lo+120; i++ {
						app.Append(0, ts[i], vs[i])
					}
					bytes += len(c.Bytes())
				}
			}
			b.ReportMetric(float64(cpuNanos()-from)/float64(b.N)/n, "cpu-ns/sample")
			b.ReportMetric(float64(bytes)/n, "B/sample")
		})
	}
}
