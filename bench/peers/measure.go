package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/chironhq/chiron/bench/load"
	"github.com/chironhq/chiron/receiver/remotewrite"
)

// bench is one run over all parts and peers.
type bench struct {
	*options
	start   time.Time // the load's time ends here for everybody
	stderr  io.Writer
	report  report
	answers []answer

	// target changes the endpoint that is written to; tests put a proxy between.
	target func(url string) string
}

// measure runs one part with one peer, each protocol over an empty server.
func (b *bench) measure(ctx context.Context, part string, p *peer) error {
	if part == "query" {
		return b.with(ctx, p, func(s *server) error { return b.query(ctx, p, s) })
	}
	for _, proto := range p.protocols {
		if err := b.with(ctx, p, func(s *server) error { return b.ingest(ctx, p, s, proto) }); err != nil {
			return fmt.Errorf("remote write %s: %w", proto, err)
		}
	}
	return nil
}

func (b *bench) with(ctx context.Context, p *peer, f func(*server) error) (err error) {
	s, err := p.start(ctx, b.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	return f(s)
}

// sender prepares the load of a number of rounds that end when the run began.
func (b *bench) sender(s *server, series, rounds, batch int, proto remotewrite.Protocol, what string) (*load.Workload, *load.Sender) {
	w := load.New(series, b.start.Add(-time.Duration(rounds)*load.Interval).UnixMilli())
	url := s.base + "/api/v1/write"
	if b.target != nil {
		url = b.target(url)
	}
	return w, load.NewSender(w, load.Options{
		URL: url, Protocol: proto, Batch: batch, Connections: b.connections, Progress: b.progress(what, int64(series)*int64(rounds)),
	})
}

// progress says every ten seconds how far a part is.
func (b *bench) progress(what string, of int64) func(int64) {
	var last atomic.Int64
	last.Store(time.Now().UnixNano())
	return func(done int64) {
		now, then := time.Now().UnixNano(), last.Load()
		if now-then > int64(10*time.Second) && last.CompareAndSwap(then, now) {
			b.say("%s: %d %% of %d samples", what, done*100/of, of)
		}
	}
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.stderr, "# "+format+"\n", args...) // progress only
}

// paid is a phase with what the server paid for it.
type paid struct {
	*load.Phase
	cpu    time.Duration // the background work after it included
	memory memory
}

func (b *bench) phase(ctx context.Context, s *server, send *load.Sender, until int) (*paid, error) {
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	ph, err := send.Send(ctx, until)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, b.settle); err != nil {
		return nil, err
	}
	after, err := s.cpu()
	if err != nil {
		return nil, err
	}
	m, err := s.memory(ctx)
	// A clock tick at least, lest a run of a moment has cost nothing.
	return &paid{ph, max(after-before, time.Second/clockTick), m}, err
}

const mib = 1 << 20

// ingest creates the series in the first round and goes on from there.
func (b *bench) ingest(ctx context.Context, p *peer, s *server, proto remotewrite.Protocol) error {
	what := fmt.Sprintf("%s, remote write %s, %d series", p.name, proto, b.series)
	b.say("%s: creating, load average %s", what, loadAverage())
	w, send := b.sender(s, b.series, b.rounds, b.batch, proto, what)
	create, err := b.phase(ctx, s, send, 1)
	if err != nil {
		return err
	}
	b.report.add(p.name, fmt.Sprintf("part=create/proto=%s/series=%d", proto, b.series), create.Requests,
		value{float64(create.Samples) / create.cpu.Seconds(), "series/cpu-s"},
		value{ms(create.Quantile(.5)), "p50-ms"}, value{ms(create.Quantile(.99)), "p99-ms"})
	steady, err := b.phase(ctx, s, send, b.rounds)
	if err != nil {
		return err
	}
	n := float64(b.series)
	b.report.add(p.name, fmt.Sprintf("part=steady/proto=%s/series=%d", proto, b.series), steady.Requests,
		value{float64(steady.Samples) / steady.cpu.Seconds(), "samples/cpu-s"},
		value{ms(steady.Quantile(.5)), "p50-ms"}, value{ms(steady.Quantile(.99)), "p99-ms"}, value{ms(steady.Quantile(1)), "max-ms"},
		value{float64(steady.Samples) / steady.Wall.Seconds(), "samples/s"},
		value{steady.memory.rss / n, "rss-B/series"}, value{steady.memory.anonymous / n, "anon-B/series"}, value{steady.memory.heap / n, "heap-B/series"},
		value{steady.memory.rss / mib, "rss-MiB"}, value{steady.memory.peak / mib, "peak-MiB"}, value{float64(steady.Retries), "retries"})
	b.say("%s: reading back", what)
	return b.verify(ctx, p, s, w, b.rounds, create.Retries+steady.Retries)
}

// verify reads back all that was acknowledged.
func (b *bench) verify(ctx context.Context, p *peer, s *server, w *load.Workload, rounds, retries int) error {
	if p.flush != "" {
		if err := s.ask(ctx, "GET", p.flush); err != nil {
			return err
		}
	}
	v := load.Verifier{Base: s.base, Tolerance: p.tolerance, Repeats: p.repeats && retries > 0, Patience: b.patience}
	if err := v.Verify(ctx, w, rounds); err != nil {
		return fmt.Errorf("what was acknowledged does not come back:\n%w", err)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
