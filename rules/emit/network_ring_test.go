package emit_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/receiver"
	"github.com/chironhq/chiron/rules/emit"
)

// TestOverTheNetwork sends with Prometheus's own client over TCP to a Chiron
// that is busy at first, then gone so that connections are refused, then back at the
// same address. Its ring ends up equal to ours.
func TestOverTheNetwork(t *testing.T) {
	db := openRing(t)
	answered := make(chan int, 1000)
	serve := func(l net.Listener, drain bool) *httptest.Server {
		h, err := receiver.New(receiver.Options{DB: db, Logger: quiet, Limits: receiver.Limits{RetryAfter: time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		if drain {
			h.Drain()
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := &coded{ResponseWriter: w}
			h.ServeHTTP(c, r)
			answered <- c.code
		}))
		if err := s.Listener.Close(); err != nil {
			t.Fatal(err)
		}
		s.Listener = l
		s.Start()
		return s
	}
	listen := func(addr string) net.Listener {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := listen("127.0.0.1:0")
	addr := l.Addr().String()
	c, err := upstream.NewWriteClient(upstream.WriteClientOptions{Name: "test", URL: "http://" + addr + "/api/v1/write"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	failed := make(chan struct{}, 1000)
	n := newNear(t, nil, emit.ForwarderOptions{
		Client: observed{c, failed}, BatchSamples: 10, FlushInterval: time.Millisecond, MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond,
	})
	wait := func(code int) {
		t.Helper()
		for {
			select {
			case got := <-answered:
				if got == code {
					return
				}
			case <-t.Context().Done():
				t.Fatalf("no answer %d", code)
			}
		}
	}

	s := serve(l, true)
	n.tick(30)
	wait(http.StatusServiceUnavailable)
	s.Close()
	for len(failed) > 0 {
		<-failed
	}
	<-failed // refused at least once while nobody listens
	n.stop()
	n.up()
	n.tick(5)
	s = serve(listen(addr), false)
	defer s.Close()
	for range 4 { // 10 + 10 + 10 + 5 samples
		wait(http.StatusNoContent)
	}
	n.stop()
	if diff := cmp.Diff(dump(t, n.db), dump(t, db)); diff != "" {
		t.Errorf("(-near +far):\n%s", diff)
	}
}

type coded struct {
	http.ResponseWriter
	code int
}

func (c *coded) WriteHeader(code int) { c.code = code; c.ResponseWriter.WriteHeader(code) }

func (c *coded) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// observed tells of every request that failed.
type observed struct {
	emit.Client
	failed chan struct{}
}

func (o observed) Store(ctx context.Context, body []byte, attempt int) error {
	err := o.Client.Store(ctx, body, attempt)
	if err != nil {
		o.failed <- struct{}{}
	}
	return err
}
