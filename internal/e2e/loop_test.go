// Package e2e holds the whole loop as one test, all parts real and on
// loopback: Prometheus scrapes, Chiron receives, a rule sees the fault,
// Alertmanager brings the alert back, the policy evicts the pod through a real
// API server with its controllers, and the run ends as verified. Only the
// kubelet is simulated.
package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chironhq/chiron/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience is how long a step is waited for on a slow machine; no step needs
// nearly as long.
const patience = 3 * time.Minute

func TestFaultToVerifiedCure(t *testing.T) {
	for _, protocol := range []string{"io.prometheus.write.v2.Request", "prometheus.WriteRequest"} {
		t.Run(protocol, func(t *testing.T) {
			l := newLoop(t, loopOptions{protocol: protocol, settle: "1s"})
			l.awaitReady()
			faulty := l.pods()[0]
			before := l.pods()
			l.leak(faulty)
			run := l.awaitRun("succeeded")
			l.awaitReplaced(before, faulty)
			l.awaitOneEviction(faulty)
			l.awaitAllStored()

			if !strings.Contains(run.Text, faulty) || !strings.Contains(run.Text, "evict-leaking-pod") {
				t.Errorf("the run does not say what it did: %s", run.Text)
			}
			if out := l.cli("runs"); !strings.Contains(out, "succeeded") || !strings.Contains(out, faulty) {
				t.Errorf("chiron runs:\n%s", out)
			}
			if out := l.cli("runs", strconv.Itoa(run.ID)); !strings.Contains(out, faulty) || !strings.Contains(out, "evict Pod") {
				t.Errorf("chiron runs %d:\n%s", run.ID, out)
			}
			// The scores are ordinary series.
			if v := l.query(fmt.Sprintf(`max_over_time(anomaly_score{anomaly_name="PodMemory",pod=%q}[10m]) > 1`, faulty)); len(v) != 1 {
				t.Errorf("no score above 1 for %s: %v", faulty, l.query(`anomaly_score`))
			}
			for _, pod := range before[1:] {
				if v := l.query(fmt.Sprintf(`max_over_time(anomaly_score{anomaly_name="PodMemory",pod=%q}[10m]) > 1`, pod)); len(v) != 0 {
					t.Errorf("%s was called anomalous: %v", pod, v)
				}
			}
			if v := l.query(`shop_orders_total`); len(v) != 1 {
				t.Errorf("the program's metrics: %v", v)
			}
		})
	}
}

// loop is everything that runs.
type loop struct {
	t          *testing.T
	kube       *testenv.KubeCluster
	namespace  string
	chiron     *testenv.Proc
	binary     string
	url        string
	prometheus string    // url
	since      time.Time // all models were ready
}

// loopOptions say what differs between the tests.
type loopOptions struct {
	protocol string // of remote write
	settle   string // between action and verification
	// Wires that one request can be held on; nil for a direct connection.
	toKubernetes, toChiron *wire
}

