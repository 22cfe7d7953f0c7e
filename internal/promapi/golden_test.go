package promapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/golden from what is answered now")

// questions are asked of an empty and of a filled store; each answer has a file
// in testdata/golden. Those with a form are also asked by POST, if that is
// allowed, and compressed, and must have the same answer.
var questions = []struct {
	name, path, form string
	post             bool
}{
	{"query_scalar", "/query", form("query", "1+1", "time", "4"), true},
	{"query_string", "/query", form("query", `"a<b"`, "time", "4"), true},
	{"query_vector", "/query", form("query", "sort(up)", "time", "1767225900"), true},
	{"query_special_values", "/query", form("query", `sort(label_replace(-up{job="db"}, "v", "-Inf", "", "") or label_replace(up{job="db"} - up, "v", "NaN", "", "") or up{job="db"} or up{job="api"}/3)`, "time", "1767225915"), true},
	{"query_matrix", "/query", form("query", "http_requests_total[1m]", "time", "2026-01-01T00:05:00.5Z"), true},
	{"query_histogram", "/query", form("query", "latency", "time", "1767225900.123"), true},
	{"query_custom_histogram", "/query", form("query", "latency_custom", "time", "1767225900"), true},
	{"query_utf8", "/query", form("query", `{"a.b", "näme"="ü"}`, "time", "1767225900"), true},
	{"query_warning", "/query", form("query", `rate(up{job="api",instance="a:80"}[1m])`, "time", "1767225900"), true},
	{"query_range", "/query_range", form("query", `rate(http_requests_total[1m])`, "start", "1767225600", "end", "1767225900.5", "step", "1m"), true},
	{"query_range_unaligned", "/query_range", form("query", `up{instance="a:80"}`, "start", "1767225603.25", "end", "1767225640", "step", "7.5"), true},
	{"query_range_histogram", "/query_range", form("query", "rate(latency[1m])", "start", "1767225700", "end", "1767225800", "step", "50"), true},
	{"query_range_scalar", "/query_range", form("query", "1", "start", "0", "end", "2", "step", "1"), true},
	{"query_exemplars", "/query_exemplars", form("query", "rate(http_requests_total[1m])", "start", "1767225600", "end", "1767226600"), true},
	{"query_exemplars_none", "/query_exemplars", form("query", "up"), true},
	{"query_exemplars_no_selector", "/query_exemplars", form("query", "1"), true},
	{"format_query", "/format_query", form("query", "sum(rate(x[5m]))by(a)"), true},
	{"parse_query", "/parse_query", form("query", "sum by (a) (rate(x{b=~\"c\"}[5m]))"), true},
	{"labels", "/labels", "", true},
	{"labels_match", "/labels", form("match[]", "up", "start", "1767225600", "end", "1767226200"), true},
	{"label_values", "/label/__name__/values", "", false},
	{"label_values_match", "/label/job/values", form("match[]", "up", "match[]", "latency"), false},
	{"label_values_escaped", "/label/U__n_e4_me/values", "", false},
	{"label_values_percent", "/label/n%C3%A4me/values", "", false},
	{"label_values_slash", "/label/a%2Fb/values", "", false},
	{"label_values_unknown", "/label/nothing/values", "", false},
	{"series", "/series", form("match[]", `{job="api"}`, "match[]", "up"), true},
	{"series_outside", "/series", form("match[]", "up", "start", "0", "end", "1"), true},
	{"metadata", "/metadata", "", false},
	{"metadata_one", "/metadata", form("metric", "U__a_2e_b", "limit_per_metric", "1"), false},
	{"metadata_limit", "/metadata", form("limit", "2"), false},
	{"rules", "/rules", "", false},
	{"rules_alert", "/rules", form("type", "alert", "exclude_alerts", "true"), false},
	{"rules_record", "/rules", form("type", "record"), false},
	{"rules_anomaly", "/rules", form("type", "anomaly"), false},
	{"alerts", "/alerts", "", false},
	{"alertmanagers", "/alertmanagers", "", false},
	{"targets", "/targets", "", false},
	{"targets_dropped", "/targets", form("state", "dropped"), false},
	{"targets_metadata", "/targets/metadata", "", false},
	{"scrape_pools", "/scrape_pools", "", false},
	{"status_buildinfo", "/status/buildinfo", "", false},
	{"status_runtimeinfo", "/status/runtimeinfo", "", false},
	{"status_config", "/status/config", "", false},
	{"status_flags", "/status/flags", "", false},
	{"status_tsdb", "/status/tsdb", form("limit", "3"), false},
	{"status_tsdb_blocks", "/status/tsdb/blocks", "", false},
	{"status_walreplay", "/status/walreplay", "", false},
	{"status_self_metrics", "/status/self_metrics", "", false},
	{"notifications", "/notifications", "", false},
}

