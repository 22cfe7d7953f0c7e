package kube

import "net/http"

// once sees to it that every write is sent once. The client sends a request
// again when an answer names a time to come back (Retry-After): the second
// answer, a conflict with what the first request did after all, would read as
// "nothing was written". What a write has come to is asked, never guessed.
type once struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (o once) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(r)
	if err == nil && r.Method != http.MethodGet && r.Method != http.MethodHead {
		resp.Header.Del("Retry-After")
	}
	return resp, err
}