// newLoop starts all parts around a deployment of three pods.
func newLoop(t *testing.T, o loopOptions) *loop {
	t.Helper()
	kube := testenv.Kube(t)
	l := &loop{t: t, kube: kube, namespace: kube.Namespace(t), binary: testenv.BuildChiron(t)}
	kube.Apply(t, fmt.Sprintf(deployment, l.namespace))
	rbac, err := os.ReadFile("../../deploy/kubernetes/remediator-rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kube.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: { name: chiron }\n")
	kube.Apply(t, string(rbac))

	// The program whose metrics Prometheus scrapes besides the pods'.
	var orders int
	program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		orders += 3
		fmt.Fprintf(w, "# TYPE shop_orders_total counter\nshop_orders_total %d\n", orders)
	}))
	t.Cleanup(program.Close)

	port := testenv.FreePort(t)
	l.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	webhook, kubeconfig := l.url, kube.UserKubeconfig(t, remediator)
	if o.toChiron != nil {
		webhook = o.toChiron.open(t, webhook, "")
	}
	if o.toKubernetes != nil {
		kubeconfig = o.toKubernetes.kubeconfig(t, kubeconfig)
	}
	alertmanager := testenv.Alertmanager(t, testenv.AlertmanagerOptions{Config: fmt.Sprintf(`
route: { receiver: chiron, group_by: [alertname, namespace], group_wait: 1s, group_interval: 1s, repeat_interval: 1h }
receivers:
  - name: chiron
    webhook_configs:
      - url: %s/api/v1/alertmanager/webhook
        http_config: { authorization: { credentials: a-token-for-the-loop } }
`, webhook)})

	dir := t.TempDir()
	for name, text := range map[string]string{
		"chiron.yaml": fmt.Sprintf(`
global: { evaluation_interval: 1s }
rule_files: [shop.anomaly.yaml]
alerting: { alertmanagers: [{ static_configs: [{ targets: ['%s'] }] }] }
remediation:
  policy_files: [policies.yaml]
  kubernetes: { kubeconfig: '%s' }
  webhook: { bearer_token_files: [token] }
`, strings.TrimPrefix(alertmanager.URL, "http://"), kubeconfig),
		"shop.anomaly.yaml": fmt.Sprintf(rules, l.namespace),
		"policies.yaml":     fmt.Sprintf(policies, o.settle),
		"token":             "a-token-for-the-loop\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kube.Apply(t, fmt.Sprintf(binding, l.namespace))
	l.chiron = testenv.Process(t, "chiron", l.binary, "serve", "--config.file="+filepath.Join(dir, "chiron.yaml"),
		"--storage.path="+filepath.Join(dir, "data"), "--cache.memory=64MiB", fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port))
	l.awaitHealthy()

	l.prometheus = testenv.Prometheus(t, testenv.PrometheusOptions{Config: fmt.Sprintf(`
global: { scrape_interval: 1s }
scrape_configs:
  - job_name: kubelet
    honor_timestamps: false
    metrics_path: /metrics/nodes/node-0/metrics/resource
    static_configs: [{ targets: ['%s'] }]
  - job_name: shop
    static_configs: [{ targets: ['%s'] }]
remote_write:
  - url: %s/api/v1/write
    protobuf_message: %s
    queue_config: { batch_send_deadline: 1s }
`, strings.TrimPrefix(kube.KwokURL, "http://"), strings.TrimPrefix(program.URL, "http://"), l.url, o.protocol)}).URL
	return l
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: cart, namespace: %s }
spec:
  replicas: 3
  selector: { matchLabels: { app: cart } }
  template:
    metadata:
      labels: { app: cart }
      annotations: { kwok.x-k8s.io/usage-memory: 100Mi, kwok.x-k8s.io/usage-cpu: 50m }
    spec: { containers: [{ name: cart, image: cart }] }
`

// remediator is the user that Chiron is to the API server.
const remediator = "chiron-remediator"

// binding gives the user of the test what the shipped role allows.
const binding = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: e2e-%s }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: chiron-remediator }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: User, name: chiron-remediator }]
`

const rules = `
groups:
  - name: shop
    interval: 1s
    rules:
      - anomaly: PodMemory
        expr: sum by (namespace, pod) (container_memory_working_set_bytes{namespace="%s"})
        model: zscore(window=5m, threshold=4)
        direction: above
        min_rel_dev: 50%%
        warmup: 10s
        output: [all]
        alert: { for: 2s }
`

const policies = `
guardrails: { mode_max: auto, budget: { concurrent: 1 } }
policies:
  - name: evict-leaking-pod
    match: ['alertname="PodMemory"']
    target: { kind: Pod, namespace: '{{ .Labels.namespace }}', name: '{{ .Labels.pod }}' }
    mode: auto
    require:
      - promql: count(sum by (pod) (container_memory_working_set_bytes{namespace="{{ .Labels.namespace }}"})) > 2
    actions: [{ evictPod: {} }]
    limits: { cooldown: 10m }
    verify: { settle: %s, within: 2m, all: [{ ready: owner }] }
    undo: none
`

