package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/notifications"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/chironhq/chiron/internal/promapi"
	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/tsdbcache"
)

const (
	queryStart  = int64(1_767_225_600_000)
	queryRounds = 1461 // six hours and the five minutes before
	querySpan   = 6 * time.Hour
	queryPods   = 2000
)

// queries are the rows of docs/performance.md: what is asked, by name.
var queries = []struct{ name, text string }{
	{"raw/series=1", `pool_wait_seconds{pod="pod-7"}`},
	{"raw/series=100", `pool_wait_seconds{shard="3"}`},
	{"raw/series=1000", `pool_wait_seconds{half="a"}`},
	{"either/series=1000", `pool_wait_seconds{half="a",shard=~"1?[02468]"} or pool_wait_seconds{half="a",shard=~"1?[13579]"}`},
	{"rate/series=1", `rate(rpc_requests_total{pod="pod-7"}[5m])`},
	{"rate/series=100", `rate(rpc_requests_total{shard="3"}[5m])`},
	{"rate/series=1000", `rate(rpc_requests_total{half="a"}[5m])`},
	{"sumrate/series=100", `sum by (service)(rate(rpc_requests_total{shard="3"}[5m]))`},
	{"sumrate/series=2000", `sum by (service)(rate(rpc_requests_total[5m]))`},
	{"avgovertime/series=1000", `avg by (service)(avg_over_time(pool_wait_seconds{half="a"}[5m]))`},
}

// fillQueries appends the same six hours to any store: a request counter and a
// noisy gauge of each pod.
func fillQueries(b testing.TB, store storage.AppendableV2) {
	b.Helper()
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a workload, no secret
	var sets [2][]labels.Labels
	for i := range queryPods {
		half := "a"
		if i >= queryPods/2 {
			half = "b"
		}
		for k, name := range []string{"rpc_requests_total", "pool_wait_seconds"} {
			sets[k] = append(sets[k], labels.FromStrings("__name__", name, "pod", "pod-"+strconv.Itoa(i), "service", "service-"+strconv.Itoa(i%100),
				"shard", strconv.Itoa(i%20), "half", half, "cluster", "prod-1", "container", "api", "instance", fmt.Sprintf("10.0.%d.%d:9090", i>>8, i&255),
				"job", "api", "namespace", "ns-"+strconv.Itoa(i%12), "node", "node-"+strconv.Itoa(i%60), "zone", "eu-1a"))
		}
	}
	total := make([]float64, queryPods)
	for r := range int64(queryRounds) {
		app := store.AppenderV2(context.Background())
		for i := range queryPods {
			t := queryStart + r*Interval + int64(i)*7
			total[i] += float64(rng.Uint64N(240))
			if rng.Uint64N(5000) == 0 {
				total[i] = 0 // restarted
			}
			gauge := 0.02 * (1 + 0.3*math.Sin(float64(r)/900+float64(i)) + 0.1*rng.NormFloat64())
			for k, v := range []float64{total[i], gauge} {
				if _, err := app.Append(0, sets[k][i], 0, t, v, nil, nil, storage.AppendV2Options{}); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := app.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

// querySides answer the same queries over the same samples: our API over the
// ring, and Prometheus's own over its own store.
var querySides = []struct {
	name string
	open func(b *testing.B) http.Handler
}{
	{"chiron", func(b *testing.B) http.Handler {
		db, err := tsdbcache.Open(tsdbcache.Options{Memory: 128 << 20, MaxFuture: -1, Logger: quiet})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = db.Close() })
		fillQueries(b, db)
		engine, err := upstream.NewQueryEngine(upstream.EngineOptions{Logger: quiet})
		if err != nil {
			b.Fatal(err)
		}
		h, err := promapi.New(promapi.Options{Store: db, Engine: engine, Logger: quiet})
		if err != nil {
			b.Fatal(err)
		}
		return h
	}},
	{"prometheus", func(b *testing.B) http.Handler {
		db, err := tsdb.Open(b.TempDir(), quiet, nil, tsdb.DefaultOptions(), nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = db.Close() })
		fillQueries(b, db)
		return stockAPI(db)
	}},
}

// stockAPI is Prometheus's API as its server builds it, over a store.
func stockAPI(db *tsdb.DB) http.Handler {
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: quiet, MaxSamples: 50_000_000, Timeout: 2 * time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return 60_000 },
	})
	a := apiv1.NewAPI(engine, db, nil, db, nil, nil, nil, func() config.Config { return config.Config{} }, nil, apiv1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f }, nil, "", false, false, 0, quiet, nil, 50_000_000, 10, 1<<20, false,
		upstream.AnyOrigin(), nil, &apiv1.PrometheusVersion{}, func() []notifications.Notification { return nil },
		func() (<-chan notifications.Notification, func(), bool) { return nil, nil, false }, prometheus.NewRegistry(), nil, nil,
		false, nil, false, false, false, 5*time.Minute, false, false, nil, nil, apiv1.OpenAPIOptions{}, nil, false, 2*time.Minute)
	r := route.New()
	a.Register(r)
	return r
}

// BenchmarkQuery is one range query of six hours at 15 s through ServeHTTP, the
// answer encoded and, where it says so, compressed.
func BenchmarkQuery(b *testing.B) {
	for _, side := range querySides {
		h := side.open(b)
		for _, q := range queries {
			for _, encoding := range []string{"plain", "gzip"} {
				b.Run(fmt.Sprintf("%s/encoding=%s/side=%s", q.name, encoding, side.name), func(b *testing.B) { benchQuery(b, h, q.text, encoding) })
			}
		}
	}
}

// queryRequest asks for all of the six hours.
func queryRequest(b *testing.B, text string) *http.Request {
	end := queryStart + (queryRounds-1)*Interval
	form := url.Values{
		"query": {text}, "step": {"15s"},
		"start": {strconv.FormatInt((end-querySpan.Milliseconds())/1000, 10)}, "end": {strconv.FormatInt(end/1000, 10)},
	}
	return httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/query_range?"+form.Encode(), http.NoBody)
}

func benchQuery(b *testing.B, h http.Handler, text, encoding string) {
	req := queryRequest(b, text)
	if encoding != "plain" {
		req.Header.Set("Accept-Encoding", encoding)
	}
	m := newMeter(b)
	bytes := 0
	for range b.N {
		w := sink{h: http.Header{}}
		h.ServeHTTP(&w, req)
		if w.code != http.StatusOK || w.n < 1000 {
			b.Fatalf("answer %d, %d bytes", w.code, w.n)
		}
		bytes = w.n
	}
	m.stop()
	b.ReportMetric(float64(m.cpu.Nanoseconds())/float64(b.N), "cpu-ns")
	b.ReportMetric(float64(bytes), "answer-B")
}

// sink counts what is written to it.
type sink struct {
	h       http.Header
	code, n int
}

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }
func (s *sink) WriteHeader(code int)        { s.code = code }
