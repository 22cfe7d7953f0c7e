// Package metric holds threshold-free and event-wise measures of anomaly
// scores against point labels. No measure here uses point adjustment, which
// counts a whole event as found once a single sample of it is.
package metric

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// Span is a run of samples, both ends inclusive.
type Span struct{ Start, End int }

// Spans returns the runs of true.
func Spans(b []bool) []Span {
	var out []Span
	for i := 0; i < len(b); i++ {
		if !b[i] {
			continue
		}
		j := i
		for j+1 < len(b) && b[j+1] {
			j++
		}
		out = append(out, Span{i, j})
		i = j
	}
	return out
}

// byScore returns the indices in descending order of score, equal scores in any
// order.
func byScore(scores []float64) []int {
	idx := make([]int, len(scores))
	for i := range idx {
		idx[i] = i
	}
	slices.SortFunc(idx, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	return idx
}

// curve calls visit with the counts at every distinct threshold, from the
// highest down.
func curve(scores []float64, labels []bool, visit func(threshold float64, tp, fp int)) {
	idx := byScore(scores)
	tp, fp := 0, 0
	for k, i := range idx {
		if labels[i] {
			tp++
		} else {
			fp++
		}
		if k+1 == len(idx) || scores[idx[k+1]] != scores[i] {
			visit(scores[i], tp, fp)
		}
	}
}

func positives(labels []bool) (n int) {
	for _, l := range labels {
		if l {
			n++
		}
	}
	return n
}

// AUCPR is the average precision: the sum over thresholds of precision times
// the gain in recall.
func AUCPR(scores []float64, labels []bool) float64 {
	pos := float64(positives(labels))
	if pos == 0 {
		return math.NaN()
	}
	sum, prev := 0.0, 0
	curve(scores, labels, func(_ float64, tp, fp int) {
		sum += float64(tp-prev) / pos * float64(tp) / float64(tp+fp)
		prev = tp
	})
	return sum
}

// AUCROC is the area under the receiver operating characteristic.
func AUCROC(scores []float64, labels []bool) float64 {
	pos := positives(labels)
	neg := len(labels) - pos
	if pos == 0 || neg == 0 {
		return math.NaN()
	}
	sum, ptp, pfp := 0.0, 0, 0
	curve(scores, labels, func(_ float64, tp, fp int) {
		sum += float64(fp-pfp) * float64(tp+ptp) / 2
		ptp, pfp = tp, fp
	})
	return sum / float64(pos) / float64(neg)
}

// PointF1 is the best sample-wise F1 over all thresholds.
func PointF1(scores []float64, labels []bool) float64 {
	pos := positives(labels)
	best := 0.0
	curve(scores, labels, func(_ float64, tp, fp int) {
		if tp > 0 {
			best = math.Max(best, 2*float64(tp)/float64(tp+fp+pos))
		}
	})
	return best
}

// F1 is the harmonic mean of precision and recall.
func F1(precision, recall float64) float64 {
	if precision+recall == 0 {
		return 0
	}
	return 2 * precision * recall / (precision + recall)
}

// Events compares the alerts of a detector with the labelled events.
type Events struct {
	True       int // labelled events
	Found      int // of these, events with at least one alarmed sample
	Alerts     int // alerts, after joining those with gaps below the merge length
	FalseAlert int // alerts that touch no event
	// Delays has, for each event found, the number of samples from its first
	// sample to the first alarmed one.
	Delays []int
	// Alarmed samples inside and outside of events.
	TPSamples, FPSamples int
}

// Compare matches alarms with labelled events. Alarms less than merge samples
// apart make one alert; an alert counts as false if it touches no event. The
// samples before from are left out on both sides.
func Compare(alarm, labels []bool, merge, from int) Events {
	var e Events
	labelled := Spans(labels)
	kept := labelled[:0]
	for _, s := range labelled {
		if s.End >= from {
			s.Start = max(s.Start, from)
			kept = append(kept, s)
		}
	}
	e.True = len(kept)
	for _, s := range kept {
		for i := s.Start; i <= s.End; i++ {
			if alarm[i] {
				e.Found++
				e.Delays = append(e.Delays, i-s.Start)
				break
			}
		}
	}
	touches := false
	last := -1
	for i := from; i < len(alarm); i++ {
		if !alarm[i] {
			continue
		}
		if labels[i] {
			e.TPSamples++
		} else {
			e.FPSamples++
		}
		if last < 0 || i-last > max(merge, 1) {
			if last >= 0 && !touches {
				e.FalseAlert++
			}
			e.Alerts++
			touches = false
		}
		touches = touches || labels[i]
		last = i
	}
	if last >= 0 && !touches {
		e.FalseAlert++
	}
	return e
}

// Add pools the counts of two series.
func (e Events) Add(o Events) Events {
	e.True += o.True
	e.Found += o.Found
	e.Alerts += o.Alerts
	e.FalseAlert += o.FalseAlert
	e.TPSamples += o.TPSamples
	e.FPSamples += o.FPSamples
	e.Delays = append(slices.Clip(e.Delays), o.Delays...)
	return e
}

// Recall is the share of events found.
func (e Events) Recall() float64 { return ratio(e.Found, e.True) }

// Precision is the share of alerts that touch an event.
func (e Events) Precision() float64 { return ratio(e.Alerts-e.FalseAlert, e.Alerts) }

// F1 is event-wise in both precision and recall.
func (e Events) F1() float64 { return F1(e.Precision(), e.Recall()) }

// CompositeF1 pairs sample-wise precision with event-wise recall (Garg et al.
// 2021); it is the "Event-based-F1" of TSB-AD.
func (e Events) CompositeF1() float64 {
	return F1(ratio(e.TPSamples, e.TPSamples+e.FPSamples), e.Recall())
}

// MedianDelay is the median of the delays, in samples; NaN without any.
func (e Events) MedianDelay() float64 {
	if len(e.Delays) == 0 {
		return math.NaN()
	}
	d := append([]int(nil), e.Delays...)
	sort.Ints(d)
	return float64(d[(len(d)-1)/2]+d[len(d)/2]) / 2
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// RangeF1 is the range-based F1 of Tatbul et al. 2018 with flat bias, the
// reciprocal cardinality factor and the given weight of mere existence in the
// recall (TSB-AD uses 0.2).
func RangeF1(alarm, labels []bool, alpha float64) float64 {
	return F1(rangeRecall(Spans(alarm), labels, 0), rangeRecall(Spans(labels), alarm, alpha))
}

func rangeRecall(spans []Span, other []bool, alpha float64) float64 {
	if len(spans) == 0 {
		return 0
	}
	existence, overlap := 0, 0.0
	for _, s := range spans {
		pieces := Spans(other[s.Start : s.End+1])
		n := 0
		for _, p := range pieces {
			n += p.End - p.Start + 1
		}
		if n > 0 {
			existence++
			overlap += float64(n) / float64(s.End-s.Start+1) / float64(len(pieces))
		}
	}
	k := float64(len(spans))
	return alpha*float64(existence)/k + (1-alpha)*overlap/k
}

// Alarms applies a threshold.
func Alarms(scores []float64, threshold float64) []bool {
	out := make([]bool, len(scores))
	for i, s := range scores {
		out[i] = s >= threshold
	}
	return out
}
