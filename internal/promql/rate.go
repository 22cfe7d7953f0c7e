package promql

import "time"

// rateShape is what extrapolation makes of where the samples of a window lie.
// At a regular scrape interval it is the same for window after window.
type rateShape struct {
	before, span, after int64 // to the first sample, to the last, to the end
	n                   int   // samples less one
	sampled             float64
	toStart, toEnd      float64
	factor              float64
}

// newRateShape repeats extrapolatedRate of the engine.
func newRateShape(before, span, after int64, n int, perSecond bool, seconds float64) rateShape {
	s := rateShape{before: before, span: span, after: after, n: n, sampled: float64(span) / 1000}
	s.toStart, s.toEnd = float64(before)/1000, float64(after)/1000
	average := s.sampled / float64(n)
	threshold := average * 1.1
	if s.toStart >= threshold {
		s.toStart = average / 2
	}
	if s.toEnd >= threshold {
		s.toEnd = average / 2
	}
	s.factor = s.extrapolate(s.toStart, perSecond, seconds)
	return s
}

func (s *rateShape) extrapolate(toStart float64, perSecond bool, seconds float64) float64 {
	factor := 1.0
	if s.sampled != 0 {
		factor = (s.sampled + toStart + s.toEnd) / s.sampled
	}
	if perSecond {
		factor /= seconds
	}
	return factor
}

// counterRate is rate and increase, as extrapolatedRate of the engine computes
// them for floats: the same operations in the same order. The samples at which
// the counter fell are found once for the series and not once for each window.
func (ev *rangeEval) counterRate(row *row, offset int64, rng time.Duration, perSecond bool) {
	ts, vs := ev.cols.t, ev.cols.v
	resets := ev.cols.findResets()
	length, seconds := rng.Milliseconds(), rng.Seconds()
	var w window
	var shape rateShape
	for k := range ev.steps {
		end := ev.start + int64(k)*ev.step - offset
		w.move(ev, end, length)
		n := w.hi - w.lo - 1
		if n < 1 {
			continue
		}
		first, firstT, lastT := vs[w.lo], ts[w.lo], ts[w.hi-1]
		result := vs[w.hi-1] - first
		for len(resets) > 0 && resets[0] <= w.lo {
			resets = resets[1:]
		}
		for _, i := range resets {
			if i >= w.hi {
				break
			}
			result += vs[i-1]
		}
		before, span, after := firstT-(end-length), lastT-firstT, end-lastT
		if before != shape.before || span != shape.span || after != shape.after || n != shape.n {
			shape = newRateShape(before, span, after, n, perSecond, seconds)
		}
		factor := shape.factor
		// A counter is not negative: it does not start before its zero.
		if result > 0 && first >= 0 {
			if toZero := shape.sampled * (first / result); toZero < shape.toStart {
				factor = shape.extrapolate(toZero, perSecond, seconds)
			}
		}
		row.set(k, result*factor)
	}
}
