package remediation

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// RenderRuns writes a table, a run a line, in the order given.
func RenderRuns(w io.Writer, runs []*Run) error {
	if len(runs) == 0 {
		_, err := fmt.Fprintln(w, "no runs")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "RUN\tCREATED\tPOLICY\tACTION\tTARGET\tPHASE\tREASON\tTEXT")
	for _, r := range runs {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, stamp(r.CreatedAt), clean(r.Policy), r.Action, clean(r.Object.String()), r.Phase, r.Reason, short(clean(r.Text), 80))
	}
	return t.Flush()
}

// shownAlerts is how many alerts of a run are shown; a storm joins thousands.
const shownAlerts = 20

// RenderRun writes what is known of a run; of many alerts, the first.
func RenderRun(w io.Writer, r *Run) error {
	var b strings.Builder
	fmt.Fprintf(&b, "run %d: %s\n", r.ID, outcome(r))
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-9s %s\n", name, clean(fmt.Sprintf(format, args...)))
	}
	line("policy", "%s (mode %s, action %s)", r.Policy, r.Mode, r.Action)
	line("target", "%s", r.Object)
	if t := r.Target; t != nil {
		line("", "uid %s, resourceVersion %s", t.Object.UID, t.Object.ResourceVersion)
		for _, o := range t.Chain {
			line("owner", "%s", o)
		}
	}
	for _, a := range r.Alerts[:min(len(r.Alerts), shownAlerts)] {
		line("alert", "%s since %s", strings.TrimSuffix(alertKey(a.Labels), ","), stamp(a.StartsAt))
	}
	if more := len(r.Alerts) - shownAlerts; more > 0 {
		line("", "and %d more", more)
	}
	for _, v := range r.Verdicts {
		line("no", "%s: %s", v.Reason, v.Text)
	}
	for _, e := range r.Evidence {
		line("evidence", "%s = %s", e.Expr, evidence(len(e.Samples), e.Error))
	}
	if c := r.Change; c != nil {
		line("plan", "%s", c.Note)
		op, err := json.Marshal(c.Do)
		if err != nil {
			return fmt.Errorf("cannot show run %d: %w", r.ID, err)
		}
		line("write", "%s", op)
		if c.Undo != nil {
			line("undo", "%s", undoText(r))
		}
	}
	if r.DryRun != "" {
		line("dry run", "%s", r.DryRun)
	}
	for _, c := range r.Checks {
		mark := "not yet"
		if c.OK {
			mark = "holds"
		}
		line("check", "%s: %s; %s", c.name(), mark, c.Text)
	}
	b.WriteString("  timeline\n")
	for _, e := range r.Timeline {
		fmt.Fprintf(&b, "    %s  %-10s %s\n", stamp(e.At), e.Phase, clean(e.Text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func outcome(r *Run) string {
	if r.Reason == "" {
		return string(r.Phase)
	}
	return fmt.Sprintf("%s (%s)", r.Phase, r.Reason)
}

func (c Check) name() string {
	switch {
	case c.AlertsResolved:
		return "alerts_resolved: match"
	case c.Ready != "":
		return "ready: " + c.Ready
	}
	return "promql: " + c.PromQL
}

func evidence(n int, err string) string {
	if err != "" {
		return "error: " + err
	}
	return fmt.Sprintf("%d samples", n)
}

func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) }

// clean keeps text from outside on its line and out of the terminal's controls.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
