package receiver

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// keepBytes is how large each buffer of an idle request may stay.
const keepBytes = 1 << 20

// request is the state of one request and the buffers that the next one
// reuses. It belongs to one goroutine from Get to Put.
type request struct {
	h     *Handler
	w     http.ResponseWriter
	req   *http.Request
	proto remotewrite.Protocol

	body, raw []byte // compressed, decompressed
	held      int64  // bytes of Handler.inflight
	dec       remotewrite.Decoder
	tx        *tsdbcache.Tx

	series, exLabels remotewrite.LabelSet
	ex               remotewrite.Exemplar
	exemplars        []exemplar.Exemplar
	key              []byte              // KeyV2 of the current series
	last             []remotewrite.Label // labels of the series created last, and their symbols
	refs, spare      []uint32
	lasting          []uint32 // 2.0: the request's symbol number -> the ring's, 0 not asked yet
	seen             metadataSeen
	items            int // samples, histograms, exemplars so far
	refused          refusals

	n       int             // number of the current series in the request
	created []createdSeries // series that this request made known
	cluster []byte          // HA cluster of a request that is dropped

	written [3]headerNumber
}

// createdSeries says which series of the request got a reference.
type createdSeries struct {
	ref storage.SeriesRef
	n   int
}

func newRequest(h *Handler) *request {
	r := &request{h: h}
	r.dec.MaxLabels = h.limits.Labels
	r.dec.MaxSymbols = max(minSymbols, symbolsPerSample*h.limits.Samples)
	return r
}

// A request may have so many symbols: four for each sample that it may have,
// which no sender comes near.
const (
	symbolsPerSample = 4
	minSymbols       = 10_000
)

func (r *request) reset(w http.ResponseWriter, req *http.Request) {
	r.w, r.req, r.proto = w, req, remotewrite.Unknown
	r.items, r.held, r.created = 0, 0, r.created[:0]
	r.refused.reset()
}

func (r *request) release() {
	r.w, r.req, r.tx = nil, nil, nil
	r.dec.Release(keepBytes)
	clear(r.last[:cap(r.last)]) // they are in raw
	r.last = r.last[:0]
	clear(r.exemplars[:cap(r.exemplars)])
	r.exemplars = r.exemplars[:0]
	if cap(r.body) > keepBytes {
		r.body = nil
	}
	if cap(r.raw) > keepBytes {
		r.raw = nil
	}
	if cap(r.created)*16 > keepBytes {
		r.created = nil
	}
	if cap(r.lasting)*4 > keepBytes {
		r.lasting = nil
	}
}

// headerNumber is a count as a header value. Values are never changed once
// handed out, so that a response writer may keep them.
type headerNumber struct {
	n     int
	value []string
}

func (c *headerNumber) set(h http.Header, name string, n int) {
	if c.value == nil || c.n != n {
		c.n, c.value = n, []string{strconv.Itoa(n)}
	}
	h[name] = c.value
}

// counts puts the three headers of a 2.0 answer.
func (r *request) counts(samples, histograms, exemplars int) {
	if r.proto != remotewrite.V2 {
		return
	}
	h := r.w.Header()
	r.written[0].set(h, remotewrite.SamplesWrittenHeader, samples)
	r.written[1].set(h, remotewrite.HistogramsWrittenHeader, histograms)
	r.written[2].set(h, remotewrite.ExemplarsWrittenHeader, exemplars)
}

// fail answers with nothing stored.
func (r *request) fail(code int, format string, args ...any) int {
	r.counts(0, 0, 0)
	return r.answer(code, fmt.Sprintf(format, args...))
}

// later answers with nothing stored and asks for the same again.
func (r *request) later(code int, format string, args ...any) int {
	r.w.Header()["Retry-After"] = r.h.retryAfter
	return r.fail(code, format, args...)
}

// hold raises what the request holds of the limit of all to n bytes, or says
// that others hold too much.
func (r *request) hold(n int64) bool {
	if n <= r.held {
		return true
	}
	if r.h.inflight.Add(n-r.held) > r.h.limits.InflightBytes {
		r.h.inflight.Add(r.held - n)
		return false
	}
	r.held = n
	return true
}

func (r *request) overloaded() int {
	return r.later(http.StatusTooManyRequests, "requests under way hold all of %d bytes", r.h.limits.InflightBytes)
}

func (r *request) answer(code int, text string) int {
	h := r.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	r.w.WriteHeader(code)
	_, _ = fmt.Fprintln(r.w, text) // the sender may be gone
	return code
}
