package detect

import "math"

// CanForecast tells whether a model ever looks ahead, alone.
func CanForecast(m Model) bool {
	if b, ok := m.(*Budgeted); ok {
		m = b.expecting
	}
	_, ok := m.(Forecaster)
	return ok
}

// Forecast expects the mean.
func (m *ZScore) Forecast(_ int64, confidence float64) (mid, lower, upper float64) {
	if m.State() != Ready {
		return noForecast()
	}
	return interval(m.ew.mean, normalBorder(confidence)*m.ew.sigma())
}

// Forecast expects the median.
func (m *MAD) Forecast(_ int64, confidence float64) (mid, lower, upper float64) {
	if m.State() != Ready {
		return noForecast()
	}
	return interval(m.median, normalBorder(confidence)*1.4826*m.mad)
}

// Forecast expects level, trend and profiles. The trend goes on for one of the
// shortest seasons.
func (m *Seasonal) Forecast(t int64, confidence float64) (mid, lower, upper float64) {
	if m.State() != Ready {
		return noForecast()
	}
	return interval(m.expect(t), normalBorder(confidence)*m.sigma())
}

// Forecast goes on with level, trend and season; the trend for one season. The
// error grows with the steps ahead as in R. Hyndman et al., Prediction
// intervals for exponential smoothing using two new classes of state space
// models, Journal of Forecasting 24 (2005), class 1.
func (m *HoltWinters) Forecast(t int64, confidence float64) (mid, lower, upper float64) {
	if m.State() != Ready {
		return noForecast()
	}
	ahead := min(max(t/m.step-m.current, 0), 8*seasonSlots)
	variance := 1.0
	for j := int64(1); j <= ahead; j++ {
		c := m.c.Alpha * (1 + m.c.Beta*float64(min(j, seasonSlots)))
		if j%seasonSlots == 0 {
			c += m.c.Gamma * (1 - m.c.Alpha)
		}
		variance += c * c
	}
	sigma := m.sigma() * math.Sqrt(variance)
	return interval(m.forecast(t), normalBorder(confidence)*sigma)
}
