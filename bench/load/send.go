package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// Options say how a workload is sent.
type Options struct {
	URL         string // of the write endpoint
	Protocol    remotewrite.Protocol
	Batch       int // samples a request; 0 means 2000
	Connections int // each with one request under way; 0 means 4
	// Progress is told now and then how many samples were acknowledged. It may
	// be called from several goroutines.
	Progress func(acknowledged int64)
}

// Sender sends a workload, phase by phase.
type Sender struct {
	o       Options
	streams []*Stream
	acked   atomic.Int64
}

// Phase is what one part of the sending came to.
type Phase struct {
	Samples  int64 // acknowledged
	Requests int   // answered, whatever the answer
	Retries  int   // requests that were sent again
	Sent     int64 // bytes on the wire, bodies only
	Wall     time.Duration

	latencies []time.Duration // sorted
}

// Quantile is the latency that a part q of the requests stayed within.
func (p *Phase) Quantile(q float64) time.Duration {
	if len(p.latencies) == 0 {
		return 0
	}
	return p.latencies[int(q*float64(len(p.latencies)-1))]
}

// NewSender prepares the sending of a workload.
func NewSender(w *Workload, o Options) *Sender {
	if o.Batch == 0 {
		o.Batch = 2000
	}
	if o.Connections == 0 {
		o.Connections = 4
	}
	s := &Sender{o: o, streams: make([]*Stream, o.Connections)}
	var wg sync.WaitGroup
	for k := range s.streams {
		wg.Go(func() { s.streams[k] = NewStream(w, k, o.Connections, o.Batch, o.Protocol) })
	}
	wg.Wait()
	return s
}

// Send sends all rounds up to one, which is not part of it, as fast as the
// server answers. It ends with an error when a request is refused for good.
func (s *Sender) Send(ctx context.Context, until int) (*Phase, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pace := newPace(s.streams)
	parts := make([]Phase, len(s.streams))
	errs := make([]error, len(s.streams))
	start := time.Now()
	var wg sync.WaitGroup
	for k, stream := range s.streams {
		stream.Until(until)
		wg.Go(func() {
			defer pace.leave(stream)
			if errs[k] = s.run(ctx, stream, &parts[k]); errs[k] != nil {
				cancel() // the others need not go on
			}
		})
	}
	wg.Wait()
	all := &Phase{Wall: time.Since(start)}
	for i := range parts {
		p := &parts[i]
		all.Samples += p.Samples
		all.Requests += p.Requests
		all.Retries += p.Retries
		all.Sent += p.Sent
		all.latencies = append(all.latencies, p.latencies...)
	}
	slices.Sort(all.latencies)
	return all, firstOf(errs)
}

// firstOf prefers the cause to those that were cancelled because of it.
func firstOf(errs []error) error {
	var cancelled error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			cancelled = err
		}
	}
	return cancelled
}

// answerWithin is how long an answer may take before the request is sent again.
const answerWithin = 10 * time.Minute

// run sends what one stream has, over a connection of its own.
func (s *Sender) run(ctx context.Context, stream *Stream, p *Phase) error {
	client := &http.Client{Timeout: answerWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var buf []byte
	for ctx.Err() == nil {
		r, ok := stream.Next(buf)
		if !ok {
			return nil
		}
		if err := s.deliver(ctx, client, r, p); err != nil {
			return err
		}
		p.Samples += int64(r.Samples)
		p.Sent += int64(len(r.Body))
		if total := s.acked.Add(int64(r.Samples)); s.o.Progress != nil {
			s.o.Progress(total)
		}
		buf = r.Body
	}
	return ctx.Err()
}

// tries is how often a request is sent before the run is given up.
const tries = 6

// deliver sends one request until it is acknowledged, as senders do: again
// after 5xx, 429 and broken connections.
func (s *Sender) deliver(ctx context.Context, client *http.Client, r Request, p *Phase) error {
	for try := 1; ; try++ {
		begin := time.Now()
		again, err := s.post(ctx, client, r)
		p.latencies = append(p.latencies, time.Since(begin))
		p.Requests++
		if err == nil {
			return nil
		}
		if !again || try == tries || ctx.Err() != nil {
			return fmt.Errorf("cannot write to %s: %w", s.o.URL, err)
		}
		p.Retries++
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 200 * time.Millisecond):
		}
	}
}

func (s *Sender) post(ctx context.Context, client *http.Client, r Request) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.URL, bytes.NewReader(r.Body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("User-Agent", "chiron-bench")
	req.Header.Set("Content-Type", s.o.Protocol.ContentType())
	req.Header.Set(remotewrite.VersionHeader, s.o.Protocol.Version())
	resp, err := client.Do(req)
	if err != nil {
		return true, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	_ = resp.Body.Close() // only read
	if err != nil {
		return true, err
	}
	if resp.StatusCode/100 != 2 {
		return resp.StatusCode/100 == 5 || resp.StatusCode == http.StatusTooManyRequests, fmt.Errorf("%s: %.300s", resp.Status, text)
	}
	if s.o.Protocol == remotewrite.V2 {
		if n, err := strconv.Atoi(resp.Header.Get(remotewrite.SamplesWrittenHeader)); err != nil || n != r.Samples {
			return false, fmt.Errorf("the server says that it wrote %q of %d samples", resp.Header.Get(remotewrite.SamplesWrittenHeader), r.Samples)
		}
	}
	return false, nil
}
