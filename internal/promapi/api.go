package promapi

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/util/httputil"

	"github.com/chironhq/chiron/internal/upstream"
)

type api struct {
	o       Options
	origin  *regexp.Regexp
	metrics *metrics
}

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// New returns the handler to be mounted at /api/v1. A more specific route of
// the outer router, such as the one for /api/v1/write, goes before it; that
// route has to take every method, so that a wrong one is answered 405 there.
func New(o Options) (http.Handler, error) {
	o, origin, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	stock, err := upstream.NewAPI(upstream.APIOptions{
		Engine:          o.Engine,
		Queryable:       o.Store,
		Exemplars:       exemplars{o.Store},
		Parser:          o.Parser,
		Alertmanagers:   o.Alertmanagers,
		ExternalLabels:  o.ExternalLabels,
		CORSOrigin:      origin,
		ReadSampleLimit: o.ReadSampleLimit,
		ReadConcurrency: o.ReadConcurrency,
		ReadFrameBytes:  o.ReadFrameBytes,
		Lookback:        o.Lookback,
		Timeout:         o.Timeout,
		Gatherer:        o.Gatherer,
		Logger:          o.Logger,
		Registerer:      o.Registerer,
	})
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	return (&api{o: o, origin: origin, metrics: m}).router(stock)
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chiron_api_requests_total",
			Help: "Requests to the query API by endpoint and status code; 499: the client went away.",
		}, []string{"endpoint", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "chiron_api_request_duration_seconds",
			Help:    "How long requests to the query API took.",
			Buckets: []float64{.001, .005, .025, .1, .5, 1, 5, 30, 120},
		}, []string{"endpoint"}),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(r.Register(m.requests), r.Register(m.duration))
}

// instrument counts and times what goes through an endpoint.
func (a *api) instrument(path string, next http.Handler) http.Handler {
	duration := a.metrics.duration.WithLabelValues(path)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			code := ww.Status()
			if code == 0 {
				code = http.StatusOK
			}
			took := time.Since(start)
			duration.Observe(took.Seconds())
			a.metrics.requests.WithLabelValues(path, strconv.Itoa(code)).Inc()
			a.o.Logger.Debug("api request", "endpoint", path, "method", r.Method, "code", code, "took", took)
		}()
		next.ServeHTTP(ww, r)
	})
}

// whenReady answers 503 until the server can answer.
func (a *api) whenReady(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.o.Ready() {
			httputil.SetCORS(w, a.origin, r)
			respondError(w, &apiError{http.StatusServiceUnavailable, "unavailable", errors.New("the server is starting")})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// preflight answers OPTIONS on every path, as browsers ask before they call.
func (a *api) preflight(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			httputil.SetCORS(w, a.origin, r)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
