package server

import (
	"net/http"
	"testing"
	"time"
)

// TestLongAnswersOutliveTheBodyTimeout: the deadline is for what a client
// sends. A request that takes longer to answer goes on, with a body or without:
// a trace ends early when its client seems to have gone.
func TestLongAnswersOutliveTheBodyTimeout(t *testing.T) {
	i := launch(t, map[string]string{"chiron.yaml": "web: { body_timeout: 100ms }\n"}, nil)
	for _, tc := range []struct{ method, path, body string }{
		{http.MethodGet, "/debug/pprof/trace?seconds=0.6", ""},
		{http.MethodPost, "/debug/pprof/trace", "seconds=0.6"},
	} {
		began := time.Now()
		code, _ := do(t, tc.method, i.url+tc.path, tc.body, map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
		if took := time.Since(began); code != http.StatusOK || took < 600*time.Millisecond {
			t.Errorf("%s %s: %d after %v", tc.method, tc.path, code, took)
		}
	}
}
