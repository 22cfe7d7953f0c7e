package tsdbcache

import (
	"fmt"

	"github.com/prometheus/prometheus/storage"
)

// Reason says what became of a sample, series or exemplar. Its word is the
// same in metrics, messages and answers.
type Reason uint8

// The reasons. Everything but Accepted is a refusal.
const (
	Accepted           Reason = iota
	OutOfOrder                // late although the caller allowed no late samples
	TooOld                    // behind the out-of-order window or the retention
	TooFarAhead               // further in the future than MaxFuture
	Duplicate                 // another value exists for the same time
	SeriesLimit               // MaxSeries reached, or every page is open
	InvalidLabels             // empty, unsorted or repeated label names
	InvalidHistogram          // fails the validation of native histograms, or is too large
	UnknownSeries             // the reference names no series (any more)
	ExemplarOutOfOrder        // older than the newest exemplar of the series
	ExemplarInvalid           // its labels are too long
	ExemplarsDisabled         // MaxExemplars is negative
	MetricSeriesLimit         // MaxSeriesPerMetric reached
	NumReasons
)

var reasonWords = [NumReasons]string{
	"accepted", "out_of_order", "too_old", "too_far_ahead", "duplicate", "series_limit", "invalid_labels",
	"invalid_histogram", "unknown_series", "exemplar_out_of_order", "exemplar_invalid", "exemplars_disabled",
	"metric_series_limit",
}

// String is the stable word of the reason.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonWords[r]
	}
	return fmt.Sprintf("reason_%d", uint8(r))
}

// Err is the storage error that callers of AppenderV2 branch on; nil for
// Accepted.
func (r Reason) Err() error {
	switch r {
	case Accepted:
		return nil
	case OutOfOrder:
		return storage.ErrOutOfOrderSample
	case TooOld:
		return storage.ErrTooOldSample
	case TooFarAhead:
		return storage.ErrOutOfBounds
	case Duplicate:
		return storage.ErrDuplicateSampleForTimestamp
	case SeriesLimit, MetricSeriesLimit:
		return ErrSeriesLimit
	case InvalidLabels:
		return ErrInvalidLabels
	case InvalidHistogram:
		return ErrHistogramTooLarge
	case UnknownSeries:
		return storage.ErrNotFound
	case ExemplarOutOfOrder:
		return storage.ErrOutOfOrderExemplar
	case ExemplarInvalid:
		return storage.ErrExemplarLabelLength
	case ExemplarsDisabled:
		return storage.ErrExemplarsDisabled
	}
	return fmt.Errorf("refused: %s", r)
}

// Refusal is one example of what a commit refused.
type Refusal struct {
	Ref    storage.SeriesRef
	T      int64 // milliseconds
	Reason Reason
}

// Result counts what a commit stored and refused. A sample that was there
// already, bit for bit, counts as stored.
type Result struct {
	Samples, Histograms, Exemplars int
	Refused                        [NumReasons]int
	// Examples are the first refusals, at most maxExamples. They are valid
	// until the next Begin.
	Examples []Refusal
}

const maxExamples = 20

// RefusedTotal is the number of refused samples, histograms and exemplars.
func (r *Result) RefusedTotal() int {
	n := 0
	for _, c := range r.Refused {
		n += c
	}
	return n
}
