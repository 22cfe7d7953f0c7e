package bench

import (
	"time"

	"github.com/chironhq/chiron/bench/load"
	"github.com/chironhq/chiron/receiver/remotewrite"
)

// Interval is the time between two rounds, in milliseconds.
const Interval = 15_000

// rounds makes the requests of a load round by round, as one sender does.
type rounds struct {
	stream *load.Stream
	n      int
}

// newRounds leaves room for the rounds of a benchmark before "ten minutes
// ahead", which the peer refuses.
func newRounds(series, batch int, p remotewrite.Protocol) *rounds {
	w := load.New(series, time.Now().Add(-12*time.Hour).UnixMilli())
	return &rounds{stream: load.NewStream(w, 0, 1, batch, p)}
}

// next encodes one sample of every series, Snappy included.
func (r *rounds) next() (bodies [][]byte) {
	r.n++
	r.stream.Until(r.n)
	for {
		q, ok := r.stream.Next(nil)
		if !ok {
			return bodies
		}
		bodies = append(bodies, q.Body)
	}
}
