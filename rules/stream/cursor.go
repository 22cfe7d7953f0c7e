package stream

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// cursor is one series: the newest sample up to the last tick, and those that
// came early, in order.
type cursor struct {
	labels  labels.Labels
	ref     storage.SeriesRef // that it was fed under last, 0 if only the ring was read
	gone    bool              // left the vector; a sample that comes later starts afresh
	has     bool
	now     point
	pending []point
}

// point is a sample. Of a histogram v is the sum, which tells a stale marker.
type point struct {
	t         int64
	v         float64
	histogram bool
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
