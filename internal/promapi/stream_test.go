package promapi

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/internal/upstream"
)

// TestStreamedAnswers: answers that are written in pieces are, byte for byte,
// those of an engine without the short way, which are written at once.
func TestStreamedAnswers(t *testing.T) {
	short := newEngine(t, upstream.EngineOptions{})
	b := newBed(t, func(o *Options) { o.Engine = short })
	at := newBed(t, func(o *Options) { o.Store, o.Engine = b.store, short.Engine })
	fill(t, b.store)
	for i := range 40 { // together more than one piece, with values of all lengths
		app := b.store.AppenderV2(context.Background())
		for k := range int64(200) {
			v := float64(k) * math.Pow(10, float64(i-20)) / 3
			if _, err := app.Append(0, labels.FromStrings("__name__", "many", "i", strconv.Itoa(i), "result", `"result":[]`), 0, (base+k)*1000, v, nil, nil, storage.AppendV2Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{"many", "rate(many[10s])", "sum(many)", "many or up", "none", "latency", "a.b", `{"a.b"}`, "up[1m]", "(", "1", "-many"} {
		for _, limit := range []string{"", "0", "1", "39", "x"} {
			f := form("query", query, "start", "1767225600", "end", "1767225800", "step", "1", "limit", limit, "stats", "")
			for _, accept := range []string{"", "gzip", "deflate"} {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					got, want := b.do(t, method, "/query_range", f, "Accept-Encoding", accept), at.do(t, method, "/query_range", f, "Accept-Encoding", accept)
					if got.code != want.code || got.body != want.body {
						t.Errorf("%s, limit %q, accepting %q: %d %.200s\nwant %d %.200s", query, limit, accept, got.code, got.body, want.code, want.body)
					}
				}
			}
		}
	}
}
