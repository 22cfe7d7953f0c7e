package promapi

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"
)

// TestWireShapes holds our own answers against the types that Prometheus
// encodes: same names, same nesting, same forms of times and numbers.
func TestWireShapes(t *testing.T) {
	f := func(name string, ours, theirs any) {
		t.Helper()
		if diff := gocmp.Diff(asJSON(t, theirs), asJSON(t, ours)); diff != "" {
			t.Errorf("%s (-Prometheus +ours):\n%s", name, diff)
		}
	}
	at := time.Unix(base, 123456789).UTC()
	alert := Alert{
		Labels: labels.FromStrings("alertname", "A"), Annotations: labels.FromStrings("b", "c"),
		State: "firing", ActiveAt: at, Value: 11,
	}
	theirAlert := &apiv1.Alert{Labels: alert.Labels, Annotations: alert.Annotations, State: "firing", ActiveAt: &at, Value: "1.1e+01"}
	f("alert", wireAlerts([]Alert{alert}), []*apiv1.Alert{theirAlert})
	alert.KeepFiringSince, alert.Value = at, math.NaN()
	theirAlert.KeepFiringSince, theirAlert.Value = &at, "NaN"
	f("kept alert", wireAlerts([]Alert{alert}), []*apiv1.Alert{theirAlert})

	r := Rule{
		Name: "n", Query: "q", Duration: 90 * time.Second, KeepFiringFor: time.Millisecond,
		Labels: labels.FromStrings("l", "{{ $value }}"), Annotations: labels.FromStrings("a", "b"), Alerts: []Alert{alert},
		State: "pending", Health: "err", LastError: "e", EvaluationTime: 1500 * time.Microsecond, LastEvaluation: at,
	}
	alerting := apiv1.AlertingRule{
		State: rules.StatePending.String(), Name: "n", Query: "q", Duration: 90, KeepFiringFor: 0.001,
		Labels: r.Labels, Annotations: r.Annotations, Alerts: []*apiv1.Alert{theirAlert},
		Health: rules.HealthBad, LastError: "e", EvaluationTime: 0.0015, LastEvaluation: at, Type: "alerting",
	}
	f("alerting rule", ruleFilter{}.wireAlerting(r, r.Name, r.Query), alerting)
	alerting.Alerts = nil
	f("alerting rule without alerts", ruleFilter{excludeAlerts: true}.wireAlerting(r, r.Name, r.Query), alerting)
	f("recording rule", wireRecording(r), apiv1.RecordingRule{
		Name: "n", Query: "q", Labels: r.Labels, Health: rules.HealthBad, LastError: "e",
		EvaluationTime: 0.0015, LastEvaluation: at, Type: "recording",
	})
	f("rule never run", wireRecording(Rule{}), apiv1.RecordingRule{Health: rules.HealthUnknown, Type: "recording"})
	if got := (ruleFilter{}).wireAlerting(Rule{}, "", "").State; got != rules.StateUnknown.String() {
		t.Errorf("state of an alerting rule never run: %q", got)
	}
	f("groups", wireGroups{GroupNextToken: "t", Groups: []wireGroup{{
		Name: "g", File: "f", Rules: []any{}, Interval: 30, Limit: 1, EvaluationTime: 0.1, LastEvaluation: at,
	}}}, apiv1.RuleDiscovery{GroupNextToken: "t", RuleGroups: []*apiv1.RuleGroup{{
		Name: "g", File: "f", Rules: []apiv1.Rule{}, Interval: 30, Limit: 1, EvaluationTime: 0.1, LastEvaluation: at,
	}}})

	f("build", BuildInfo{"v", "r", "b", "u", "d", "g"}, apiv1.PrometheusVersion{
		Version: "v", Revision: "r", Branch: "b", BuildUser: "u", BuildDate: "d", GoVersion: "g",
	})
	f("runtime", runtimeInfo{StartTime: at, GOGC: "1", GOMEMLIMIT: 2}, apiv1.RuntimeInfo{StartTime: at, GOGC: "1", GOMEMLIMIT: 2})
	stat := []apiv1.TSDBStat{{Name: "x", Value: 1}}
	ours := []tsdbStat{{"x", 1}}
	f("tsdb", tsdbStatus{headStats{1, 2, 3, 4, 5}, ours, ours, ours, ours}, apiv1.TSDBStatus{
		HeadStats:               apiv1.HeadStats{NumSeries: 1, NumLabelPairs: 2, ChunkCount: 3, MinTime: 4, MaxTime: 5},
		SeriesCountByMetricName: stat, LabelValueCountByLabelName: stat, MemoryInBytesByLabelName: stat, SeriesCountByLabelValuePair: stat,
	})
}

// asJSON returns v as a client sees it.
func asJSON(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
