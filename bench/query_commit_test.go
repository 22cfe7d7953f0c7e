package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/chironhq/chiron/internal/promapi"
	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/receiver"
	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// BenchmarkWriteBesideQueries is a write request of 2000 samples, alone, while
// clients ask one after the other for six hours of a thousand series, and while
// as many goroutines only use the cores. Queries hold the ring's lock to note
// where series stand and to copy the pages of one series, so the percentiles
// beside queries should be those beside mere work.
func BenchmarkWriteBesideQueries(b *testing.B) {
	const series = 10_000
	for _, side := range []struct {
		name    string
		clients int
		query   bool
	}{{"nothing", 0, false}, {"work", 1, false}, {"queries", 1, true}, {"work", 4, false}, {"queries", 4, true}} {
		b.Run(fmt.Sprintf("clients=%d/beside=%s", side.clients, side.name), func(b *testing.B) {
			db, err := tsdbcache.Open(tsdbcache.Options{Dir: b.TempDir(), Memory: 256 << 20, MaxFuture: -1, Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			fillQueries(b, db)
			write, err := receiver.New(receiver.Options{DB: db, Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			engine, err := upstream.NewQueryEngine(upstream.EngineOptions{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = engine.Close() }()
			api, err := promapi.New(promapi.Options{Store: db, Engine: engine, Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}

			ctx, stop := context.WithCancel(b.Context())
			var running sync.WaitGroup
			req := queryRequest(b, `pool_wait_seconds{half="a"}`)
			for range side.clients {
				running.Go(func() {
					var text []byte
					for ctx.Err() == nil {
						if side.query {
							api.ServeHTTP(&sink{h: http.Header{}}, req.Clone(ctx))
							continue
						}
						for i := range 1_000_000 {
							text = strconv.AppendFloat(text[:0], 1/float64(i), 'f', -1, 64)
						}
					}
				})
			}

			p := remotewrite.V2
			load := newRounds(series, perRequest, p)
			s := newSender(write, p)
			for _, body := range load.next() { // makes the series
				s.send(b, body)
			}
			var took []time.Duration
			b.ResetTimer()
			for len(took) < b.N {
				b.StopTimer()
				bodies := load.next()
				b.StartTimer()
				for _, body := range bodies[:min(len(bodies), b.N-len(took))] {
					start := time.Now()
					s.send(b, body)
					took = append(took, time.Since(start))
				}
			}
			b.StopTimer()
			stop()
			running.Wait()
			slices.Sort(took)
			for _, q := range []int{50, 99} {
				b.ReportMetric(float64(took[len(took)*q/100].Microseconds()), fmt.Sprintf("p%d-us", q))
			}
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-us")
		})
	}
}
