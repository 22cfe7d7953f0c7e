package tsdbcache

import (
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// TapSample is one sample as a tap saw it. A histogram has no value here: the
// drainer reads it from the ring.
type TapSample struct {
	Ref       storage.SeriesRef
	ST, T     int64 // milliseconds
	V         float64
	Histogram bool
}

// Tap is a bounded queue of the samples stored in series that its matchers
// select. The write path only queues; whoever drains does the work.
type Tap struct {
	db *DB
	ms []*labels.Matcher

	mu         sync.Mutex
	queue      []TapSample // a full queue has len == cap
	spare      []TapSample // the other half of the swap in Drain
	overflowed bool
}

// Drain calls f with every queued sample in the order of their commits and
// reports whether samples were lost since the last Drain; then the drainer
// resyncs with a query. Only one goroutine may drain a tap.
func (t *Tap) Drain(f func(TapSample)) (overflowed bool) {
	t.mu.Lock()
	out := t.queue
	if t.spare == nil {
		t.spare = make([]TapSample, 0, cap(out))
	}
	t.queue, t.spare = t.spare[:0], out
	overflowed, t.overflowed = t.overflowed, false
	t.mu.Unlock()
	for _, s := range out {
		f(s)
	}
	return overflowed
}

// push queues a sample, or notes that it did not fit.
func (t *Tap) push(s TapSample) {
	t.mu.Lock()
	if len(t.queue) < cap(t.queue) {
		t.queue = append(t.queue, s)
	} else {
		t.overflowed = true
	}
	t.mu.Unlock()
}