func TestGolden(t *testing.T) {
	for _, state := range []string{"empty", "filled"} {
		b := newBed(t, func(o *Options) {
			o.Build = BuildInfo{Version: "1.2.3", Revision: "abc", GoVersion: "go1"}
			o.Now = func() time.Time { return time.Unix(base, 0) }
			if state == "filled" {
				o.Rules = ruleGroups
				o.Flags = map[string]string{"storage.path": "data"}
				o.ConfigYAML = func() string { return "password: <secret>\n" }
				o.Alertmanagers = alertmanagers{"http://am:9093/api/v2/alerts"}
				o.Runtime = func() Runtime {
					return Runtime{StartTime: time.Unix(base, 0).UTC(), ReloadConfigSuccess: true, StorageRetention: "24h or 1GiB"}
				}
			}
		})
		if state == "filled" {
			fill(t, b.store)
		}
		for _, q := range questions {
			t.Run(state+"/"+q.name, func(t *testing.T) {
				plain := b.do(t, http.MethodGet, q.path, q.form)
				golden(t, filepath.Join("testdata", "golden", state, q.name+".json"), pretty(t, plain))

				zipped := b.do(t, http.MethodGet, q.path, q.form, "Accept-Encoding", "gzip")
				same(t, "gzip", plain, zipped)
				if q.path != "/status/walreplay" && q.path != "/notifications" && plain.code == http.StatusOK {
					if zipped.header.Get("Content-Encoding") != "gzip" || !strings.Contains(strings.Join(zipped.header.Values("Vary"), ","), "Accept-Encoding") {
						t.Errorf("not compressed: %v", zipped.header)
					}
				}
				posted := b.do(t, http.MethodPost, q.path, q.form)
				if q.post {
					same(t, "POST", plain, posted)
				} else if posted.code != http.StatusMethodNotAllowed || posted.header.Get("Allow") != http.MethodGet {
					t.Errorf("POST: %d, Allow %q; want 405, GET", posted.code, posted.header.Values("Allow"))
				}
			})
		}
	}
}

// same compares two answers to one question; what runs on between them is
// blanked out.
func same(t *testing.T, how string, want, got answer) {
	t.Helper()
	if got.code != want.code {
		t.Errorf("%s: status %d, plain GET %d", how, got.code, want.code)
	}
	if diff := cmp.Diff(pretty(t, want), pretty(t, got)); diff != "" {
		t.Errorf("%s differs from plain GET (-plain +%s):\n%s", how, how, diff)
	}
}

// moving matches what differs from run to run, or is the ring's own affair.
var moving = regexp.MustCompile(`"(CWD|hostname|chunkCount|goroutineCount|GOMAXPROCS|GOMEMLIMIT|GOGC|GODEBUG)": [^\n]*[^,\n]`)

func pretty(t *testing.T, a answer) string {
	t.Helper()
	if a.body == "" {
		return http.StatusText(a.code) + "\n"
	}
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(a.body), "", " "); err != nil {
		t.Fatalf("not JSON: %q", a.body)
	}
	out.WriteByte('\n')
	return moving.ReplaceAllString(out.String(), `"$1": "..."`)
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
