package upstream

import "time"

// counterRate is rate and increase, as extrapolatedRate of the engine computes
// them for floats: the same operations in the same order. The samples at which
// the counter fell are found once for the series and not once for each window.
func (ev *rangeEval) counterRate(row *row, offset int64, rng time.Duration, perSecond bool) {
	ts, vs := ev.cols.t, ev.cols.v
	resets := ev.cols.findResets()
	length, seconds := rng.Milliseconds(), rng.Seconds()
	var w window
	first := 0 // resets before here are at or before the window's first sample
	for k := range ev.steps {
		end := ev.start + int64(k)*ev.step - offset
		w.move(ev, end, length)
		n := w.hi - w.lo - 1
		if n < 1 {
			continue
		}
		firstT, lastT := ts[w.lo], ts[w.hi-1]
		result := vs[w.hi-1] - vs[w.lo]
		for first < len(resets) && resets[first] <= w.lo {
			first++
		}
		for _, i := range resets[first:] {
			if i >= w.hi {
				break
			}
			result += vs[i-1]
		}
		toStart := float64(firstT-(end-length)) / 1000
		toEnd := float64(end-lastT) / 1000
		sampled := float64(lastT-firstT) / 1000
		average := sampled / float64(n)
		threshold := average * 1.1
		if toStart >= threshold {
			toStart = average / 2
		}
		// A counter is not negative: it does not start before its zero.
		toZero := toStart
		if result > 0 && vs[w.lo] >= 0 {
			toZero = sampled * (vs[w.lo] / result)
		}
		if toZero < toStart {
			toStart = toZero
		}
		if toEnd >= threshold {
			toEnd = average / 2
		}
		factor := 1.0
		if sampled != 0 {
			factor = (sampled + toStart + toEnd) / sampled
		}
		if perSecond {
			factor /= seconds
		}
		row.set(k, result*factor)
	}
}
