package stream

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/tsdbcache"
)

// BenchmarkTick is one tick over 5000 series that each got two samples since
// the tick before, streamed and queried; storing them is not counted.
func BenchmarkTick(b *testing.B) {
	const series, window = 5000, 5 * time.Minute
	run := func(b *testing.B, tick func(db *tsdbcache.DB) func(at int64)) {
		b.Helper()
		db, err := tsdbcache.Open(tsdbcache.Options{Memory: 256 << 20, OutOfOrderWindow: -1, MaxFuture: -1})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		all := make([]labels.Labels, series)
		for i := range all {
			all[i] = labels.FromStrings("__name__", "m", "pod", fmt.Sprintf("checkout-%d", i))
		}
		now := int64(1_000_000)
		store := func() {
			for range 2 {
				app := db.AppenderV2(b.Context())
				for i, ls := range all {
					if _, err := app.Append(0, ls, 0, now, float64(i), nil, nil, storage.AppendV2Options{}); err != nil {
						b.Fatal(err)
					}
				}
				if err := app.Commit(); err != nil {
					b.Fatal(err)
				}
				now += 15_000
			}
		}
		for range 20 {
			store()
		}
		f := tick(db)
		f(now)
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			store()
			b.StartTimer()
			f(now)
		}
	}
	b.Run("streamed", func(b *testing.B) {
		run(b, func(db *tsdbcache.DB) func(int64) {
			s, err := NewSelector(db, parse(b, "m"), window)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(s.Close)
			return func(at int64) {
				if v, err := s.Vector(b.Context(), at); err != nil || len(v) != series {
					b.Fatalf("%d samples, %v", len(v), err)
				}
			}
		})
	})
	b.Run("queried", func(b *testing.B) {
		engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e7, Timeout: time.Minute, LookbackDelta: window})
		b.Cleanup(func() { _ = engine.Close() })
		run(b, func(db *tsdbcache.DB) func(int64) {
			return func(at int64) {
				q, err := engine.NewInstantQuery(b.Context(), db, nil, "m", time.UnixMilli(at))
				if err != nil {
					b.Fatal(err)
				}
				defer q.Close()
				if v, err := q.Exec(b.Context()).Vector(); err != nil || len(v) != series {
					b.Fatalf("%d samples, %v", len(v), err)
				}
			}
		})
	})
}

// BenchmarkTapped is what taps cost the write path: a commit of 5000 samples
// with as many readers on every series, of one tap or each of its own;
// draining is not counted.
func BenchmarkTapped(b *testing.B) {
	const series, most = 5000, 10
	label := func(i int) string { return fmt.Sprintf("label_%d", i) }
	equal := func(name, value string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, name, value) }
	run := func(b *testing.B, readers int, matchers func(i int) []*labels.Matcher) {
		b.Helper()
		db, err := tsdbcache.Open(tsdbcache.Options{Memory: 256 << 20, OutOfOrderWindow: -1, MaxFuture: -1})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		refs := make([]storage.SeriesRef, series)
		app := db.AppenderV2(b.Context())
		ls := labels.NewBuilder(labels.FromStrings("__name__", "m"))
		for i := range most {
			ls.Set(label(i), "x")
		}
		for i := range refs {
			if refs[i], err = app.Append(0, ls.Set("pod", fmt.Sprintf("checkout-%d", i)).Labels(), 0, 1, 1, nil, nil, storage.AppendV2Options{}); err != nil {
				b.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			b.Fatal(err)
		}
		open := make([]*tsdbcache.TapReader, readers)
		for i := range open {
			open[i] = db.Tap(matchers(i), 2*series)
			defer open[i].Close()
		}
		now := int64(1)
		for b.Loop() {
			now += 15_000
			tx := db.Begin()
			for _, ref := range refs {
				tx.Float(ref, 0, now, float64(now))
			}
			if r, err := tx.Commit(); err != nil || r.Samples != series {
				b.Fatalf("%d samples, %v", r.Samples, err)
			}
			b.StopTimer()
			for _, t := range open {
				if t.Drain(func(tsdbcache.TapSample) {}) {
					b.Fatal("a reader overflowed")
				}
			}
			b.StartTimer()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/sample")
	}
	for _, n := range []int{0, 1, most} {
		b.Run(fmt.Sprintf("shared/readers=%d", n), func(b *testing.B) {
			run(b, n, func(int) []*labels.Matcher { return []*labels.Matcher{equal("__name__", "m")} })
		})
	}
	b.Run(fmt.Sprintf("apart/readers=%d", most), func(b *testing.B) {
		run(b, most, func(i int) []*labels.Matcher { return []*labels.Matcher{equal("__name__", "m"), equal(label(i), "x")} })
	})
}
