package promapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
)

type alertmanagers []string

func (a alertmanagers) Alertmanagers() (out []*url.URL) {
	for _, s := range a {
		u, err := url.Parse(s)
		if err != nil {
			panic(err)
		}
		out = append(out, u)
	}
	return out
}

func (alertmanagers) DroppedAlertmanagers() []*url.URL { return nil }

// TestRefusals checks status and word of every refusal; the messages are free.
func TestRefusals(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Rules = ruleGroups })
	fill(t, b.store)
	f := func(code int, word, path string, keyValues ...string) {
		t.Helper()
		a := b.get(t, path, keyValues...)
		var e envelope
		if err := json.Unmarshal([]byte(a.body), &e); err != nil {
			t.Fatalf("%s %q: not an envelope: %s", path, keyValues, a.body)
		}
		if a.code != code || e.ErrorType != word || e.Status != "error" || e.Error == "" {
			t.Errorf("%s %q: %d %s; want %d %q", path, keyValues, a.code, a.body, code, word)
		}
	}
	bad := func(path string, keyValues ...string) { t.Helper(); f(400, "bad_data", path, keyValues...) }
	exec := func(query string) {
		t.Helper()
		f(422, "execution", "/query", "query", query, "time", "1767225900")
		f(422, "execution", "/query_range", "query", query, "start", "1767225900", "end", "1767225960", "step", "15")
	}

	// Queries.
	bad("/query")
	bad("/query", "query", "")
	bad("/query", "query", "sum(")
	bad("/query", "query", "nosuchfunction(up)")
	bad("/query", "query", "up offset")
	bad("/query", "query", `{__name__=~".*"}`)
	bad("/query", "query", `{a=""}`)
	bad("/query", "query", `up{a=~"("}`)
	bad("/query", "query", "1 + up[5m]")
	bad("/query", "query", "up", "time", "yesterday")
	bad("/query", "query", "up", "timeout", "soon")
	bad("/query", "query", "up", "timeout", "-1s")
	bad("/query", "query", "up", "timeout", "-1")
	bad("/query", "query", "up", "timeout", "0")
	bad("/query", "query", "up", "timeout", "NaN")
	bad("/query", "query", "up", "lookback_delta", "long")
	bad("/query", "query", "up", "limit", "-1")
	bad("/query", "query", "up", "limit", "many")
	exec(`label_replace(up, "a", "$1", "job", "(")`)
	exec(`label_replace(up, "", "$1", "job", "(.*)")`)
	exec(`up * on (job) up`)
	exec(`up + on (job) group_left http_requests_total + on(job) up`)
	exec(`count_values("", up)`)
	exec(`{__name__=~"latency|http_requests_total"} * 0 + 1 or label_replace(up, "instance", "x", "", "")`)

	// Ranges.
	ok := func(change ...string) []string {
		kv := []string{"query", "up", "start", "1767225600", "end", "1767225700", "step", "15"}
		for i := 0; i < len(change); i += 2 {
			for j := 0; j < len(kv); j += 2 {
				if kv[j] == change[i] {
					kv[j+1] = change[i+1]
				}
			}
		}
		return kv
	}
	for _, name := range []string{"query", "start", "end", "step"} {
		bad("/query_range", ok(name, "")...)
		bad("/query_range", ok(name, "?")...)
	}
	bad("/query_range", ok("end", "1767225599")...)
	bad("/query_range", ok("step", "0")...)
	bad("/query_range", ok("step", "-1")...)
	bad("/query_range", ok("step", "-1m")...)
	bad("/query_range", ok("step", "1e300")...)
	bad("/query_range", ok("step", "0.001")...)
	bad("/query_range", ok("query", "up[5m]")...)
	bad("/query_range", ok("query", `"text"`)...)
	bad("/query_range", append(ok(), "timeout", "-5s")...)
	bad("/query_range", append(ok(), "limit", "-5")...)

	// Parsing.
	bad("/format_query")
	bad("/format_query", "query", "(")
	bad("/parse_query")
	bad("/parse_query", "query", "(")
	bad("/query_exemplars", "query", "(")
	bad("/query_exemplars", "query", "up", "start", "x")
	bad("/query_exemplars", "query", "up", "end", "x")
	bad("/query_exemplars", "query", "up", "start", "2", "end", "1")

	// Labels and series.
	for _, path := range []string{"/labels", "/label/job/values", "/series"} {
		bad(path, "match[]", "(")
		bad(path, "match[]", "1")
		bad(path, "match[]", `{a=~".*"}`)
		bad(path, "match[]", `{a=""}`, "match[]", "up")
		bad(path, "match[]", "up", "start", "x")
		bad(path, "match[]", "up", "end", "x")
		bad(path, "match[]", "up", "limit", "-1")
		bad(path, "match[]", "up", "limit", "x")
	}
	bad("/series")
	bad("/label/%ff/values")

	// Our own.
	bad("/metadata", "limit", "x")
	bad("/metadata", "limit_per_metric", "x")
	bad("/rules", "type", "recording")
	bad("/rules", "exclude_alerts", "perhaps")
	bad("/rules", "match[]", "(")
	bad("/rules", "match[]", `{a=""}`)
	bad("/rules", "group_next_token", "abc")
	bad("/rules", "group_next_token", "abc", "group_limit", "1")
	bad("/rules", "group_limit", "0")
	bad("/rules", "group_limit", "-1")
	bad("/rules", "group_limit", "x")
	bad("/rules", "group_limit", "99999999999")
	bad("/status/tsdb", "limit", "x")
	bad("/status/tsdb", "limit", "0")
	bad("/status/tsdb", "limit", "10001")
	bad("/targets/metadata", "limit", "x")
	bad("/targets/metadata", "match_target", "(")
	bad("/scrape_pools/config")
	bad("/scrape_pools/config", "scrapePool", "x")
	bad("/targets/relabel_steps")
	bad("/status/self_metrics", "metric_name_pattern", "(")

	// A broken escape in a form.
	if a := b.do(t, http.MethodGet, "/metadata", "limit=%zz"); a.code != 400 {
		t.Errorf("broken escape: %d %s", a.code, a.body)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	b := newBed(t)
	f := func(method, path string, code int, allow string) {
		t.Helper()
		a := b.do(t, method, path, "")
		got := a.header.Get("Allow")
		if a.code != code || got != allow {
			t.Errorf("%s %s: %d, Allow %q; want %d, %q", method, path, a.code, got, code, allow)
		}
	}
	f("PUT", "/query", 405, "GET, POST")
	f("DELETE", "/series", 405, "GET, POST")
	f("HEAD", "/labels", 405, "GET, POST")
	f("POST", "/label/job/values", 405, "GET")
	f("POST", "/metadata", 405, "GET")
	f("GET", "/read", 405, "POST")
	f("GET", "/admin/tsdb/snapshot", 405, "POST, PUT")
	f("GET", "/nothing", 404, "")
	f("GET", "/", 404, "")
	f("GET", "", 404, "")
	f("POST", "/write", 404, "") // not of this handler
	f("GET", "/label/values", 404, "")
	f("OPTIONS", "/query", 204, "")
	f("OPTIONS", "/nothing", 204, "")
	f("POST", "/admin/tsdb/snapshot", 500, "") // off
}

