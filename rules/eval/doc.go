// Package eval is the evaluation of one anomaly rule as a pure step: a frame
// of values at a time goes in, and scores, verdicts and what has changed come
// out.
//
// It promises the same results to the bit for the same frames, however they
// are split over saving and loading, live evaluation and catching up. It knows
// no clock, goroutine, file, lock or logger, and nothing of Prometheus's
// groups: whoever drives it owns all of these, and one Rule belongs to one
// goroutine at a time.
package eval
