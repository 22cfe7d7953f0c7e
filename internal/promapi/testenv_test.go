package promapi

import (
	"compress/gzip"
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/chironhq/chiron/internal/promql"
	"github.com/chironhq/chiron/internal/upstream"
)

// base is when the filled store starts: 2026-01-01 00:00:00 UTC.
const base = 1767225600

// bed is the API over a store, mounted as the server mounts it.
type bed struct {
	store  testStore
	engine *promql.Engine
	router http.Handler
}

type testStore interface {
	Store
	storage.AppendableV2
}

func newBed(t testing.TB, change ...func(*Options)) *bed {
	t.Helper()
	engine, err := upstream.NewQueryEngine(upstream.EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	o := Options{Store: openStore(t), Engine: engine}
	for _, f := range change {
		f(&o)
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := chi.NewRouter()
	r.Mount("/api/v1", h)
	return &bed{store: o.Store.(testStore), engine: engine, router: r}
}

// serve starts a listening server that ends with the test.
func (b *bed) serve(t testing.TB) *httptest.Server {
	s := httptest.NewServer(b.router)
	t.Cleanup(s.Close)
	return s
}

type answer struct {
	code   int
	header http.Header
	body   string
}

// do sends one request; a form goes into the URL or, for POST, the body.
func (b *bed) do(t testing.TB, method, path, form string, header ...string) answer {
	t.Helper()
	target, body := "/api/v1"+path, ""
	if method == http.MethodPost {
		body = form
	} else if form != "" {
		target += "?" + form
	}
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.router.ServeHTTP(w, r)
	reader := io.Reader(w.Body)
	if w.Code == http.StatusNoContent {
		return answer{w.Code, w.Header(), ""} // net/http sends no body with it
	}
	if w.Header().Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		reader = z
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return answer{w.Code, w.Header(), string(text)}
}

func (b *bed) get(t testing.TB, path string, keyValues ...string) answer {
	t.Helper()
	return b.do(t, http.MethodGet, path, form(keyValues...))
}

func form(keyValues ...string) string {
	v := url.Values{}
	for i := 0; i < len(keyValues); i += 2 {
		v.Add(keyValues[i], keyValues[i+1])
	}
	return v.Encode()
}

// fill stores ten minutes of every kind of data from base on, a sample each
// 15 s: gauges, a counter with exemplars, an integer and a custom-bucket
// histogram, a name beyond the old alphabet, metadata.
func fill(t testing.TB, store storage.AppendableV2) {
	t.Helper()
	for i := range int64(41) {
		app := store.AppenderV2(context.Background())
		at := (base + 15*i) * 1000
		put := func(ls labels.Labels, v float64, h *histogram.Histogram, o storage.AppendV2Options) {
			t.Helper()
			if _, err := app.Append(0, ls, 0, at, v, h, nil, o); err != nil {
				t.Fatalf("%s at %d: %v", ls, at, err)
			}
		}
		up := metaOf("up", "gauge", "Whether the target is up.", "")
		put(labels.FromStrings("__name__", "up", "job", "api", "instance", "a:80"), 1, nil, up)
		put(labels.FromStrings("__name__", "up", "job", "api", "instance", "b:80"), float64(i%2), nil, up)
		put(labels.FromStrings("__name__", "up", "job", "db", "instance", "c:80"), math.Inf(1), nil, up)
		requests := metaOf("http_requests", "counter", "Requests served.", "requests")
		if i == 20 {
			requests.Exemplars = []exemplar.Exemplar{{
				Labels: labels.FromStrings("trace_id", "abc"), Value: 6, Ts: at, HasTs: true,
			}}
		}
		put(labels.FromStrings("__name__", "http_requests_total", "job", "api", "code", "200"), float64(10*i), nil, requests)
		put(labels.FromStrings("__name__", "a.b", "job", "api", "näme", "ü"), float64(i), nil, metaOf("a.b", "gauge", "Dotted.", ""))
		put(labels.FromStrings("__name__", "latency", "job", "api"), 0, tsdbutil.GenerateTestHistogram(i), metaOf("latency", "histogram", "Latency.", "seconds"))
		put(labels.FromStrings("__name__", "latency_custom", "job", "api"), 0, tsdbutil.GenerateTestCustomBucketsHistogram(i), storage.AppendV2Options{})
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

func metaOf(family, typ, help, unit string) storage.AppendV2Options {
	return storage.AppendV2Options{MetricFamilyName: family, Metadata: metadata.Metadata{Type: model.MetricType(typ), Help: help, Unit: unit}}
}

// ruleGroups is one rule of each kind, in two files.
func ruleGroups() []Group {
	at := time.Unix(base, 0).UTC()
	active := []Alert{{
		Labels:      labels.FromStrings("alertname", "Down", "job", "api"),
		Annotations: labels.FromStrings("summary", "api is down"),
		State:       "firing", ActiveAt: at, Value: 11,
	}}
	return []Group{
		{
			Name: "second", File: "rules/b.yaml", Interval: 30 * time.Second, Limit: 5,
			EvaluationTime: 300 * time.Microsecond, LastEvaluation: at,
			Rules: []Rule{
				{Kind: KindAnomaly, Name: "Latency", Query: "latency", Model: "auto()", Models: map[string]int{"ready": 3},
					Strategy: "stream", Budget: "about 0.23 false alerts a week: 1 series, 0.23 each", Choices: []Choice{{labels.FromStrings("job", "api"), "seasonal: a day is like the day before"}}, Labels: labels.FromStrings("team", "a"), Annotations: labels.FromStrings("summary", "odd"),
					AlertName: "LatencyOdd", AlertQuery: "anomaly_score > 1", Duration: time.Minute, KeepFiringFor: time.Second, State: "firing",
					Alerts: []Alert{{Labels: labels.FromStrings("alertname", "LatencyOdd"), State: "firing", ActiveAt: at, KeepFiringSince: at, Value: math.Inf(1)}},
					Health: "ok", EvaluationTime: time.Millisecond, LastEvaluation: at},
				{Kind: KindAnomaly, Name: "Quiet", Query: "up", Model: "mad()"},
			},
		},
		{
			Name: "first", File: "rules/a.yaml", Interval: time.Minute,
			Rules: []Rule{
				{Kind: KindRecording, Name: "job:up:sum", Query: "sum by (job) (up)", Labels: labels.FromStrings("team", "b"),
					Health: "err", LastError: "too <many> samples", EvaluationTime: time.Millisecond, LastEvaluation: at},
				{Kind: KindAlerting, Name: "Down", Query: "up == 0", Duration: 6 * time.Minute, Labels: labels.FromStrings("severity", "page"),
					Annotations: labels.FromStrings("summary", "{{ $labels.job }} is down"), State: "firing", Alerts: active, Health: "ok", LastEvaluation: at},
				{Kind: KindAlerting, Name: "New", Query: "vector(1)"},
			},
		},
	}
}
