package detect

import "math"

// Forecast is what the past says of the time of day and week, and for a counter
// the count that this rate leads to. Where nothing recurs nothing is expected:
// the mean of the past is no look ahead.
func (m *Auto) Forecast(t int64, confidence float64) (mid, lower, upper float64) {
	mid, sigma, ok := m.m.Forecast(t)
	if !ok {
		return noForecast()
	}
	return interval(mid, normalBorder(confidence)*sigma)
}

// Forecast is that of the first model that has one.
func (m *Combined) Forecast(t int64, confidence float64) (mid, lower, upper float64) {
	for _, part := range m.models {
		if f, ok := part.(Forecaster); ok {
			if mid, lower, upper = f.Forecast(t, confidence); !math.IsNaN(mid) {
				return mid, lower, upper
			}
		}
	}
	return noForecast()
}

// LookAhead gives the scorer a second model that learns the same points and
// forecasts while the first one cannot. It belongs to the scorer from then on.
func (s *Scorer) LookAhead(m interface {
	Model
	Forecaster
},
) {
	s.ahead = m
}

// Forecast tells what is expected at t, within the rule's range. It is NaN
// while nothing is known, and of a model that cannot look ahead.
func (s *Scorer) Forecast(t int64, confidence float64) (mid, lower, upper float64) {
	mid, lower, upper = noForecast()
	if f, ok := s.model.(Forecaster); ok {
		mid, lower, upper = f.Forecast(t, confidence)
	}
	if f, ok := s.ahead.(Forecaster); ok && math.IsNaN(mid) {
		mid, lower, upper = f.Forecast(t, confidence)
	}
	mid, lower, upper = s.guard.floor(mid, lower, upper)
	if s.c.HasRange {
		lo, hi := s.c.Range[0], s.c.Range[1]
		mid, lower, upper = min(max(mid, lo), hi), min(max(lower, lo), hi), min(max(upper, lo), hi)
	}
	return mid, lower, upper
}

// Steps and halvings of a search for the time at which a limit is crossed.
const (
	crossingSteps    = 48
	crossingHalvings = 12
)

// TimeTo tells after how many milliseconds, at most within, the forecast first
// reaches limit from value, the newest one at t; +Inf when it does not. From
// above is the way down. It looks at 48 evenly spaced times and then halves:
// what crosses the limit for less than a 48th of the time may be overlooked.
// NaN means that there is no forecast.
func (s *Scorer) TimeTo(limit, value float64, fromAbove bool, t, within int64) float64 {
	reached := func(v float64) bool {
		if fromAbove {
			return v <= limit
		}
		return v >= limit
	}
	if reached(value) {
		return 0
	}
	expect := func(ahead float64) float64 {
		mid, _, _ := s.Forecast(t+int64(ahead), 0.5)
		return mid
	}
	before, step := 0.0, float64(within)/crossingSteps
	for i := 1; i <= crossingSteps; i++ {
		ahead := step * float64(i)
		v := expect(ahead)
		if math.IsNaN(v) {
			return math.NaN()
		}
		if !reached(v) {
			before = ahead
			continue
		}
		for range crossingHalvings {
			if middle := (before + ahead) / 2; reached(expect(middle)) {
				ahead = middle
			} else {
				before = middle
			}
		}
		return ahead
	}
	return math.Inf(1)
}
