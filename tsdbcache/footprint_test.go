package tsdbcache

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// anonymous is the anonymous resident memory of the process, in bytes.
func anonymous(t testing.TB) float64 {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(b), "RssAnon:")
	var kb float64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb * 1024
}

// BenchmarkFootprint reports the memory that a series takes: Go heap, and all
// that is not in files. Pages are counted apart: one raw page a series.
func BenchmarkFootprint(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			for b.Loop() {
				_, _ = wireSeries(1)
				var before, after runtime.MemStats
				rss := anonymous(b)
				runtime.ReadMemStats(&before)
				db := openTest(b, Options{Dir: b.TempDir(), Memory: int64(n) * 3 * pageSize})
				for lo := 0; lo < n; lo += 2000 {
					ls, keys := wireRange(lo, lo+2000)
					tx := db.Begin()
					for i := range ls {
						ref, r := tx.Create(KeyV1, keys[i], ls[i])
						if r != Accepted {
							b.Fatal(r)
						}
						tx.Float(ref, 0, 1000, 1)
					}
					if _, err := tx.Commit(); err != nil {
						b.Fatal(err)
					}
				}
				rss = anonymous(b) - rss
				runtime.ReadMemStats(&after)
				b.ReportMetric(rss/float64(n), "anon-B/series")
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "heap-B/series")
				b.ReportMetric(float64(pageSize*db.nraw)/float64(n), "pages-B/series")
			}
		})
	}
}

// BenchmarkOpen measures a start over the files of a ring that was closed.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			o := Options{Dir: b.TempDir(), Memory: int64(n) * 4 * pageSize, Logger: quiet()}
			o.OutOfOrderWindow, o.MaxFuture = -1, -1
			db, err := Open(o)
			if err != nil {
				b.Fatal(err)
			}
			for lo := 0; lo < n; lo += 2000 {
				ls, keys := wireRange(lo, lo+2000)
				tx := db.Begin()
				for i := range ls {
					ref, _ := tx.Create(KeyV1, keys[i], ls[i])
					for k := range int64(25) {
						tx.Float(ref, 0, 1000+k*15000, float64(k)*float64(i))
					}
				}
				if res, err := tx.Commit(); err != nil || res.RefusedTotal() > 0 {
					b.Fatal(res, err)
				}
			}
			size := float64(db.log.size)
			cpu := int64(0)
			for b.Loop() {
				b.StopTimer()
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
				db = nil
				runtime.GC()
				b.StartTimer()
				from := cpuNanos()
				if db, err = Open(o); err != nil {
					b.Fatal(err)
				}
				cpu += cpuNanos() - from
			}
			b.ReportMetric(float64(cpu)/1e6/float64(b.N), "cpu-ms")
			b.ReportMetric(size/float64(n), "log-B/series")
			if db.series.live != n {
				b.Fatalf("%d series came back", db.series.live)
			}
			db.Close()
		})
	}
}

// BenchmarkSync measures forcing one round of 100,000 series to disk.
func BenchmarkSync(b *testing.B) {
	s := newSteady(b, 100_000, Options{Dir: b.TempDir(), Memory: 256 << 20})
	for b.Loop() {
		b.StopTimer()
		s.round(b)
		b.StartTimer()
		if err := s.db.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJournal is the other way to be durable, for ADR 0002: appending
// every compressed request (2000 samples, 31 bytes each on the wire) to a file.
func BenchmarkJournal(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "journal"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	body := make([]byte, 62_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range body {
		body[i] = byte(r.Uint32())
	}
	n := 0
	for b.Loop() {
		if n++; n%4000 == 0 { // a bounded journal starts over
			if err := f.Truncate(0); err != nil {
				b.Fatal(err)
			}
			if _, err := f.Seek(0, 0); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := f.Write(body); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/sample")
}
