package stream

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// maxTime is later than any sample: those ahead of a tick are read as well.
const maxTime = 1 << 62

// sync reads the ring: everything within the lookback and after. A read that
// fails leaves nothing behind but that it is still to be done.
func (s *Selector) sync(ctx context.Context, at int64) error {
	q, err := s.db.Querier(at-s.lookback+1, maxTime)
	if err != nil {
		return fmt.Errorf("cannot read the ring: %w", err)
	}
	defer func() { _ = q.Close() }()
	read := map[string]*cursor{}
	set := q.Select(ctx, false, nil, s.matchers...)
	var it chunkenc.Iterator
	for set.Next() {
		series := set.At()
		it = series.Iterator(it)
		if err := s.cursor(read, series.Labels()).read(it, at); err != nil {
			return fmt.Errorf("cannot read %s: %w", series.Labels(), err)
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("cannot read the ring: %w", err)
	}
	s.refs, s.series, s.synced = map[storage.SeriesRef]*cursor{}, read, true
	return nil
}

// join reads what the ring holds of a series that the tap feeds from now on.
func (s *Selector) join(ctx context.Context, ref storage.SeriesRef, at int64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot read the ring: %w", err)
	}
	series, found, err := s.db.Series(ref, at-s.lookback+1, maxTime)
	switch {
	case err != nil:
		return fmt.Errorf("cannot read the ring: %w", err)
	case !found:
		return nil // it left again, with all that it held
	}
	c := s.cursor(s.series, series.Labels())
	c.ref, s.refs[ref] = ref, c
	if err := c.read(series.Iterator(nil), at); err != nil {
		return fmt.Errorf("cannot read %s: %w", series.Labels(), err)
	}
	return nil
}

// read adds the samples of an iterator.
func (c *cursor) read(it chunkenc.Iterator, at int64) error {
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		p := point{t: it.AtT(), histogram: kind != chunkenc.ValFloat}
		if p.histogram {
			_, h := it.AtFloatHistogram(nil)
			p.v = h.Sum
		} else {
			_, p.v = it.At()
		}
		c.add(p)
	}
	c.advance(at) // keeps pending short
	return it.Err()
}
