package tsdbcache

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

// BenchmarkCreateTapped is what taps cost the creation of series: the CPU time
// of creating 100k series of 200 metrics with taps on them, drained at the end,
// over that without taps. Both take turns, a tenth of the series at a time.
func BenchmarkCreateTapped(b *testing.B) {
	const n, names, parts = 100_000, 200, 10
	ls, keys := wireSeries(n)
	lb := labels.NewBuilder(labels.EmptyLabels())
	metric := func(i int) string { return fmt.Sprintf("http_request_metric_%d_total", i%names) }
	for i := range ls {
		lb.Reset(ls[i])
		ls[i] = lb.Set(labels.MetricName, metric(i)).Labels()
		keys[i] = append(keys[i], metric(i)...)
	}
	matcher := labels.MustNewMatcher

	plain := func(i int) []*labels.Matcher {
		return []*labels.Matcher{matcher(labels.MatchEqual, labels.MetricName, metric(i))}
	}
	run := func(b *testing.B, matchers func(i int) []*labels.Matcher) {
		b.Helper()
		open := func() *DB {
			db, err := Open(Options{Dir: b.TempDir(), Memory: 512 << 20, MaxFuture: -1, Logger: quiet()})
			if err != nil {
				b.Fatal(err)
			}
			return db
		}
		create := func(db *DB, from, to int) int64 {
			began := cpuNanos()
			for lo := from; lo < to; lo += 2000 {
				tx := db.Begin()
				for i := lo; i < lo+2000; i++ {
					ref, _ := tx.Create(KeyV1, keys[i], ls[i])
					tx.Float(ref, 0, 1000, 1)
				}
				if res, err := tx.Commit(); err != nil || res.RefusedTotal() > 0 {
					b.Fatal(res, err)
				}
			}
			return cpuNanos() - began
		}
		var without, with, draining int64
		for b.Loop() {
			bare, tapped := open(), open()
			readers := make([]*TapReader, names)
			for i := range readers {
				readers[i] = tapped.Tap(matchers(i), 1<<16)
			}
			told := 0
			runtime.GC()
			for part := range parts {
				from, to := part*n/parts, (part+1)*n/parts
				if part%2 == 0 {
					without += create(bare, from, to)
				}
				with += create(tapped, from, to)
				if part%2 == 1 {
					without += create(bare, from, to)
				}
				began := cpuNanos()
				for _, r := range readers {
					if r.Drain(func(TapSample) { told++ }) {
						b.Fatal("a reader overflowed")
					}
				}
				draining += cpuNanos() - began
			}
			if told < n*9/10 {
				b.Fatalf("%d samples of %d series", told, n)
			}
			for _, db := range []*DB{bare, tapped} {
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
			}
		}
		all := float64(b.N) * n
		b.ReportMetric(float64(without)/all, "cpu-ns/series-0-taps")
		b.ReportMetric(float64(with)/all, "cpu-ns/series-200-taps")
		b.ReportMetric(float64(draining)/all, "cpu-ns/series-drained")
		b.ReportMetric(float64(with)/float64(without), "ratio-writing")
		b.ReportMetric(float64(with+draining)/float64(without), "ratio")
		b.ReportMetric(0, "ns/op")
	}
	b.Run("plain", func(b *testing.B) { run(b, plain) })
	b.Run("regexps-of-a-metric", func(b *testing.B) {
		run(b, func(i int) []*labels.Matcher {
			if i%10 == 0 {
				return append(plain(i), matcher(labels.MatchRegexp, "pod", "shop-.*[0-9]-abc.+"), matcher(labels.MatchNotRegexp, "namespace", "team-[0-9]"))
			}
			return plain(i)
		})
	})
	b.Run("regexps-of-any-metric", func(b *testing.B) {
		run(b, func(i int) []*labels.Matcher {
			if i%50 == 1 {
				return []*labels.Matcher{matcher(labels.MatchRegexp, labels.MetricName, fmt.Sprintf(".+_%d_total", i))}
			}
			return plain(i)
		})
	})
}
