package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"

	"github.com/chironhq/chiron/internal/testenv"
)

// series returns the label sets that a server with the query API answers with.
func series(t *testing.T, server, selector string) []string {
	t.Helper()
	code, text := do(t, http.MethodGet, server+"/api/v1/query?query="+url.QueryEscape(selector), "", nil)
	var answer struct {
		Data struct {
			Result []struct {
				Metric    map[string]string
				Histogram json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || code != http.StatusOK {
		t.Fatalf("%s: %d %s", selector, code, text)
	}
	out := []string{}
	for _, r := range answer.Data.Result {
		var pairs []string
		for name, v := range r.Metric {
			pairs = append(pairs, name+"="+v)
		}
		slices.Sort(pairs)
		kind := "float"
		if len(r.Histogram) > 0 {
			kind = "histogram"
		}
		out = append(out, kind+" "+strings.Join(pairs, " "))
	}
	slices.Sort(out)
	return out
}

// TestExternalLabelsReachPrometheus: real Prometheus servers get what the rules
// write by remote write 1.0 and 2.0, with the external labels where the rules
// set none of the name, and with others after a reload. Our ring has none.
func TestExternalLabelsReachPrometheus(t *testing.T) {
	testenv.Tool(t, "prometheus")
	receiver := func() *testenv.PrometheusServer {
		return testenv.Prometheus(t, testenv.PrometheusOptions{Flags: []string{"--web.enable-remote-write-receiver"}})
	}
	v1, v2 := receiver(), receiver()
	config := func(external string) string {
		return fmt.Sprintf(`
global: { evaluation_interval: 100ms, external_labels: { %s } }
rule_files: [rules.yaml]
remote_write:
  - { name: old, protocol: "1.0", url: '%s/api/v1/write' }
  - { name: new, protocol: "2.0", url: '%s/api/v1/write' }
`, external, v1.URL, v2.URL)
	}
	i := launch(t, map[string]string{
		"chiron.yaml": config(`region: eu, team: ops, none: ""`),
		"rules.yaml": `
groups:
  - name: g
    rules:
      - { record: 'out:plain', expr: in }
      - { record: 'out:own', expr: in, labels: { team: shop } }
      - { record: 'out:latency', expr: latency }
`,
	}, nil)
	now := time.Now().UnixMilli()
	h := histogram.Histogram{Schema: 1, Count: 3, Sum: 2, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 1}}
	body, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{
		{Labels: []prompb.Label{{Name: "__name__", Value: "in"}, {Name: "job", Value: "api"}}, Samples: []prompb.Sample{{Value: 1, Timestamp: now}}},
		{Labels: []prompb.Label{{Name: "__name__", Value: "latency"}}, Histograms: []prompb.Histogram{prompb.FromIntHistogram(now, &h)}},
	}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if code, text := do(t, http.MethodPost, i.url+"/api/v1/write", string(snappy.Encode(nil, body)), map[string]string{
		"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
	}); code != http.StatusNoContent {
		t.Fatalf("write: %d %s", code, text)
	}
	arrived := func(selector string, want ...string) {
		t.Helper()
		for _, p := range []*testenv.PrometheusServer{v1, v2} {
			eventually(t, func() error {
				if diff := gocmp.Diff(want, series(t, p.URL, selector)); diff != "" {
					return fmt.Errorf("%s (-want +got):\n%s", selector, diff)
				}
				return nil
			})
		}
	}
	arrived(`{__name__=~"out:.*"}`,
		"float __name__=out:own job=api region=eu team=shop",
		"float __name__=out:plain job=api region=eu team=ops",
		"histogram __name__=out:latency region=eu team=ops")

	write(t, i.o.ConfigFile, config(`region: us`))
	if code, text := do(t, http.MethodPost, i.url+"/-/reload", "", nil); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, text)
	}
	arrived(`{__name__=~"out:.*", region="us"}`,
		"float __name__=out:own job=api region=us team=shop",
		"float __name__=out:plain job=api region=us",
		"histogram __name__=out:latency region=us")

	want := []string{"float __name__=out:own job=api team=shop", "float __name__=out:plain job=api", "histogram __name__=out:latency"}
	if diff := gocmp.Diff(want, series(t, i.url, `{__name__=~"out:.*"}`)); diff != "" {
		t.Errorf("our own ring (-want +got):\n%s", diff)
	}
	for _, remote := range []string{"old", "new"} {
		if n := i.metric(fmt.Sprintf(`chiron_emit_dropped_samples_total{reason="refused",remote=%q}`, remote)); n != 0 {
			t.Errorf("%s: %v samples were refused", remote, n)
		}
	}
}
