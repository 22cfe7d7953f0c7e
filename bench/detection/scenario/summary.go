package scenario

import (
	"math"

	"github.com/chironhq/chiron/bench/detection/metric"
)

// Figures are the means of one view over kinds.
type Figures struct {
	Recall, Precision, F1 float64
	Delay                 float64 // seconds, median over all incidents told
	FalsePerWeek          float64 // a series and week of quiet time
	FalseDays             float64 // share of the days
}

// KindResult is what a detector made of all series of a kind.
type KindResult struct {
	Name             string
	Step             int64 // seconds
	Result           Result
	AveragePrecision float64 // of the score of single samples; NaN without incidents
}

// Summary has the means over kinds, so that no kind counts more than another:
// of recall over the kinds with incidents, of precision over the kinds in which
// there was an alert, and of quiet ones. F1 is the harmonic mean of the two.
type Summary struct {
	All, Onset, Lasting Figures
	Active              float64 // recall
	AveragePrecision    float64
	Worst               string  // kind with the most false alerts of either rule a series and week
	WorstPerWeek        float64 // how many
}

// mean leaves out what is not defined.
type mean struct{ sum, n float64 }

func (m *mean) add(x float64) {
	if !math.IsNaN(x) {
		m.sum += x
		m.n++
	}
}

func (m *mean) value() float64 {
	if m.n == 0 {
		return 0
	}
	return m.sum / m.n
}

// Summarize sums up kinds.
func Summarize(kinds []KindResult) Summary {
	var s Summary
	var active, ap mean
	for _, k := range kinds {
		active.add(k.Result.Active.Recall())
		ap.add(k.AveragePrecision)
		if rate := k.Result.All.PerWeek(k.Result.Quiet); k.Result.Quiet > 0 && rate > s.WorstPerWeek {
			s.Worst, s.WorstPerWeek = k.Name, rate
		}
	}
	s.Active, s.AveragePrecision = active.value(), ap.value()
	figures := func(of func(Result) View) Figures {
		var recall, precision, rate, days mean
		var all View
		for _, k := range kinds {
			v := of(k.Result)
			recall.add(v.Recall())
			precision.add(v.Precision(k.Result.Quiet))
			if k.Result.Quiet > 0 {
				rate.add(v.PerWeek(k.Result.Quiet))
				days.add(float64(v.FalseDays) / math.Max(1, float64(v.Days)))
			}
			all = all.Add(v)
		}
		f := Figures{Recall: recall.value(), Precision: precision.value(), Delay: all.MedianDelay(), FalsePerWeek: rate.value(), FalseDays: days.value()}
		f.F1 = metric.F1(f.Precision, f.Recall)
		return f
	}
	s.All = figures(func(r Result) View { return r.All })
	s.Onset = figures(func(r Result) View { return r.Onset })
	s.Lasting = figures(func(r Result) View { return r.Lasting })
	return s
}
