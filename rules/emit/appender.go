package emit

import (
	"context"
	"errors"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// Appendable returns an appendable that stores in the ring and, once the ring
// has committed, queues what it accepted with f. Without f it is the ring.
func Appendable(ring storage.AppendableV2, f *Forwarder) storage.AppendableV2 {
	if f == nil {
		return ring
	}
	return &appendable{ring, f}
}

type appendable struct {
	ring storage.AppendableV2
	f    *Forwarder
}

func (a *appendable) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &appender{ring: a.ring.AppenderV2(ctx), f: a.f}
}

// appender notes what the ring took. Labels are kept: rules do not change
// theirs. Histograms are copied, the engine reuses its own.
type appender struct {
	ring storage.AppenderV2
	f    *Forwarder
	took []sample
}

// Append stores the sample in the ring.
func (a *appender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	ref, err := a.ring.Append(ref, ls, st, t, v, h, fh, o)
	if err != nil && !errors.Is(err, (*storage.AppendPartialError)(nil)) {
		return ref, err
	}
	s := sample{labels: ls, st: st, t: t, v: v, meta: o.Metadata}
	switch {
	case fh != nil:
		s.fh = fh.Copy()
	case h != nil:
		s.h = h.Copy()
	}
	a.took = append(a.took, s)
	return ref, err
}

// Commit commits the ring and queues only if that worked.
func (a *appender) Commit() error {
	if err := a.ring.Commit(); err != nil {
		return err
	}
	if len(a.took) > 0 {
		a.f.enqueue(a.took)
	}
	return nil
}

// Rollback drops everything, here and in the ring.
func (a *appender) Rollback() error {
	a.took = nil
	return a.ring.Rollback()
}
