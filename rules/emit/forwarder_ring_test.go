package emit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/chironhq/chiron/receiver"
	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/rules/emit"
	"github.com/chironhq/chiron/tsdbcache"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func openRing(t *testing.T) *tsdbcache.DB {
	t.Helper()
	db, err := tsdbcache.Open(tsdbcache.Options{Memory: 8 << 20, OutOfOrderWindow: time.Minute, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// far is a Chiron at the other end: its real handler over a real ring, reached
// without a network, since virtual time does not pass while a socket is read.
type far struct {
	t  *testing.T
	db *tsdbcache.DB
	h  *receiver.Handler

	mu       sync.Mutex
	down     error                // network error instead of an answer
	busy     http.Header          // 503 with these headers instead of an answer
	speaks   remotewrite.Protocol // the only version understood; 0: both
	requests []string             // "seconds since start: version, samples, attempt -> code"
	start    time.Time
}

func newFar(t *testing.T) *far {
	f := &far{t: t, db: openRing(t), start: time.Now()}
	var err error
	if f.h, err = receiver.New(receiver.Options{DB: f.db, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	return f
}

// is changes how the far side answers.
func (f *far) is(down error, busy http.Header) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down, f.busy = down, busy
}

func (f *far) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// client is the far side as a sender of one version sees it.
type client struct {
	*far
	p remotewrite.Protocol
}

func (c client) Store(ctx context.Context, body []byte, attempt int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	note := func(what string) {
		raw, err := remotewrite.Decompress(nil, body, 1<<30)
		if err != nil {
			c.t.Error(err)
		}
		var d remotewrite.Decoder
		if err := d.Reset(c.p, raw); err != nil {
			c.t.Error(err)
		}
		n := 0
		for d.Next() {
			n += d.Series().Samples + d.Series().Histograms
		}
		c.requests = append(c.requests, fmt.Sprintf("%.2fs: %s, %d samples, attempt %d -> %s", time.Since(c.start).Seconds(), c.p, n, attempt, what))
	}
	if c.down != nil {
		note(c.down.Error())
		return &emit.RecoverableError{Err: c.down}
	}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/write", bytes.NewReader(body))
	req.Header.Set("Content-Type", c.p.ContentType())
	req.Header.Set("Content-Encoding", "snappy")
	w := httptest.NewRecorder()
	switch {
	case c.busy != nil:
		w.Header().Set("Retry-After", c.busy.Get("Retry-After"))
		w.WriteHeader(http.StatusServiceUnavailable)
	case c.speaks != 0 && c.speaks != c.p:
		w.WriteHeader(http.StatusUnsupportedMediaType)
	default:
		c.h.ServeHTTP(w, req)
	}
	note(strconv.Itoa(w.Code))
	err := fmt.Errorf("answer %d: %s", w.Code, w.Body)
	switch {
	case w.Code/100 == 2:
		return nil
	case w.Code == http.StatusUnsupportedMediaType:
		return fmt.Errorf("%w: %w", emit.ErrUnsupported, err)
	case w.Code/100 == 5:
		after, _ := strconv.Atoi(w.Header().Get("Retry-After"))
		return &emit.RecoverableError{Err: err, RetryAfter: time.Duration(after) * time.Second}
	}
	return err
}

// near is our side: a ring with a forwarder behind it.
type near struct {
	t    *testing.T
	db   *tsdbcache.DB
	o    emit.ForwarderOptions
	f    *emit.Forwarder
	reg  *prometheus.Registry
	app  storage.AppendableV2
	stop func()
}

func newNear(t *testing.T, f *far, o emit.ForwarderOptions) *near {
	o.Dir, o.Logger = t.TempDir(), quiet
	if o.Client == nil && o.Fallback == nil {
		o.Client = client{f, remotewrite.V2}
	}
	n := &near{t: t, db: openRing(t), o: o}
	n.up()
	return n
}

// up opens the forwarder and runs it.
func (n *near) up() {
	n.t.Helper()
	n.reg = prometheus.NewRegistry()
	n.o.Registerer = n.reg
	var err error
	if n.f, err = emit.OpenForwarder(n.o); err != nil {
		n.t.Fatal(err)
	}
	n.app = emit.Appendable(n.db, n.f)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	f := n.f
	go func() { ended <- f.Run(ctx) }()
	n.stop = func() {
		n.t.Helper()
		cancel()
		if err := errors.Join(<-ended, f.Close()); err != nil {
			n.t.Error(err)
		}
	}
}

// tick is one evaluation: count series at the current time.
func (n *near) tick(count int) {
	n.t.Helper()
	now := time.Now().UnixMilli()
	app := n.app.AppenderV2(context.Background())
	for i := range count {
		if _, err := app.Append(0, labels.FromStrings("__name__", "out", "n", fmt.Sprint(i)), 0, now, float64(now%100_000)+float64(i), nil, nil, storage.AOptions{}); err != nil {
			n.t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		n.t.Fatal(err)
	}
}

// metric is the value of a metric, summed over its labels when it has any.
func (n *near) metric(name string) (sum float64) {
	n.t.Helper()
	families, err := n.reg.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	name, reason, _ := strings.Cut(name, " ")
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if reason != "" && m.GetLabel()[0].GetValue() != reason {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

func dump(t *testing.T, db *tsdbcache.DB) (out []string) {
	t.Helper()
	q, err := db.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".+"))
	for set.Next() {
		it := set.At().Iterator(nil)
		for v := it.Next(); v != chunkenc.ValNone; v = it.Next() {
			switch v {
			case chunkenc.ValFloat:
				_, f := it.At()
				out = append(out, fmt.Sprintf("%s %d %d %x", set.At().Labels(), it.AtT(), it.AtST(), math.Float64bits(f)))
			default:
				_, h := it.AtFloatHistogram(nil)
				out = append(out, fmt.Sprintf("%s %d %d %v %v", set.At().Labels(), it.AtT(), it.AtST(), v, h))
			}
		}
	}
	if set.Err() != nil {
		t.Fatal(set.Err())
	}
	return out
}

// TestOutageAndRestart: the far side refuses connections, then is busy, and
// the forwarder is restarted twice meanwhile. When it is back everything
// arrives, once and in order: its ring equals ours.
func TestOutageAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		n := newNear(t, f, emit.ForwarderOptions{})
		ticks := func(count int) {
			for range count {
				n.tick(100)
				time.Sleep(15 * time.Second)
			}
		}
		ticks(3)
		if diff := cmp.Diff(dump(t, n.db), dump(t, f.db)); diff != "" {
			t.Fatalf("before the outage (-near +far):\n%s", diff)
		}
		f.is(errors.New("connection refused"), nil)
		ticks(2)
		n.stop()
		n.up()
		ticks(2)
		if got := n.metric("chiron_emit_failures_total"); got == 0 {
			t.Error("no failure counted during the outage")
		}
		if got := n.metric("chiron_emit_oldest_age_seconds"); got < 30 {
			t.Errorf("oldest age is %v s after 60 s of outage", got)
		}
		f.is(nil, http.Header{})
		ticks(2)
		n.stop()
		n.up()
		f.is(nil, nil)
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff(dump(t, n.db), dump(t, f.db)); diff != "" {
			t.Errorf("after the outage (-near +far):\n%s", diff)
		}
		for name, want := range map[string]float64{
			"chiron_emit_dropped_samples_total": 0, "chiron_emit_queue_samples": 0, "chiron_emit_sent_samples_total": 600, "chiron_emit_oldest_age_seconds": 0,
		} {
			if got := n.metric(name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		n.stop()
	})
}

// TestBeyondTheLimitTheOldestGoes: what arrives after a long outage is the
// newest part, without a hole, and every missing sample is counted.
func TestBeyondTheLimitTheOldestGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		n := newNear(t, f, emit.ForwarderOptions{MaxBytes: 8 << 10})
		f.is(errors.New("connection refused"), nil)
		const ticks, each = 60, 50
		for range ticks {
			n.tick(each)
			time.Sleep(15 * time.Second)
		}
		if got := n.metric("chiron_emit_queue_bytes"); got > 8<<10 || got < 6<<10 {
			t.Errorf("the queue has %v bytes", got)
		}
		f.is(nil, nil)
		time.Sleep(time.Minute)
		dropped, sent := n.metric("chiron_emit_dropped_samples_total queue_full"), n.metric("chiron_emit_sent_samples_total")
		if dropped == 0 || sent == 0 || dropped+sent != ticks*each {
			t.Errorf("%v dropped + %v sent, want %d in all", dropped, sent, ticks*each)
		}
		want := dump(t, n.db)
		var newest []string
		kept := int(sent) / each
		for i := 0; i < len(want); i += ticks {
			newest = append(newest, want[i+ticks-kept:i+ticks]...)
		}
		if diff := cmp.Diff(newest, dump(t, f.db)); diff != "" {
			t.Errorf("(-newest +far):\n%s", diff)
		}
		n.stop()
	})
}

// TestRequests: what is sent when. Small commits wait for each other up to the
// flush interval; full requests go at once; Retry-After is waited for;
// otherwise the wait doubles up to its cap.
func TestRequests(t *testing.T) {
	story := func(name string, o emit.ForwarderOptions, act func(n *near, f *far), want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFar(t)
				o.Client, o.Fallback = client{f, remotewrite.V2}, client{f, remotewrite.V1}
				n := newNear(t, f, o)
				act(n, f)
				if diff := cmp.Diff(want, f.seen()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				n.stop()
			})
		})
	}
	story("commits within the flush interval are one request", emit.ForwarderOptions{}, func(n *near, _ *far) {
		for range 3 {
			n.tick(10)
			time.Sleep(2 * time.Second)
		}
		time.Sleep(10 * time.Second)
	}, "5.00s: 2.0, 30 samples, attempt 0 -> 204")
	story("large commits are cut and full requests do not wait", emit.ForwarderOptions{BatchSamples: 40}, func(n *near, _ *far) {
		n.tick(100)
		time.Sleep(time.Minute)
	}, "0.00s: 2.0, 40 samples, attempt 0 -> 204", "0.00s: 2.0, 40 samples, attempt 0 -> 204", "5.00s: 2.0, 20 samples, attempt 0 -> 204")
	story("a commit that does not fit goes with the next request", emit.ForwarderOptions{BatchSamples: 40}, func(n *near, _ *far) {
		n.tick(30)
		time.Sleep(time.Second)
		n.tick(30)
		time.Sleep(time.Minute)
	}, "1.00s: 2.0, 30 samples, attempt 0 -> 204", "6.00s: 2.0, 30 samples, attempt 0 -> 204")
	story("waits double up to the cap", emit.ForwarderOptions{BatchSamples: 1, MinBackoff: time.Second, MaxBackoff: 3 * time.Second}, func(n *near, f *far) {
		f.is(errors.New("refused"), nil)
		n.tick(1)
		time.Sleep(8 * time.Second)
		f.is(nil, nil)
		time.Sleep(5 * time.Second)
	}, "0.00s: 2.0, 1 samples, attempt 0 -> refused", "1.00s: 2.0, 1 samples, attempt 1 -> refused", "3.00s: 2.0, 1 samples, attempt 2 -> refused",
		"6.00s: 2.0, 1 samples, attempt 3 -> refused", "9.00s: 2.0, 1 samples, attempt 4 -> 204")
	story("Retry-After is waited for", emit.ForwarderOptions{BatchSamples: 1}, func(n *near, f *far) {
		f.is(nil, http.Header{"Retry-After": {"7"}})
		n.tick(1)
		time.Sleep(time.Second)
		f.is(nil, nil)
		time.Sleep(time.Minute)
	}, "0.00s: 2.0, 1 samples, attempt 0 -> 503", "7.00s: 2.0, 1 samples, attempt 1 -> 204")
	story("415 changes to 1.0 and is remembered", emit.ForwarderOptions{BatchSamples: 1}, func(n *near, f *far) {
		f.speaks = remotewrite.V1
		n.tick(1)
		time.Sleep(time.Second)
		n.tick(1)
		time.Sleep(time.Second)
	}, "0.00s: 2.0, 1 samples, attempt 0 -> 415", "0.00s: 1.0, 1 samples, attempt 1 -> 204", "1.00s: 1.0, 1 samples, attempt 0 -> 204")
	story("400 is not sent again and the next goes on", emit.ForwarderOptions{BatchSamples: 1}, func(n *near, f *far) {
		tx := f.db.Begin() // another value at the same time
		ref, _ := tx.Create(tsdbcache.KeyV1, []byte("x"), labels.FromStrings("__name__", "out", "n", "0"))
		tx.Float(ref, 0, time.Now().UnixMilli(), -1)
		if _, err := tx.Commit(); err != nil {
			n.t.Fatal(err)
		}
		n.tick(1)
		time.Sleep(time.Second)
		n.tick(1)
		time.Sleep(time.Second)
		if got := n.metric("chiron_emit_dropped_samples_total refused"); got != 1 {
			n.t.Errorf("%v samples counted as refused", got)
		}
	}, "0.00s: 2.0, 1 samples, attempt 0 -> 400", "1.00s: 2.0, 1 samples, attempt 0 -> 204")
}

