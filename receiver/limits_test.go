package receiver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// TestSeriesLimit: clauses 2 and 4.2. A limit that can clear is 429 with
// Retry-After; what fits is stored.
func TestSeriesLimit(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{MaxSeries: 2}, Limits{RetryAfter: 7 * time.Second})
		a := e.post(p, float(base, 1, "__name__", "a"), float(base, 1, "__name__", "b"), float(base, 1, "__name__", "c"))
		e.want(a, p, http.StatusTooManyRequests, 2, 0, 0)
		if a.header.Get("Retry-After") != "7" || !strings.Contains(a.text, "series_limit 1") {
			t.Errorf("%s: Retry-After %q, %q", p, a.header.Get("Retry-After"), a.text)
		}
		if got := e.dump(); len(got) != 2 {
			t.Errorf("%s: stored %v", p, got)
		}
		e.want(e.post(p, float(base+1, 1, "__name__", "a")), p, 204, 1, 0, 0)
	}
}

// TestMetricSeriesLimit: clause 4.2. A metric that has its share of series: its
// new ones are 400, its known ones and other metrics are stored.
func TestMetricSeriesLimit(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{MaxSeriesPerMetric: 2}, Limits{})
		var batch []remotewrite.BatchSeries
		for n := range 10 {
			batch = append(batch, float(base, 1, "__name__", "explodes", "id", fmt.Sprint(n)), float(base, 1, "__name__", fmt.Sprint("calm", n)))
		}
		a := e.post(p, batch...)
		e.want(a, p, 400, 12, 0, 0)
		for _, part := range []string{"refused 8 of 20 samples: metric_series_limit 8", `{__name__="explodes", id="2"}: metric_series_limit`} {
			if !strings.Contains(a.text, part) {
				t.Errorf("%s: the text does not say %q: %s", p, part, a.text)
			}
		}
		shuffled := remotewrite.BatchSeries{
			Labels:  labels.New(labels.Label{Name: "id", Value: "0"}, labels.Label{Name: "__name__", Value: "explodes"}),
			Samples: []remotewrite.Sample{{T: base + 1, V: 1}},
		}
		e.want(e.post(p, shuffled), p, 204, 1, 0, 0)
		if got := e.dump(); len(got) != 13 {
			t.Errorf("%s: stored %v", p, got)
		}
	}
}

func TestSamplesLimit(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{Samples: 2})
		e.want(e.post(p, float(base, 1, "__name__", "a"), float(base, 1, "__name__", "b")), p, 204, 2, 0, 0)
		e.want(e.post(p, float(base+1, 1, "__name__", "a"), float(base+1, 1, "__name__", "b"), float(base+1, 1, "__name__", "c")), p, http.StatusRequestEntityTooLarge, 0, 0, 0)
		if got := e.dump(); len(got) != 2 {
			t.Errorf("%s: stored %v", p, got)
		}
	}
}

