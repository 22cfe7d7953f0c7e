package emit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Client sends one Snappy-compressed remote write request in one message
// version. attempt counts from 0 and goes into the Retry-Attempt header.
//
// A nil error means the far side has everything. A *RecoverableError is sent
// again; ErrUnsupported (answer 415) makes the forwarder change to its
// fallback; any other error drops the request.
type Client interface {
	Store(ctx context.Context, body []byte, attempt int) error
}

// ErrUnsupported is wrapped by a Client when the far side answers 415.
var ErrUnsupported = errors.New("remote side does not support the message version")

// RecoverableError is wrapped or returned by a Client for network errors, 5xx
// and, if so configured, 429.
type RecoverableError struct {
	Err error
	// RetryAfter is what the far side asked for; 0 means the forwarder's own
	// backoff.
	RetryAfter time.Duration
}

// Error is that of the cause.
func (e *RecoverableError) Error() string {
	if e.RetryAfter > 0 {
		return fmt.Sprintf("%v (retry after %v)", e.Err, e.RetryAfter)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *RecoverableError) Unwrap() error { return e.Err }
