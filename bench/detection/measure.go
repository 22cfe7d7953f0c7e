package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/chironhq/chiron/bench/detection/metric"
	"github.com/chironhq/chiron/bench/detection/nab"
)

const (
	shipped = 1.0 // the threshold that rules ship with
	merge   = 10  // alarms fewer samples apart than this are one alert
	delay   = 7   // samples, of the delay-limited F1
)

// nabFigures are those of some files of NAB, by profile in the order of
// nab.Profiles.
type nabFigures struct {
	best, at []nab.Result // at the threshold that suits all files best, and at the shipped one
	windows  int
}

func measureNAB(series []nab.Series) (nabFigures, error) {
	c, err := nab.Prepare(series)
	if err != nil {
		return nabFigures{}, err
	}
	f := nabFigures{windows: c.Windows()}
	for _, p := range nab.Profiles {
		f.best = append(f.best, c.Optimize(p))
		f.at = append(f.at, c.At(p, shipped))
	}
	return f, nil
}

// lost is what the shipped threshold costs, in points of the standard profile.
func (f *nabFigures) lost() float64 { return f.best[0].Normalized - f.at[0].Normalized }

// seriesFigures are those of some series with a label for each sample. Means
// are over the series in which something is labelled.
type seriesFigures struct {
	vusPR, vusROC, aucPR float64       // NaN where nothing is labelled
	at                   metric.Events // at the shipped threshold
	delayed              float64       // best F1 of alarms at most so many samples late
	weeks                float64       // of all series together
}

func measureSeries(all []scored) seriesFigures {
	var f seriesFigures
	limited, n := metric.Delayed{Delay: delay}, 0.0
	for i := range all {
		s := &all[i]
		limited.Add(s.scores, s.labels, 0)
		f.weeks += s.times[len(s.times)-1].Sub(s.times[0]).Hours() / (7 * 24)
		if !math.IsNaN(s.vusPR) {
			f.vusPR, f.vusROC, f.aucPR, n = f.vusPR+s.vusPR, f.vusROC+s.vusROC, f.aucPR+s.aucPR, n+1
		}
	}
	f.vusPR, f.vusROC, f.aucPR = f.vusPR/n, f.vusROC/n, f.aucPR/n
	f.at = events(all, shipped)
	f.delayed, _, _, _ = limited.Best()
	return f
}

// measure is one figure of a data set; larger is better unless it is a cost.
type measure struct {
	name  string
	value float64
}

// Names of the measures that the protocol for constants weighs.
const (
	nabStandard   = "NAB standard, best"
	kpiEventF1    = "KPI event F1 at 1"
	kpiVUS        = "KPI VUS-PR"
	cmVUS         = "Cloud Monitoring VUS-PR"
	cmEventF1     = "Cloud Monitoring event F1 at 1"
	smdVUS        = "SMD VUS-PR"
	asdVUS        = "ASD VUS-PR"
	smdEventF1    = "SMD event F1 at 1"
	asdEventF1    = "ASD event F1 at 1"
	foundAt1      = " events found at 1"
	precisionAt1  = " event precision at 1"
	delayedSuffix = " F1 within 7 samples, best"
)

// measures are the figures by which a model is judged on a data set, of the
// streams that are kept; all without keep. A part in which nothing is labelled
// has figures that are not numbers.
func (r *result) measures(c *corpusSet, keep func(name string) bool) ([]measure, error) {
	part := r.part(keep)
	if c.windows != nil {
		series, err := part.nabSeries(c.windows)
		if err != nil {
			return nil, err
		}
		f, err := measureNAB(series)
		if err != nil {
			return nil, err
		}
		return []measure{
			{nabStandard, f.best[0].Normalized},
			{"NAB standard, at 1", f.at[0].Normalized},
			{"NAB standard, lost at 1", f.lost()},
			{"NAB low FP, best", f.best[1].Normalized},
			{"NAB low FN, best", f.best[2].Normalized},
		}, nil
	}
	f := measureSeries(part.series)
	f1, recall, precision := f.at.F1(), f.at.Recall(), f.at.Precision()
	if f.at.True == 0 {
		f1, recall, precision, f.delayed = math.NaN(), math.NaN(), math.NaN(), math.NaN()
	}
	switch c.name {
	case "kpi-dev":
		return []measure{{kpiEventF1, f1}, {kpiVUS, f.vusPR}, {"KPI" + delayedSuffix, f.delayed}}, nil
	case "cloudmonitoring-dev":
		return []measure{{cmVUS, f.vusPR}, {cmEventF1, f1}}, nil
	case "smd-dev":
		return []measure{{smdVUS, f.vusPR}, {smdEventF1, f1}, {"SMD" + foundAt1, recall}, {"SMD" + precisionAt1, precision}}, nil
	case "asd-dev":
		return []measure{{asdVUS, f.vusPR}, {asdEventF1, f1}, {"ASD" + foundAt1, recall}, {"ASD" + precisionAt1, precision}}, nil
	}
	return nil, fmt.Errorf("no measures for data set %s", c.name)
}

// part is the result for some of the streams.
func (r *result) part(keep func(name string) bool) *result {
	if keep == nil {
		return r
	}
	out := &result{model: r.model}
	for i := range r.series {
		if keep(r.series[i].name) {
			out.series = append(out.series, r.series[i])
		}
	}
	return out
}

func events(all []scored, threshold float64) (e metric.Events) {
	for i := range all {
		e = e.Add(metric.Compare(metric.Alarms(all[i].scores, threshold), all[i].labels, merge, 0))
	}
	return e
}

// bestThreshold tries quantiles of the pooled scores, dense towards the top,
// and returns the one with the best event-wise F1 over all series.
func bestThreshold(all []scored) float64 {
	var pool []float64
	for i := range all {
		pool = append(pool, all[i].scores...)
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
