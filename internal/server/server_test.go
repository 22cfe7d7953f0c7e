package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	"go.uber.org/goleak"
)

// instance is a whole Chiron inside the test.
type instance struct {
	t    *testing.T
	o    Options
	url  string
	stop func() error
}

// launch starts Chiron on a loopback port with files for its folder.
func launch(t *testing.T, files map[string]string, change func(*Options)) *instance {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	i := &instance{t: t, o: Options{
		ListenAddress: freeAddress(t), StoragePath: filepath.Join(dir, "data"), CacheMemory: 8 << 20, CacheRetention: time.Hour,
		Logger: slog.New(slog.DiscardHandler),
	}}
	if _, ok := files["chiron.yaml"]; ok {
		i.o.ConfigFile = filepath.Join(dir, "chiron.yaml")
	}
	if change != nil {
		change(&i.o)
	}
	i.url = "http://" + i.o.ListenAddress
	i.start()
	t.Cleanup(func() {
		if i.stop != nil {
			if err := i.stop(); err != nil {
				t.Error(err)
			}
		}
	})
	return i
}

func (i *instance) start() {
	i.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, i.o) }()
	i.stop = func() error {
		i.stop = nil
		cancel()
		return <-ended
	}
	eventually(i.t, func() error {
		select {
		case err := <-ended:
			i.t.Fatalf("ended: %v", err)
		default:
		}
		if code, body := i.get("/-/ready"); code != http.StatusOK {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}

func (i *instance) get(path string) (int, string) {
	return do(i.t, http.MethodGet, i.url+path, "", nil)
}

func do(t *testing.T, method, url, body string, header map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// send writes one sample by remote write 1.0.
func (i *instance) send(metric string, v float64) {
	i.t.Helper()
	body := oneSample(i.t, metric, v)
	if code, text := do(i.t, http.MethodPost, i.url+"/api/v1/write", body, map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}); code != http.StatusNoContent {
		i.t.Fatalf("write: %d %s", code, text)
	}
}

// oneSample is the body of a request with one sample of now.
func oneSample(t *testing.T, metric string, v float64) string {
	t.Helper()
	b, err := proto.Marshal(&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:  []prompb.Label{{Name: "__name__", Value: metric}},
		Samples: []prompb.Sample{{Value: v, Timestamp: time.Now().UnixMilli()}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(snappy.Encode(nil, b))
}

// value answers an instant query with one value as text, "" without a result.
func (i *instance) value(expr string) string {
	i.t.Helper()
	code, body := i.get("/api/v1/query?query=" + strings.ReplaceAll(expr, " ", "%20"))
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); code != http.StatusOK || err != nil {
		i.t.Fatalf("%s: %d %s", expr, code, body)
	}
	if len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// eventually polls until f is content; a minute is how long a broken machine
// is waited for, not how long anything takes.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func want(got, want string) error {
	if got != want {
		return fmt.Errorf("got %q, want %q", got, want)
	}
	return nil
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.Exit(code) }))
}

func TestWithoutConfiguration(t *testing.T) {
	i := launch(t, nil, nil)
	i.send("hello", 42)
	if err := want(i.value("hello"), "42"); err != nil {
		t.Error(err)
	}
	for path, code := range map[string]int{
		"/": 200, "/metrics": 200, "/-/healthy": 200, "/api/v1/rules": 200, "/api/v1/status/buildinfo": 200, "/debug/pprof/": 200,
		"/api/v1/remediation/runs": 404, "/api/v1/write": 405, "/nothing": 404, "/graph?g0.expr=hello": 200,
	} {
		if got, body := i.get(path); got != code {
			t.Errorf("GET %s: %d, want %d: %.200s", path, got, code, body)
		}
	}
	if code, body := do(t, http.MethodPost, i.url+"/api/v1/alertmanager/webhook", "{}", nil); code != http.StatusNotFound {
		t.Errorf("a webhook without policies: %d %s", code, body)
	}
}

func TestWhatWasAnsweredIsThereAfterARestart(t *testing.T) {
	i := launch(t, nil, nil)
	i.send("hello", 42)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i.start()
	if err := want(i.value("hello"), "42"); err != nil {
		t.Error(err)
	}
}

const watching = "global: { evaluation_interval: 100ms }\nself_monitor: { interval: 100ms }\nrule_files: [rules.yaml]\n"

