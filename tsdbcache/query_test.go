package tsdbcache

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

// Matchers select what a filter over all label sets selects; label names and
// values follow from the selection.
func TestMatchersEqualFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db, err := Open(Options{Memory: 1 << 20, OutOfOrderWindow: -1, MaxFuture: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		word := rapid.SampledFrom([]string{"a", "b", "ab", "c", "", "aa"})
		name := rapid.SampledFrom([]string{"x", "y", "z"})
		all := map[string]labels.Labels{}
		for range rapid.IntRange(0, 20).Draw(t, "series") {
			ls := labels.FromStrings(labels.MetricName, "m", "x", word.Draw(t, "x"), "y", word.Draw(t, "y")).WithoutEmpty()
			all[ls.String()] = ls
			tx := db.Begin()
			ref, r := tx.Create(KeyV1, nil, ls)
			if r != Accepted {
				t.Fatal(r)
			}
			tx.Float(ref, 0, 1000, 1)
			if _, err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		ms := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *labels.Matcher {
			typ := rapid.SampledFrom([]labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp}).Draw(t, "type")
			val := word.Draw(t, "value")
			if typ == labels.MatchRegexp || typ == labels.MatchNotRegexp {
				val = rapid.SampledFrom([]string{"", ".*", ".+", "a|b", "a|", "a.*", ".?", "c", "(a|b)+", "a{1,2}", "x"}).Draw(t, "regexp")
			}
			return labels.MustNewMatcher(typ, name.Draw(t, "name"), val)
		}), 1, 4).Draw(t, "matchers")
		var want []string
		names, values := map[string]bool{}, map[string]bool{}
		for s, ls := range all {
			if slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) }) {
				continue
			}
			want = append(want, s)
			ls.Range(func(l labels.Label) { names[l.Name] = true })
			if v := ls.Get("x"); v != "" {
				values[v] = true
			}
		}
		q, err := db.Querier(0, 2000)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		var have []string
		set := q.Select(context.Background(), true, nil, ms...)
		for set.Next() {
			have = append(have, set.At().Labels().String())
		}
		sortedByLabels := slices.Clone(want)
		slices.SortFunc(sortedByLabels, func(a, b string) int { return labels.Compare(all[a], all[b]) })
		if !slices.Equal(have, sortedByLabels) {
			t.Fatalf("%v: got %v want %v", ms, have, sortedByLabels)
		}
		check := func(what string, got []string, want map[string]bool) {
			var w []string
			for k := range want {
				w = append(w, k)
			}
			slices.Sort(w)
			if !slices.Equal(got, w) {
				t.Fatalf("%s %v: got %v want %v", what, ms, got, w)
			}
		}
		gotNames, _, _ := q.LabelNames(context.Background(), nil, ms...)
		check("names", gotNames, names)
		gotValues, _, _ := q.LabelValues(context.Background(), "x", nil, ms...)
		check("values", gotValues, values)
		if len(gotValues) > 1 {
			one, _, _ := q.LabelValues(context.Background(), "x", &storage.LabelHints{Limit: 1}, ms...)
			if len(one) != 1 {
				t.Fatalf("limit 1 gives %v", one)
			}
		}
	})
}

// Seek lands where walking lands, from any position.
func TestSeekEqualsWalk(t *testing.T) {
	db := openTest(t, Options{})
	tx := db.Begin()
	ref, _ := tx.Create(KeyV1, nil, labels.FromStrings("a", "b"))
	for i := range int64(400) {
		switch {
		case i%100 < 60:
			tx.Float(ref, i, i*10, math.Sqrt(float64(i)))
		case i%2 == 0:
			tx.Histogram(ref, i, i*10, testHistogram(int(i)), nil)
		default:
			tx.Histogram(ref, i, i*10, nil, testNHCB(int(i)))
		}
	}
	if res, err := tx.Commit(); err != nil || res.RefusedTotal() > 0 {
		t.Fatal(res, err)
	}
	all := query(t, db, 0, math.MaxInt64)[`{a="b"}`]
	rapid.Check(t, func(rt *rapid.T) {
		mint := rapid.Int64Range(-10, 4100).Draw(rt, "mint")
		maxt := mint + rapid.Int64Range(0, 4100).Draw(rt, "len")
		q, _ := db.Querier(mint, maxt)
		defer q.Close()
		set := q.Select(context.Background(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "a", "b"))
		var want []got
		for _, g := range all {
			if g.t >= mint && g.t <= maxt {
				want = append(want, g)
			}
		}
		if !set.Next() {
			if len(want) > 0 {
				rt.Fatalf("no series, want %d samples", len(want))
			}
			return
		}
		it := set.At().Iterator(nil)
		pos := -1
		for range 30 {
			var k chunkenc.ValueType
			if rapid.Bool().Draw(rt, "seek") {
				to := rapid.Int64Range(-10, 4200).Draw(rt, "to")
				k = it.Seek(to)
				if pos < 0 {
					pos = 0
				}
				for pos < len(want) && want[pos].t < to {
					pos++
				}
			} else {
				k = it.Next()
				pos++
			}
			if pos >= len(want) {
				if k != chunkenc.ValNone {
					rt.Fatalf("at %d behind the end", it.AtT())
				}
				return
			}
			if k == chunkenc.ValNone || it.AtT() != want[pos].t || it.AtST() != want[pos].st {
				rt.Fatalf("type %v, want %+v", k, want[pos])
			}
			if k == chunkenc.ValFloatHistogram {
				fh := &histogram.FloatHistogram{}
				if _, x := it.AtFloatHistogram(fh); printed(0, nil, x) != want[pos].v {
					rt.Fatalf("%v, want %s", x, want[pos].v)
				}
			}
		}
	})
}