func TestNegativeLimitIsAnError(t *testing.T) {
	ring, err := tsdbcache.Open(tsdbcache.Options{Memory: 1 << 20, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	for _, l := range []Limits{{Samples: -1}, {CompressedBytes: -1}, {InflightBytes: -1}, {InflightBytes: 1 << 20}, {ReadTimeout: -1}, {Labels: -1}} {
		if _, err := New(Options{DB: ring, Limits: l}); err == nil {
			t.Errorf("%+v accepted", l)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("no ring accepted")
	}
}

// TestDraining: a handler that is shutting down asks to come again.
func TestDraining(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		e.h.Drain()
		a := e.post(p, float(base, 1, "__name__", "a"))
		e.want(a, p, http.StatusServiceUnavailable, 0, 0, 0)
		if a.header.Get("Retry-After") != "5" {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
	}
}

// TestSlowSenderAndConcurrency: a sender over real TCP that stops in the middle
// of its body takes nobody's turn and is cut off by the read timeout; with all
// turns taken, a request waits for one and is then told to come again.
func TestSlowSenderAndConcurrency(t *testing.T) {
	e := newEnv(t, tsdbcache.Options{}, Limits{Concurrency: 1, QueueWait: time.Millisecond, ReadTimeout: 300 * time.Millisecond})
	srv := httptest.NewServer(e.h)
	defer srv.Close()
	send := func(body io.Reader) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", remotewrite.V2.ContentType())
		return srv.Client().Do(req)
	}
	good := encode(remotewrite.V2, oneSample(remotewrite.V2))
	body, stop := io.Pipe()
	defer stop.Close()
	slow := make(chan answer, 1)
	go func() {
		resp, err := send(body)
		if err != nil {
			slow <- answer{text: err.Error()}
			return
		}
		slow <- read(t, resp)
	}()
	if _, err := stop.Write(good[:3]); err != nil {
		t.Fatal(err)
	}
	post := func(code, samples int) answer {
		t.Helper()
		resp, err := send(strings.NewReader(string(good)))
		if err != nil {
			t.Fatal(err)
		}
		a := read(t, resp)
		e.want(a, remotewrite.V2, code, samples, 0, 0)
		return a
	}
	post(http.StatusNoContent, 1) // while the slow one is slow
	e.want(<-slow, remotewrite.V2, http.StatusServiceUnavailable, 0, 0, 0)
	e.h.slots <- struct{}{}
	if post(http.StatusTooManyRequests, 0).header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	<-e.h.slots
	post(http.StatusNoContent, 1)
}

// TestInflightLimit: what all requests hold together is bounded: a request
// beyond is told to come again, and what was held is given back with every
// kind of answer.
func TestInflightLimit(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{CompressedBytes: 100 << 10, DecompressedBytes: 1 << 20, InflightBytes: 6 << 20})
		var b remotewrite.Batch
		for n := range 2000 {
			b.Series = append(b.Series, float(base, 1, "__name__", "up", "n", fmt.Sprint(n)))
		}
		large := encode(p, &b)
		e.want(e.do(post(t, p, large)), p, 204, 2000, 0, 0)
		e.h.inflight.Add(6 << 20) // others
		a := e.do(post(t, p, large))
		e.want(a, p, http.StatusTooManyRequests, 0, 0, 0)
		if a.header.Get("Retry-After") == "" || !strings.Contains(a.text, "hold all of 6291456 bytes") {
			t.Errorf("%s: %q %v", p, a.text, a.header)
		}
		e.h.inflight.Add(-6 << 20)
		for _, body := range [][]byte{large, nil, []byte("corrupt"), make([]byte, 200<<10), snappyOf(2 << 20), large} {
			e.do(post(t, p, body))
		}
		if n := e.h.inflight.Load(); n != 0 {
			t.Errorf("%s: %d bytes held by nobody", p, n)
		}
		e.want(e.do(post(t, p, large)), p, 204, 2000, 0, 0)
	}
}

func snappyOf(zeros int) []byte { return remotewrite.Compress(nil, make([]byte, zeros)) }

