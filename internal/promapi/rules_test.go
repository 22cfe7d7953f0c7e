package promapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

type gotRules struct {
	Data struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Name, Type string
				Alerts     []any
				Alert      *struct{ Alerts []any }
			}
		}
		GroupNextToken string
	}
}

func (b *bed) rules(t *testing.T, keyValues ...string) (names string, got gotRules) {
	t.Helper()
	a := b.get(t, "/rules", keyValues...)
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.code != 200 {
		t.Fatalf("%v: %d %s", keyValues, a.code, a.body)
	}
	var parts []string
	for _, g := range got.Data.Groups {
		part := g.Name + ":"
		for _, r := range g.Rules {
			part += " " + r.Type + "/" + r.Name
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; "), got
}

func TestRuleFilters(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Rules = ruleGroups })
	f := func(want string, keyValues ...string) {
		t.Helper()
		if got, _ := b.rules(t, keyValues...); got != want {
			t.Errorf("%v:\n got %s\nwant %s", keyValues, got, want)
		}
	}
	first := "first: recording/job:up:sum alerting/Down alerting/New"
	second := "second: recording/Latency alerting/LatencyOdd recording/Quiet"
	f(first + "; " + second)
	f("first: alerting/Down alerting/New; second: alerting/LatencyOdd", "type", "alert")
	f("first: alerting/Down alerting/New; second: alerting/LatencyOdd", "type", "ALERT")
	f("first: recording/job:up:sum; second: recording/Latency recording/Quiet", "type", "record")
	f("second: anomaly/Latency anomaly/Quiet", "type", "anomaly")
	f("second: anomaly/Quiet", "type", "anomaly", "rule_name[]", "Quiet")
	f("first: alerting/Down", "rule_name[]", "Down")
	f("first: alerting/Down; second: recording/Quiet", "rule_name[]", "Down", "rule_name[]", "Quiet")
	f("second: recording/Latency alerting/LatencyOdd", "rule_name[]", "Latency")
	f("second: alerting/LatencyOdd", "rule_name[]", "LatencyOdd")
	f("", "rule_name[]", "none")
	f(second, "rule_group[]", "second")
	f(first, "file[]", "rules/a.yaml")
	f("", "file[]", "rules/a.yaml", "rule_group[]", "second")
	f("first: alerting/Down", "match[]", `{severity="page"}`)
	f("first: recording/job:up:sum; second: recording/Latency alerting/LatencyOdd", "match[]", `{team=~".+"}`)
	f("first: recording/job:up:sum alerting/Down", "match[]", `{severity="page"}`, "match[]", `{team="b"}`)
	f("", "match[]", `{severity="page",team="b"}`)

	for _, exclude := range []string{"", "false", "true", "TRUE"} {
		want := 2
		if strings.EqualFold(exclude, "true") {
			want = 0
		}
		for _, typ := range []string{"", "alert", "anomaly"} {
			_, got := b.rules(t, "exclude_alerts", exclude, "type", typ)
			n := 0
			for _, g := range got.Data.Groups {
				for _, r := range g.Rules {
					n += len(r.Alerts)
					if r.Alert != nil {
						n += len(r.Alert.Alerts)
					}
				}
			}
			if want := min(want, map[string]int{"": 2, "alert": 2, "anomaly": 1}[typ]); n != want {
				t.Errorf("exclude_alerts=%q type=%q: %d alerts, want %d", exclude, typ, n, want)
			}
		}
	}
}

// TestRulePages walks through the groups in pages of every size, with and
// without a filter: all are seen once, in order.
func TestRulePages(t *testing.T) {
	var groups []Group
	for i := range 7 {
		g := Group{Name: fmt.Sprintf("g%d", i), File: fmt.Sprintf("f%d", i/3)}
		if i%2 == 0 {
			g.Rules = append(g.Rules, Rule{Kind: KindAlerting, Name: "A"})
		}
		g.Rules = append(g.Rules, Rule{Kind: KindRecording, Name: "r"})
		groups = append(groups, g)
	}
	b := newBed(t, func(o *Options) { o.Rules = func() []Group { return groups } })
	for _, filter := range [][]string{{"type", ""}, {"type", "alert"}, {"file[]", "f1"}, {"rule_name[]", "none"}} {
		all, _ := b.rules(t, filter...)
		for limit := 1; limit <= 8; limit++ {
			var pages []string
			token := ""
			for {
				page, got := b.rules(t, append([]string{"group_limit", fmt.Sprint(limit), "group_next_token", token}, filter...)...)
				if n := len(got.Data.Groups); n > limit {
					t.Fatalf("%d groups in a page of %d", n, limit)
				}
				pages = append(pages, page)
				if token = got.Data.GroupNextToken; token == "" {
					break
				}
			}
			if got := strings.Join(pages, "; "); got != all {
				t.Errorf("%v in pages of %d:\n got %s\nwant %s", filter, limit, got, all)
			}
		}
	}
}
