package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/promql"

	shortway "github.com/chironhq/chiron/internal/promql"
)

// newQueryTracker limits how many queries run at once: with a folder through
// Prometheus's file of active queries, without one in memory. A negative
// concurrency means no limit and no tracker.
func newQueryTracker(dir string, concurrency int, timeout time.Duration, logger *slog.Logger) (promql.QueryTracker, error) {
	switch {
	case concurrency < 0:
		return nil, nil // how the engine spells "no limit"
	case dir == "":
		return queue{make(memoryTracker, concurrency), timeout}, nil
	}
	// NewActiveQueryTracker(localStoragePath, maxConcurrent, logger)
	t, err := promql.NewActiveQueryTracker(dir, concurrency, logger)
	if err != nil {
		return nil, fmt.Errorf("cannot keep the list of active queries in %s: %w", dir, err)
	}
	return queue{t, timeout}, nil
}

// queue bounds how long a query waits for its turn and says in the engine's
// words why it did not get it. Without that the API takes a query that timed
// out in the queue for a malformed one, and one without a timeout of its own
// waits forever.
type queue struct {
	promql.QueryTracker
	timeout time.Duration
}

// Insert waits for a turn.
func (q queue) Insert(ctx context.Context, query string) (int, error) {
	if text, ok := shortway.Text(ctx); ok {
		query = text
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	i, err := q.QueryTracker.Insert(ctx, query)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return 0, promql.ErrQueryTimeout("query queue")
	case errors.Is(err, context.Canceled):
		return 0, promql.ErrQueryCanceled("query queue")
	}
	return i, err
}

// memoryTracker holds one token for each running query.
type memoryTracker chan struct{}

// GetMaxConcurrent returns how many queries may run at once.
func (t memoryTracker) GetMaxConcurrent() int { return cap(t) }

// Insert waits for a turn or for ctx.
func (t memoryTracker) Insert(ctx context.Context, _ string) (int, error) {
	select {
	case t <- struct{}{}:
		return 0, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Delete ends a turn.
func (t memoryTracker) Delete(int) { <-t }

// Close does nothing: the memory goes with the tracker.
func (t memoryTracker) Close() error { return nil }
