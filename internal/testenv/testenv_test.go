package testenv

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

const cart = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: cart, namespace: %s }
spec:
  replicas: 3
  selector: { matchLabels: { app: cart } }
  template:
    metadata: { labels: { app: cart }, annotations: { kwok.x-k8s.io/usage-memory: 100Mi } }
    spec: { containers: [{ name: cart, image: cart }] }
`

func TestControllersAreRealAndUsageIsOnDemand(t *testing.T) {
	k := Kube(t)
	ns := k.Namespace(t)
	k.Apply(t, fmt.Sprintf(cart, ns))
	ready := func() error {
		if n := k.Kubectl(t, "-n", ns, "get", "deployment", "cart", "-o", "jsonpath={.status.readyReplicas}"); n != "3" {
			return fmt.Errorf("%q of 3 are ready", n)
		}
		return nil
	}
	Eventually(t, upWithin, ready)
	pods := strings.Fields(k.Kubectl(t, "-n", ns, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}"))
	k.Kubectl(t, "-n", ns, "delete", "pod", pods[0], "--wait=true")
	Eventually(t, upWithin, ready)

	k.Kubectl(t, "-n", ns, "annotate", "--overwrite", "pod", pods[1], "kwok.x-k8s.io/usage-memory=700Mi")
	Eventually(t, upWithin, func() error {
		resp, err := http.Get(k.KwokURL + "/metrics/nodes/node-0/metrics/resource")
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(body)) {
			if strings.HasPrefix(line, "container_memory_working_set_bytes") && strings.Contains(line, pods[1]) && strings.Contains(line, "7.340032e+08") {
				return nil
			}
		}
		return fmt.Errorf("no usage of 700Mi by %s", pods[1])
	})
}

func TestAUserMayOnlyDoWhatRBACGives(t *testing.T) {
	k := Kube(t)
	file := k.UserKubeconfig(t, "nobody")
	if out, err := k.run("", "--kubeconfig="+file, "auth", "can-i", "delete", "pods"); !strings.HasPrefix(out, "no") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestAlertmanagerCallsAWebhook(t *testing.T) {
	called := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		called <- string(body)
	}))
	defer hook.Close()
	am := Alertmanager(t, AlertmanagerOptions{Config: fmt.Sprintf(
		"route: { receiver: r, group_wait: 0s }\nreceivers: [{ name: r, webhook_configs: [{ url: %q }] }]\n", hook.URL)})
	resp, err := http.Post(am.URL+"/api/v2/alerts", "application/json", strings.NewReader(`[{"labels":{"alertname":"A"}}]`))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	select {
	case body := <-called:
		if !strings.Contains(body, `"alertname":"A"`) {
			t.Error(body)
		}
	case <-time.After(upWithin):
		t.Error("the webhook was not called")
	}
}

func TestPrometheusAnswers(t *testing.T) {
	p := Prometheus(t, PrometheusOptions{Config: "global: { scrape_interval: 1s }\n"})
	if err := answers(p.URL + "/api/v1/query?query=1")(); err != nil {
		t.Error(err)
	}
}
