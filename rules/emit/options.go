// Package emit carries what rules produce to where it is read: into the ring
// first, then to a remote write receiver through a queue on disk.
//
// It promises that evaluation never waits for the far side, that samples of a
// series leave in the order they were stored, and that what was queued
// survives a restart and an outage of the far side up to a limit in bytes,
// beyond which the oldest goes and is counted. It does not know rules, alerts
// or how a request is sent over HTTP.
package emit

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ForwarderOptions configure a Forwarder. Dir and one of the clients are needed.
type ForwarderOptions struct {
	// Dir holds the queue's segment files and nothing else.
	Dir string
	// MaxBytes limits the queue on disk; the oldest segment goes first.
	// 0: 256 MiB.
	MaxBytes int64
	// Client sends remote write 2.0 requests. nil: all go by Fallback.
	Client Client
	// Fallback sends 1.0 requests, to a far side that answered Client with
	// ErrUnsupported. nil: such requests are dropped and counted.
	Fallback Client
	// BatchSamples is the most samples in one request. 0: 2000.
	BatchSamples int
	// FlushInterval is how long samples wait for a batch to fill. 0: 5 s.
	FlushInterval time.Duration
	// SyncInterval is how often the queue is forced to disk, so what a power
	// cut can lose. 0: 5 s.
	SyncInterval time.Duration
	// MinBackoff and MaxBackoff bound the wait between attempts, doubling.
	// 0: 30 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration
	// SegmentBytes is when a new segment file starts. 0: an eighth of
	// MaxBytes, 16 MiB at most.
	SegmentBytes int64
	// Now is the clock of the oldest-age metric. nil: time.Now.
	Now func() time.Time
	// Logger receives what an operator can act on. nil: slog.Default.
	Logger *slog.Logger
	// Registerer receives the metrics. nil: they are registered nowhere.
	Registerer prometheus.Registerer
}

func (o ForwarderOptions) withDefaults() (ForwarderOptions, error) {
	if o.Dir == "" {
		return o, errors.New("cannot open a forwarder without a directory")
	}
	if o.Client == nil && o.Fallback == nil {
		return o, errors.New("cannot open a forwarder without a client")
	}
	if o.MaxBytes < 0 || o.BatchSamples < 0 || o.SegmentBytes < 0 {
		return o, fmt.Errorf("negative limit: MaxBytes %d, BatchSamples %d, SegmentBytes %d", o.MaxBytes, o.BatchSamples, o.SegmentBytes)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 256 << 20
	}
	if o.BatchSamples == 0 {
		o.BatchSamples = 2000
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = max(min(o.MaxBytes/8, 16<<20), 1)
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&o.FlushInterval, 5 * time.Second},
		{&o.SyncInterval, 5 * time.Second},
		{&o.MinBackoff, 30 * time.Millisecond},
		{&o.MaxBackoff, 5 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}
