package scenario

import (
	"math"
	"slices"

	"github.com/chironhq/chiron/bench/detection/metric"
)

// Ranking holds the scores of samples that are either quiet or part of an
// incident. It needs nine bytes a sample, so keep it no longer than needed.
type Ranking struct {
	scores []float64
	labels []bool
}

// Add ranks a series with the others; what is no number ranks lowest.
func (r *Ranking) Add(in *Instance, score []float64) {
	for i, c := range in.classes() {
		if c != isQuiet && c != isIncident {
			continue
		}
		s := score[i]
		if math.IsNaN(s) {
			s = 0
		}
		r.scores = append(r.scores, s)
		r.labels = append(r.labels, c == isIncident)
	}
}

// AveragePrecision is the mean over thresholds of the precision of single
// samples, all series together; NaN without incidents.
func (r *Ranking) AveragePrecision() float64 {
	if !slices.Contains(r.labels, true) {
		return math.NaN()
	}
	return metric.AUCPR(r.scores, r.labels)
}

// join ranks the series of several rankings together.
func join(all []Ranking) *Ranking {
	n := 0
	for i := range all {
		n += len(all[i].scores)
	}
	r := &Ranking{scores: make([]float64, 0, n), labels: make([]bool, 0, n)}
	for i := range all {
		r.scores = append(r.scores, all[i].scores...)
		r.labels = append(r.labels, all[i].labels...)
	}
	return r
}
