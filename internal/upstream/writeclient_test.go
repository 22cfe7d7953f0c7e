package upstream

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chironhq/chiron/rules/emit"
)

func newClient(t *testing.T, o WriteClientOptions) *WriteClient {
	t.Helper()
	c, err := NewWriteClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestWriteRequests(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("t0ken"), 0o600); err != nil {
		t.Fatal(err)
	}
	type request struct{ body, typ, encoding, version, agent, auth, extra, retry string }
	var got request
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h := r.Header
		got = request{string(body), h.Get("Content-Type"), h.Get("Content-Encoding"), h.Get("X-Prometheus-Remote-Write-Version"),
			h.Get("User-Agent"), h.Get("Authorization"), h.Get("X-Scope-Orgid"), h.Get("Retry-Attempt")}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer far.Close()
	f := func(o WriteClientOptions, attempt int, want request) {
		t.Helper()
		o.URL, o.Dir = far.URL, dir
		if err := newClient(t, o).Store(t.Context(), []byte("body"), attempt); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%+v:\n got %+v\nwant %+v", o, got, want)
		}
	}
	const v1, v2 = "application/x-protobuf", "application/x-protobuf;proto=io.prometheus.write.v2.Request"
	f(WriteClientOptions{}, 0, request{"body", v2, "snappy", "2.0.0", "Chiron", "", "", ""})
	f(WriteClientOptions{Protocol: "2.0", UserAgent: "Chiron/9"}, 3, request{"body", v2, "snappy", "2.0.0", "Chiron/9", "", "", "3"})
	f(WriteClientOptions{Protocol: "1.0", YAML: []byte("headers: { X-Scope-OrgID: me }\nauthorization: { credentials_file: token }")}, 0,
		request{"body", v1, "snappy", "0.1.0", "Chiron", "Bearer t0ken", "me", ""})
	f(WriteClientOptions{YAML: []byte("basic_auth: { username: a, password: b }")}, 0,
		request{"body", v2, "snappy", "2.0.0", "Chiron", "Basic YTpi", "", ""})
}

// TestWriteErrors: what each answer means for the sender.
func TestWriteErrors(t *testing.T) {
	var code int
	var retry string
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if retry != "" {
			w.Header().Set("Retry-After", retry)
		}
		http.Error(w, "because", code)
	}))
	defer far.Close()
	c := newClient(t, WriteClientOptions{URL: far.URL})

	type verdict struct {
		Recoverable, Unsupported bool
		RetryAfter               time.Duration
	}
	judge := func(err error) (v verdict) {
		if r, ok := errors.AsType[*emit.RecoverableError](err); ok {
			v.Recoverable, v.RetryAfter = true, r.RetryAfter
		}
		v.Unsupported = errors.Is(err, emit.ErrUnsupported)
		return v
	}
	f := func(status int, header string, want verdict) {
		t.Helper()
		code, retry = status, header
		err := c.Store(t.Context(), nil, 0)
		if diff := cmp.Diff(want, judge(err)); err == nil || diff != "" || !strings.Contains(err.Error(), "because") {
			t.Errorf("%d: %v (-want +got):\n%s", status, err, diff)
		}
	}
	f(400, "", verdict{})
	f(404, "5", verdict{})
	f(415, "", verdict{Unsupported: true})
	f(429, "", verdict{Recoverable: true})
	f(429, "7", verdict{Recoverable: true, RetryAfter: 7 * time.Second})
	f(500, "", verdict{Recoverable: true})
	f(503, "120", verdict{Recoverable: true, RetryAfter: 2 * time.Minute})
	f(503, "-3", verdict{Recoverable: true})
	f(503, "soon", verdict{Recoverable: true})

	far.Close()
	if got := judge(c.Store(t.Context(), nil, 0)); !got.Recoverable {
		t.Error("nobody listens: not recoverable")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := func(header string, want time.Duration) {
		t.Helper()
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
	f("", 0)
	f("0", 0)
	f("30", 30*time.Second)
	f("-30", 0)
	f("99999999999999999999", 0)
	f("Thu, 01 Jan 2026 00:01:00 GMT", time.Minute)
	f("Wed, 31 Dec 2025 00:00:00 GMT", 0)
	f("1.5", 0)
}

func TestWriteClientRefused(t *testing.T) {
	f := func(o WriteClientOptions, want string) {
		t.Helper()
		if _, err := NewWriteClient(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", o, err, want)
		}
	}
	const url = "http://far/api/v1/write"
	f(WriteClientOptions{}, "not a full address")
	f(WriteClientOptions{URL: "/api/v1/write"}, "not a full address")
	f(WriteClientOptions{URL: url, Protocol: "3"}, "2.0 and 1.0")
	f(WriteClientOptions{URL: url, YAML: []byte("basic_oauth: {}")}, "basic_oauth")
	f(WriteClientOptions{URL: url, YAML: []byte("{basic_auth: {username: a, password: b}, authorization: {credentials: c}}")}, "at most one")
	f(WriteClientOptions{URL: url, YAML: []byte("tls_config: {ca_file: missing}")}, "missing")
}
