package kube

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/chironhq/chiron/remediation/action"
)

// TestWritesAreSentOnce: an answer that asks to come again later does not make
// the client send a write again. The second answer, a conflict with what the
// first request did, would read as "nothing was written".
func TestWritesAreSentOnce(t *testing.T) {
	for _, code := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		var sent atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if sent.Add(1) > 1 {
				code = http.StatusConflict
			}
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(code)
		}))
		c, err := fromConfig(&rest.Config{Host: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range []action.Op{
			{Verb: action.Evict, Object: action.Object{Kind: "Pod", Namespace: "shop", Name: "a", UID: "u", ResourceVersion: "1"}},
			{Verb: action.Patch, Object: action.Object{Kind: "Deployment", Namespace: "shop", Name: "a", UID: "u", ResourceVersion: "1"}, Patch: []byte(`{}`)},
			{Verb: action.Patch, Object: action.Object{Kind: "HorizontalPodAutoscaler", Namespace: "shop", Name: "a", UID: "u", ResourceVersion: "1"}, Patch: []byte(`{}`)},
		} {
			first := code
			sent.Store(0)
			err := c.Write(t.Context(), op)
			if n := sent.Load(); n != 1 {
				t.Errorf("%d: %s of %s was sent %d times", first, op.Verb, op.Object, n)
			}
			if known := errors.Is(err, action.ErrRefused); err == nil || errors.Is(err, action.ErrChanged) || known != (first < 500) {
				t.Errorf("%d: %s of %s: %v", first, op.Verb, op.Object, err)
			}
			code = first
		}
		server.Close()
	}
}
