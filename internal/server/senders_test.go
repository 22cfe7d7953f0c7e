package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/chironhq/chiron/internal/testenv"
)

// target is scraped: a counter with exemplars that goes up with every scrape.
func target(t *testing.T) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	requests := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total", Help: "Requests."})
	reg.MustRegister(requests)
	var n atomic.Int64
	handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.(prometheus.ExemplarAdder).AddWithExemplar(1, prometheus.Labels{"trace_id": fmt.Sprint("trace-", n.Add(1))}) //nolint:forcetypeassert // counters are
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// sender is a Prometheus that scrapes the target and sends to Chiron.
func sender(t *testing.T, i *instance, message, target, external string) *testenv.PrometheusServer {
	t.Helper()
	return testenv.Prometheus(t, testenv.PrometheusOptions{
		Flags: []string{"--enable-feature=exemplar-storage"},
		Config: fmt.Sprintf(`
global: { scrape_interval: 250ms, scrape_timeout: 250ms, external_labels: { %s } }
scrape_configs: [{ job_name: app, static_configs: [{ targets: ['%s'] }] }]
remote_write: [{ url: '%s/api/v1/write', protobuf_message: %s, send_exemplars: true, queue_config: { batch_send_deadline: 250ms } }]
`, external, target, i.url, message),
	})
}

// sum adds up a metric of a Prometheus over its labels.
func sum(t *testing.T, server, expr string) float64 {
	t.Helper()
	_, text := do(t, http.MethodGet, server+"/api/v1/query?query="+url.QueryEscape("sum("+expr+")"), "", nil)
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Data.Result) == 0 {
		return 0
	}
	var v float64
	if _, err := fmt.Sscan(fmt.Sprint(answer.Data.Result[0].Value[1]), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestPrometheusSendsExemplars: a stock Prometheus with send_exemplars, by both
// versions: its exemplars are stored, and nothing that it sent is refused.
func TestPrometheusSendsExemplars(t *testing.T) {
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			t.Parallel()
			i := launch(t, nil, nil)
			p := sender(t, i, message, target(t), "from: test")
			eventually(t, func() error {
				_, text := i.get("/api/v1/query_exemplars?query=requests_total&start=0&end=4000000000")
				if n := strings.Count(text, "trace-"); n < 5 {
					return fmt.Errorf("%d exemplars: %.300s", n, text)
				}
				return nil
			})
			if n := sum(t, i.url, `requests_total{from="test"}`); n < 5 {
				t.Errorf("requests_total is %v", n)
			}
			_, metrics := do(t, http.MethodGet, p.URL+"/metrics", "", nil)
			for line := range strings.Lines(metrics) {
				if (strings.HasPrefix(line, "prometheus_remote_storage_exemplars_failed_total{") || strings.HasPrefix(line, "prometheus_remote_storage_samples_failed_total{")) &&
					!strings.HasSuffix(line, " 0\n") {
					t.Error(line)
				}
			}
			_, metrics = i.get("/metrics")
			for line := range strings.Lines(metrics) {
				if strings.HasPrefix(line, "chiron_receiver_refused_total{") && !strings.HasSuffix(line, " 0\n") {
					t.Error(line)
				}
			}
		})
	}
}

// TestHAPairOfPrometheus: two replicas of a stock Prometheus scrape one target.
// One is stored; when it goes, the other takes over, and nothing of a sender's
// is reported as lost.
func TestHAPairOfPrometheus(t *testing.T) {
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			t.Parallel()
			i := launch(t, map[string]string{
				"chiron.yaml": "receiver: { ha: { failover_timeout: 2s, update_timeout: 1s } }\n",
			}, nil)
			app := target(t)
			first := sender(t, i, message, app, "cluster: prod, __replica__: first")
			elected := func(who string) {
				t.Helper()
				eventually(t, func() error {
					_, text := i.get("/metrics")
					if !strings.Contains(text, `chiron_receiver_ha_elected_replica_info{cluster="prod",replica="`+who+`"} 1`) {
						return errors.New(who + " is not elected")
					}
					return nil
				})
			}
			elected("first")
			second := sender(t, i, message, app, "cluster: prod, __replica__: second")
			eventually(t, func() error {
				if n := i.metric(`chiron_receiver_ha_deduplicated_samples_total{cluster="prod"}`); n < 20 {
					return fmt.Errorf("%v samples dropped", n)
				}
				return nil
			})
			first.Stop()
			elected("second")
			before := time.Now()
			eventually(t, func() error {
				if n := sum(t, i.url, `timestamp(requests_total{cluster="prod"})`); n < float64(before.Unix()+1) {
					return fmt.Errorf("newest sample at %v", n)
				}
				return nil
			})
			if n := sum(t, i.url, `count(count_over_time({__name__="requests_total"}[1h]))`); n != 1 {
				t.Errorf("%v series", n)
			}
			if n := sum(t, i.url, `count({__replica__!=""})`); n != 0 {
				t.Errorf("%v series with a replica label", n)
			}
			if n := i.metric(`chiron_receiver_ha_elected_replica_changes_total{cluster="prod"}`); n != 1 {
				t.Errorf("%v changes", n)
			}
			_, metrics := do(t, http.MethodGet, second.URL+"/metrics", "", nil)
			for line := range strings.Lines(metrics) {
				if strings.HasPrefix(line, "prometheus_remote_storage_samples_failed_total{") && !strings.HasSuffix(line, " 0\n") {
					t.Error(line)
				}
			}
		})
	}
}
