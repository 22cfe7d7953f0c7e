package promapi

import (
	"net/http"
	"slices"
	"testing"
)

// TestEncodings: whatever a client accepts, the answer is the same text, and the
// encoding is the one that the stock handler would choose.
func TestEncodings(t *testing.T) {
	b := newBed(t)
	fill(t, b.store)
	plain := b.get(t, "/query_range", "query", "up", "start", "1767225600", "end", "1767225900", "step", "15")
	for accept, want := range map[string]string{
		"":                       "",
		"identity":               "",
		"br":                     "",
		"gzip":                   "gzip",
		"gzip, deflate, br":      "gzip",
		"br , gzip":              "gzip",
		"deflate, gzip":          "deflate",
		"gzip;q=0":               "", // as stock: no weights
		"deflate":                "deflate",
		"x-gzip":                 "",
		" gzip ":                 "gzip",
		"identity,deflate,*;q=0": "deflate",
	} {
		a := b.do(t, http.MethodGet, "/query_range", form("query", "up", "start", "1767225600", "end", "1767225900", "step", "15"), "Accept-Encoding", accept)
		if got := a.header.Get("Content-Encoding"); got != want || a.code != 200 {
			t.Errorf("accepting %q: %d in %q, want %q", accept, a.code, got, want)
		}
		if want != "deflate" && a.body != plain.body {
			t.Errorf("accepting %q: %.80s", accept, a.body)
		}
		if got := a.header.Values("Vary"); !slices.Contains(got, "Accept-Encoding") {
			t.Errorf("accepting %q: Vary is %q", accept, got)
		}
		refused := b.do(t, http.MethodGet, "/query", form("query", "("), "Accept-Encoding", accept)
		if want != "deflate" {
			refusal(t, refused, 400, "bad_data")
		}
	}
}
