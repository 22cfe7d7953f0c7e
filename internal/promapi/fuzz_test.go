package promapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// FuzzQueryParams sends any query string to the handlers that read parameters
// themselves. Every answer is an envelope, with the data of a success or the
// word of a refusal, and never a failure of the server.
func FuzzQueryParams(f *testing.F) {
	for _, seed := range []string{
		"", "limit=1", "limit=-1", "limit=%zz", "metric=U__a_2e_b&limit_per_metric=1", "metric=U___", "metric=U__ff_",
		"type=alert&exclude_alerts=true", "type=anomaly", "group_limit=1", "group_limit=1&group_next_token=x", "match[]=%7Ba%3D%22b%22%7D",
		"match[]=up%7B", "rule_name[]=Down&rule_group[]=first&file[]=rules/a.yaml", "exclude_alerts=1&group_limit=2", "limit=10001;",
		"group_limit=1&group_next_token=" + token("rules/a.yaml", "first"), "group_limit=1&group_next_token=" + token("rules/b.yaml", "second"),
	} {
		f.Add(seed)
	}
	b := newBed(f, func(o *Options) { o.Rules = ruleGroups })
	fill(f, b.store)
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/metadata", "/rules", "/alerts", "/status/tsdb"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1"+path, http.NoBody)
			r.URL.RawQuery = query
			w := httptest.NewRecorder()
			b.router.ServeHTTP(w, r)
			var e envelope
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
				t.Fatalf("%s?%s: %d %q: %v", path, query, w.Code, w.Body, err)
			}
			switch {
			case w.Code == 200 && e.Status == "success" && e.Data != nil && e.Error == "":
			case w.Code == 400 && e.Status == "error" && e.ErrorType == "bad_data" && e.Error != "":
			default:
				t.Fatalf("%s?%s: %d %s", path, query, w.Code, w.Body)
			}
		}
	})
}
