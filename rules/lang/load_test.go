package lang

import (
	"fmt"
	"maps"
	"sort"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/prometheus/prometheus/model/rulefmt"
)

func TestLoad(t *testing.T) {
	datadriven.RunTest(t, "testdata/load", func(t *testing.T, d *datadriven.TestData) string {
		f, problems := Load("f.yaml", []byte(d.Input+"\n"))
		if (f == nil) != problems.HasErrors() {
			t.Errorf("%s: file %v with problems\n%s", d.Pos, f, problems)
		}
		for _, p := range problems {
			if findCheck(p.Check) == nil {
				t.Errorf("%s: the check %q is not in the table", d.Pos, p.Check)
			}
		}
		return problems.String() + describe(f)
	})
}

// describe prints what a file means.
func describe(f *File) string {
	if f == nil {
		return ""
	}
	var b strings.Builder
	for _, g := range f.Groups {
		fmt.Fprintf(&b, "group %s interval=%v limit=%d labels=%v", g.Name, g.Interval, g.Limit, g.Labels)
		if g.QueryOffset != nil {
			fmt.Fprintf(&b, " offset=%v", *g.QueryOffset)
		}
		b.WriteByte('\n')
		for _, r := range g.Expand() {
			fmt.Fprintf(&b, "  %d:%d ", r.Pos.Line, r.Pos.Column)
			if a := r.Anomaly; a != nil {
				fmt.Fprintf(&b, "anomaly %s: %s\n    model %s\n    direction=%s min_dev=%v min_rel_dev=%v range=%v width=%v warmup=%v accept=%v limit=%d labels=%v\n    output=%v\n",
					a.Name, a.Expr, a.Model, a.Direction, a.MinDev, a.MinRelDev, a.Range, a.Width, a.Warmup, a.Accept, a.Limit, a.Labels, a.Output.Metrics())
				describeFields(&b, a)
				continue
			}
			b.WriteString(describeRule(r.Prometheus))
		}
	}
	return b.String()
}

// describeFields prints the fields that most rules do not have.
func describeFields(b *strings.Builder, a *Anomaly) {
	if a.Ratio != nil || a.Inputs != nil {
		fmt.Fprintf(b, "    sources=")
		for _, s := range a.Sources() {
			fmt.Fprintf(b, "%s@%d:%d: %s; ", s.Name, s.Pos.Line, s.Pos.Column, s.Expr)
		}
		fmt.Fprintf(b, "join=%q explain=%d\n", a.Join, a.Explain)
	}
	if len(a.Cohort)+len(a.Exclude) > 0 {
		fmt.Fprintf(b, "    cohort=%v exclude=%v\n", a.Cohort, a.Exclude)
	}
	if a.Forecast != nil {
		fmt.Fprintf(b, "    forecast=%s\n", a.Forecast)
	}
}

func describeRule(r rulefmt.Rule) string {
	s := fmt.Sprintf("record %s: %s", r.Record, r.Expr)
	if r.Alert != "" {
		s = fmt.Sprintf("alert %s: %s\n    for=%v keep_firing_for=%v annotations=%v", r.Alert, r.Expr, r.For, r.KeepFiringFor, short(r.Annotations))
	}
	return s + fmt.Sprintf(" labels=%v\n", r.Labels)
}

// short leaves out the annotation that most alerts have.
func short(annotations map[string]string) map[string]string {
	out := maps.Clone(annotations)
	if strings.HasSuffix(out[annotationSummary], "}}") && strings.Contains(out[annotationSummary], "{{$_of := ") {
		out[annotationSummary] = "<default>"
	}
	return out
}

func TestChecksAreSorted(t *testing.T) {
	if !sort.SliceIsSorted(Checks, func(i, j int) bool { return Checks[i].Name < Checks[j].Name }) {
		t.Error("the table is not sorted")
	}
}
