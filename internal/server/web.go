package server

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
)

// routes are the handlers that the process serves.
type routes struct {
	write       http.Handler     // POST /api/v1/write
	api         http.Handler     // /api/v1
	webhook     http.Handler     // POST /api/v1/alertmanager/webhook; nil without remediation
	remediation func(chi.Router) // below /api/v1/remediation; nil without remediation
	reload      func() error     // POST /-/reload
	ready       func() bool      // GET /-/ready
	registry    *prometheus.Registry
	tokens      *tokens     // nil: no client needs a bearer token
	webhookAsks bool        // the webhook asks for a token of its own
	guarded     func() bool // every request is authenticated, or only this machine can connect
}

const (
	writePath   = "/api/v1/write"
	webhookPath = "/api/v1/alertmanager/webhook"
)

func (r routes) handler() (http.Handler, error) {
	requests := promauto.With(r.registry).NewCounterVec(prometheus.CounterOpts{
		Name: "chiron_http_requests_total", Help: "HTTP requests answered, by route and status.",
	}, []string{"route", "code"})

	mux := chi.NewRouter()
	if r.webhookAsks && r.tokens != nil {
		r.tokens.own = webhookPath
	}
	mux.Use(count(requests), r.tokens.guard)
	mux.Handle(writePath, r.write)
	landing, err := web.NewLandingPage(web.LandingConfig{
		Name: "Chiron", Description: "Remote write in, anomalies scored as they arrive, Kubernetes healed with care.",
		Version: version.Info(), Profiling: "false",
		Links: []web.LandingLinks{
			{Address: "api/v1/query?query=anomaly_score%20%3E%201", Text: "What is anomalous now", Description: "anomaly_score > 1"},
			{Address: "api/v1/rules", Text: "Rules"},
			{Address: "api/v1/alerts", Text: "Alerts"},
			{Address: "api/v1/remediation/runs", Text: "Remediation runs"},
			{Address: "api/v1/status/tsdb", Text: "Series in the ring"},
			{Address: "metrics", Text: "Metrics"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make the start page: %w", err)
	}
	mux.Get("/", landing.ServeHTTP)
	mux.Get("/metrics", promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: r.registry}).ServeHTTP)
	mux.Get("/graph", graph)

	mux.Get("/-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Chiron is healthy.") })
	mux.Head("/-/healthy", func(http.ResponseWriter, *http.Request) {})
	ready := func(w http.ResponseWriter, _ *http.Request) {
		if !r.ready() {
			http.Error(w, "Chiron is not ready: starting or stopping.", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "Chiron is ready.")
	}
	mux.Get("/-/ready", ready)
	mux.Head("/-/ready", ready)
	mux.Post("/-/reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := r.reload(); err != nil {
			http.Error(w, "not reloaded, the previous configuration stays: "+err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "reloaded")
	})

	if r.webhook != nil {
		webhook := r.webhook
		if !r.webhookAsks {
			webhook = r.onlyGuarded("the webhook", webhook)
		}
		mux.Handle(webhookPath, webhook)
		mux.Route("/api/v1/remediation", r.remediation)
	}
	mux.Mount("/api/v1", r.api)
	mux.Mount("/debug/pprof", r.onlyGuarded("profiles", profiles()))
	return mux, nil
}

// onlyGuarded serves only while those who may use it alone can ask: the web
// configuration is read at every request, so users can be taken out of it.
func (r routes) onlyGuarded(what string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !r.guarded() {
			http.Error(w, "authentication is needed for "+what+": give bearer tokens in the web section, or --web.config.file with basic_auth_users or client certificates, or listen on a loopback address only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// profiles serves pprof.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// graph answers the links that alerts carry as their source: Prometheus's
// graph page, here the answer of the query API.
func graph(w http.ResponseWriter, req *http.Request) {
	http.Redirect(w, req, "api/v1/query?query="+url.QueryEscape(req.URL.Query().Get("g0.expr")), http.StatusFound)
}

// count counts requests by the pattern that matched, so that the number of
// series does not depend on what clients ask.
func count(requests *prometheus.CounterVec) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			rec := &recorder{ResponseWriter: w, code: http.StatusOK}
			next.ServeHTTP(rec, req)
			route := chi.RouteContext(req.Context()).RoutePattern()
			if route == "" {
				route = "none"
			}
			requests.WithLabelValues(route, strconv.Itoa(rec.code)).Inc()
		})
	}
}

type recorder struct {
	http.ResponseWriter
	code int
}

func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach deadlines and flushing.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush passes streaming answers on.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// loopback reports whether only this machine can connect to a.
func loopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
