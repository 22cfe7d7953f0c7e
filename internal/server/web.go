package server

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
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
	guarded     bool // every request is authenticated, or only this machine can connect
}

func (r routes) handler() (http.Handler, error) {
	requests := promauto.With(r.registry).NewCounterVec(prometheus.CounterOpts{
		Name: "chiron_http_requests_total", Help: "HTTP requests answered, by route and status.",
	}, []string{"route", "code"})

	mux := chi.NewRouter()
	mux.Use(count(requests))
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

	mux.Handle("/api/v1/write", r.write)
	if r.webhook != nil {
		mux.Handle("/api/v1/alertmanager/webhook", r.webhook)
		mux.Route("/api/v1/remediation", r.remediation)
	}
	mux.Mount("/api/v1", r.api)
	mux.Mount("/debug/pprof", r.profiles())
	return mux, nil
}

// profiles serves pprof where only those who may see it can ask.
func (r routes) profiles() http.Handler {
	if !r.guarded {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "profiles need authentication: give --web.config.file with basic_auth_users or client certificates, or listen on a loopback address only", http.StatusForbidden)
		})
	}
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

// authenticates reports whether the web configuration asks every client who it
// is: by password, or by a certificate that is verified.
func authenticates(webConfig string) (bool, error) {
	if webConfig == "" {
		return false, nil
	}
	text, err := os.ReadFile(webConfig)
	if err != nil {
		return false, fmt.Errorf("cannot read --web.config.file: %w", err)
	}
	var c struct {
		TLS struct {
			ClientAuth string `yaml:"client_auth_type"`
		} `yaml:"tls_server_config"`
		Users map[string]string `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return false, fmt.Errorf("cannot read --web.config.file: %w", err)
	}
	return len(c.Users) > 0 || c.TLS.ClientAuth == "RequireAndVerifyClientCert", nil
}
