package promapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestGrafanaDataSource plays what Grafana's Prometheus data source sends, in
// its order and spelling, over a real connection: the health check, the label
// browser, a panel, its exemplars, the rule and alert lists.
func TestGrafanaDataSource(t *testing.T) {
	b := newBed(t, func(o *Options) {
		o.Rules = ruleGroups
		o.Build = BuildInfo{Version: "1.2.3"}
	})
	fill(t, b.store)
	server := b.serve(t)

	call := func(method, path, form string) (data any) {
		t.Helper()
		target, body := server.URL+"/api/v1"+path, ""
		if method == http.MethodPost {
			body = form
		} else {
			target += "?" + form
		}
		req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("X-Grafana-Org-Id", "1")
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var e envelope
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || resp.StatusCode != http.StatusOK || e.Status != "success" {
			t.Fatalf("%s %s %s: %s %+v %v", method, path, form, resp.Status, e, err)
		}
		return e.Data
	}
	text := func(data any) string {
		out, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	const window = "start=1767225600&end=1767226200"

	// Save & test.
	health := call("POST", "/query", "query=1%2B1&time=4")
	if got := text(health); got != `{"result":[4,"2"],"resultType":"scalar"}` {
		t.Errorf("health: %s", got)
	}
	build := call("GET", "/status/buildinfo", "").(map[string]any)
	if _, ok := build["features"]; ok || build["version"] != "1.2.3" {
		t.Errorf("buildinfo: %v; features would make us another product", build)
	}

	// Builder and metric browser.
	names := call("GET", "/label/__name__/values", window+"&limit=40000")
	if got := text(names); got != `["a.b","http_requests_total","latency","latency_custom","up"]` {
		t.Errorf("metric names: %s", got)
	}
	if got := text(call("POST", "/labels", window+"&limit=40000&match%5B%5D=up")); got != `["__name__","instance","job"]` {
		t.Errorf("labels: %s", got)
	}
	if got := text(call("GET", "/label/job/values", window+"&limit=40000&match%5B%5D="+url.QueryEscape(`{__name__="up"}`))); got != `["api","db"]` {
		t.Errorf("values: %s", got)
	}
	if got := call("POST", "/series", window+"&limit=40000&match%5B%5D="+url.QueryEscape(`{__name__!=""}`)).([]any); len(got) != 7 {
		t.Errorf("series: %d", len(got))
	}
	if got := call("GET", "/metadata", "limit=40000").(map[string]any); len(got) != 4 {
		t.Errorf("metadata: %v", got)
	}

	// A panel: float seconds, a step in seconds, unknown parameters.
	panel := call("POST", "/query_range", "query="+url.QueryEscape(`sum by (job) (rate(http_requests_total[1m]))`)+
		"&start=1767225660.000&end=1767226200.000&step=15&custom=1")
	result := panel.(map[string]any)["result"].([]any)
	if len(result) != 1 || len(result[0].(map[string]any)["values"].([]any)) != 37 {
		t.Errorf("panel: %s", text(panel))
	}
	if got := text(call("POST", "/query_exemplars", "query=up&"+window)); got != "[]" {
		t.Errorf("exemplars of a metric without any: %s", got)
	}

	// Alerting pages.
	rules := call("GET", "/rules", "").(map[string]any)["groups"].([]any)
	for _, g := range rules {
		for _, r := range g.(map[string]any)["rules"].([]any) {
			if typ := r.(map[string]any)["type"]; typ != "alerting" && typ != "recording" {
				t.Errorf("a rule of type %v, which the data source does not know", typ)
			}
		}
	}
	if got := call("GET", "/alerts", "").(map[string]any)["alerts"].([]any); len(got) != 2 {
		t.Errorf("alerts: %v", got)
	}
}