// TestWhatIsForwarded: floats with start timestamps, stale markers and both
// kinds of histograms, exactly what the ring took: nothing of a transaction
// that was rolled back, and no sample the ring refused.
func TestWhatIsForwarded(t *testing.T) {
	for _, p := range []remotewrite.Protocol{remotewrite.V2, remotewrite.V1} {
		synctest.Test(t, func(t *testing.T) {
			f := newFar(t)
			f.speaks = p
			n := newNear(t, f, emit.ForwarderOptions{Client: client{f, remotewrite.V2}, Fallback: client{f, remotewrite.V1}})
			now := time.Now().UnixMilli()
			app := n.app.AppenderV2(t.Context())
			add := func(ok bool, name string, at int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram) {
				t.Helper()
				if _, err := app.Append(0, labels.FromStrings("__name__", name), 0, at, v, h, fh, storage.AOptions{}); (err == nil) != ok {
					t.Errorf("%s: %v", name, err)
				}
			}
			h := &histogram.Histogram{Schema: 1, Count: 3, Sum: 2, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 1}}
			add(true, "a", now, 1, nil, nil)
			add(true, "a", now+1, math.Float64frombits(0x7ff0000000000002), nil, nil)
			add(false, "a", now-3600_000, 1, nil, nil)
			add(true, "h", now, 0, h, nil)
			add(true, "fh", now, 0, nil, h.ToFloat(nil))
			if err := app.Commit(); err != nil {
				t.Fatal(err)
			}
			h.Count = 99 // the caller's again
			app = n.app.AppenderV2(t.Context())
			add(true, "rolled_back", now, 1, nil, nil)
			if err := app.Rollback(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			got := dump(t, f.db)
			if diff := cmp.Diff(dump(t, n.db), got); diff != "" || len(got) != 4 {
				t.Errorf("%s (-near +far):\n%s", p, diff)
			}
			n.stop()
		})
	}
}

func TestAppendableWithoutForwarderIsTheRing(t *testing.T) {
	db := openRing(t)
	if got := emit.Appendable(db, nil); got != storage.AppendableV2(db) {
		t.Errorf("%T", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []emit.ForwarderOptions{
		{}, {Dir: t.TempDir()}, {Client: client{}}, {Fallback: client{}}, {Dir: t.TempDir(), Client: client{}, MaxBytes: -1},
	} {
		if _, err := emit.OpenForwarder(o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}
