package load

import (
	"sync"

	"github.com/golang/snappy"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// Request is one body to send.
type Request struct {
	Body    []byte // after Snappy
	Raw     int    // bytes before it
	Samples int
}

// Stream makes the requests of one shard. As in Prometheus's queue manager,
// shard k of n owns every n-th series, and its samples are cut into requests
// across rounds. It is not for concurrent use.
type Stream struct {
	load    *Workload
	enc     *encoder
	batch   int
	own     []int
	values  []float64
	ids     []identity
	round   int // the next sample is that of own[at] in this round
	at      int
	end     int // round to stop before
	raw     []byte
	members *pace
}

// NewStream makes the stream of shard k of n, with at most batch samples a
// request.
func NewStream(w *Workload, k, n, batch int, p remotewrite.Protocol) *Stream {
	s := &Stream{load: w, enc: newEncoder(p), batch: batch}
	for i := k; i < w.Series; i += n {
		s.own = append(s.own, i)
		s.ids = append(s.ids, s.enc.identify(w.Labels(i), &w.metrics[i%PerPod]))
	}
	s.values = make([]float64, len(s.own))
	return s
}

// Until lets the stream go on up to a round, which is not part of it.
func (s *Stream) Until(round int) { s.end = round }

// Next encodes the next request into dst; false at the end.
func (s *Stream) Next(dst []byte) (Request, bool) {
	for s.round < s.end && len(s.own) > 0 && s.enc.n < s.batch {
		i := s.own[s.at]
		s.values[s.at] = s.load.step(s.values[s.at], i, s.round)
		s.enc.add(&s.ids[s.at], s.load.time(i, s.round), s.values[s.at])
		if s.at++; s.at == len(s.own) {
			s.at = 0
			s.round++
		}
	}
	n := s.enc.n
	if n == 0 {
		return Request{}, false
	}
	if s.members != nil {
		s.members.wait(s)
	}
	s.raw = s.enc.finish(s.raw[:0])
	return Request{Body: snappy.Encode(dst[:cap(dst)], s.raw), Raw: len(s.raw), Samples: n}, true
}

// maxAhead is how many rounds one shard may be ahead of another: servers refuse
// what is much older than the newest that they have.
const maxAhead = 20

// pace keeps streams close together in time, as scraping does.
type pace struct {
	mu   sync.Mutex
	cond *sync.Cond
	at   map[*Stream]int // round of each stream that goes on
}

func newPace(streams []*Stream) *pace {
	p := &pace{at: map[*Stream]int{}}
	p.cond = sync.NewCond(&p.mu)
	for _, s := range streams {
		p.at[s] = s.round
		s.members = p
	}
	return p
}

// wait blocks while s is too far ahead of the slowest.
func (p *pace) wait(s *Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[s] = s.round
	p.cond.Broadcast()
	for {
		slowest := s.round
		for _, r := range p.at {
			slowest = min(slowest, r)
		}
		if s.round-slowest <= maxAhead {
			return
		}
		p.cond.Wait()
	}
}

// leave ends the stream's part; nobody waits for it.
func (p *pace) leave(s *Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.at, s)
	p.cond.Broadcast()
}
