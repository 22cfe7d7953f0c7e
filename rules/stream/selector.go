package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/tsdbcache"
)

// ErrHistogram says that a series holds a histogram where a number is needed.
var ErrHistogram = errors.New("a native histogram, not a number; take a quantile or a rate of its count")

// tapCapacity is how many samples may wait between two ticks before the
// operator reads the ring instead.
const tapCapacity = 1 << 16

// Selector is the operator for a plain vector selector: the newest sample of
// every series within the lookback. It is not safe for concurrent use.
type Selector struct {
	db       *tsdbcache.DB
	tap      *tsdbcache.Tap
	matchers []*labels.Matcher
	offset   int64 // milliseconds
	lookback int64
	refs     map[storage.SeriesRef]*cursor
	series   map[string]*cursor // by labels: a series that comes back has another reference
	synced   bool
	at       int64 // time of the last tick, offset taken off
	buf      []byte
}

// cursor is one series: the newest sample up to the last tick, and those that
// came early, in order.
type cursor struct {
	labels  labels.Labels
	gone    bool // left the vector; a sample that comes later starts afresh
	has     bool
	now     point
	pending []point
}

type point struct {
	t         int64
	v         float64
	histogram bool
}

// NewSelector opens the operator for expr, which Explain calls streamed.
func NewSelector(db *tsdbcache.DB, expr parser.Expr, lookback time.Duration) (*Selector, error) {
	return newSelector(db, expr, lookback, tapCapacity)
}

func newSelector(db *tsdbcache.DB, expr parser.Expr, lookback time.Duration, capacity int) (*Selector, error) {
	sel, reason := selector(expr)
	if sel == nil {
		return nil, fmt.Errorf("cannot stream %s: %s", expr, reason)
	}
	return &Selector{
		db: db, tap: db.Tap(sel.LabelMatchers, capacity), matchers: sel.LabelMatchers,
		offset: sel.OriginalOffset.Milliseconds(), lookback: lookback.Milliseconds(),
		refs: map[storage.SeriesRef]*cursor{}, series: map[string]*cursor{},
	}, nil
}

// Close gives the tap back.
func (s *Selector) Close() { s.tap.Close() }

// Vector returns what the engine would return at t, in milliseconds, given
// everything in the ring now, in no order. After an error the next tick reads
// the ring anew.
func (s *Selector) Vector(ctx context.Context, t int64) ([]eval.Sample, error) {
	at := t - s.offset
	overflowed := s.tap.Drain(func(x tsdbcache.TapSample) {
		if s.synced { // until the ring is read there is nothing to add to
			s.take(x)
		}
	})
	if overflowed || at < s.at {
		s.synced = false
	}
	if !s.synced {
		if err := s.sync(ctx, at); err != nil {
			return nil, err
		}
	}
	s.at = at
	out := make([]eval.Sample, 0, len(s.series))
	for key, c := range s.series {
		c.advance(at)
		if c.now.t <= at-s.lookback && len(c.pending) == 0 {
			c.gone = true
			delete(s.series, key)
			continue
		}
		if !c.has || c.now.t > at || c.now.t <= at-s.lookback || value.IsStaleNaN(c.now.v) {
			continue
		}
		if c.now.histogram {
			out = append(out, eval.Sample{Labels: c.labels, Histogram: true})
		} else {
			out = append(out, eval.Sample{Labels: c.labels, V: c.now.v})
		}
	}
	if len(s.refs) > 2*len(s.series)+64 {
		s.forget()
	}
	return out, nil
}

// take notes a sample from the tap.
func (s *Selector) take(x tsdbcache.TapSample) {
	if x.Histogram {
		s.synced = false // a number, a histogram or a stale marker: the ring knows
		return
	}
	c := s.refs[x.Ref]
	if c == nil || c.gone {
		ls, ok := s.db.Labels(x.Ref)
		if !ok {
			s.synced = false // gone again already: the ring knows
			return
		}
		c = s.cursor(s.series, ls)
		s.refs[x.Ref] = c
	}
	c.add(point{t: x.T, v: x.V})
}

func (s *Selector) key(ls labels.Labels) string {
	s.buf = ls.Bytes(s.buf[:0])
	return string(s.buf)
}

// cursor is the one with those labels, a new one if need be.
func (s *Selector) cursor(in map[string]*cursor, ls labels.Labels) *cursor {
	key := s.key(ls)
	c := in[key]
	if c == nil {
		c = &cursor{labels: ls}
		in[key] = c
	}
	return c
}

// add keeps p where it belongs: pending until a tick reaches it.
func (c *cursor) add(p point) {
	at := len(c.pending)
	for at > 0 && c.pending[at-1].t >= p.t {
		at--
	}
	if at < len(c.pending) && c.pending[at].t == p.t {
		return // the ring refuses another value at the same time
	}
	c.pending = append(c.pending, point{})
	copy(c.pending[at+1:], c.pending[at:])
	c.pending[at] = p
}

// advance moves to the newest sample up to t.
func (c *cursor) advance(t int64) {
	n := 0
	for n < len(c.pending) && c.pending[n].t <= t {
		if p := c.pending[n]; !c.has || p.t > c.now.t {
			c.now, c.has = p, true
		}
		n++
	}
	c.pending = append(c.pending[:0], c.pending[n:]...)
}

func (s *Selector) forget() {
	for ref, c := range s.refs {
		if c.gone {
			delete(s.refs, ref)
		}
	}
}

// sync reads the ring: everything within the lookback and after. A read that
// fails leaves nothing behind but that it is still to be done.
func (s *Selector) sync(ctx context.Context, at int64) error {
	read := map[string]*cursor{}
	q, err := s.db.Querier(at-s.lookback+1, 1<<62)
	if err != nil {
		return fmt.Errorf("cannot read the ring: %w", err)
	}
	defer func() { _ = q.Close() }()
	set := q.Select(ctx, false, nil, s.matchers...)
	var it chunkenc.Iterator
	for set.Next() {
		series := set.At()
		c := s.cursor(read, series.Labels())
		it = series.Iterator(it)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			p := point{t: it.AtT()}
			switch kind {
			case chunkenc.ValFloat:
				_, p.v = it.At()
			default:
				_, h := it.AtFloatHistogram(nil)
				p.v = h.Sum // the stale marker of a histogram is its sum
				p.histogram = !value.IsStaleNaN(h.Sum)
			}
			c.add(p)
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("cannot read %s: %w", series.Labels(), err)
		}
		c.advance(at) // keeps pending short
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("cannot read the ring: %w", err)
	}
	s.refs, s.series, s.synced = map[storage.SeriesRef]*cursor{}, read, true
	return nil
}
