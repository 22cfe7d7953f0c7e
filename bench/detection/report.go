package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/chironhq/chiron/bench/detection/nab"
)

// table is one data set: our models, and what others have published for it.
type table struct {
	corpus  *corpusSet
	results []*result
}

func (t *table) print(out io.Writer, files bool) {
	fmt.Fprintf(out, "\n## %s\n\n", t.corpus.name)
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight|tabwriter.Debug)
	if t.corpus.windows != nil {
		t.printNAB(w, files)
	} else {
		t.printSeries(w, files)
	}
	_ = w.Flush()
	for _, line := range published[t.corpus.name].notes {
		fmt.Fprintln(out, line)
	}
}

// summary has a row for each measure that detectors are judged by, and a column
// for each model.
type summary struct {
	models []string
	rows   []summaryRow
}

type summaryRow struct {
	name   string
	values []float64
}

// add takes the results of all models on one data set.
func (s *summary) add(c *corpusSet, results []*result) error {
	from := len(s.rows)
	for i, r := range results {
		ms, err := r.measures(c, nil)
		if err != nil {
			return err
		}
		for j, m := range ms {
			if i == 0 {
				s.rows = append(s.rows, summaryRow{name: m.name})
			}
			row := &s.rows[from+j]
			row.values = append(row.values, m.value)
		}
	}
	return nil
}

func (s *summary) print(out io.Writer) {
	fmt.Fprintf(out, "\n## Summary\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintf(w, "measure\t%s\t\n", strings.Join(s.models, "\t"))
	for _, row := range s.rows {
		fmt.Fprint(w, row.name)
		for _, v := range row.values {
			fmt.Fprintf(w, "\t%.3f", v)
		}
		fmt.Fprintln(w, "\t")
	}
	_ = w.Flush()
}

func (t *table) printNAB(w io.Writer, files bool) {
	fmt.Fprintln(w, "model\tstandard\tat 1\tlost\tlow FP\tat 1\tlow FN\tat 1\twindows\tfalse rows\t")
	for _, r := range t.results {
		series, err := r.nabSeries(t.corpus.windows)
		if err == nil {
			err = nabRow(w, r.model, series)
		}
		if err != nil {
			fmt.Fprintf(w, "%s\t%v\t\n", r.model, err)
			continue
		}
		if !files {
			continue
		}
		for i := range series {
			c, err := nab.Prepare(series[i : i+1])
			if err != nil {
				fmt.Fprintf(w, "%s\t%v\t\n", series[i].Name, err)
				continue
			}
			at := c.At(nab.Standard, shipped)
			fmt.Fprintf(w, "%s\t\t%.2f raw\t\t\t\t\t\t%d of %d\t%d\t\n", series[i].Name, at.Raw, at.Detected, c.Windows(), at.FP)
		}
	}
	for _, p := range published[t.corpus.name].rows {
		fmt.Fprintf(w, "%s\t\n", p)
	}
}

func nabRow(w io.Writer, name string, series []nab.Series) error {
	f, err := measureNAB(series)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s", name)
	for i := range nab.Profiles {
		fmt.Fprintf(w, "\t%.1f\t%.1f", f.best[i].Normalized, f.at[i].Normalized)
		if i == 0 {
			fmt.Fprintf(w, "\t%.1f", f.lost())
		}
	}
	fmt.Fprintf(w, "\t%d of %d\t%d\t\n", f.best[0].Detected, f.windows, f.best[0].FP)
	return nil
}

func (t *table) printSeries(w io.Writer, files bool) {
	fmt.Fprintf(w, "model\tVUS-PR\tVUS-ROC\tAUC-PR\tevent F1\trecall\tprecision\tdelay\tF1 at 1\trecall\tprecision\tfalse a week\tF1 within %d\t\n", delay)
	for _, r := range t.results {
		seriesRow(w, r.model, r.series)
		for i := range r.series {
			if files {
				seriesRow(w, r.series[i].name, r.series[i:i+1])
			}
		}
	}
	for _, p := range published[t.corpus.name].rows {
		fmt.Fprintf(w, "%s\t\n", p)
	}
}

func seriesRow(w io.Writer, name string, all []scored) {
	f, best := measureSeries(all), events(all, bestThreshold(all))
	fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.2f\t%.2f\t%.1f\t%.3f\t%.2f\t%.2f\t%.2f\t%.3f\t\n", name, f.vusPR, f.vusROC, f.aucPR,
		best.F1(), best.Recall(), best.Precision(), best.MedianDelay(), f.at.F1(), f.at.Recall(), f.at.Precision(),
		float64(f.at.FalseAlert)/max(f.weeks, 1e-9), f.delayed)
}
