package emit

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// Forwarder queues samples on disk and sends them by remote write, one request
// at a time and in order.
//
//	Commit -> pending (memory) -> queue (disk) -> request -> far side
//	          never waits         write()         send()
type Forwarder struct {
	o       ForwarderOptions
	queue   *queue
	pending pending
	metrics *metrics

	external atomic.Pointer[external] // what commits from now on get; nil: nothing

	queued chan struct{} // holds a token when the disk queue got something

	// Of the sending goroutine.
	send     codec
	batch    remotewrite.Batch
	fallback bool // the far side wants 1.0

	oldest atomic.Int64 // time queued of what waits longest in flight, ms; 0 none

	// Of the writing goroutine.
	write codec
	join  joiner
}

// OpenForwarder opens the queue in o.Dir, where an earlier process left it.
// The caller runs Run and calls Close after it has returned.
func OpenForwarder(o ForwarderOptions) (*Forwarder, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Forwarder{o: o, queued: make(chan struct{}, 1), fallback: o.Client == nil}
	f.pending.wake = make(chan struct{}, 1)
	var lost int64
	if f.queue, lost, err = openQueue(o.Dir, o.MaxBytes, o.SegmentBytes, o.Logger); err != nil {
		return nil, fmt.Errorf("cannot open remote write queue: %w", err)
	}
	if f.metrics, err = newMetrics(o.Registerer, f); err != nil {
		return nil, errors.Join(err, f.queue.close())
	}
	f.metrics.damagedBytes.Add(float64(lost))
	return f, nil
}

// Run writes and sends until ctx ends; then it puts on disk what is still in
// memory and returns nil.
func (f *Forwarder) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.runWriter(ctx) })
	g.Go(func() error { return f.runSender(ctx) })
	return g.Wait()
}

// Close puts on disk what is still in memory and closes the queue. Run must
// have returned.
func (f *Forwarder) Close() error {
	f.flush()
	f.metrics.unregister()
	return f.queue.close()
}

// enqueue takes over what a commit stored. It never waits.
func (f *Forwarder) enqueue(batch []sample) {
	c := commit{samples: batch}
	if e := f.external.Load(); e != nil {
		c.external = *e
	}
	if n := f.pending.put(c); n > 0 {
		f.metrics.drop(dropMemory, n)
	}
}

func (f *Forwarder) runWriter(ctx context.Context) error {
	syncs := time.NewTicker(f.o.SyncInterval)
	defer syncs.Stop()
	for {
		select {
		case <-f.pending.wake:
			f.flush()
		case <-syncs.C:
			if err := f.queue.sync(); err != nil {
				f.o.Logger.Error("cannot sync the remote write queue", "err", err)
			}
		case <-ctx.Done():
			f.flush()
			return nil
		}
	}
}

// flush writes everything pending to the queue.
func (f *Forwarder) flush() {
	var b remotewrite.Batch
	for _, c := range f.pending.takeAll() {
		for batch := c.samples; len(batch) > 0; {
			n := min(len(batch), f.o.BatchSamples)
			b.Reset()
			f.join.fill(&b, batch[:n], c.external)
			batch = batch[n:]
			dropped, err := f.queue.append(record{samples: n, queued: f.o.Now().UnixMilli(), body: f.write.encode(remotewrite.V2, &b)})
			f.metrics.drop(dropOverflow, dropped)
			if err != nil {
				f.o.Logger.Error("cannot queue samples for remote write", "samples", n, "err", err)
				f.metrics.drop(dropDisk, n)
				continue
			}
			f.metrics.queuedTotal.Add(float64(n))
		}
	}
	select {
	case f.queued <- struct{}{}:
	default:
	}
}