func TestCORS(t *testing.T) {
	f := func(origin, pattern, want string) {
		t.Helper()
		b := newBed(t, func(o *Options) { o.CORSOrigin = pattern })
		for _, path := range []string{"/query?query=1", "/metadata", "/rules", "/rules?type=x", "/status/walreplay"} {
			for _, method := range []string{"GET", "OPTIONS"} {
				a := b.do(t, method, path, "", "Origin", origin)
				if got := a.header.Get("Access-Control-Allow-Origin"); got != want {
					t.Errorf("%s %s from %q with %q: allowed %q, want %q", method, path, origin, pattern, got, want)
				}
				if origin != "" && (a.header.Get("Access-Control-Allow-Methods") != "GET, POST, OPTIONS" ||
					a.header.Get("Access-Control-Allow-Headers") != "Accept, Authorization, Content-Type, Origin" ||
					a.header.Get("Access-Control-Expose-Headers") != "Date") {
					t.Errorf("%s %s: %v", method, path, a.header)
				}
			}
		}
	}
	f("", "", "")
	f("http://x", "", "*")
	f("http://x", ".*", "*")
	f("http://x", "http://(x|y)", "http://x")
	f("http://xx", "http://(x|y)", "")

	if _, err := New(Options{Store: newBed(t).store, Engine: newBed(t).engine, CORSOrigin: "("}); err == nil {
		t.Error("a broken pattern is accepted")
	}
}

func TestNotReady(t *testing.T) {
	ready := false
	b := newBed(t, func(o *Options) { o.Ready = func() bool { return ready } })
	for _, path := range []string{"/query?query=1", "/rules", "/status/buildinfo"} {
		a := b.get(t, path)
		var e envelope
		if json.Unmarshal([]byte(a.body), &e) != nil || a.code != 503 || e.ErrorType != "unavailable" {
			t.Errorf("%s: %d %s", path, a.code, a.body)
		}
	}
	if a := b.get(t, "/status/walreplay"); a.code != 200 {
		t.Errorf("walreplay before ready: %d", a.code)
	}
	ready = true
	if a := b.get(t, "/query", "query", "1"); a.code != 200 {
		t.Errorf("when ready: %d %s", a.code, a.body)
	}
}
