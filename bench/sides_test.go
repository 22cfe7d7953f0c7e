package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/chironhq/chiron/receiver"
	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// side is a receiver with its store: ours, or the peer.
type side struct {
	name string
	open func(b *testing.B) (http.Handler, func())
}

var sides = []side{
	{"chiron", func(b *testing.B) (http.Handler, func()) {
		db, err := tsdbcache.Open(tsdbcache.Options{Dir: b.TempDir(), Memory: 512 << 20, MaxFuture: -1, Logger: quiet})
		if err != nil {
			b.Fatal(err)
		}
		h, err := receiver.New(receiver.Options{DB: db, Logger: quiet})
		if err != nil {
			b.Fatal(err)
		}
		return h, func() {
			if err := db.Close(); err != nil {
				b.Error(err)
			}
		}
	}},
	{"prometheus", func(b *testing.B) (http.Handler, func()) {
		o := tsdb.DefaultOptions() // write-ahead log on, as the server has it
		db, err := tsdb.Open(b.TempDir(), quiet, nil, o, nil)
		if err != nil {
			b.Fatal(err)
		}
		msgs := remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}
		return remote.NewWriteHandler(quiet, prometheus.NewRegistry(), db, msgs, false, false), func() {
			if err := db.Close(); err != nil {
				b.Error(err)
			}
		}
	}},
}

// sender posts bodies to a handler in the same goroutine, with a response
// writer that is reused.
type sender struct {
	h    http.Handler
	req  *http.Request
	body bytes.Reader
	w    writer
}

func newSender(h http.Handler, p remotewrite.Protocol) *sender {
	s := &sender{h: h, w: writer{h: http.Header{}}}
	s.req = httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/api/v1/write", nil)
	setHeaders(s.req, p)
	return s
}

func setHeaders(req *http.Request, p remotewrite.Protocol) {
	req.Header.Set("Content-Type", p.ContentType())
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set(remotewrite.VersionHeader, p.Version())
}

// send posts one body. The stock handler replaces the body of the request it
// was given, so it is set anew each time.
func (s *sender) send(b *testing.B, body []byte) {
	s.body.Reset(body)
	s.req.Body, s.req.ContentLength = io.NopCloser(&s.body), int64(len(body))
	s.w.code = http.StatusOK
	s.w.text.Reset()
	s.h.ServeHTTP(&s.w, s.req)
	if s.w.code/100 != 2 {
		b.Fatalf("answer %d: %s", s.w.code, s.w.text.String())
	}
}

type writer struct {
	h    http.Header
	code int
	text bytes.Buffer
}

func (w *writer) Header() http.Header         { return w.h }
func (w *writer) Write(p []byte) (int, error) { return w.text.Write(p) }
func (w *writer) WriteHeader(code int)        { w.code = code }

// post sends one body over the network.
func post(b *testing.B, c *http.Client, url string, p remotewrite.Protocol, body []byte) {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	setHeaders(req, p)
	resp, err := c.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		b.Fatal(err)
	}
	if resp.StatusCode/100 != 2 {
		b.Fatal(fmt.Sprint(resp.StatusCode, " ", string(text)))
	}
}
