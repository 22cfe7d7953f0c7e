package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// held is what the process holds: both ends of a test, so an upper bound for
// the server.
type held struct {
	resident   int64 // bytes, mapped files included
	goroutines int
}

func holds(t *testing.T) held {
	t.Helper()
	debug.FreeOSMemory()
	return held{resident(t), runtime.NumGoroutine()}
}

func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// during runs f and returns the most that was resident meanwhile, beyond what
// was before.
func during(t *testing.T, f func()) int64 {
	t.Helper()
	before := holds(t).resident
	var most atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			most.Store(max(most.Load(), resident(t)))
			<-tick.C
		}
	})
	f()
	cancel()
	wg.Wait()
	return most.Load() - before
}

// twice what all requests may hold together: what is held, and what the
// collector has not taken back yet.
const twice = 2 * 256 << 20

// atMost is the assertion of all these tests.
func atMost(t *testing.T, what string, got, limit int64) {
	t.Helper()
	t.Logf("%s: %d KiB, limit %d KiB", what, got>>10, limit*overhead>>10)
	if got > limit*overhead {
		t.Errorf("%s: %d KiB, limit %d KiB", what, got>>10, limit*overhead>>10)
	}
}

// metric reads one of the server's own metrics.
func (i *instance) metric(name string) float64 {
	i.t.Helper()
	_, text := i.get("/metrics")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				i.t.Fatal(err)
			}
			return v
		}
	}
	i.t.Fatalf("no metric %s", name)
	return 0
}

func (i *instance) dial() net.Conn {
	i.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(i.t.Context(), "tcp", i.o.ListenAddress)
	if err != nil {
		i.t.Fatal(err)
	}
	return conn
}

// post sends a body as remote write and returns the answer.
func (i *instance) post(p remotewrite.Protocol, body io.Reader, length int64) (int, http.Header, string) {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), http.MethodPost, i.url+"/api/v1/write", body)
	if err != nil {
		i.t.Fatal(err)
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", p.ContentType())
	req.Header.Set("Content-Encoding", "snappy")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(text)
}

func (i *instance) postAll(p remotewrite.Protocol, body []byte) (int, http.Header, string) {
	return i.post(p, bytes.NewReader(body), int64(len(body)))
}

// TestTenThousandIdleConnections: ten thousand clients connect, ask once and
// stay. The server keeps as many as its limit; all others still get in.
func TestTenThousandIdleConnections(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	files.Cur = files.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	// Both ends are in this process; where it may open few files there are fewer.
	open := int(min(files.Cur, 1<<20)) - 2*spareFiles
	keep := min(defaultConnections, open/3)
	clients := min(10_000, open-keep)
	i := launch(t, map[string]string{"chiron.yaml": fmt.Sprintf("web: { max_connections: %d }\n", keep)}, nil)
	before := holds(t)
	conns := make([]net.Conn, clients)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	const ask = "GET /-/healthy HTTP/1.1\r\nHost: chiron\r\n\r\n"
	answer := make([]byte, 4096)
	for n := range conns {
		conns[n] = i.dial()
		if n%2 == 0 { // the others never say a word
			if _, err := io.WriteString(conns[n], ask); err != nil {
				t.Fatal(err)
			}
			if _, err := conns[n].Read(answer); err != nil {
				t.Fatalf("connection %d: %v", n, err)
			}
		}
	}
	eventually(t, func() error { // the last ones may not be accepted yet
		if n := i.metric("chiron_http_connections_evicted_total"); int(n) < clients-keep {
			return fmt.Errorf("%v connections have given way", n)
		}
		return nil
	})
	after := holds(t)
	connected := int(i.metric("chiron_http_connections"))
	t.Logf("%d clients connected and stayed; %d connections kept, %d goroutines, %d bytes a kept connection, both ends",
		clients, connected, after.goroutines-before.goroutines, (after.resident-before.resident)/int64(connected))
	atMost(t, "held for them", after.resident-before.resident, 200<<20)
	if connected > keep || after.goroutines-before.goroutines > keep+100 {
		t.Errorf("%d connections, %d goroutines", connected, after.goroutines-before.goroutines)
	}
	if n := i.metric("chiron_http_connections_refused_total"); n != 0 {
		t.Errorf("%v connections refused", n)
	}
	http.DefaultClient.CloseIdleConnections() // a new one, as any sender's
	i.send("hello", 1)
}

