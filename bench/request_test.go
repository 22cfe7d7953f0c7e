package bench

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// perRequest is how many samples a request has, as senders are told to send.
const perRequest = 2000

var protocols = []remotewrite.Protocol{remotewrite.V1, remotewrite.V2}

var seriesCounts = []int{10_000, 100_000}

// each runs f for every message version, number of series and side.
func each(b *testing.B, f func(b *testing.B, s side, p remotewrite.Protocol, series int)) {
	for _, p := range protocols {
		for _, n := range seriesCounts {
			for _, s := range sides {
				b.Run(fmt.Sprintf("proto=%s/series=%d/side=%s", p, n, s.name), func(b *testing.B) { f(b, s, p, n) })
			}
		}
	}
}

// BenchmarkSteady: requests of series that the receiver knows, from compressed
// body to answered, stored and durable.
func BenchmarkSteady(b *testing.B) {
	each(b, func(b *testing.B, s side, p remotewrite.Protocol, series int) {
		h, stop := s.open(b)
		defer stop()
		w := newRounds(series, perRequest, p)
		out := newSender(h, p)
		for range 3 { // make the series, learn their order
			for _, body := range w.next() {
				out.send(b, body)
			}
		}
		var bodies [][]byte
		samples := 0
		m := newMeter(b)
		for b.Loop() {
			if len(bodies) == 0 {
				m.stop()
				bodies = w.next()
				m.start()
			}
			out.send(b, bodies[0])
			bodies = bodies[1:]
			samples += perRequest
		}
		m.report(samples, "sample")
	})
}

// BenchmarkCreate: requests of series that an empty receiver does not know.
func BenchmarkCreate(b *testing.B) {
	each(b, func(b *testing.B, s side, p remotewrite.Protocol, series int) {
		all := newRounds(series, perRequest, p).next()
		var out *sender
		stop := func() {}
		var bodies [][]byte
		created := 0
		m := newMeter(b)
		for b.Loop() {
			if len(bodies) == 0 {
				m.stop()
				stop()
				h, end := s.open(b)
				out, stop, bodies = newSender(h, p), end, all
				m.start()
			}
			out.send(b, bodies[0])
			bodies = bodies[1:]
			created += perRequest
		}
		m.report(created, "series")
		stop()
	})
}

// BenchmarkLoopback: the steady request over a real connection; the CPU time
// is that of the client too.
func BenchmarkLoopback(b *testing.B) {
	for _, p := range protocols {
		for _, s := range sides {
			b.Run(fmt.Sprintf("proto=%s/series=%d/side=%s", p, seriesCounts[0], s.name), func(b *testing.B) {
				h, stop := s.open(b)
				defer stop()
				srv := httptest.NewServer(h)
				defer srv.Close()
				w := newRounds(seriesCounts[0], perRequest, p)
				for _, body := range w.next() {
					post(b, srv.Client(), srv.URL, p, body)
				}
				var bodies [][]byte
				samples := 0
				m := newMeter(b)
				for b.Loop() {
					if len(bodies) == 0 {
						m.stop()
						bodies = w.next()
						m.start()
					}
					post(b, srv.Client(), srv.URL, p, bodies[0])
					bodies = bodies[1:]
					samples += perRequest
				}
				m.report(samples, "sample")
			})
		}
	}
}
