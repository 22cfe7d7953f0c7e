package detect

import "encoding"

// Forecaster is a model that can look ahead.
type Forecaster interface {
	// Forecast tells what is expected at t, milliseconds, which is later than
	// the newest point learned. The value lies between lower and upper with the
	// probability confidence, 0 to 1. All are NaN while the model learns.
	Forecast(t int64, confidence float64) (mid, lower, upper float64)
}

// Vector is one point of several inputs, in the order that the model was made
// for. NaN is an input that is missing.
type Vector struct {
	T int64 // milliseconds since the epoch
	V []float64
}

// VectorModel is one model of several inputs. It is not safe for concurrent
// use. What it shares with Model it promises in the same words.
type VectorModel interface {
	// Name is the model's word in the rules language.
	Name() string
	// Score judges p as it stands after everything learned. It changes nothing
	// that a later call could see. When share is not nil it has one place an
	// input, and is filled with the inputs' shares of the score, which add to
	// 1; they are NaN when the score is. Expected, Lower and Upper are NaN.
	Score(p Vector, share []float64) Verdict
	// Learn takes p in with a weight from 0, not at all, to 1. Points that are
	// not newer than the newest one, and points without any number, are ignored.
	Learn(p Vector, weight float64)
	// State tells how far the model is.
	State() State
	// inputs is how many values a point has.
	inputs() int
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// Member is one series of a group at one time.
type Member struct {
	Key   string // identity over time
	Group string // members are compared within their group
	V     float64
}

// MemberVerdict is what a group model thinks of one member.
type MemberVerdict struct {
	Key string
	V   float64 // what was judged: the member's value, or of presence 1 or 0
	Verdict
	// Reason says why a member is not judged, where it is not for want of time.
	Reason Reason
}

// Reason is why something is not judged, as metrics, logs and the API say it.
type Reason string

// BelowMinMembers is the reason of a group with fewer members than the model
// asks for: however long it learns, they are not judged.
const BelowMinMembers Reason = "below-min-members"

// Small is how many groups are not judged because they have too few members,
// and how many members these have.
type Small struct{ Groups, Members int }

// GroupModel judges the series of a rule together, at one time: peers against
// each other, or who is there against who was there. It is not safe for
// concurrent use.
type GroupModel interface {
	// Name is the model's word in the rules language.
	Name() string
	// Step judges and learns all members that are present at t, milliseconds,
	// and appends a verdict for each, and for absent ones that the model
	// reports, to out. Keys are distinct; t is newer than in the call before.
	Step(t int64, members []Member, out []MemberVerdict) []MemberVerdict
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}
