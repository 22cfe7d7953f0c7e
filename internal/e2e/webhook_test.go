package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chironhq/chiron/internal/testenv"
)

// inbox takes what Alertmanager tells a webhook.
type inbox struct {
	mu  sync.Mutex
	got []delivered
}

type delivered struct {
	Status              string
	Labels, Annotations map[string]string
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var delivery struct{ Alerts []delivered }
	if err := json.NewDecoder(req.Body).Decode(&delivery); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, delivery.Alerts...)
}

func (b *inbox) all() []delivered {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got
}

// TestOneStrangeSampleReachesTheWebhook: with all defaults, those of the alert
// shorthand and of Alertmanager's route, whose group_wait is 30s, somebody is
// told of what one scrape has seen.
func TestOneStrangeSampleReachesTheWebhook(t *testing.T) {
	t.Parallel()
	var scrapes atomic.Int64
	var strange atomic.Bool
	program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		value := 100 + scrapes.Add(1)%3
		if strange.CompareAndSwap(true, false) {
			value = 5000
		}
		fmt.Fprintf(w, "shop_queue_length %d\n", value)
	}))
	t.Cleanup(program.Close)
	told := &inbox{}
	hook := httptest.NewServer(told)
	t.Cleanup(hook.Close)
	alertmanager := testenv.Alertmanager(t, testenv.AlertmanagerOptions{Config: fmt.Sprintf(`
route: { receiver: hook }
receivers: [{ name: hook, webhook_configs: [{ url: '%s' }] }]
`, hook.URL)})

	dir := t.TempDir()
	for name, text := range map[string]string{
		"chiron.yaml": fmt.Sprintf(`
global: { evaluation_interval: 1s }
rule_files: [shop.anomaly.yaml]
alerting: { alertmanagers: [{ static_configs: [{ targets: ['%s'] }] }] }
`, strings.TrimPrefix(alertmanager.URL, "http://")),
		"shop.anomaly.yaml": `
groups:
  - name: shop
    rules: [{ anomaly: QueueLength, expr: shop_queue_length, model: zscore, direction: above, alert: {} }]
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port := testenv.FreePort(t)
	l := &loop{t: t, url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	l.chiron = testenv.Process(t, "chiron", testenv.BuildChiron(t), "serve", "--config.file="+filepath.Join(dir, "chiron.yaml"),
		"--storage.path="+filepath.Join(dir, "data"), "--cache.memory=32MiB", fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port))
	l.awaitHealthy()
	testenv.Prometheus(t, testenv.PrometheusOptions{Config: fmt.Sprintf(`
global: { scrape_interval: 1s }
scrape_configs: [{ job_name: shop, static_configs: [{ targets: ['%s'] }] }]
remote_write: [{ url: '%s/api/v1/write', queue_config: { batch_send_deadline: 1s } }]
`, strings.TrimPrefix(program.URL, "http://"), l.url)})
	testenv.Eventually(t, patience, func() error {
		// The first values after a model is ready have none before them to be compared with.
		if v := l.query(`count_over_time(anomaly_score{anomaly_name="QueueLength"}[5m]) >= 20`); len(v) != 1 {
			return fmt.Errorf("scores: %v", v)
		}
		return nil
	})
	strange.Store(true)
	testenv.Eventually(t, patience, func() error {
		if len(told.all()) == 0 {
			return errors.New("nobody was told")
		}
		return nil
	})
	got := told.all()[0]
	if got.Status != "firing" || got.Labels["alertname"] != "QueueLength" || !strings.HasPrefix(got.Annotations["summary"], "QueueLength{") {
		t.Errorf("the webhook was told %+v", got)
	}
}
