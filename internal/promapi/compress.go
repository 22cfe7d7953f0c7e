package promapi

import (
	"net/http"
	"strings"
	"sync"
)

var gzippers = sync.Pool{New: func() any { return new(gzipper) }}

// compress answers in gzip where the stock handler would, with a compressor made
// for the answers of queries. Other encodings stay the stock handler's.
func compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !wantsGzip(r.Header.Get("Accept-Encoding")) {
			next.ServeHTTP(w, r)
			return
		}
		r = r.Clone(r.Context())
		r.Header.Del("Accept-Encoding")
		w.Header().Set("Content-Encoding", "gzip")
		g := gzippers.Get().(*gzipper)
		g.reset(w)
		next.ServeHTTP(&gzipResponse{w, g}, r)
		_ = g.Close() // the client has gone: nobody is left to tell
		g.reset(nil)
		gzippers.Put(g)
	})
}

// wantsGzip reads Accept-Encoding as the stock handler does: the first encoding
// that is known is taken.
func wantsGzip(accept string) bool {
	for encoding := range strings.SplitSeq(accept, ",") {
		switch strings.TrimSpace(encoding) {
		case "gzip":
			return true
		case "deflate":
			return false
		}
	}
	return false
}

type gzipResponse struct {
	http.ResponseWriter
	g *gzipper
}

func (w *gzipResponse) Write(p []byte) (int, error) { return w.g.Write(p) }

func (w *gzipResponse) WriteHeader(code int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(code)
}
