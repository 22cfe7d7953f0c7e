package promapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/chironhq/chiron/internal/upstream"
)

// endpoint is one line of the table: a path under /api/v1 and either the
// pattern of a stock handler or one of ours.
type endpoint struct {
	methods string // comma separated, as the Allow header has them
	path    string
	stock   string
	own     http.Handler
}

const (
	get     = "GET"
	post    = "POST"
	getPost = "GET, POST"
	postPut = "POST, PUT"
)

// endpoints is everything that is served.
func (a *api) endpoints() []endpoint {
	return []endpoint{
		{getPost, "/query", "/query", nil},
		{getPost, "/query_range", "/query_range", nil},
		{getPost, "/query_exemplars", "/query_exemplars", nil},
		{getPost, "/format_query", "/format_query", nil},
		{getPost, "/parse_query", "/parse_query", nil},

		{getPost, "/labels", "/labels", nil},
		{get, "/label/{name}/values", "/label/:name/values", nil},
		{getPost, "/series", "/series", nil},
		{get, "/metadata", "", a.own(a.metadata)},

		{get, "/rules", "", a.own(a.rules)},
		{get, "/alerts", "", a.own(a.alerts)},
		{get, "/alertmanagers", "/alertmanagers", nil},

		{get, "/targets", "/targets", nil},
		{get, "/targets/metadata", "/targets/metadata", nil},
		{get, "/targets/relabel_steps", "/targets/relabel_steps", nil},
		{get, "/scrape_pools", "/scrape_pools", nil},
		{get, "/scrape_pools/config", "/scrape_pools/config", nil},

		{get, "/status/buildinfo", "", a.own(a.buildInfo)},
		{get, "/status/runtimeinfo", "", a.own(a.runtimeInfo)},
		{get, "/status/config", "", a.own(a.config)},
		{get, "/status/flags", "", a.own(a.flags)},
		{get, "/status/tsdb", "", a.own(a.tsdb)},
		{get, "/status/tsdb/blocks", "/status/tsdb/blocks", nil},
		{get, "/status/walreplay", "/status/walreplay", nil},
		{get, "/status/self_metrics", "/status/self_metrics", nil},
		{get, "/notifications", "/notifications", nil},
		{get, "/notifications/live", "/notifications/live", nil},

		{post, "/read", "/read", nil},

		// Off: answered with an error that says so.
		{postPut, "/admin/tsdb/delete_series", "/admin/tsdb/delete_series", nil},
		{postPut, "/admin/tsdb/clean_tombstones", "/admin/tsdb/clean_tombstones", nil},
		{postPut, "/admin/tsdb/snapshot", "/admin/tsdb/snapshot", nil},
	}
}

// servedBeforeReady is the one endpoint that tells how the start goes on.
const servedBeforeReady = "/status/walreplay"

// router builds the tree of all endpoints. A known path with another method
// is answered 405 with Allow, which clients need to fall back from POST to GET;
// an unknown one with a plain 404.
func (a *api) router(stock *upstream.API) (http.Handler, error) {
	r := chi.NewRouter()
	for _, e := range a.endpoints() {
		h := e.own
		if h == nil {
			var err error
			if h, err = stock.Handler(e.stock); err != nil {
				return nil, err
			}
			if strings.Contains(e.path, "{name}") {
				h = withName(h)
			}
			if e.path == "/query" || e.path == "/query_range" {
				h = compress(h)
			}
		}
		if e.path != servedBeforeReady {
			h = a.whenReady(h)
		}
		h = a.instrument(e.path, h)
		r.Handle(e.path, onlyMethods(e.methods, h))
	}
	r.NotFound(http.NotFound)
	return a.preflight(r), nil
}

// onlyMethods answers 405 for methods that are not in the list.
func onlyMethods(methods string, next http.Handler) http.Handler {
	allowed := strings.Split(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(allowed, r.Method) {
			w.Header().Set("Allow", methods)
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withName hands the path parameter over to a stock handler. The tree matches
// the escaped path when there is one, so that a label name may hold any byte,
// "/" included.
func withName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := chi.URLParam(r, "name")
		if r.URL.RawPath != "" {
			unescaped, err := url.PathUnescape(name)
			if err != nil {
				respondError(w, badData(fmt.Errorf("invalid label name %q: %w", name, err)))
				return
			}
			name = unescaped
		}
		next.ServeHTTP(w, upstream.WithParam(r, "name", name))
	})
}
