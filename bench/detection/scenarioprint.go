package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/chironhq/chiron/bench/detection/scenario"
)

func printOutcome(out io.Writer, kinds []scenario.Kind, seeds []uint64, o *scenario.Outcome, details, asJSON bool) error {
	if asJSON {
		return printScenarioJSON(out, o.Kinds, o.StandardError())
	}
	if details {
		for i := range kinds {
			for j, seed := range seeds {
				printDetails(out, kinds[i].Name, seed, &o.Series[i][j])
			}
		}
		fmt.Fprintln(out)
	}
	printScenarioTable(out, o.Kinds, o.StandardError())
	return nil
}

// maxDetails is the number of false alerts of a series that are listed.
const maxDetails = 30

// printDetails lists what a series was judged for, by the day of the series.
func printDetails(w io.Writer, kind string, seed uint64, r *scenario.Result) {
	day := func(t int64) string { return fmt.Sprintf("%.2f", float64(t-r.From)/86400) }
	for _, m := range r.Missed {
		fmt.Fprintf(w, "%s seed %d: missed %s from day %s to %s\n", kind, seed, m.Of, day(m.From), day(m.To))
	}
	n := len(r.FalseAt)
	if n == 0 {
		return
	}
	fmt.Fprintf(w, "%s seed %d: %d false alerts, day", kind, seed, n)
	for _, t := range r.FalseAt[:min(n, maxDetails)] {
		fmt.Fprint(w, " ", day(t))
	}
	if n > maxDetails {
		fmt.Fprint(w, " ...")
	}
	fmt.Fprintln(w)
}

// seconds prints a length of time in the unit that suits it.
func seconds(s float64) string {
	switch {
	case math.IsNaN(s):
		return "-"
	case s < 120:
		return fmt.Sprintf("%.0fs", s)
	case s < 7200:
		return fmt.Sprintf("%.0fm", s/60)
	case s < 172800:
		return fmt.Sprintf("%.1fh", s/3600)
	}
	return fmt.Sprintf("%.1fd", s/86400)
}

// figure prints x to that width; what is not defined is a dash.
func figure(format string, width int, x float64) string {
	if math.IsNaN(x) {
		return fmt.Sprintf("%*s", width, "-")
	}
	return fmt.Sprintf("%*s", width, fmt.Sprintf(format, x))
}

// printScenarioTable prints a row a kind, and below them the means over kinds.
func printScenarioTable(w io.Writer, kinds []scenario.KindResult, standardError float64) {
	fmt.Fprintf(w, "%-28s %5s %5s %6s %6s %6s %6s %7s %8s %6s %6s %8s %6s\n", "kind", "step", "must", "told", "active", "onset", "for", "delay", "false/wk", "days%", "prec", "for-f/wk", "AP")
	for i := range kinds {
		k := &kinds[i]
		r := &k.Result
		fmt.Fprintf(w, "%-28s %5d %5d %s %s %s %s %7s %s %s %s %s %s\n", k.Name, k.Step, r.All.Must,
			figure("%.2f", 6, r.All.Recall()), figure("%.2f", 6, r.Active.Recall()), figure("%.2f", 6, r.Onset.Recall()), figure("%.2f", 6, r.Lasting.Recall()),
			seconds(r.All.MedianDelay()), figure("%.2f", 8, r.All.PerWeek(r.Quiet)), figure("%.1f", 6, 100*float64(r.All.FalseDays)/math.Max(1, float64(r.All.Days))),
			figure("%.2f", 6, r.All.Precision(r.Quiet)), figure("%.2f", 8, r.Lasting.PerWeek(r.Quiet)), figure("%.3f", 6, k.AveragePrecision))
	}
	fmt.Fprintln(w)
	steps := bySteps(kinds)
	for _, s := range slices.Sorted(maps.Keys(steps)) {
		f := scenario.Summarize(steps[s]).All
		fmt.Fprintf(w, "step %-5d %2d kinds: recall %.3f  false/series-week %.2f  days with a false alert %.1f %%\n", s, len(steps[s]), f.Recall, f.FalsePerWeek, 100*f.FalseDays)
	}
	s := scenario.Summarize(kinds)
	view := func(name string, f scenario.Figures) {
		fmt.Fprintf(w, "%-8s recall %.3f  precision %.3f  F1 %.3f  median delay %s  false/series-week %.2f  days with a false alert %.1f %%\n",
			name, f.Recall, f.Precision, f.F1, seconds(f.Delay), f.FalsePerWeek, 100*f.FalseDays)
	}
	view("onset", s.Onset)
	view("lasting", s.Lasting)
	view("both", s.All)
	worst := s.Worst
	if worst == "" {
		worst = "none"
	}
	fmt.Fprintf(w, "average precision %.3f, recall of active alerts %.3f, false/series-week of the worst kind %.2f (%s)\n", s.AveragePrecision, s.Active, s.WorstPerWeek, worst)
	fmt.Fprintf(w, "recall %.3f  for-recall %.3f  false/series-week %.2f  SRE-F1 %.4f (standard error over seeds %s)\n",
		s.All.Recall, s.Lasting.Recall, s.All.FalsePerWeek, s.All.F1, figure("%.4f", 1, standardError))
}

