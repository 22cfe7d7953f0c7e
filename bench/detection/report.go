package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/chironhq/chiron/bench/detection/metric"
	"github.com/chironhq/chiron/bench/detection/nab"
)

const (
	shipped = 1.0 // the threshold that rules ship with
	merge   = 10  // alarms fewer samples apart than this are one alert
	delay   = 7   // samples, of the delay-limited F1
)

// table is one data set: our models, and what others have published for it.
type table struct {
	corpus  corpusSet
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

func (t *table) printNAB(w io.Writer, files bool) {
	fmt.Fprintln(w, "model\tstandard\tat 1\tlow FP\tat 1\tlow FN\tat 1\twindows\tfalse rows\t")
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
			fmt.Fprintf(w, "%s\t\t%.2f raw\t\t\t\t\t%d of %d\t%d\t\n", series[i].Name, at.Raw, at.Detected, c.Windows(), at.FP)
		}
	}
	for _, p := range published[t.corpus.name].rows {
		fmt.Fprintf(w, "%s\t\n", p)
	}
}

func nabRow(w io.Writer, name string, series []nab.Series) error {
	c, err := nab.Prepare(series)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s", name)
	for _, p := range nab.Profiles {
		fmt.Fprintf(w, "\t%.1f\t%.1f", c.Optimize(p).Normalized, c.At(p, shipped).Normalized)
	}
	best := c.Optimize(nab.Standard)
	fmt.Fprintf(w, "\t%d of %d\t%d\t\n", best.Detected, c.Windows(), best.FP)
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
	var vusPR, vusROC, aucPR, n float64
	limited := metric.Delayed{Delay: delay}
	for _, s := range all {
		limited.Add(s.scores, s.labels, 0)
		if len(metric.Spans(s.labels)) == 0 {
			continue // nothing to rank
		}
		roc, pr := metric.VUS(s.scores, s.labels, s.buffer)
		vusPR, vusROC, aucPR, n = vusPR+pr, vusROC+roc, aucPR+metric.AUCPR(s.scores, s.labels), n+1
	}
	best := events(all, bestThreshold(all))
	at := events(all, shipped)
	f1, _, _, _ := limited.Best()
	fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.2f\t%.2f\t%.1f\t%.3f\t%.2f\t%.2f\t%.2f\t%.3f\t\n", name, vusPR/n, vusROC/n, aucPR/n,
		best.F1(), best.Recall(), best.Precision(), best.MedianDelay(), at.F1(), at.Recall(), at.Precision(),
		float64(at.FalseAlert)/max(weeks(all), 1e-9), f1)
}

func weeks(all []scored) (w float64) {
	for _, s := range all {
		w += s.times[len(s.times)-1].Sub(s.times[0]).Hours() / (7 * 24 * time.Hour).Hours()
	}
	return w
}

func events(all []scored, threshold float64) (e metric.Events) {
	for _, s := range all {
		e = e.Add(metric.Compare(metric.Alarms(s.scores, threshold), s.labels, merge, 0))
	}
	return e
}

// bestThreshold tries quantiles of the pooled scores, dense towards the top,
// and returns the one with the best event-wise F1 over all series.
func bestThreshold(all []scored) float64 {
	var pool []float64
	for _, s := range all {
		pool = append(pool, s.scores...)
	}
	slices.Sort(pool)
	best, at, last := -1.0, math.Inf(1), len(pool)-1
	for above := 0.2; above*float64(len(pool)) >= 1; above *= 0.85 {
		t := pool[last-min(last, int(above*float64(last)))]
		if f := events(all, t).F1(); f > best {
			best, at = f, t
		}
	}
	return at
}
