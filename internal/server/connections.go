package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	defaultConnections = 4096
	// spareFiles are file descriptors that are not for clients.
	spareFiles = 256
)

// connections bounds how many clients are connected. When there is one more,
// the one that has been waiting longest without asking anything gives way; only
// when all are being answered is the new one closed. So idle connections, be
// there ten thousand, keep nobody out.
type connections struct {
	max int

	mu      sync.Mutex
	all     map[net.Conn]*list.Element // its place in waiting, nil while it is served
	waiting *list.List                 // of net.Conn: new or between two requests, longest first

	evicted, refused prometheus.Counter
}

func newConnections(limit int, reg prometheus.Registerer) *connections {
	if limit == 0 {
		limit = defaultConnections
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil && files.Cur > 2*spareFiles {
		limit = int(min(uint64(limit), files.Cur-spareFiles)) //nolint:gosec // not above limit
	}
	c := &connections{
		max: limit, all: map[net.Conn]*list.Element{}, waiting: list.New(),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chiron_http_connections_evicted_total", Help: "Connections without a request that were closed for a new one.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chiron_http_connections_refused_total", Help: "New connections that were closed because all others were being answered.",
		}),
	}
	count := func(of func() int) func() float64 {
		return func() float64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return float64(of())
		}
	}
	reg.MustRegister(c.evicted, c.refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "chiron_http_connections", Help: "Clients that are connected."}, count(func() int { return len(c.all) })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "chiron_http_connections_idle", Help: "Clients that are connected without a request."}, count(c.waiting.Len)),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "chiron_http_connections_limit", Help: "How many clients may be connected."}, func() float64 { return float64(c.max) }),
	)
	return c
}

// state is the server's ConnState hook.
func (c *connections) state(conn net.Conn, s http.ConnState) {
	if gone := c.note(conn, s); gone != nil {
		_ = gone.Close() // it may be gone already
	}
}

// note follows a connection and returns one to close.
func (c *connections) note(conn net.Conn, s http.ConnState) (gone net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	place, known := c.all[conn]
	if place != nil {
		c.waiting.Remove(place)
	}
	switch s {
	case http.StateClosed, http.StateHijacked:
		delete(c.all, conn)
		return nil
	case http.StateActive:
		if known { // else it was closed for another one a moment ago
			c.all[conn] = nil
		}
		return nil
	case http.StateIdle:
		if !known {
			return conn
		}
	case http.StateNew:
		if len(c.all) >= c.max {
			oldest := c.waiting.Front()
			if oldest == nil {
				c.refused.Inc()
				return conn
			}
			gone = c.waiting.Remove(oldest).(net.Conn) //nolint:forcetypeassert // the list holds nothing else
			delete(c.all, gone)
			c.evicted.Inc()
		}
	}
	c.all[conn] = c.waiting.PushBack(conn)
	return gone
}
