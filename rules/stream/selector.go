package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/tsdbcache"
)

// tapCapacity is how many samples may wait between two ticks before the
// operator reads the ring instead.
const tapCapacity = 1 << 16

// Selector is the operator for a plain vector selector: the newest sample of
// every series within the lookback. It is not safe for concurrent use.
type Selector struct {
	db       *tsdbcache.DB
	tap      *tsdbcache.TapReader
	matchers []*labels.Matcher
	offset   int64 // milliseconds
	lookback int64
	refs     map[storage.SeriesRef]*cursor
	series   map[string]*cursor // by labels: a series that comes back has another reference
	joined   []storage.SeriesRef
	synced   bool
	at       int64 // time of the last tick, offset taken off
	buf      []byte
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
// everything in the ring now, in no order. A series that holds a histogram is
// marked as such. After an error the next tick reads the ring anew.
func (s *Selector) Vector(ctx context.Context, t int64) ([]eval.Sample, error) {
	at := t - s.offset
	if at < s.at {
		s.synced = false
	}
	if err := s.follow(ctx, at); err != nil {
		s.synced = false
		return nil, err
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

// maxPasses bounds how often a tick goes on because series join while it reads
// those that joined before.
const maxPasses = 4

// follow takes in what was stored since the last tick. A series that joined is
// read from the ring, which by then may hold more than the other series have
// told: so the tap is drained again, and what a tick sees is one state of the
// ring. (While series join without end it stops after maxPasses.)
func (s *Selector) follow(ctx context.Context, at int64) error {
	for range maxPasses {
		s.joined = s.joined[:0]
		if s.tap.Drain(s.take) {
			s.synced = false
		}
		switch {
		case !s.synced:
			return s.sync(ctx, at)
		case len(s.joined) == 0:
			return nil
		}
		for _, ref := range s.joined {
			if err := s.join(ctx, ref, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// take notes a sample from the tap.
func (s *Selector) take(x tsdbcache.TapSample) {
	if !s.synced { // until the ring is read there is nothing to add to
		return
	}
	if x.Joined {
		s.joined = append(s.joined, x.Ref)
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
		c.ref, s.refs[x.Ref] = x.Ref, c
	}
	c.add(point{t: x.T, v: x.V, histogram: x.Histogram})
}

// cursor is the one with those labels, a new one if need be.
func (s *Selector) cursor(in map[string]*cursor, ls labels.Labels) *cursor {
	s.buf = ls.Bytes(s.buf[:0])
	c := in[string(s.buf)]
	if c == nil {
		c = &cursor{labels: ls}
		in[string(s.buf)] = c
	}
	return c
}

// forget drops the references of series that have gone or have another one.
func (s *Selector) forget() {
	for ref, c := range s.refs {
		if c.gone || c.ref != ref {
			delete(s.refs, ref)
		}
	}
}
