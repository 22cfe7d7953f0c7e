package receiver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// base is the time of every test, in milliseconds.
const base = int64(1_800_000_000_000)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

var protocols12 = []remotewrite.Protocol{remotewrite.V1, remotewrite.V2}

// env is a handler over a real ring.
type env struct {
	t   testing.TB
	db  *tsdbcache.DB
	h   *Handler
	reg *prometheus.Registry
}

func newEnv(t testing.TB, db tsdbcache.Options, limits Limits) *env {
	t.Helper()
	db.Now = func() time.Time { return time.UnixMilli(base) }
	db.Logger = quiet
	if db.Memory == 0 {
		db.Memory = 8 << 20
	}
	ring, err := tsdbcache.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	e := &env{t: t, db: ring, reg: prometheus.NewRegistry()}
	if e.h, err = New(Options{DB: ring, Limits: limits, Logger: quiet, Registerer: e.reg}); err != nil {
		t.Fatal(err)
	}
	return e
}

// answer is what a sender sees. Written is nil when the headers are absent.
type answer struct {
	code    int
	text    string
	written []int // samples, histograms, exemplars
	header  http.Header
}

func (e *env) do(req *http.Request) answer {
	e.t.Helper()
	w := httptest.NewRecorder()
	e.h.ServeHTTP(w, req)
	return read(e.t, w.Result())
}

func read(t testing.TB, resp *http.Response) answer {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	a := answer{code: resp.StatusCode, text: string(body), header: resp.Header}
	for _, name := range []string{remotewrite.SamplesWrittenHeader, remotewrite.HistogramsWrittenHeader, remotewrite.ExemplarsWrittenHeader} {
		if v := resp.Header.Get(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil {
				t.Fatal(err)
			}
			a.written = append(a.written, n)
		}
	}
	return a
}

func post(t testing.TB, p remotewrite.Protocol, body []byte) *http.Request {
	req := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/api/v1/write", bytes.NewReader(body))
	req.Header.Set("Content-Type", p.ContentType())
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set(remotewrite.VersionHeader, p.Version())
	return req
}

func encode(p remotewrite.Protocol, b *remotewrite.Batch) []byte {
	var enc remotewrite.Encoder
	return remotewrite.Compress(nil, enc.Encode(nil, p, b))
}

func (e *env) post(p remotewrite.Protocol, series ...remotewrite.BatchSeries) answer {
	e.t.Helper()
	return e.do(post(e.t, p, encode(p, &remotewrite.Batch{Series: series})))
}

// want checks an answer: code, and for 2.0 the three counts.
func (e *env) want(a answer, p remotewrite.Protocol, code int, written ...int) {
	e.t.Helper()
	if a.code != code {
		e.t.Errorf("%s: answer %d %q, want %d", p, a.code, a.text, code)
	}
	if code == http.StatusNoContent && a.text != "" {
		e.t.Errorf("%s: 204 with a body: %q", p, a.text)
	}
	if p == remotewrite.V1 {
		written = nil
	}
	if fmt.Sprint(a.written) != fmt.Sprint(written) {
		e.t.Errorf("%s: written headers %v, want %v (%s)", p, a.written, written, a.text)
	}
}

func float(ts int64, v float64, lbls ...string) remotewrite.BatchSeries {
	return remotewrite.BatchSeries{Labels: labels.FromStrings(lbls...), Samples: []remotewrite.Sample{{T: ts, V: v}}}
}

// dump reads everything back through the Querier, bit exact, one line a sample.
func (e *env) dump() []string {
	e.t.Helper()
	q, err := e.db.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		e.t.Fatal(err)
	}
	defer q.Close()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".*"))
	var out []string
	for set.Next() {
		it := set.At().Iterator(nil)
		for v := it.Next(); v != chunkenc.ValNone; v = it.Next() {
			line := fmt.Sprintf("%s %d", set.At().Labels(), it.AtT()-base)
			if st := it.AtST(); st != 0 {
				line += fmt.Sprintf(" since %d", st-base)
			}
			switch v {
			case chunkenc.ValFloat:
				_, f := it.At()
				line += " " + showFloat(f)
			case chunkenc.ValHistogram:
				_, h := it.AtHistogram(nil)
				line += " " + showInt(h)
			case chunkenc.ValFloatHistogram:
				_, h := it.AtFloatHistogram(nil)
				line += " " + showFloatHistogram(h)
			}
			out = append(out, line)
		}
		if err := it.Err(); err != nil {
			e.t.Fatal(err)
		}
	}
	if err := set.Err(); err != nil {
		e.t.Fatal(err)
	}
	return out
}

func showFloat(f float64) string {
	if math.IsNaN(f) {
		return fmt.Sprintf("NaN(%x)", math.Float64bits(f))
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func showInt(h *histogram.Histogram) string {
	if math.IsNaN(h.Sum) {
		return fmt.Sprintf("int count=%d sum=%s", h.Count, showFloat(h.Sum))
	}
	return fmt.Sprintf("int schema=%d hint=%d zt=%v zc=%d count=%d sum=%s pos=%v %v neg=%v %v custom=%v", h.Schema, h.CounterResetHint, h.ZeroThreshold, h.ZeroCount, h.Count, showFloat(h.Sum),
		h.PositiveSpans, h.PositiveBuckets, h.NegativeSpans, h.NegativeBuckets, h.CustomValues)
}

func showFloatHistogram(h *histogram.FloatHistogram) string {
	if math.IsNaN(h.Sum) {
		return fmt.Sprintf("float count=%v sum=%s", h.Count, showFloat(h.Sum))
	}
	return fmt.Sprintf("float schema=%d hint=%d zt=%v zc=%v count=%v sum=%s pos=%v %v neg=%v %v custom=%v", h.Schema, h.CounterResetHint, h.ZeroThreshold, h.ZeroCount, h.Count, showFloat(h.Sum),
		h.PositiveSpans, h.PositiveBuckets, h.NegativeSpans, h.NegativeBuckets, h.CustomValues)
}
