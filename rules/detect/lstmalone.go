package detect

import "math"

// LSTMAlone is the recurrent network on one series, with a band and forecasts.
type LSTMAlone struct{ *LSTM }

// NewLSTMAlone makes the model; the configuration's Inputs is taken as 1.
func NewLSTMAlone(c LSTMConfig) (LSTMAlone, error) {
	c.Inputs = 1
	n, err := NewLSTM(c)
	return LSTMAlone{n}, err
}

// Score judges p.
func (a LSTMAlone) Score(p Point) Verdict {
	v := a.LSTM.Score(Vector{T: p.T, V: []float64{p.V}}, nil)
	if v.State != Ready || math.IsNaN(v.Score) {
		return v
	}
	// Where the score is 1; px and py are still those of p.
	half := a.rare.border() * math.Exp(a.rare.mean*(logBorder-math.Log(lstmRarity))) * (a.width[0] + 1e-3) * a.scale[0]
	v.Expected = a.center[0] + float64(a.py[0])*a.scale[0]
	v.Lower, v.Upper = v.Expected-half, v.Expected+half
	return v
}

// Learn takes p in.
func (a LSTMAlone) Learn(p Point, weight float64) {
	a.LSTM.Learn(Vector{T: p.T, V: []float64{p.V}}, weight)
}

// Forecast predicts from predictions, step by step. Errors add up as in a
// random walk, until they are as wide as the series itself. Beyond
// 3,000 steps it stays where it is then.
func (a LSTMAlone) Forecast(t int64, confidence float64) (mid, lower, upper float64) {
	nan := math.NaN()
	if a.State() != Ready || t <= a.last {
		return nan, nan, nan
	}
	steps := a.ahead(t)
	mid = a.center[0] + float64(a.py[0])*a.scale[0]
	sigma := min(1.2533*a.width[0]*math.Sqrt(float64(steps)), max(1, a.width[0])) * a.scale[0] // mean absolute to standard deviation
	half := math.Sqrt2 * math.Erfinv(confidence) * sigma
	return mid, mid - half, mid + half
}