// TestSlowSendersOverLoopback: hundreds of clients that send a header, or a
// body, byte by byte and never to its end, to every kind of path. Meanwhile a
// good sender is served, with two turns in all; then the slow ones are cut off.
func TestSlowSendersOverLoopback(t *testing.T) {
	i := launch(t, map[string]string{
		"chiron.yaml": "receiver: { max_concurrent_requests: 2, queue_wait: 1ms, read_timeout: 2s }\nweb: { header_timeout: 2s, body_timeout: 2s }\n",
	}, nil)
	before := holds(t)
	const each = 100
	starts := map[string]string{
		"header":        "POST /api/v1/write HTTP/1.1\r\nHost: chiron\r\nX-Slow: ",
		"write body":    "POST /api/v1/write HTTP/1.1\r\nHost: chiron\r\nContent-Type: application/x-protobuf\r\nContent-Length: 30000000\r\n\r\nabc",
		"chunked":       "POST /api/v1/write HTTP/1.1\r\nHost: chiron\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"refused write": "POST /api/v1/write HTTP/1.1\r\nHost: chiron\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc",
		"query body":    "POST /api/v1/query HTTP/1.1\r\nHost: chiron\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nquery=",
		"unread body":   "POST /-/healthy HTTP/1.1\r\nHost: chiron\r\nContent-Length: 1000\r\n\r\nabc",
		"unknown path":  "PUT /nothing HTTP/1.1\r\nHost: chiron\r\nContent-Length: 1000\r\n\r\nabc",
	}
	conns := map[string][]net.Conn{}
	for name, start := range starts {
		for range each {
			c := i.dial()
			defer c.Close()
			if _, err := io.WriteString(c, start); err != nil {
				t.Fatal(err)
			}
			conns[name] = append(conns[name], c)
		}
	}
	most := during(t, func() {
		for range 20 {
			i.send("good", 1) // it may be the same millisecond
		}
	})
	atMost(t, fmt.Sprintf("held for %d slow senders", each*len(starts)), most, 64<<20)
	for name, list := range conns {
		for _, c := range list {
			// The end of the connection, whatever is answered before.
			if _, err := io.Copy(io.Discard, bufio.NewReader(c)); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	eventually(t, func() error {
		if n := runtime.NumGoroutine() - before.goroutines; n > 20 {
			return fmt.Errorf("%d goroutines are left", n)
		}
		return nil
	})
	i.send("good", 1)
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestHundredMegabytes: bodies of 100 MB, announced or not, eight at once: 413,
// and what is held stays within the limit of all bodies.
func TestHundredMegabytes(t *testing.T) {
	i := launch(t, nil, nil)
	const size = 100 << 20
	most := during(t, func() {
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				length := int64(size)
				if n%2 == 0 {
					length = -1
				}
				// A sender that is told while it sends may see the connection close first.
				code, _, text := i.post(remotewrite.V1, io.LimitReader(zeros{}, size), length)
				if code != http.StatusRequestEntityTooLarge && code != http.StatusTooManyRequests && code != 0 {
					t.Errorf("%d %s", code, text)
				}
			})
		}
		wg.Wait()
	})
	atMost(t, "held for eight bodies of 100 MB", most, twice)
	code, _, text := i.post(remotewrite.V2, http.NoBody, 0)
	if code != http.StatusBadRequest {
		t.Errorf("an empty body: %d %s", code, text)
	}
	i.send("good", 1)
}

// TestSnappyBombs: small bodies that claim, or do, decompress to a lot, and
// messages of which decoding makes more than their bytes. 16 at once of each.
func TestSnappyBombs(t *testing.T) {
	i := launch(t, nil, nil)
	const limit = 32 << 20
	// one is a field with a body that is said to be as long as it is.
	one := func(tag byte, body []byte) []byte {
		return append(binary.AppendUvarint([]byte{tag}, uint64(len(body))), body...)
	}
	many := func(n int, b ...byte) []byte { return bytes.Repeat(b, n) }
	const v1, v2 = remotewrite.V1, remotewrite.V2
	for _, tc := range []struct {
		name  string
		proto remotewrite.Protocol
		raw   []byte // compressed here; nil: as it stands in body
		body  []byte
		most  int64 // bytes held
	}{
		{"10 bytes that claim 4 GiB", v2, nil, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0}, 16 << 20},
		{"5 MB that become 100 MB", v2, make([]byte, 100<<20), nil, twice},
		{"32 MiB of nothing", v2, make([]byte, limit), nil, twice},
		{"16 million symbols", v2, many(limit/2, 0x22, 0), nil, twice},
		{"16 million series", v2, many(limit/2, 0x2a, 0), nil, twice},
		{"16 million series", v1, many(limit/2, 0x0a, 0), nil, twice},
		{"16 million metadata", v1, many(limit/2, 0x1a, 0), nil, twice},
		{"16 million samples", v2, one(0x2a, many(limit/2-8, 0x12, 0)), nil, twice},
		{"126 thousand histograms of no series", v2, one(0x2a, many(126_911, 0x1a, 2, 8, 0)), nil, twice},
		{"400 thousand histograms", v1, one(0x0a, append(one(0x0a, append(one(0x0a, []byte("__name__")), one(0x12, []byte("up"))...)), many(400_000, 0x22, 2, 8, 0)...)), nil, twice},
		{"400 thousand exemplars", v1, one(0x0a, append(one(0x0a, append(one(0x0a, []byte("__name__")), one(0x12, []byte("up"))...)), many(400_000, 0x1a, 2, 0x18, 1)...)), nil, twice},
		{"31 million references", v2, one(0x2a, one(0x0a, make([]byte, 31<<20))), nil, twice},
		{"16 million labels", v2, append([]byte{0x22, 0, 0x22, 1, 'a'}, one(0x2a, append(one(0x0a, many(limit/2-100, 1, 1)), 0x12, 0))...), nil, twice},
		{"16 million labels", v1, one(0x0a, append(many(limit/2-100, 0x0a, 0), 0x12, 0)), nil, twice},
		{"16 million labels of an exemplar", v1, one(0x0a, one(0x1a, many(limit/2-100, 0x0a, 0))), nil, twice},
	} {
		if tc.raw != nil {
			tc.body = snappy.Encode(nil, tc.raw)
		}
		codes := map[int]int{}
		var mu sync.Mutex
		most := during(t, func() {
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					code, _, text := i.postAll(tc.proto, tc.body)
					mu.Lock()
					defer mu.Unlock()
					codes[code]++
					if code/100 != 4 && code/100 != 2 { // some of it is good
						t.Errorf("%s: %d %.200s", tc.name, code, text)
					}
				})
			}
			wg.Wait()
		})
		t.Logf("%s %s: %d bytes, answers %v", tc.proto, tc.name, len(tc.body), codes)
		if codes[http.StatusTooManyRequests] == 16 {
			t.Errorf("%s: nobody was told that it is wrong", tc.name)
		}
		atMost(t, tc.name, most, tc.most)
	}
	if n := i.metric("chiron_receiver_inflight_bytes"); n != 0 {
		t.Errorf("%v bytes are held by nobody", n)
	}
	i.send("good", 1)
}

