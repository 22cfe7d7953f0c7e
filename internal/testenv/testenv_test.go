package testenv

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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
	list := func() []string {
		return strings.Fields(k.Kubectl(t, "-n", ns, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}"))
	}
	pods := list()
	k.Kubectl(t, "-n", ns, "delete", "pod", pods[0], "--wait=true")
	Eventually(t, upWithin, func() error {
		if now := list(); len(now) != 3 || slices.Contains(now, pods[0]) {
			return fmt.Errorf("pods %v", now)
		}
		return ready()
	})

	k.Kubectl(t, "-n", ns, "annotate", "--overwrite", "pod", pods[1], "kwok.x-k8s.io/usage-memory=700Mi")
	p := Prometheus(t, PrometheusOptions{Config: fmt.Sprintf(
		"scrape_configs: [{ job_name: kubelet, scrape_interval: 1s, metrics_path: /metrics/nodes/node-0/metrics/resource, static_configs: [{ targets: [%q] }] }]\n",
		strings.TrimPrefix(k.KwokURL, "http://"))})
	Eventually(t, upWithin, func() error {
		const usage = `{"namespace":%q,"pod":%q},"value":`
		body, err := get(p.URL + "/api/v1/query?query=" + url.QueryEscape(`sum by (namespace, pod) (container_memory_working_set_bytes) == 700 * 1024 ^ 2`))
		if err == nil && !strings.Contains(body, fmt.Sprintf(usage, ns, pods[1])) {
			err = fmt.Errorf("no usage of 700Mi by %s: %s", pods[1], body)
		}
		return err
	})

	k.Apply(t, fmt.Sprintf(budget, ns))
	k.run(fmt.Sprintf(eviction, pods[2], ns), "create", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", ns, pods[2]), "-f", "-")
	Eventually(t, upWithin, func() error {
		if got, want := k.Evictions(t, ns), []Eviction{{pods[2], "admin", http.StatusTooManyRequests}}; !slices.Equal(got, want) {
			return fmt.Errorf("evictions %v, want %v", got, want)
		}
		return nil
	})
}

// budget lets no pod go.
const budget = `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: cart, namespace: %s }
spec: { maxUnavailable: 0, selector: { matchLabels: { app: cart } } }
`

const eviction = `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`

// TestAProcessThatFailsIsToldOf is about what a test learns of its processes:
// each line is a shell script and what is said of it.
func TestAProcessThatFailsIsToldOf(t *testing.T) {
	f := func(script, want string) {
		t.Helper()
		p := &Proc{name: "it", binary: "/bin/sh", args: []string{"-c", script}, log: filepath.Join(t.TempDir(), "log")}
		if err := p.launch(); err != nil {
			t.Fatal(err)
		}
		if err := p.await(func() error { // until it says that it is up, or ends
			if !strings.Contains(string(p.tail(10)), "up") {
				return errors.New("not up")
			}
			return nil
		}); err != nil && p.ended() == nil {
			t.Fatal(err)
		}
		if strings.Contains(script, "exit") && !strings.Contains(script, "trap") {
			<-p.done
		}
		err := errors.Join(p.end(syscall.SIGTERM), p.raced())
		if got := fmt.Sprint(err); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
	const wait = `while :; do sleep 0.01; done`
	f(`trap 'exit 0' TERM; echo up; `+wait, "<nil>")
	f(`trap 'exit 66' TERM; echo up; `+wait, "it was asked to end: exit status 66")
	f(`trap 'exit 0' TERM; echo up, WARNING: DATA RACE; `+wait, "it has a data race:")
	f(`echo up; exit 0`, "it has ended by itself: exit status 0")
	f(`echo up; exit 3`, "it has ended by itself: exit status 3")
}

func TestPortsAreGivenOnce(t *testing.T) {
	given := map[int]bool{}
	for range 3 * blockSize {
		port := FreePort(t)
		if given[port] || port < firstPort || port >= lastPort {
			t.Fatalf("port %d; given before: %v", port, given[port])
		}
		given[port] = true
	}
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
	if _, err := get(p.URL + "/api/v1/query?query=1"); err != nil {
		t.Error(err)
	}
}