// Histograms handed out are copies.
func TestHistogramsAreCopies(t *testing.T) {
	db := openTest(t, Options{})
	tx := db.Begin()
	ref, _ := tx.Create(KeyV1, nil, labels.FromStrings("a", "b"))
	h := testHistogram(5)
	tx.Histogram(ref, 0, 1000, h, nil)
	tx.Histogram(ref, 0, 2000, testHistogram(5), nil)
	if _, err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	before := query(t, db, 0, math.MaxInt64)
	h.PositiveBuckets[0] = 99
	q, _ := db.Querier(0, math.MaxInt64)
	defer q.Close()
	set := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "a", "b"))
	set.Next()
	it := set.At().Iterator(nil)
	it.Next()
	_, x := it.AtHistogram(nil)
	x.PositiveBuckets[0], x.PositiveSpans[0].Length = 77, 9
	_, fh := it.AtFloatHistogram(nil)
	fh.PositiveSpans[0].Length = 9
	it.Next()
	if _, y := it.AtHistogram(nil); printed(0, y, nil) != printed(0, testHistogram(5), nil) {
		t.Errorf("the next histogram became %v", y)
	}
	if after := query(t, db, 0, math.MaxInt64); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the ring changed: %v, was %v", after, before)
	}
}

// Chunks carry the same samples as series.
func TestChunkQuerier(t *testing.T) {
	db := openTest(t, Options{})
	tx := db.Begin()
	ref, _ := tx.Create(KeyV1, nil, labels.FromStrings("a", "b"))
	for i := range int64(300) {
		tx.Float(ref, 0, i*1000, float64(i))
	}
	if _, err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	q, err := db.ChunkQuerier(0, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	set := storage.NewSeriesSetFromChunkSeriesSet(q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "a", "b")))
	var have []got
	for set.Next() {
		have = append(have, collect(t, set.At().Iterator(nil))...)
	}
	if want := query(t, db, 0, math.MaxInt64)[`{a="b"}`]; !slices.Equal(have, want) {
		t.Errorf("%d samples by chunks, %d by series", len(have), len(want))
	}
}

