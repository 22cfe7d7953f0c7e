// Package detect turns points into verdicts: streaming models that score a
// point against what they have learned, and then learn it.
//
// It promises bounded state, constant or amortised constant work a point, no
// clock and no randomness: the same points give the same scores to the bit. It
// knows numbers only, no series, rules or labels.
package detect

import (
	"encoding"
	"fmt"
	"math"
)

// Point is one sample of a series.
type Point struct {
	T int64 // milliseconds since the epoch
	V float64
}

// State tells how far a model is; the values are those of anomaly_model_state.
type State uint8

const (
	// Cold models have seen nothing.
	Cold State = iota
	// Learning models do not score yet.
	Learning
	// Ready models score.
	Ready
	// Frozen models score and do not learn.
	Frozen
)

// String returns the state's word in metrics and the API.
func (s State) String() string {
	return [...]string{"cold", "learning", "ready", "frozen"}[min(s, Frozen)]
}

// Verdict is what a model thinks of a point. Score is 0 as expected, 1 at the
// border of normal, above 1 anomalous, and NaN while learning or when the
// point is NaN. Lower and Upper are where the score would be 1.
type Verdict struct {
	Score, Expected, Lower, Upper float64
	// Hold is how far the newest values alone still are outside, on the scale of
	// Score: what a model has gathered over a longer time is not in it. A model
	// that does not tell the two apart says the same twice.
	Hold float64
	// Rank orders points by how odd they are, from 0 to below 1, whether or not
	// that is evidence of anything. It is shown in place of the evidence, where a
	// model has such; 0: it has not.
	Rank float64
	// Onset is filled by scorers: above 1 where something anomalous begins or
	// grows by half, up to 1 at a beginning that was not enough, 0 otherwise.
	Onset float64
	State State

	// muted tells that the rule's direction or its least deviations leave this
	// point out of account, while they would not if it lay on the other side. So
	// it begins the state in silence: if it were learned, the way back would count.
	muted bool
	// side is that of the values which the score is of: 1 above, -1 below; 0: of none, or
	// of the newest one.
	side int8
}

// unknown is the verdict of a model that cannot judge yet.
func unknown(s State) Verdict {
	nan := math.NaN()
	return Verdict{Score: nan, Expected: nan, Lower: nan, Upper: nan, Hold: nan, Onset: nan, State: s}
}

// Model is one series' model. It is not safe for concurrent use.
type Model interface {
	// Name is the model's word in the rules language; of auto, its choice.
	Name() string
	// Score judges p as it stands after everything learned. It changes nothing.
	Score(p Point) Verdict
	// Learn takes p in with a weight from 0 to 1. Points that are NaN or not
	// newer than the newest one are ignored. A weight of 0 tells of the time
	// only: what the model says of later points stays as it was. While a series
	// is anomalous its points come at that weight.
	Learn(p Point, weight float64)
	// State tells how far the model is.
	State() State
	// AppendBinary and UnmarshalBinary carry the whole state; loading it into
	// a model of the same configuration equals never having stopped.
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// Direction tells which side of the expectation can be anomalous.
type Direction uint8

const (
	// Both sides.
	Both Direction = iota
	// Above the expectation only.
	Above
	// Below the expectation only.
	Below
)

// ParseDirection reads both, above or below.
func ParseDirection(word string) (Direction, error) {
	switch word {
	case "", "both":
		return Both, nil
	case "above":
		return Above, nil
	case "below":
		return Below, nil
	}
	return Both, fmt.Errorf("unknown direction %q: both, above or below", word)
}

// maxScore bounds scores: beyond it a larger one says nothing more.
const maxScore = 1000

// band judges v by its distance from the expectation, measured in the distance
// of the band's edge.
func band(v, expected, halfWidth float64, s State) Verdict {
	// A constant series has a band of no width; a deviation that the numbers'
	// own precision explains is none.
	halfWidth = max(halfWidth, 1e-9*math.Abs(expected), math.SmallestNonzeroFloat64)
	score := math.Abs(v-expected) / halfWidth
	if math.IsNaN(score) || score > maxScore { // an infinite value or expectation
		score = maxScore
	}
	return Verdict{Score: score, Hold: score, Expected: expected, Lower: expected - halfWidth, Upper: expected + halfWidth, State: s}
}
