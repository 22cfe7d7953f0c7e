package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/chironhq/chiron/internal/testenv"
)

// alertTimes is an alert as Alertmanager shows it.
type alertTimes struct {
	StartsAt, EndsAt, UpdatedAt time.Time
}

// TestRestartDuringIncidentKeepsAlert: while a value is far off, Chiron is
// stopped and started again with models that were saved before the incident, so
// that they have history to learn. The alert is sent again at one of the first
// evaluations, and to Alertmanager it is one alert that never ended.
func TestRestartDuringIncidentKeepsAlert(t *testing.T) {
	var mu sync.Mutex
	var statuses []string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var delivery struct{ Alerts []struct{ Status string } }
		if err := json.NewDecoder(r.Body).Decode(&delivery); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, a := range delivery.Alerts {
			statuses = append(statuses, a.Status)
		}
	}))
	t.Cleanup(hook.Close)
	am := testenv.Alertmanager(t, testenv.AlertmanagerOptions{Config: fmt.Sprintf(`
route: { receiver: hook, group_wait: 0s, group_interval: 1s, repeat_interval: 1h }
receivers: [{ name: hook, webhook_configs: [{ url: '%s', send_resolved: true }] }]
`, hook.URL)})
	i := launch(t, map[string]string{
		"chiron.yaml": fmt.Sprintf(`
global: { evaluation_interval: 250ms }
rule_files: [rules.yaml]
alerting: { alertmanagers: [{ static_configs: [{ targets: ['%s'] }] }] }
self_monitor: { enabled: false }
`, strings.TrimPrefix(am.URL, "http://")),
		"rules.yaml": "groups: [{ name: g, rules: [{ anomaly: Load, expr: load, model: zscore(window=10m), direction: above, output: [all], alert: { for: 0s } }] }]",
	}, nil)
	i.past("load", 15*time.Minute)
	eventually(t, func() error { return want(i.value("anomaly_model_state"), "2") })
	models := filepath.Join(i.o.StoragePath, "rules")
	saved := filepath.Join(t.TempDir(), "rules")
	if err := errors.Join(i.stop(), os.CopyFS(saved, os.DirFS(models))); err != nil {
		t.Fatal(err)
	}
	i.start()
	// The value doubles from one evaluation to the next, so that no model gets
	// used to it.
	began := time.Now()
	worse := func() { i.send("load", 1e4*math.Exp2(float64(time.Since(began))/float64(250*time.Millisecond))) }
	shown := func() (a alertTimes, err error) {
		code, text := do(t, http.MethodGet, am.URL+"/api/v2/alerts?active=true", "", nil)
		var alerts []alertTimes
		if err := json.Unmarshal([]byte(text), &alerts); err != nil || len(alerts) != 1 {
			return a, fmt.Errorf("alerts of Alertmanager: %d %s", code, text)
		}
		return alerts[0], nil
	}
	var before, after alertTimes
	eventually(t, func() (err error) {
		worse()
		before, err = shown()
		return err
	})
	// Some more of the incident for the models to learn afterwards.
	eventually(t, func() error {
		worse()
		if n := len(i.times(`ALERTS{alertstate="firing"}[1h]`)); n < 12 {
			return fmt.Errorf("fired at %d evaluations", n)
		}
		return nil
	})

	if err := errors.Join(i.stop(), os.RemoveAll(models), os.CopyFS(models, os.DirFS(saved))); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	i.start()
	eventually(t, func() (err error) {
		worse()
		if after, err = shown(); err == nil && !after.UpdatedAt.After(stopped) {
			err = fmt.Errorf("not sent again since the start at %v: %+v", stopped, after)
		}
		return err
	})
	if after.UpdatedAt.After(before.EndsAt) {
		t.Errorf("sent again at %v, after it had ended at %v", after.UpdatedAt, before.EndsAt)
	}
	if !after.StartsAt.Equal(before.StartsAt) {
		t.Errorf("began at %v, then at %v", before.StartsAt, after.StartsAt)
	}
	// What is sent ends four minutes behind the evaluation that sends it.
	sent := after.EndsAt.Add(-4 * time.Minute).UnixMilli()
	first := slices.DeleteFunc(i.times("anomaly_actual[1h]"), func(at int64) bool { return at <= stopped.UnixMilli() || at > sent })
	if len(first) < 1 || len(first) > 3 {
		t.Errorf("sent again at evaluation %d behind the start: at %d of %v", len(first), sent, first)
	}
	// For some more evaluations nothing ends.
	enough := len(i.times("anomaly_actual[1h]")) + 12
	eventually(t, func() error {
		worse()
		if n := len(i.times("anomaly_actual[1h]")); n < enough {
			return fmt.Errorf("%d evaluations", n)
		}
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	if slices.Contains(statuses, "resolved") {
		t.Errorf("Alertmanager has told of %v", statuses)
	}
}

// past writes what a series did until now, quietly.
func (i *instance) past(metric string, d time.Duration) {
	i.t.Helper()
	var samples []prompb.Sample
	for end, at := time.Now(), time.Now().Add(-d); at.Before(end); at = at.Add(time.Second) {
		samples = append(samples, prompb.Sample{Timestamp: at.UnixMilli(), Value: 10 + math.Sin(float64(at.Unix()))})
	}
	b, err := proto.Marshal(&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels: []prompb.Label{{Name: "__name__", Value: metric}}, Samples: samples,
	}}})
	if err != nil {
		i.t.Fatal(err)
	}
	header := map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
	if code, text := do(i.t, http.MethodPost, i.url+"/api/v1/write", string(snappy.Encode(nil, b)), header); code != http.StatusNoContent {
		i.t.Fatalf("write: %d %s", code, text)
	}
}

// times are those of the samples of one series, in milliseconds.
func (i *instance) times(selector string) (out []int64) {
	i.t.Helper()
	code, body := i.get("/api/v1/query?query=" + selector)
	var answer struct {
		Data struct {
			Result []struct{ Values [][2]any }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); code != http.StatusOK || err != nil {
		i.t.Fatalf("%s: %d %s", selector, code, body)
	}
	for _, series := range answer.Data.Result {
		for _, v := range series.Values {
			seconds, _ := v[0].(float64)
			out = append(out, int64(math.Round(seconds*1000)))
		}
	}
	return out
}
