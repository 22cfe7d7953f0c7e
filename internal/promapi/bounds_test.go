package promapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"go.uber.org/goleak"

	"github.com/chironhq/chiron/internal/promql"
	"github.com/chironhq/chiron/internal/upstream"
)

// slowStore holds every Select until its context ends, as a query over far too
// much data would.
type slowStore struct {
	testStore
	started chan struct{}
}

type slowQuerier struct {
	storage.Querier
	started chan struct{}
}

func (s slowStore) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := s.testStore.Querier(mint, maxt)
	return slowQuerier{q, s.started}, err
}

func (q slowQuerier) Select(ctx context.Context, _ bool, _ *storage.SelectHints, _ ...*labels.Matcher) storage.SeriesSet {
	q.started <- struct{}{}
	<-ctx.Done()
	return storage.ErrSeriesSet(ctx.Err())
}

func newSlowBed(t *testing.T, e upstream.EngineOptions, r prometheus.Registerer) (*bed, slowStore) {
	t.Helper()
	store := slowStore{openStore(t), make(chan struct{}, 16)}
	engine := newEngine(t, e)
	return newBed(t, func(o *Options) { o.Store, o.Engine, o.Registerer = store, engine, r }), store
}

func newEngine(t *testing.T, e upstream.EngineOptions) *promql.Engine {
	t.Helper()
	engine, err := upstream.NewQueryEngine(e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

// TestClientGoesAway: a query whose client hangs up ends, is counted as 499,
// and leaves no goroutine.
func TestClientGoesAway(t *testing.T) {
	for _, path := range []string{"/query", "/query_range"} {
		r := prometheus.NewRegistry()
		b, store := newSlowBed(t, upstream.EngineOptions{}, r)
		before := goleak.IgnoreCurrent()
		ended := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			defer close(ended)
			b.router.ServeHTTP(w, req)
		}))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-store.started
			cancel()
		}()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1"+path+"?query=up&start=1&end=2&step=1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s: answered %s", path, resp.Status)
		}
		<-ended
		server.Close()
		goleak.VerifyNone(t, before)
		if got := counted(t, r, path, "499"); got != 1 {
			t.Errorf("%s: %v requests counted as 499, want 1", path, got)
		}
	}
}

func counted(t *testing.T, r *prometheus.Registry, path, code string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "chiron_api_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == code && m.GetLabel()[1].GetValue() == path {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func refusal(t *testing.T, a answer, code int, word string) {
	t.Helper()
	var e envelope
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.code != code || e.ErrorType != word {
		t.Errorf("%d %s; want %d %s", a.code, a.body, code, word)
	}
}

func TestTimeouts(t *testing.T) {
	b, _ := newSlowBed(t, upstream.EngineOptions{Timeout: time.Minute}, nil)
	// By the request, although the server would wait longer.
	refusal(t, b.get(t, "/query", "query", "up", "timeout", "10ms"), 503, "timeout")
	refusal(t, b.get(t, "/query_range", "query", "up", "start", "1", "end", "2", "step", "1", "timeout", "0.01"), 503, "timeout")

	// By the server, although the request would wait longer.
	b, _ = newSlowBed(t, upstream.EngineOptions{Timeout: 10 * time.Millisecond}, nil)
	refusal(t, b.get(t, "/query", "query", "up", "timeout", "1h"), 503, "timeout")
	refusal(t, b.get(t, "/query", "query", "up"), 503, "timeout")
}

// TestConcurrency: with room for one query a second one waits its turn, within
// its own timeout, and gets it when the first ends.
func TestConcurrency(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		b, store := newSlowBed(t, upstream.EngineOptions{Concurrency: 1, ActiveQueryDir: dir}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan struct{})
		go func() {
			defer close(first)
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/query?query=up", http.NoBody)
			b.router.ServeHTTP(httptest.NewRecorder(), r)
		}()
		<-store.started
		refusal(t, b.get(t, "/query", "query", "1", "timeout", "10ms"), 503, "timeout")
		cancel()
		<-first
		if a := b.get(t, "/query", "query", "1"); a.code != 200 {
			t.Errorf("after the first: %d %s", a.code, a.body)
		}
	}
}

// endlessStore has series without end, so that a query over it ends only by
// its context.
type endlessStore struct {
	testStore
	read chan struct{} // receives when series are being read
}

type endlessQuerier struct {
	storage.Querier
	read chan struct{}
}

type endlessSet struct {
	storage.SeriesSet
	read chan struct{}
}

