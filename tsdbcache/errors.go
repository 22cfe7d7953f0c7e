package tsdbcache

import "errors"

// What callers branch on beside the errors of package storage.
var (
	// ErrSeriesLimit refuses a new series: MaxSeries is reached, or no page
	// can be freed for it. It clears when other series go.
	ErrSeriesLimit = errors.New("series limit reached")
	// ErrInvalidLabels refuses an empty, unsorted or repeated label set.
	ErrInvalidLabels = errors.New("invalid label set")
	// ErrHistogramTooLarge refuses a histogram that no chunk can hold.
	ErrHistogramTooLarge = errors.New("histogram is too large")
	// ErrLocked says that another process uses the directory.
	ErrLocked = errors.New("directory is in use by another process")
	// ErrClosed says that the DB was closed.
	ErrClosed = errors.New("the ring is closed")
	// ErrAppenderV1 is what every method of the old appender returns.
	ErrAppenderV1 = errors.New("the old Appender is not supported: use AppenderV2")
)
