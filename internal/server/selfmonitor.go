package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
)

// selfMonitor writes Chiron's own metrics into the ring as a scrape of itself
// would, so that rules can watch Chiron before anything else is connected.
type selfMonitor struct {
	gatherer prometheus.Gatherer
	ring     storage.AppendableV2
	interval time.Duration
	extra    labels.Labels // job, instance and what the configuration adds
	logger   *slog.Logger

	previous map[uint64]labels.Labels // series of the last round, for stale markers
}

// Run collects every interval until ctx ends, then ends its series.
func (s *selfMonitor) Run(ctx context.Context) error {
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		if err := s.collect(ctx, time.Now()); err != nil {
			s.logger.Warn("cannot store own metrics", "err", err)
		}
		select {
		case <-ctx.Done():
			s.markStale(time.Now())
			return nil
		case <-tick.C:
		}
	}
}

// collect stores one round at t and ends the series that have gone since the
// round before.
func (s *selfMonitor) collect(ctx context.Context, t time.Time) error {
	families, err := s.gatherer.Gather()
	if err != nil && len(families) == 0 {
		return fmt.Errorf("cannot gather: %w", err)
	}
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(t.UnixNano())}, families...)
	if err != nil {
		return fmt.Errorf("cannot read own metrics: %w", err)
	}
	samples = append(samples, &model.Sample{Metric: model.Metric{model.MetricNameLabel: "up"}, Value: 1, Timestamp: model.TimeFromUnixNano(t.UnixNano())})

	app := s.ring.AppenderV2(ctx)
	current := make(map[uint64]labels.Labels, len(samples))
	b := labels.NewBuilder(labels.EmptyLabels())
	var errs []error
	for _, sample := range samples {
		b.Reset(labels.EmptyLabels())
		for name, v := range sample.Metric {
			b.Set(string(name), string(v))
		}
		s.extra.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
		ls := b.Labels()
		current[ls.Hash()] = ls
		if _, err := app.Append(0, ls, 0, int64(sample.Timestamp), float64(sample.Value), nil, nil, storage.AppendV2Options{}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", ls, err))
		}
	}
	for hash, ls := range s.previous {
		if _, ok := current[hash]; !ok {
			_, _ = app.Append(0, ls, 0, t.UnixMilli(), math.Float64frombits(value.StaleNaN), nil, nil, storage.AppendV2Options{})
		}
	}
	if err := app.Commit(); err != nil {
		return err
	}
	s.previous = current
	return errors.Join(errs...)
}

// markStale ends all series.
func (s *selfMonitor) markStale(t time.Time) {
	app := s.ring.AppenderV2(context.Background())
	for _, ls := range s.previous {
		_, _ = app.Append(0, ls, 0, t.UnixMilli(), math.Float64frombits(value.StaleNaN), nil, nil, storage.AppendV2Options{})
	}
	if err := app.Commit(); err != nil {
		s.logger.Warn("cannot end own series", "err", err)
	}
	s.previous = nil
}
