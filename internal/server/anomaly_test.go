package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
)

// anomaly is what the API says of the one anomaly rule.
type anomaly struct {
	Health     string
	LastError  string
	Warnings   []string
	Models     map[string]int
	ModelBytes int64
}

func (i *instance) anomaly() (a anomaly, err error) {
	_, body := i.get("/api/v1/rules?type=anomaly")
	var answer struct {
		Data struct {
			Groups []struct{ Rules []anomaly }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Data.Groups) != 1 || len(answer.Data.Groups[0].Rules) != 1 {
		return a, fmt.Errorf("%s: %w", body, err)
	}
	return answer.Data.Groups[0].Rules[0], nil
}

func launchRule(t *testing.T, config, rule string) *instance {
	t.Helper()
	return launch(t, map[string]string{
		"chiron.yaml": "global: { evaluation_interval: 250ms }\nrule_files: [rules.yaml]\nself_monitor: { enabled: false }\n" + config,
		"rules.yaml":  "groups: [{ name: g, rules: [{ anomaly: A, direction: both, " + rule + " }] }]",
	}, nil)
}

// A native histogram among the series of an anomaly rule is skipped and named;
// the others are scored. So it is among inputs.
func TestHistogramsAreSkippedAndNamed(t *testing.T) {
	for name, rule := range map[string]string{
		"streamed": "expr: size, model: zscore, output: [all]",
		"queried":  "expr: size or vector(0) > 1, model: zscore, output: [all]",
		"inputs":   "inputs: { a: size, b: size }, join: [job], model: zscore, output: [all]",
	} {
		t.Run(name, func(t *testing.T) {
			i := launchRule(t, "", rule)
			eventually(t, func() error {
				i.sendSeries(number("size", "job", "number"))
				i.sendSeries(nativeHistogram("size", "job", "histogram"))
				a, err := i.anomaly()
				if err != nil {
					return err
				}
				if a.Health != "ok" || a.Models["learning"] != 1 || len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], `job="histogram"`) {
					return fmt.Errorf("%+v", a)
				}
				return nil
			})
			if got := i.values("anomaly_model_state"); len(got) != 1 {
				t.Errorf("scored: %v", got)
			}
		})
	}
}

// Labels of the rule that make outputs equal fail it with their name and two of
// the series.
func TestOutputsThatBecomeEqualFailTheRule(t *testing.T) {
	i := launchRule(t, "", "expr: load, model: zscore, labels: { pod: all }")
	eventually(t, func() error {
		i.sendSeries(number("load", "pod", "a"))
		i.sendSeries(number("load", "pod", "b"))
		a, err := i.anomaly()
		if err != nil {
			return err
		}
		for _, want := range []string{`label "pod"`, `pod="a"`, `pod="b"`} {
			if a.Health != "err" || !strings.Contains(a.LastError, want) {
				return fmt.Errorf("%+v", a)
			}
		}
		return nil
	})
	if got := i.values("anomaly_score"); len(got) != 0 {
		t.Errorf("one of them is written: %v", got)
	}
}

// A score keeps its identity when the model's text changes; which model it is
// stands in a series of its own.
func TestAnInfoSeriesTellsTheModel(t *testing.T) {
	i := launchRule(t, "", "expr: load, model: zscore(threshold=4)")
	eventually(t, func() error {
		i.sendSeries(number("load", "pod", "a"))
		info, score := i.values(`anomaly_model_info{anomaly_model="zscore", anomaly_name="A", pod="a"}`), i.values(`anomaly_score{anomaly_model=""}`)
		if len(info) != 1 || info[0] != 1 || len(score) != 1 {
			return fmt.Errorf("info %v, score %v", info, score)
		}
		return nil
	})
}

// Models that may hold no more memory refuse series, and the rule says so.
func TestModelsStayWithinTheirMemory(t *testing.T) {
	const limit = 1 << 20
	i := launchRule(t, "models: { memory: 1MiB }\n", "expr: load, model: lstm, output: [all]")
	eventually(t, func() error {
		for n := range 60 {
			i.sendSeries(number("load", "pod", fmt.Sprint(n)))
		}
		a, err := i.anomaly()
		if err != nil {
			return err
		}
		scored := len(i.values("anomaly_model_state"))
		if a.Health != "err" || !strings.Contains(a.LastError, "models.memory") || scored == 0 || scored >= 60 || a.ModelBytes == 0 || a.ModelBytes > limit {
			return fmt.Errorf("%d scored, %+v", scored, a)
		}
		return nil
	})
	_, metrics := i.get("/metrics")
	for _, want := range []string{`chiron_rules_models{rule="A",rule_group=`, `chiron_rules_models_bytes{rule="A"`, "chiron_rules_models_limit_bytes 1.048576e+06", "chiron_rules_series_over_memory_total"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in /metrics", want)
		}
	}
}

// number is a series with one sample of now; nativeHistogram is one, too.
func number(metric, label, value string) prompb.TimeSeries {
	return prompb.TimeSeries{
		Labels:  []prompb.Label{{Name: labels.MetricName, Value: metric}, {Name: label, Value: value}},
		Samples: []prompb.Sample{{Value: 1, Timestamp: time.Now().UnixMilli()}},
	}
}

func nativeHistogram(metric, label, value string) prompb.TimeSeries {
	s := number(metric, label, value)
	s.Samples = nil
	s.Histograms = []prompb.Histogram{prompb.FromIntHistogram(time.Now().UnixMilli(), &histogram.Histogram{
		Count: 3, Sum: 4, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{3},
	})}
	return s
}

// sendSeries writes series by remote write 1.0.
func (i *instance) sendSeries(series ...prompb.TimeSeries) {
	i.t.Helper()
	b, err := proto.Marshal(&prompb.WriteRequest{Timeseries: series})
	if err != nil {
		i.t.Fatal(err)
	}
	header := map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
	if code, text := do(i.t, http.MethodPost, i.url+"/api/v1/write", string(snappy.Encode(nil, b)), header); code != http.StatusNoContent {
		i.t.Fatalf("write: %d %s", code, text)
	}
}

// values answers an instant query with the values of all series.
func (i *instance) values(expr string) (out []float64) {
	i.t.Helper()
	code, body := i.get("/api/v1/query?query=" + url.QueryEscape(expr))
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); code != http.StatusOK || err != nil {
		i.t.Fatalf("%s: %d %s", expr, code, body)
	}
	for _, r := range answer.Data.Result {
		v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			i.t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}
