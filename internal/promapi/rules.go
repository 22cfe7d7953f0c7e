package promapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// ruleFilter is what /rules is asked for. An empty list or set lets all pass.
type ruleFilter struct {
	typ                 string // "", "alert", "record" or "anomaly"
	names, groups, file []string
	matchers            [][]*labels.Matcher // any of the sets must match
	excludeAlerts       bool
}

// rules lists groups with their rules.
//
// The clients of this endpoint know two types of rules and some refuse the
// whole answer over a third. So an anomaly rule appears as a "recording" rule,
// which it also is (it writes its scores), and, when it has an alert clause, as
// an "alerting" rule right after it, so that its alerts are seen wherever
// others are. Who knows better asks for type=anomaly and gets anomaly rules
// alone, each as one object of type "anomaly" with its model.
func (a *api) rules(r *http.Request) (any, []string, *apiError) {
	f, refusal := a.ruleFilter(r)
	if refusal != nil {
		return nil, nil, refusal
	}
	p, refusal := parsePage(r)
	if refusal != nil {
		return nil, nil, refusal
	}
	out := []wireGroup{}
	for _, g := range a.groups() {
		if !f.wantsGroup(g) {
			continue
		}
		wire := wireGroup{
			Name:           g.Name,
			File:           g.File,
			Interval:       g.Interval.Seconds(),
			Limit:          g.Limit,
			Rules:          []any{},
			EvaluationTime: g.EvaluationTime.Seconds(),
			LastEvaluation: g.LastEvaluation,
		}
		for _, rule := range g.Rules {
			wire.Rules = append(wire.Rules, f.entries(rule)...)
		}
		if len(wire.Rules) > 0 {
			out = append(out, wire)
		}
	}
	out, next, refusal := p.cut(out, a.groups())
	if refusal != nil {
		return nil, nil, refusal
	}
	return wireGroups{Groups: out, GroupNextToken: next}, nil, nil
}

// alerts lists the active alerts of all rules.
func (a *api) alerts(*http.Request) (any, []string, *apiError) {
	out := []wireAlert{}
	for _, g := range a.groups() {
		for _, rule := range g.Rules {
			out = append(out, wireAlerts(rule.Alerts)...)
		}
	}
	return map[string][]wireAlert{"alerts": out}, nil, nil
}

// groups returns all groups by file and name, the order that pages go by.
func (a *api) groups() []Group {
	groups := slices.Clone(a.o.Rules())
	slices.SortStableFunc(groups, func(x, y Group) int {
		if c := strings.Compare(x.File, y.File); c != 0 {
			return c
		}
		return strings.Compare(x.Name, y.Name)
	})
	return groups
}

func (a *api) ruleFilter(r *http.Request) (f ruleFilter, refusal *apiError) {
	f = ruleFilter{
		typ:    strings.ToLower(r.Form.Get("type")),
		names:  r.Form["rule_name[]"],
		groups: r.Form["rule_group[]"],
		file:   r.Form["file[]"],
	}
	switch f.typ {
	case "", "alert", "record", "anomaly":
	default:
		return f, invalidParam("type", fmt.Errorf("not supported value %q: want alert, record or anomaly", f.typ))
	}
	var err error
	if s := r.Form.Get("exclude_alerts"); s != "" {
		if f.excludeAlerts, err = strconv.ParseBool(strings.ToLower(s)); err != nil {
			return f, invalidParam("exclude_alerts", fmt.Errorf("%q is neither true nor false", s))
		}
	}
	if f.matchers, err = a.matchers(r.Form["match[]"]); err != nil {
		return f, badData(err)
	}
	return f, nil
}

// matchers reads selectors, each of which must restrict something.
func (a *api) matchers(selectors []string) ([][]*labels.Matcher, error) {
	sets, err := a.o.Parser.ParseMetricSelectors(selectors)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		if !slices.ContainsFunc(set, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return nil, errors.New("match[] must contain at least one non-empty matcher")
		}
	}
	return sets, nil
}

func (f ruleFilter) wantsGroup(g Group) bool {
	return among(f.groups, g.Name) && among(f.file, g.File)
}

// entries returns what a rule looks like to this question: none, one, or for
// an anomaly rule with an alert clause two objects.
func (f ruleFilter) entries(r Rule) (out []any) {
	if !f.matches(r.Labels) {
		return nil
	}
	named := among(f.names, r.Name)
	switch r.Kind {
	case KindRecording:
		if named && (f.typ == "" || f.typ == "record") {
			out = append(out, wireRecording(r))
		}
	case KindAlerting:
		if named && (f.typ == "" || f.typ == "alert") {
			out = append(out, f.wireAlerting(r, r.Name, r.Query))
		}
	case KindAnomaly:
		if named && f.typ == "anomaly" {
			out = append(out, f.wireAnomaly(r))
		}
		if named && (f.typ == "" || f.typ == "record") {
			out = append(out, wireRecording(r))
		}
		if r.AlertName != "" && (named || among(f.names, r.AlertName)) && (f.typ == "" || f.typ == "alert") {
			out = append(out, f.wireAlerting(r, r.AlertName, r.AlertQuery))
		}
	}
	return out
}

func (f ruleFilter) matches(ls labels.Labels) bool {
	if len(f.matchers) == 0 {
		return true
	}
	return slices.ContainsFunc(f.matchers, func(set []*labels.Matcher) bool {
		return !slices.ContainsFunc(set, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) })
	})
}

func among(wanted []string, s string) bool { return len(wanted) == 0 || slices.Contains(wanted, s) }
