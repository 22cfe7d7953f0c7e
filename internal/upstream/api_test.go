package upstream

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/util/teststorage"
)

func TestNewAPI(t *testing.T) {
	if _, err := NewAPI(APIOptions{}); err == nil {
		t.Error("an API without an engine is built")
	}
	engine, err := NewEngine(EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	store := teststorage.New(t)
	a, err := NewAPI(APIOptions{Engine: engine, Queryable: store, Exemplars: store, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Handler("/nothing"); err == nil {
		t.Error("an unknown pattern has a handler")
	}
	get := func(pattern, target, name string) string {
		t.Helper()
		h, err := a.Handler(pattern)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, WithParam(httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody), "name", name))
		return w.Body.String()
	}
	if got := get("/query", "/?query=1&time=2", ""); got != `{"status":"success","data":{"resultType":"scalar","result":[2,"1"]}}` {
		t.Error(got)
	}
	if got := get("/label/:name/values", "/", "a/b"); got != `{"status":"success","data":[]}` {
		t.Error(got)
	}
	if got := get("/scrape_pools/config", "/?scrapePool=x", ""); got != `{"status":"error","errorType":"bad_data","error":"error retrieving scrape config: scrape pool \"x\" not found: this server receives and does not scrape"}` {
		t.Error(got)
	}
	if o := (APIOptions{}).withDefaults(); o.Timeout != 2*time.Minute || o.Lookback != 5*time.Minute || o.ReadConcurrency != 10 || o.ReadFrameBytes != 1<<20 || o.ReadSampleLimit != 5e7 {
		t.Errorf("defaults: %+v", o)
	}
}