// TestConcurrentSameSeries: clause 7.8. Senders of both versions write the same
// series at once, in and out of order; nothing is lost, doubled or out of order.
func TestConcurrentSameSeries(t *testing.T) {
	e := newEnv(t, tsdbcache.Options{}, Limits{})
	const senders, rounds = 4, 50
	var wg sync.WaitGroup
	for n := range senders {
		wg.Go(func() {
			p := protocols12[n%2]
			for r := range int64(rounds) {
				at := base - 300_000 + r*1000 + int64(n)
				w := httptest.NewRecorder()
				e.h.ServeHTTP(w, post(t, p, encode(p, &remotewrite.Batch{Series: []remotewrite.BatchSeries{
					float(at, float64(at-base), "__name__", "shared"),
					float(at, 1, "__name__", "own", "n", fmt.Sprint(n)),
					float(base-300_000+r*1000, float64(r), "__name__", "replica"), // the same from all
					float(base-300_000, float64(n), "__name__", "fight"),          // one wins
				}})))
				if w.Code != 204 && w.Code != 400 {
					t.Errorf("answer %d %s", w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
	counts, last := map[string]int{}, map[string]int64{}
	for _, line := range e.dump() {
		var at int64
		name, rest, _ := strings.Cut(line, "} ")
		if _, err := fmt.Sscan(rest, &at); err != nil {
			t.Fatal(err)
		}
		if prev, ok := last[name]; ok && prev >= at {
			t.Fatalf("%s: %d after %d", name, at, prev)
		}
		counts[name]++
		last[name] = at
	}
	want := map[string]int{`{__name__="shared"`: senders * rounds, `{__name__="replica"`: rounds, `{__name__="fight"`: 1}
	for n := range senders {
		want[fmt.Sprintf(`{__name__="own", n="%d"`, n)] = rounds
	}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("stored %v, want %v", counts, want)
	}
}

// TestSteadyRequestAllocations: a request of known series allocates the same
// small number of times whatever its size.
func TestSteadyRequestAllocations(t *testing.T) {
	for _, p := range protocols12 {
		var got [2]float64
		for i, n := range []int{10, 2000} {
			e := newEnv(t, tsdbcache.Options{Memory: 64 << 20}, Limits{})
			w := newSteady(t, p, n)
			for range 20 { // grow the buffers
				w.run(t, e.h)
			}
			got[i] = testing.AllocsPerRun(100, func() { w.run(t, e.h) })
		}
		t.Logf("%s: %v allocations with 10 series, %v with 2000", p, got[0], got[1])
		if !raceDetector && (got[0] > 4 || got[1] > got[0]+4) {
			t.Errorf("%s: %v allocations for 10 series, %v for 2000", p, got[0], got[1])
		}
	}
}

// steady is one request that is sent again and again with later samples: the
// time is patched in the encoded body, so that the sender allocates nothing.
type steady struct {
	bodies [][]byte
	next   int
	req    *http.Request
	body   replay
	w      discard
}

func newSteady(t testing.TB, p remotewrite.Protocol, n int) *steady {
	s := &steady{req: post(t, p, nil)}
	s.req.Body = &s.body
	s.w.h = http.Header{}
	for round := range int64(150) {
		var b remotewrite.Batch
		for i := range n {
			b.Series = append(b.Series, float(base-200_000+round*1000, float64(i)*float64(round), "__name__", "steady", "job", "a", "n", fmt.Sprint(i)))
		}
		s.bodies = append(s.bodies, encode(p, &b))
	}
	return s
}

func (s *steady) run(t testing.TB, h http.Handler) {
	s.body.b = s.bodies[s.next]
	s.next++
	s.req.ContentLength = int64(len(s.body.b))
	h.ServeHTTP(&s.w, s.req)
	if s.w.code != http.StatusNoContent {
		t.Fatalf("answer %d", s.w.code)
	}
}

type replay struct{ b []byte }

func (r *replay) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

func (*replay) Close() error { return nil }

// discard is a response writer that allocates nothing.
type discard struct {
	h    http.Header
	code int
}

func (d *discard) Header() http.Header             { return d.h }
func (d *discard) Write(b []byte) (int, error)     { return len(b), nil }
func (d *discard) WriteHeader(code int)            { d.code = code }
func (*discard) SetReadDeadline(_ time.Time) error { return nil }

// TestMetrics: every answer and every refused sample is counted, by words that
// stay.
func TestMetrics(t *testing.T) {
	e := newEnv(t, tsdbcache.Options{}, Limits{})
	e.post(remotewrite.V2, float(base, 1, "__name__", "a"), float(base, 1, "job", "nameless"))
	e.post(remotewrite.V1, float(base, 1, "__name__", "a"))
	req := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", nil)
	req.Header.Set("Content-Type", "image/png")
	e.do(req)
	for name, got := range map[string]float64{
		`chiron_receiver_requests_total 2.0 400`:       testutil.ToFloat64(e.h.metrics.requests[remotewrite.V2][codeIndex(400)]),
		`chiron_receiver_requests_total 1.0 204`:       testutil.ToFloat64(e.h.metrics.requests[remotewrite.V1][codeIndex(204)]),
		`chiron_receiver_requests_total unknown 415`:   testutil.ToFloat64(e.h.metrics.requests[remotewrite.Unknown][codeIndex(415)]),
		`chiron_receiver_samples_total 2.0 float`:      testutil.ToFloat64(e.h.metrics.samples[remotewrite.V2][0]),
		`chiron_receiver_refused_total missing`:        testutil.ToFloat64(e.h.metrics.refused.WithLabelValues("missing_metric_name")),
		`chiron_receiver_samples_total 1.0 duplicates`: testutil.ToFloat64(e.h.metrics.samples[remotewrite.V1][0]),
	} {
		if got != 1 {
			t.Errorf("%s is %v", name, got)
		}
	}
	if n, err := testutil.GatherAndCount(e.reg); err != nil || n == 0 {
		t.Error(n, err)
	}
	if problems, err := testutil.GatherAndLint(e.reg); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

// TestConcurrentRefusals: the causes that an answer names are those of its own
// request, while others are refused at the same time.
func TestConcurrentRefusals(t *testing.T) {
	e := newEnv(t, tsdbcache.Options{}, Limits{})
	const senders = 8
	for n := range senders {
		e.want(e.post(remotewrite.V2, float(base, 1, "__name__", "refused", "n", fmt.Sprint(n))), remotewrite.V2, 204, 1, 0, 0)
	}
	var wg sync.WaitGroup
	for n := range senders {
		wg.Go(func() {
			name := fmt.Sprintf(`{__name__="refused", n="%d"}`, n)
			body := encode(remotewrite.V2, &remotewrite.Batch{Series: slices.Repeat([]remotewrite.BatchSeries{
				float(base-7200_000-int64(n), 1, "__name__", "refused", "n", fmt.Sprint(n)),
			}, 20)})
			for range 100 {
				w := httptest.NewRecorder()
				e.h.ServeHTTP(w, post(t, remotewrite.V2, body))
				want := fmt.Sprintf("refused 20 of 20 samples: too_old 20; %s at %d: too_old; and 19 more", name, base-7200_000-int64(n))
				if got := strings.TrimSpace(w.Body.String()); got != want {
					t.Errorf("answer %q, want %q", got, want)
				}
			}
		})
	}
	wg.Wait()
}