func bySteps(kinds []scenario.KindResult) map[int64][]scenario.KindResult {
	steps := map[int64][]scenario.KindResult{}
	for _, k := range kinds {
		steps[k.Step] = append(steps[k.Step], k)
	}
	return steps
}

// number is a figure that JSON may not know.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func printScenarioJSON(w io.Writer, kinds []scenario.KindResult, standardError float64) error {
	each := make([]map[string]any, 0, len(kinds))
	for i := range kinds {
		k := &kinds[i]
		r := &k.Result
		each = append(each, map[string]any{
			"name": k.Name, "step": k.Step, "series": r.Series, "quiet_seconds": number(r.Quiet), "average_precision": number(k.AveragePrecision),
			"both": viewJSON(r.All, r.Quiet), "active": viewJSON(r.Active, r.Quiet), "onset": viewJSON(r.Onset, r.Quiet), "lasting": viewJSON(r.Lasting, r.Quiet),
		})
	}
	steps := map[string]any{}
	for s, of := range bySteps(kinds) {
		steps[strconv.FormatInt(s, 10)] = summaryJSON(of)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(map[string]any{"summary": summaryJSON(kinds), "sre_f1_standard_error": number(standardError), "steps": steps, "kinds": each})
}

func viewJSON(v scenario.View, quiet float64) map[string]number {
	return map[string]number{
		"must": number(v.Must), "hit": number(v.Hit), "recall": number(v.Recall()), "precision": number(v.Precision(quiet)),
		"delay_seconds": number(v.MedianDelay()), "episodes": number(v.Episodes), "true_episodes": number(v.True), "false": number(v.False),
		"false_per_series_week": number(v.PerWeek(quiet)), "days": number(v.Days), "false_days": number(v.FalseDays),
	}
}

func summaryJSON(kinds []scenario.KindResult) map[string]any {
	figures := func(f scenario.Figures) map[string]number {
		return map[string]number{
			"recall": number(f.Recall), "precision": number(f.Precision), "f1": number(f.F1), "delay_seconds": number(f.Delay),
			"false_per_series_week": number(f.FalsePerWeek), "false_days": number(f.FalseDays),
		}
	}
	s := scenario.Summarize(kinds)
	return map[string]any{
		"sre_f1": number(s.All.F1), "both": figures(s.All), "onset": figures(s.Onset), "lasting": figures(s.Lasting),
		"active_recall": number(s.Active), "average_precision": number(s.AveragePrecision), "worst_false_per_series_week": number(s.WorstPerWeek),
	}
}
