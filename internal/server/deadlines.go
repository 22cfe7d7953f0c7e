package server

import (
	"io"
	"net/http"
	"time"
)

// What a client may take where the configuration says nothing. Remote write has
// its own limit for bodies.
const (
	headerTimeout  = 10 * time.Second
	bodyTimeout    = 30 * time.Second // from the first byte of the request
	idleTimeout    = 5 * time.Minute
	maxHeaderBytes = 64 << 10
)

// afterBody takes the read deadline away once the body is there: it is for slow
// senders, and the server would take it for a client that has gone while a
// long query runs.
func afterBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		patient := func() { _ = http.NewResponseController(w).SetReadDeadline(time.Time{}) }
		if req.Body == nil || req.Body == http.NoBody {
			patient()
		} else {
			req.Body = &timedBody{ReadCloser: req.Body, ended: patient}
		}
		next.ServeHTTP(w, req)
	})
}

type timedBody struct {
	io.ReadCloser
	ended func()
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended()
	}
	return n, err
}
