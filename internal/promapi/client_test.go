package promapi

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promclient "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

func client(t testing.TB, b *bed) promv1.API {
	t.Helper()
	c, err := promclient.NewClient(promclient.Config{Address: b.serve(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	return promv1.NewAPI(c)
}

// TestClientGolang calls every method of the official client once.
func TestClientGolang(t *testing.T) {
	b := newBed(t, func(o *Options) {
		o.Rules = ruleGroups
		o.Alertmanagers = alertmanagers{"http://am:9093/api/v2/alerts"}
		o.Flags = map[string]string{"a": "b"}
		o.Build = BuildInfo{Version: "1.2.3"}
		o.ConfigYAML = func() string { return "global: {}\n" }
		o.Runtime = func() Runtime { return Runtime{ReloadConfigSuccess: true, StorageRetention: "1d"} }
	})
	fill(t, b.store)
	c, ctx := client(t, b), t.Context()
	start, end := time.Unix(base, 0), time.Unix(base+600, 0)
	at := time.Unix(base+300, 0)

	equal := func(name string, err error, got, want any) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	_, warnings, infos, err := c.Query(ctx, "sort_by_label(up, \"instance\")", at)
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	if err == nil || !strings.Contains(err.Error(), "experimental_functions: true") {
		t.Errorf("experimental functions are off, as in Prometheus, and the message says what switches them on: %v %v", err, infos)
	}
	value, _, _, err := c.Query(ctx, `up{instance="a:80"}`, at)
	equal("Query", err, value, model.Value(model.Vector{{
		Metric: model.Metric{"__name__": "up", "job": "api", "instance": "a:80"}, Value: 1, Timestamp: model.TimeFromUnix(base + 300),
	}}))
	value, _, _, err = c.QueryRange(ctx, `up{instance="b:80"}`, promv1.Range{Start: start, End: start.Add(30 * time.Second), Step: 15 * time.Second})
	equal("QueryRange", err, value, model.Value(model.Matrix{{
		Metric: model.Metric{"__name__": "up", "job": "api", "instance": "b:80"},
		Values: []model.SamplePair{{Timestamp: base * 1000, Value: 0}, {Timestamp: base*1000 + 15000, Value: 1}, {Timestamp: base*1000 + 30000, Value: 0}},
	}}))
	exemplars, err := c.QueryExemplars(ctx, "http_requests_total", start, end)
	equal("QueryExemplars", err, exemplars, []promv1.ExemplarQueryResult{{
		SeriesLabels: model.LabelSet{"__name__": "http_requests_total", "job": "api", "code": "200"},
		Exemplars:    []promv1.Exemplar{{Labels: model.LabelSet{"trace_id": "abc"}, Value: 6, Timestamp: model.TimeFromUnix(base + 300)}},
	}})
	names, _, _, err := c.LabelNames(ctx, nil, start, end)
	equal("LabelNames", err, names, model.LabelNames{"__name__", "code", "instance", "job", "näme"})
	values, _, _, err := c.LabelValues(ctx, "job", []string{"up"}, start, end)
	equal("LabelValues", err, values, model.LabelValues{"api", "db"})
	series, _, _, err := c.Series(ctx, []string{`{job="db"}`}, start, end)
	equal("Series", err, series, []model.LabelSet{{"__name__": "up", "job": "db", "instance": "c:80"}})
	formatted, err := c.FormatQuery(ctx, "sum(up)by(job)")
	equal("FormatQuery", err, formatted, `"sum by (job) (up)"`) // the client hands out the JSON string as it is
	meta, err := c.Metadata(ctx, "up", "1")
	equal("Metadata", err, meta, map[string][]promv1.Metadata{"up": {{Type: "gauge", Help: "Whether the target is up."}}})

	rules, err := c.Rules(ctx, nil)
	var kinds []string
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			switch r := r.(type) {
			case promv1.AlertingRule:
				kinds = append(kinds, "alerting "+r.Name+" "+r.State)
			case promv1.RecordingRule:
				kinds = append(kinds, "recording "+r.Name)
			}
		}
	}
	equal("Rules", err, kinds, []string{
		"recording job:up:sum", "alerting Down firing", "alerting New unknown",
		"recording Latency", "alerting LatencyOdd firing", "recording Quiet",
	})
	rules, err = c.Rules(ctx, []string{`{severity="page"}`})
	equal("Rules with a matcher", err, len(rules.Groups), 1)
	alerts, err := c.Alerts(ctx)
	equal("Alerts", err, len(alerts.Alerts), 2)
	ams, err := c.AlertManagers(ctx)
	equal("AlertManagers", err, ams.Active, []promv1.AlertManager{{URL: "http://am:9093/api/v2/alerts"}})

	cfg, err := c.Config(ctx)
	equal("Config", err, cfg.YAML, "global: {}\n")
	flags, err := c.Flags(ctx)
	equal("Flags", err, flags, promv1.FlagsResult{"a": "b"})
	build, err := c.Buildinfo(ctx)
	equal("Buildinfo", err, build.Version, "1.2.3")
	run, err := c.Runtimeinfo(ctx)
	equal("Runtimeinfo", err, run.StorageRetention, "1d")
	targets, err := c.Targets(ctx)
	equal("Targets", err, len(targets.Active)+len(targets.Dropped), 0)
	targetMeta, err := c.TargetsMetadata(ctx, "{a=\"b\"}", "up", "3")
	equal("TargetsMetadata", err, targetMeta, []promv1.MetricMetadata{})
	tsdb, err := c.TSDB(ctx)
	equal("TSDB", err, tsdb.HeadStats.NumSeries, 7)
	blocks, err := c.TSDBBlocks(ctx)
	equal("TSDBBlocks", err, len(blocks.Blocks), 0)
	replay, err := c.WalReplay(ctx)
	equal("WalReplay", err, replay, promv1.WalReplayStatus{})

	for name, call := range map[string]func(context.Context) error{
		"CleanTombstones": c.CleanTombstones,
		"DeleteSeries": func(ctx context.Context) error {
			return c.DeleteSeries(ctx, []string{"up"}, start, end)
		},
		"Snapshot": func(ctx context.Context) error {
			_, err := c.Snapshot(ctx, false)
			return err
		},
	} {
		if err := call(ctx); err == nil {
			t.Errorf("%s works, but the admin API is off", name)
		}
	}
}

// TestUTF8Names follows a name beyond the old alphabet through every door.
func TestUTF8Names(t *testing.T) {
	b := newBed(t)
	fill(t, b.store)
	c, ctx := client(t, b), t.Context()
	start, end := time.Unix(base, 0), time.Unix(base+600, 0)

	names, _, _, err := c.LabelNames(ctx, []string{`{"a.b"}`}, start, end)
	if err != nil || !slices.Contains(names, "näme") {
		t.Errorf("labels: %v, %v", names, err)
	}
	metrics, _, _, err := c.LabelValues(ctx, "__name__", nil, start, end)
	if err != nil || !slices.Contains(metrics, "a.b") {
		t.Errorf("metric names: %v, %v", metrics, err)
	}
	for _, label := range []string{"n%C3%A4me", "U__n_e4_me", url.PathEscape("näme")} {
		if got := b.get(t, "/label/"+label+"/values").body; got != `{"status":"success","data":["ü"]}` {
			t.Errorf("values of %s: %s", label, got)
		}
	}
	for _, query := range []string{`{"a.b"}`, `{__name__="a.b"}`, `{"a.b","näme"="ü"}`, `sum by ("näme") ({"a.b"})`} {
		value, _, _, err := c.Query(ctx, query, end)
		if v, ok := value.(model.Vector); err != nil || !ok || len(v) != 1 || v[0].Value != 40 || v[0].Metric["näme"] != "ü" {
			t.Errorf("%s: %v, %v", query, value, err)
		}
	}
	series, _, _, err := c.Series(ctx, []string{`{"näme"!=""}`}, start, end)
	if err != nil || len(series) != 1 || series[0]["__name__"] != "a.b" {
		t.Errorf("series: %v, %v", series, err)
	}
	meta, err := c.Metadata(ctx, "a.b", "")
	if err != nil || len(meta["a.b"]) != 1 {
		t.Errorf("metadata: %v, %v", meta, err)
	}
}