func TestItWatchesItselfAndReloads(t *testing.T) {
	i := launch(t, map[string]string{
		"chiron.yaml": watching,
		"rules.yaml":  "groups: [{ name: g, rules: [{ record: 'self:up', expr: 'max(up{job=\"chiron\"})' }] }]",
	}, nil)
	eventually(t, func() error { return want(i.value("self:up"), "1") })

	rules := filepath.Join(filepath.Dir(i.o.ConfigFile), "rules.yaml")
	write(t, rules, "groups: [{ name: g, rules: [{ record: 'self:up', exp: 'up' }] }]")
	code, body := do(t, http.MethodPost, i.url+"/-/reload", "", nil)
	if code != http.StatusInternalServerError || !strings.Contains(body, "the previous configuration stays") || !strings.Contains(body, "rules.yaml:1:") {
		t.Errorf("a bad rule file: %d %s", code, body)
	}
	if err := want(i.value("chiron_config_last_reload_successful"), "0"); err != nil {
		eventually(t, func() error { return want(i.value("chiron_config_last_reload_successful"), "0") })
	}
	// A change of a file is noticed without being asked.
	write(t, rules, "groups: [{ name: g, rules: [{ record: 'self:up', expr: 'max(up{job=\"chiron\"})' }, { anomaly: Up, expr: up, model: zscore, direction: both, output: [all] }] }]")
	eventually(t, func() error { return want(i.value(`anomaly_model_state{anomaly_name="Up"}`), "2") })
	if code, body := i.get("/api/v1/rules?type=anomaly"); code != http.StatusOK || !strings.Contains(body, `"zscore"`) {
		t.Errorf("rules: %d %s", code, body)
	}
}

const policies = "policies: [{ name: p, match: ['alertname=\"A\"'], target: { kind: Pod, namespace: a, name: b }, mode: observe, actions: [{ evictPod: {} }] }]"

func TestTheWebhookWantsAToken(t *testing.T) {
	i := launch(t, map[string]string{
		"chiron.yaml": "remediation: { policy_files: [policies.yaml], webhook: { bearer_token_files: [token] } }", "policies.yaml": policies, "token": "open sesame please\n",
	}, nil)
	post := func(token string) int {
		code, _ := do(t, http.MethodPost, i.url+"/api/v1/alertmanager/webhook", `{"version":"4","alerts":[]}`,
			map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"})
		return code
	}
	if code := post("wrong"); code != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", code)
	}
	if code := post("open sesame please"); code != http.StatusOK {
		t.Errorf("the right token: %d", code)
	}
	if code, body := i.get("/api/v1/remediation/runs"); code != http.StatusOK || !strings.Contains(body, `"success"`) {
		t.Errorf("runs: %d %s", code, body)
	}
}

func TestTheWebhookRefusesToBeOpenToTheWorld(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "chiron.yaml"), "remediation: { policy_files: [policies.yaml] }")
	write(t, filepath.Join(dir, "policies.yaml"), policies)
	err := Run(t.Context(), Options{
		ConfigFile: filepath.Join(dir, "chiron.yaml"), ListenAddress: "0.0.0.0:0", StoragePath: filepath.Join(dir, "data"), CacheMemory: 8 << 20,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil || !strings.Contains(err.Error(), "needs authentication") {
		t.Error(err)
	}
}

func TestProfilesAreNotForEverybody(t *testing.T) {
	o := Options{ListenAddress: "0.0.0.0:0"}
	r := routes{guarded: func() bool { return false }}
	rec := &capture{header: http.Header{}}
	r.onlyGuarded("profiles", profiles()).ServeHTTP(rec, nil)
	if rec.code != http.StatusForbidden {
		t.Errorf("profiles on %s without authentication: %d", o.ListenAddress, rec.code)
	}
}

type capture struct {
	header http.Header
	code   int
}

func (c *capture) Header() http.Header         { return c.header }
func (c *capture) WriteHeader(code int)        { c.code = code }
func (c *capture) Write(b []byte) (int, error) { return len(b), nil }

func TestASecondProcessOnTheSameFolderIsRefused(t *testing.T) {
	i := launch(t, nil, nil)
	o := i.o
	o.ListenAddress = "127.0.0.1:0"
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "cannot open the ring") {
		t.Error(err)
	}
}