// explosion is a request of 2000 series that nobody has seen before.
func explosion(round int) []byte {
	var b remotewrite.Batch
	for n := range 2000 {
		b.Series = append(b.Series, remotewrite.BatchSeries{
			Labels:  labels.FromStrings("__name__", "explodes", "id", fmt.Sprintf("%d-%d", round, n), "pod", fmt.Sprintf("pod-with-a-long-name-%d", n), "zone", "a"),
			Samples: []remotewrite.Sample{{T: time.Now().UnixMilli(), V: 1}},
		})
	}
	var enc remotewrite.Encoder
	return remotewrite.Compress(nil, enc.Encode(nil, remotewrite.V2, &b))
}

// TestCardinalityExplosion: 200,000 new series against a ring that holds a
// part of them. What does not fit is answered 429 with Retry-After; the series
// that were there first go on being stored, and what is held stays within the
// ring and a bound for each series.
func TestCardinalityExplosion(t *testing.T) {
	for _, limit := range []int{0, 20_000} { // what fits; a limit
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			i := launch(t, map[string]string{"chiron.yaml": fmt.Sprintf("receiver: { max_series: %d }\n", limit)}, func(o *Options) { o.CacheMemory = 32 << 20 })
			i.send("here_first", 0)
			codes := map[int]int{}
			var retry, text string
			var half int64
			most := during(t, func() {
				for round := range 100 {
					code, header, answer := i.postAll(remotewrite.V2, explosion(round))
					codes[code]++
					if code == http.StatusTooManyRequests {
						retry, text = header.Get("Retry-After"), answer
					} else if code != http.StatusNoContent {
						t.Fatalf("%d %s", code, answer)
					}
					if round%20 == 0 {
						i.send("here_first", float64(round))
					}
					if round == 50 {
						half = holds(t).resident
					}
				}
			})
			atMost(t, "the second half of it, all refused", holds(t).resident-half, 16<<20)
			series := int64(i.metric("chiron_tsdbcache_series"))
			t.Logf("answers %v, %d series held, %.100s", codes, series, text)
			if codes[http.StatusNoContent] == 0 || codes[http.StatusTooManyRequests] == 0 || retry == "" || !strings.Contains(text, "series_limit") {
				t.Errorf("answers %v, Retry-After %q, %q", codes, retry, text)
			}
			if limit > 0 && series > int64(limit) {
				t.Errorf("%d series", series)
			}
			atMost(t, "held beyond the ring", most-32<<20, 32<<20+series*800)
			i.send("here_first", 1000)
			if err := want(i.value("here_first"), "1000"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDataSurvivesHostility: what was stored before is there after all of it,
// and after a restart.
func TestDataSurvivesHostility(t *testing.T) {
	i := launch(t, nil, func(o *Options) { o.CacheMemory = 16 << 20 })
	i.send("kept", 42)
	for round := range 30 {
		i.postAll(remotewrite.V2, explosion(round))
	}
	i.post(remotewrite.V1, io.LimitReader(zeros{}, 40<<20), -1)
	if err := want(i.value("kept"), "42"); err != nil {
		t.Error(err)
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i.start()
	if err := want(i.value("kept"), "42"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(i.o.StoragePath, "ring")); err != nil {
		t.Error(err)
	}
}
