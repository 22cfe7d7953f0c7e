package receiver

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// Options configure a Handler. DB is needed.
type Options struct {
	// DB takes the samples.
	DB *tsdbcache.DB
	// Limits bound a request; zero fields take defaults.
	Limits Limits
	// HA deduplicates HA pairs. nil: every request is stored.
	HA *HAOptions
	// Now is the clock of HA pairs and of the duration metric. nil: time.Now.
	Now func() time.Time
	// Logger receives what an operator can act on. nil: slog.Default.
	Logger *slog.Logger
	// Registerer receives the metrics. nil: they are registered nowhere.
	Registerer prometheus.Registerer
}

// Handler serves remote write requests of both versions.
type Handler struct {
	db         *tsdbcache.DB
	limits     Limits
	retryAfter []string
	now        func() time.Time
	log        *slog.Logger
	metrics    *metrics
	ha         *haPairs // nil: off

	slots    chan struct{} // one token a request being decoded and stored
	inflight atomic.Int64  // bytes of the buffers of all requests
	draining atomic.Bool
	pool     sync.Pool // of *request, their buffers grown to the senders' sizes
}

// New makes a Handler.
func New(o Options) (*Handler, error) {
	if o.DB == nil {
		return nil, errors.New("cannot make a receiver without a ring")
	}
	limits, err := o.Limits.withDefaults()
	if err != nil {
		return nil, err
	}
	h := &Handler{db: o.DB, limits: limits, now: o.Now, log: o.Logger, slots: make(chan struct{}, limits.Concurrency)}
	if h.now == nil {
		h.now = time.Now
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	h.retryAfter = []string{strconv.Itoa(max(1, int(limits.RetryAfter/time.Second)))}
	if h.metrics, err = newMetrics(o.Registerer, &h.inflight); err != nil {
		return nil, err
	}
	if h.ha, err = newHAPairs(o.HA, limits, o.Registerer); err != nil {
		return nil, err
	}
	h.pool.New = func() any { return newRequest(h) }
	return h, nil
}

// Drain makes every later request answer 503, so that senders keep their data
// for the next process. Requests under way are finished; waiting for them is
// the HTTP server's part.
func (h *Handler) Drain() { h.draining.Store(true) }

// ServeHTTP answers one remote write request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	start := h.now()
	h.metrics.inflight.Inc()
	r := h.pool.Get().(*request) //nolint:forcetypeassert // the pool holds nothing else
	r.reset(w, req)
	code := r.serve()
	h.inflight.Add(-r.held)
	h.metrics.requests[r.proto][codeIndex(code)].Inc()
	h.metrics.duration[r.proto].Observe(h.now().Sub(start).Seconds())
	r.release()
	h.pool.Put(r)
	h.metrics.inflight.Dec()
}

// serve runs the checks in their order and answers with the returned code.
func (r *request) serve() int {
	h, req := r.h, r.req
	if req.Method != http.MethodPost {
		r.w.Header().Set("Allow", http.MethodPost)
		return r.fail(http.StatusMethodNotAllowed, "method %.20q is not POST", req.Method)
	}
	proto, err := remotewrite.Negotiate(req.Header.Get("Content-Type"))
	if err != nil {
		return r.fail(http.StatusUnsupportedMediaType, "%v", err)
	}
	r.proto = proto
	if err := remotewrite.CheckEncoding(req.Header.Get("Content-Encoding")); err != nil {
		return r.fail(http.StatusUnsupportedMediaType, "%v", err)
	}
	if req.Header.Get("Retry-Attempt") != "" {
		h.metrics.retries.Inc()
	}
	if h.draining.Load() {
		return r.later(http.StatusServiceUnavailable, "shutting down")
	}
	if !r.hold(int64(cap(r.body) + cap(r.raw))) { // what earlier requests left
		return r.overloaded()
	}
	if code := r.readBody(); code != 0 {
		return code
	}
	// Only now: a slow sender takes nobody's turn.
	if !r.acquire() {
		return r.later(http.StatusTooManyRequests, "more than %d requests at once", h.limits.Concurrency)
	}
	defer func() { <-h.slots }()
	if !r.holdDecoded() {
		return r.overloaded()
	}
	if r.raw, err = remotewrite.Decompress(r.raw, r.body, h.limits.DecompressedBytes); err != nil {
		return r.fail(http.StatusBadRequest, "%v", err)
	}
	return r.store()
}

// acquire takes a slot, waiting for one as long as the limits allow.
func (r *request) acquire() bool {
	select {
	case r.h.slots <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(r.h.limits.QueueWait)
	defer timer.Stop()
	select {
	case r.h.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-r.req.Context().Done():
	}
	return false
}