// Writers, readers, scans, taps and metrics at once. Every reader must see
// whole transactions: all series of a transaction have the same number of
// samples.
func TestConcurrency(t *testing.T) {
	defer goleak.VerifyNone(t)
	reg := prometheus.NewRegistry()
	var clock atomic.Int64
	db, err := Open(Options{Dir: t.TempDir(), Memory: 256 << 10, OutOfOrderWindow: -1, MaxFuture: -1, SyncInterval: time.Millisecond, Registerer: reg, Logger: quiet(),
		Now: func() time.Time { return time.UnixMilli(clock.Add(60_000)) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var background, writers sync.WaitGroup
	background.Go(func() {
		if err := db.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for w := range 3 {
		writers.Go(func() {
			for i := range int64(400) {
				tx := db.Begin()
				for s := range 10 {
					ls := labels.FromStrings(labels.MetricName, "m", "w", fmt.Sprint(w), "s", fmt.Sprint(s))
					key := ls.Bytes(nil)
					ref, ok := tx.Lookup(KeyV1, key)
					if !ok {
						ref, _ = tx.Create(KeyV1, key, ls)
					}
					tx.Float(ref, 0, i*1000, math.Sqrt(float64(i)))
				}
				ls := labels.FromStrings(labels.MetricName, "churn", "w", fmt.Sprint(w), "i", fmt.Sprint(i))
				if ref, r := tx.Create(KeyV1, nil, ls); r == Accepted {
					tx.Histogram(ref, 0, i*1000, testHistogram(int(i)), nil)
				}
				if _, err := tx.Commit(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		background.Go(func() {
			for ctx.Err() == nil {
				q, err := db.Querier(math.MinInt64, math.MaxInt64)
				if err != nil {
					t.Error(err)
					return
				}
				set := q.Select(ctx, false, nil, labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m"))
				newest := map[string]map[int64]int{}
				for set.Next() {
					last := int64(-1)
					it := set.At().Iterator(nil)
					for it.Next() != chunkenc.ValNone {
						last = it.AtT()
					}
					if it.Err() != nil {
						t.Error(it.Err())
					}
					if last < 0 {
						continue // evicted while this goroutine did not run
					}
					w := set.At().Labels().Get("w")
					if newest[w] == nil {
						newest[w] = map[int64]int{}
					}
					newest[w][last]++
				}
				for w, n := range newest {
					if len(n) > 1 && ctx.Err() == nil {
						t.Errorf("writer %s: series end at different times: %v", w, n)
					}
				}
				q.Close()
			}
		})
	}
	for _, ms := range [][]*labels.Matcher{
		{equal(labels.MetricName, "m")},
		{labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, "churn.*"), labels.MustNewMatcher(labels.MatchNotRegexp, "i", "[0-9]+7")},
	} {
		for range 2 { // they share a tap, and open and close it
			background.Go(func() {
				for ctx.Err() == nil {
					tap := db.Tap(ms, 100)
					for range 20 {
						tap.Drain(func(s TapSample) {
							if _, _, err := db.Series(s.Ref, 0, math.MaxInt64); err != nil {
								t.Error(err)
							}
						})
					}
					tap.Close()
				}
			})
		}
	}
	background.Go(func() {
		for ctx.Err() == nil {
			if _, err := reg.Gather(); err != nil {
				t.Error(err)
			}
			db.Stats(5)
			db.closeIdle()
			db.sweepNow()
		}
	})
	writers.Wait()
	stop()
	background.Wait()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if _, err := db.Querier(0, 1); err == nil {
		t.Error("a closed ring gives a querier")
	}
}

func TestMetricsAndStats(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	db := openTest(t, Options{Registerer: reg})
	tx := db.Begin()
	for i := range 3 {
		ref, _ := tx.Create(KeyV1, []byte{byte(i)}, labels.FromStrings(labels.MetricName, "m", "i", strings.Repeat("x", i+1)))
		tx.Float(ref, 0, 1000, 1)
		tx.Float(ref, 0, 1000, 2)
	}
	if _, err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(reg); err != nil || n < 20 {
		t.Fatal(n, err)
	}
	err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP chiron_tsdbcache_series Series that have samples in the ring.
# TYPE chiron_tsdbcache_series gauge
chiron_tsdbcache_series 3
# HELP chiron_tsdbcache_samples_appended_total Samples stored.
# TYPE chiron_tsdbcache_samples_appended_total counter
chiron_tsdbcache_samples_appended_total{type="exemplar"} 0
chiron_tsdbcache_samples_appended_total{type="float"} 3
chiron_tsdbcache_samples_appended_total{type="histogram"} 0
# HELP chiron_tsdbcache_pages Pages of the ring by state.
# TYPE chiron_tsdbcache_pages gauge
chiron_tsdbcache_pages{state="closed"} 0
chiron_tsdbcache_pages{state="free"} 4092
chiron_tsdbcache_pages{state="open"} 3
`), "chiron_tsdbcache_series", "chiron_tsdbcache_samples_appended_total", "chiron_tsdbcache_pages")
	if err != nil {
		t.Error(err)
	}
	s := db.Stats(2)
	if s.Series != 3 || s.LabelPairs != 4 || s.MinTime != 1000 || s.MaxTime != 1000 || len(s.SeriesByPair) != 2 || s.SeriesByPair[0] != (Count{"__name__=m", 3}) ||
		s.BytesByLabel[0] != (Count{"i", 6}) || s.ValuesByLabel[0] != (Count{"i", 3}) || s.SeriesByMetric[0] != (Count{"m", 3}) {
		t.Errorf("%+v", s)
	}
}
