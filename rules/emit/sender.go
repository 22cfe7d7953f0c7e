package emit

import (
	"context"
	"errors"
	"time"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// runSender sends one request after the other until ctx ends. What was taken
// and not acknowledged then is taken again after a restart.
func (f *Forwarder) runSender(ctx context.Context) error {
	var left *part
	for {
		parts, rest, ok := f.gather(ctx, left)
		if !ok {
			return nil
		}
		left = rest
		if !f.deliver(ctx, parts) {
			return nil
		}
		f.oldest.Store(0)
		if err := f.queue.done(parts[len(parts)-1].end); err != nil {
			f.o.Logger.Error("cannot note what the remote write receiver has", "err", err)
		}
	}
}

// part is one record taken from the queue, and where it ends there.
type part struct {
	record
	end position
}

// gather takes records until they fill a request or the oldest has waited
// long enough. A record that does not fit any more is returned as rest. False
// means that ctx ended.
func (f *Forwarder) gather(ctx context.Context, first *part) (parts []part, rest *part, ok bool) {
	samples := 0
	timer := time.NewTimer(f.o.FlushInterval)
	defer timer.Stop()
	if first != nil {
		parts, samples = append(parts, *first), first.samples
		f.oldest.Store(first.queued)
	}
	for {
		r, end, damaged, ok := f.queue.next()
		f.metrics.drop(dropDamaged, damaged)
		if ok {
			p := part{r, end}
			if samples > 0 && samples+p.samples > f.o.BatchSamples {
				return parts, &p, true
			}
			if samples == 0 {
				f.oldest.Store(p.queued)
				timer.Reset(f.o.FlushInterval)
			}
			parts, samples = append(parts, p), samples+p.samples
			if samples >= f.o.BatchSamples {
				return parts, nil, true
			}
			continue
		}
		select {
		case <-f.queued:
		case <-timer.C:
			if samples > 0 {
				return parts, nil, true
			}
		case <-ctx.Done():
			return nil, nil, false
		}
	}
}

// deliver sends until the far side has the parts, refuses them for good, or
// the queue gave them up. False means that ctx ended.
func (f *Forwarder) deliver(ctx context.Context, parts []part) bool {
	samples := 0
	for _, p := range parts {
		samples += p.samples
	}
	body, err := f.request(parts)
	if err != nil {
		f.o.Logger.Error("cannot read queued samples", "samples", samples, "err", err)
		f.metrics.drop(dropDamaged, samples)
		return true
	}
	backoff := f.o.MinBackoff
	for attempt := 0; ; attempt++ {
		client := f.o.Client
		if f.fallback {
			client = f.o.Fallback
		}
		err := client.Store(ctx, body, attempt)
		if err == nil {
			f.metrics.sent.Add(float64(samples))
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		f.metrics.failures.Inc()
		var recoverable *RecoverableError
		switch {
		case errors.Is(err, ErrUnsupported) && !f.fallback && f.o.Fallback != nil:
			f.o.Logger.Warn("remote write receiver does not support 2.0, changing to 1.0", "err", err)
			f.fallback = true
			if body, err = f.request(parts); err != nil {
				f.metrics.drop(dropDamaged, samples)
				return true
			}
			continue
		case !errors.As(err, &recoverable):
			f.o.Logger.Error("remote write receiver refused samples", "samples", samples, "err", err)
			f.metrics.drop(dropRefused, samples)
			return true
		}
		if attempt == 0 {
			f.o.Logger.Warn("cannot send samples by remote write, trying again", "samples", samples, "err", err)
		}
		wait := time.NewTimer(max(backoff, recoverable.RetryAfter))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return false
		}
		if !f.queue.holds(parts[len(parts)-1].end) {
			f.metrics.drop(dropOverflow, samples)
			return true
		}
		backoff = min(2*backoff, f.o.MaxBackoff)
	}
}

// request builds the body of the parts in the version the far side takes. A
// single 2.0 part is sent as it was queued.
func (f *Forwarder) request(parts []part) ([]byte, error) {
	if len(parts) == 1 && !f.fallback {
		return parts[0].body, nil
	}
	f.batch.Reset()
	for _, p := range parts {
		if err := f.send.decode(&f.batch, p.body); err != nil {
			return nil, err
		}
	}
	if f.fallback {
		return f.send.encode(remotewrite.V1, &f.batch), nil
	}
	return f.send.encode(remotewrite.V2, &f.batch), nil
}
