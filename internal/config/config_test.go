package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

func TestParse(t *testing.T) {
	c, problems := Parse("c.yaml", []byte(`
global: { evaluation_interval: 15s, external_labels: { cluster: a } }
rule_files: ['rules/*.yaml']
alerting: { alertmanagers: [{ static_configs: [{ targets: ['127.0.0.1:9093'] }] }] }
remote_write: [{ url: 'http://127.0.0.1:9090/api/v1/write', queue_size: 64MiB, basic_auth: { username: u, password: p } }]
receiver: { out_of_order_window: 5m, max_series: 1000, max_series_per_metric: 100, max_body_size: 1MiB, max_inflight_size: 128MiB, queue_wait: 1s, read_timeout: 10s, retry_after: 2s, ha: { replica_label: prometheus_replica, failover_timeout: 1m } }
web: { bearer_token_files: [a], write_bearer_token_files: [w], query_bearer_token_files: [q], max_connections: 9, header_timeout: 3s, body_timeout: 4s }
models: { memory: 512MiB, save_bytes_per_minute: 1MiB }
query: { timeout: 30s, range_short_way: false, experimental_functions: true }
self_monitor: { interval: 5s }
remediation: { policy_files: [p.yaml], kubernetes: { kubeconfig: k }, webhook: { bearer_tokens: [0123456789] } }
`))
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	want := Default()
	want.Global = Global{EvaluationInterval: 15 * time.Second, IntervalGiven: true, ExternalLabels: labels.FromStrings("cluster", "a")}
	want.RuleFiles = []string{"rules/*.yaml"}
	want.Receiver.OutOfOrderWindow, want.Receiver.MaxSeries, want.Receiver.MaxBodyBytes = 5*time.Minute, 1000, 1<<20
	want.Receiver.MaxInflightBytes, want.Receiver.QueueWait, want.Receiver.ReadTimeout, want.Receiver.RetryAfter = 128<<20, time.Second, 10*time.Second, 2*time.Second
	want.Receiver.MaxSeriesPerMetric = 100
	want.Receiver.HA = &HA{ClusterLabel: "cluster", ReplicaLabel: "prometheus_replica", FailoverTimeout: time.Minute, UpdateTimeout: 15 * time.Second, MaxClusters: 1000}
	want.Web = Web{BearerTokenFiles: []string{"a"}, WriteBearerTokenFiles: []string{"w"}, QueryBearerTokenFiles: []string{"q"}, MaxConnections: 9, HeaderTimeout: 3 * time.Second, BodyTimeout: 4 * time.Second}
	want.Models = Models{Memory: 512 << 20, SaveBytesPerMinute: 1 << 20}
	want.Query.Timeout, want.Query.RangeShortWay, want.Query.ExperimentalFunctions = 30*time.Second, false, true
	want.Self = Self{Enabled: true, Interval: 5 * time.Second}
	want.Remediation = Remediation{
		PolicyFiles: []string{"p.yaml"}, Kubernetes: Kubernetes{Kubeconfig: "k"}, Webhook: Webhook{BearerTokens: []string{"0123456789"}},
	}
	if !strings.Contains(string(c.Alerting), "127.0.0.1:9093") || !strings.Contains(string(c.RemoteWrite[0].YAML), "password: p") {
		t.Errorf("sections for libraries: %s %s", c.Alerting, c.RemoteWrite[0].YAML)
	}
	if w := c.RemoteWrite[0]; w.MaxBytes != 64<<20 || w.Protocol != "2.0" || w.Name != "0" {
		t.Errorf("remote_write: %+v", w)
	}
	c.Alerting, c.RemoteWrite, c.text = nil, nil, nil
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(Config{}), cmp.Comparer(labels.Equal)); diff != "" {
		t.Error(diff)
	}
}

func TestProblems(t *testing.T) {
	datadriven.RunTest(t, filepath.Join("testdata", "problems"), func(_ *testing.T, td *datadriven.TestData) string {
		_, problems := Parse("c.yaml", []byte(td.Input))
		if len(problems) == 0 {
			return "ok"
		}
		return problems.String()
	})
}

func TestRedactedHidesSecretsOnly(t *testing.T) {
	c, _ := Parse("c.yaml", []byte("remote_write: [{url: 'http://h/w', basic_auth: {username: bob, password: hunter22}}]\nremediation: {webhook: {bearer_tokens: [abcdefgh]}}\n"))
	got := c.Redacted()
	if strings.Contains(got, "hunter22") || strings.Contains(got, "abcdefgh") || !strings.Contains(got, "bob") || !strings.Contains(got, "<secret>") {
		t.Error(got)
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "chiron.yaml")
	if err := os.WriteFile(file, []byte("rule_files: [a.yaml, /b.yaml]\nweb: {bearer_token_files: [t], write_bearer_token_files: [/t], query_bearer_token_files: [t]}\nremediation: {kubernetes: {kubeconfig: kube}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Join(dir, "a.yaml"), "/b.yaml"}, c.RuleFiles); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Web{BearerTokenFiles: []string{filepath.Join(dir, "t")}, WriteBearerTokenFiles: []string{"/t"}, QueryBearerTokenFiles: []string{filepath.Join(dir, "t")}}, c.Web); diff != "" {
		t.Error(diff)
	}
	if c.Remediation.Kubernetes.Kubeconfig != filepath.Join(dir, "kube") {
		t.Error(c.Remediation.Kubernetes.Kubeconfig)
	}
}

func TestParseBytes(t *testing.T) {
	f := func(in string, want int64) {
		t.Helper()
		got, err := ParseBytes(in)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("ParseBytes(%q) = %d, %v", in, got, err)
		}
	}
	f("1GiB", 1<<30)
	f("512MiB", 512<<20)
	f("2GB", 2<<30)
	f("4096", 4096)
	f("0", 0)
	f("-1MiB", 0)
	f("lots", 0)
}

func TestDefaultModelMemory(t *testing.T) {
	f := func(machine, cache, want int64) {
		t.Helper()
		if got := DefaultModelMemory(machine, cache); got != want {
			t.Errorf("of %d beside %d: %d, want %d", machine, cache, got, want)
		}
	}
	f(8<<30, 2<<30, 3<<30)
	f(1<<30, 512<<20, 256<<20)
	f(256<<20, 128<<20, 64<<20)
	f(256<<20, 200<<20, 64<<20)
	f(1<<30, 2<<30, 64<<20) // a ring that does not fit
	f(0, 0, 64<<20)
}

func TestModelsWhereTheFileIsSilent(t *testing.T) {
	for _, text := range []string{"", "models: {}\n", "models: {memory: 1GiB}\n"} {
		c, problems := Parse("c.yaml", []byte(text))
		if len(problems) > 0 || c.Models.SaveBytesPerMinute != 64<<20 || (c.Models.Memory == 0) != !strings.Contains(text, "memory") {
			t.Errorf("%q: %+v, %s", text, c.Models, problems)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("global: {evaluation_interval: 15s}\nrule_files: [a]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("remote_write: [{url: x}]"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		c, _ := Parse("f.yaml", text)
		_ = c.Redacted()
	})
}
