package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// experimental is one function that Prometheus has behind a flag, in each place
// that reads PromQL: queries, rules of each kind, and policies.
const (
	experimentalExpr  = "mad_over_time(chiron_up[1m])"
	experimentalRules = `
groups:
  - name: g
    rules:
      - { record: 'spread', expr: 'max(mad_over_time(process_open_fds[1m]))' }
      - { alert: Spread, expr: 'mad_over_time(process_open_fds[1m]) > 1e9' }
      - { anomaly: Spread, expr: 'mad_over_time(process_open_fds[1m])', model: zscore, direction: above }
`
	experimentalPolicies = `
policies:
  - name: p
    match: ['alertname="A"']
    target: { kind: Pod, namespace: a, name: b }
    mode: observe
    actions: [{ evictPod: {} }]
    require: [{ promql: 'mad_over_time(up[1m]) > 1' }]
    verify: { all: [{ promql: 'mad_over_time(up[1m]) < 1' }] }
`
)

func TestExperimentalFunctionsAreSwitchedOnForAll(t *testing.T) {
	i := launch(t, map[string]string{
		"chiron.yaml": "query: { experimental_functions: true }\nremediation: { policy_files: [policies.yaml] }\n" + watching,
		"rules.yaml":  experimentalRules, "policies.yaml": experimentalPolicies,
	}, nil)
	eventually(t, func() error {
		if i.value("count(spread)") != "1" || i.value("count({__name__=\"anomaly_score\"})") != "1" {
			return fmt.Errorf("not evaluated: %s, %s", i.value("count(spread)"), i.value("count({__name__=\"anomaly_score\"})"))
		}
		return nil
	})
	if code, body := i.get("/api/v1/query_range?query=" + experimentalExpr + "&start=0&end=60&step=60"); code != http.StatusOK {
		t.Errorf("a range query: %d %s", code, body)
	}
	if code, body := i.get("/api/v1/rules"); code != http.StatusOK || strings.Contains(body, `"health":"err"`) {
		t.Errorf("a rule fails: %s", body)
	}
}

// Without the setting every place refuses, and the message names the setting.
func TestExperimentalFunctionsAreOffByDefault(t *testing.T) {
	const setting = "query: {experimental_functions: true}"
	i := launch(t, nil, nil)
	for _, path := range []string{"/api/v1/query?query=", "/api/v1/query_range?start=0&end=60&step=60&query=", "/api/v1/format_query?query="} {
		if code, body := i.get(path + experimentalExpr); code != http.StatusBadRequest || !strings.Contains(body, setting) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	f := func(config, name, text string) {
		t.Helper()
		dir := t.TempDir()
		write(t, filepath.Join(dir, "chiron.yaml"), config)
		write(t, filepath.Join(dir, name), text)
		err := Run(t.Context(), Options{
			ConfigFile: filepath.Join(dir, "chiron.yaml"), ListenAddress: "127.0.0.1:0", StoragePath: filepath.Join(dir, "data"),
			CacheMemory: 8 << 20, CacheRetention: time.Hour, Logger: slog.New(slog.DiscardHandler),
		})
		if err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("rule_files: [rules.yaml]", "rules.yaml", experimentalRules)
	f("remediation: { policy_files: [policies.yaml] }", "policies.yaml", experimentalPolicies)
}