// leak makes one pod use seven times the memory of the others.
func (l *loop) leak(pod string) {
	l.t.Helper()
	l.kube.Kubectl(l.t, "-n", l.namespace, "annotate", "--overwrite", "pod", pod, "kwok.x-k8s.io/usage-memory=700Mi")
}

// pods returns the names of the pods that are ready and stay, sorted.
func (l *loop) pods() []string {
	l.t.Helper()
	out := l.kube.Kubectl(l.t, "-n", l.namespace, "get", "pods", "-o",
		`jsonpath={range .items[?(@.status.phase=="Running")]}{.metadata.name} {.metadata.deletionTimestamp}{"\n"}{end}`)
	var names []string
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) == 1 {
			names = append(names, fields[0])
		}
	}
	slices.Sort(names)
	return names
}

func (l *loop) awaitHealthy() {
	l.t.Helper()
	testenv.Eventually(l.t, patience, func() error {
		_, err := l.get("/-/ready")
		return err
	})
}

// awaitReady waits until three pods run and each has a model that scores.
func (l *loop) awaitReady() {
	l.t.Helper()
	testenv.Eventually(l.t, patience, func() error {
		if pods := l.pods(); len(pods) != 3 {
			return fmt.Errorf("pods %v", pods)
		}
		if v := l.query(`anomaly_model_state{anomaly_name="PodMemory"} == 2`); len(v) != 3 {
			return fmt.Errorf("models: %v", l.query(`anomaly_model_state`))
		}
		return nil
	})
	l.since = time.Now()
}

// awaitReplaced waits until the faulty pod has gone and three run again.
func (l *loop) awaitReplaced(before []string, faulty string) {
	l.t.Helper()
	testenv.Eventually(l.t, patience, func() error {
		now := l.pods()
		if len(now) != len(before) || slices.Contains(now, faulty) {
			return fmt.Errorf("pods %v", now)
		}
		return nil
	})
}

// awaitOneEviction holds what was done against the API server's own record:
// the pod was evicted by Chiron, once, and nothing else was tried.
func (l *loop) awaitOneEviction(pod string) {
	l.t.Helper()
	testenv.Eventually(l.t, patience, func() error {
		if len(l.kube.Evictions(l.t, l.namespace)) == 0 {
			return fmt.Errorf("%s has not been evicted", pod)
		}
		return nil
	})
	want := []testenv.Eviction{{Pod: pod, User: remediator, Code: http.StatusCreated}}
	if got := l.kube.Evictions(l.t, l.namespace); !slices.Equal(got, want) {
		l.t.Errorf("evictions %v, want %v", got, want)
	}
}

type run struct {
	ID    int    `json:"id"`
	Phase string `json:"phase"`
	Text  string `json:"-"`
}

func (l *loop) runs() []run {
	l.t.Helper()
	body, err := l.get("/api/v1/remediation/runs")
	if err != nil {
		l.t.Fatal(err)
	}
	var answer struct{ Data []json.RawMessage }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		l.t.Fatalf("%v: %s", err, body)
	}
	var out []run
	for _, raw := range answer.Data {
		r := run{Text: string(raw)}
		if err := json.Unmarshal(raw, &r); err != nil {
			l.t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// awaitRun waits for a run in one of the phases.
func (l *loop) awaitRun(phases ...string) (found run) {
	l.t.Helper()
	testenv.Eventually(l.t, patience, func() error {
		runs := l.runs()
		for _, r := range runs {
			if slices.Contains(phases, r.Phase) {
				found = r
				return nil
			}
		}
		return fmt.Errorf("no run is %v: %+v; scores %v; alerts %v", phases, runs, l.query("anomaly_score"), l.query("ALERTS"))
	})
	return found
}

func (l *loop) get(path string) (string, error) {
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.url+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return string(body), fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	return string(body), nil
}

func (l *loop) cli(args ...string) string {
	l.t.Helper()
	out, err := exec.CommandContext(l.t.Context(), l.binary, append([]string{args[0], "--server", l.url}, args[1:]...)...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("chiron %v: %v\n%s", args, err, out)
	}
	return string(out)
}