func (s endlessStore) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := s.testStore.Querier(mint, maxt)
	return endlessQuerier{q, s.read}, err
}

func (q endlessQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	set := q.Querier.Select(ctx, sorted, hints, ms...)
	set.Next() // there is one, and At gives it again and again
	return endlessSet{set, q.read}
}

func (s endlessSet) Next() bool {
	select {
	case s.read <- struct{}{}:
	default:
	}
	return true
}

// TestHangUpWhileReading: a query that is reading series, by either way through
// the engine, ends when its client hangs up or its time is over, and the
// engine's count of running queries goes back to zero.
func TestHangUpWhileReading(t *testing.T) {
	long := []string{"topk(1, up)", "-up"} // not known to the short way
	for _, query := range append(long, "up", "sum(up)", "sum by (job)(rate(up[1m]))", "avg_over_time(up[5m])", "up or up") {
		r := prometheus.NewRegistry()
		store := endlessStore{openStore(t), make(chan struct{}, 1)}
		engine := newEngine(t, upstream.EngineOptions{Registerer: r})
		b := newBed(t, func(o *Options) { o.Store, o.Engine = store, engine })
		fill(t, b.store)

		ended := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			defer close(ended)
			b.router.ServeHTTP(w, req)
		}))
		ctx, cancel := context.WithCancel(t.Context())
		running := make(chan float64, 1)
		go func() {
			<-store.read
			running <- gauge(t, r, "prometheus_engine_queries")
			cancel()
		}()
		target := server.URL + "/api/v1/query_range?" + form("query", query, "start", "1767225600", "end", "1767225900", "step", "15")
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := server.Client().Do(req); err == nil {
			resp.Body.Close()
			t.Errorf("%s: answered %s", query, resp.Status)
		}
		<-ended
		server.Close()
		if before, after := <-running, gauge(t, r, "prometheus_engine_queries"); before != 1 || after != 0 {
			t.Errorf("%s: %v queries were running, and %v after the client was gone", query, before, after)
		}
		late := b.get(t, "/query_range", "query", query, "start", "1767225600", "end", "1767225900", "step", "15", "timeout", "10ms")
		if slices.Contains(long, query) {
			refusal(t, late, 422, "execution") // the engine's word while it lists series
		} else {
			refusal(t, late, 503, "timeout")
		}
	}
}

func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Error(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Errorf("no metric %s", name)
	return -1
}

// TestMaxSamples: the limit is on the samples that a query holds at once. A
// range query over three series holds 3 x 21 points, a rate over the four
// samples of a minute those beside them.
func TestMaxSamples(t *testing.T) {
	for _, c := range []struct {
		query       string
		limit, code int
	}{
		{"up", 62, 422}, {"up", 63, 200},
		{"sum(up)", 62, 422}, {"sum(up)", 63, 200},
		{"rate(http_requests_total[1m])", 20, 422}, {"rate(http_requests_total[1m])", 25, 200},
		{"topk(1, up)", 62, 422},
	} {
		b := newBed(t, func(o *Options) { o.Engine = newEngine(t, upstream.EngineOptions{MaxSamples: c.limit}) })
		fill(t, b.store)
		a := b.get(t, "/query_range", "query", c.query, "start", "1767225600", "end", "1767225900", "step", "15")
		if a.code != c.code || a.code != 200 && !strings.Contains(a.body, "too many samples") {
			t.Errorf("%s with a limit of %d samples: %d %s", c.query, c.limit, a.code, a.body)
		}
	}
	for _, c := range []struct{ limit, code int }{{2, 422}, {3, 200}, {4, 200}} {
		b := newBed(t, func(o *Options) { o.Engine = newEngine(t, upstream.EngineOptions{MaxSamples: c.limit}) })
		fill(t, b.store)
		if a := b.get(t, "/query", "query", "up", "time", "1767225900"); a.code != c.code {
			t.Errorf("3 samples with a limit of %d: %d %s", c.limit, a.code, a.body)
		}
	}
}

// TestMetrics holds the names of what is counted.
func TestMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	b := newBed(t, func(o *Options) { o.Registerer = r })
	b.get(t, "/query", "query", "1")
	b.get(t, "/query", "query", "(")
	b.get(t, "/rules")
	if got := counted(t, r, "/query", "200") + 10*counted(t, r, "/query", "400") + 100*counted(t, r, "/rules", "200"); got != 111 {
		t.Errorf("counted %v, want 111", got)
	}
	if problems, err := testutil.GatherAndLint(r, "chiron_api_requests_total", "chiron_api_request_duration_seconds"); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}
