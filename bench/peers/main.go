// Peers puts Chiron, Prometheus and VictoriaMetrics under the same load, one
// after the other on the same machine, and prints what each paid for it.
//
// It owns the processes that it starts: they end with it, also on Ctrl-C, and
// their folders are removed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-peers:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	series, rounds, batch, connections int
	hours                              float64
	querySeries, queryBatch            int
	settle, askFor                     time.Duration
	patience                           time.Duration // for what was acknowledged to be seen
	parts, peers                       []string
	binaries, flags                    map[string]string
	dir, out                           string
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{patience: 30 * time.Second, binaries: map[string]string{}, flags: map[string]string{}}
	f := flag.NewFlagSet("bench-peers", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.series, "series", 100_000, "series of the ingest part")
	f.IntVar(&o.rounds, "rounds", 61, "rounds of the ingest part; the first makes the series")
	f.IntVar(&o.batch, "batch", 2000, "samples a request of the ingest part")
	f.IntVar(&o.connections, "connections", 4, "connections, each with one request under way")
	f.Float64Var(&o.hours, "hours", 1, "hours of 15 s data of the query part")
	f.IntVar(&o.querySeries, "query-series", 100_000, "series of the query part")
	f.IntVar(&o.queryBatch, "query-batch", 5000, "samples a request of the query part")
	f.DurationVar(&o.settle, "settle", 10*time.Second, "wait after sending; the background work in it is charged")
	f.DurationVar(&o.askFor, "ask-for", 2*time.Second, "how long each query is asked again and again")
	parts := f.String("parts", "ingest,query", "what to measure: ingest, query")
	peers := f.String("peers", strings.Join(peerNames(), ","), "whom to measure")
	for _, p := range known {
		p := p.name
		f.Func(p, "binary of "+p, func(s string) error { o.binaries[p] = s; return nil })
		f.Func(p+".flags", "more flags for "+p+", separated by spaces", func(s string) error { o.flags[p] = s; return nil })
	}
	f.StringVar(&o.dir, "dir", "", "folder for the servers' data, removed at the end (default: of the system)")
	f.StringVar(&o.out, "o", "", "file to write the lines for benchstat to as well")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.parts, o.peers = strings.Split(*parts, ","), strings.Split(*peers, ",")
	for _, p := range o.parts {
		if p != "ingest" && p != "query" {
			return nil, fmt.Errorf("there is no part %q; there are ingest and query", p)
		}
	}
	if o.series < 1 || o.rounds < 2 || o.batch < 1 || o.connections < 1 || o.querySeries < 1 || o.queryBatch < 1 || o.hours <= 0 || f.NArg() > 0 {
		return nil, fmt.Errorf("series, batch and connections are at least 1, rounds 2, hours above 0; flags only")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	var peers []*peer
	for _, name := range o.peers {
		p, err := o.find(name)
		if err != nil {
			return err
		}
		peers = append(peers, p)
	}
	lines := stdout
	if o.out != "" {
		file, err := os.Create(o.out)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // each line is written at once
		lines = io.MultiWriter(stdout, file)
	}
	b := &bench{options: o, start: time.Now(), stderr: stderr, report: report{lines: lines}}
	b.report.header(peers)
	var errs []error // one that fails does not take the others' figures along
	for _, part := range o.parts {
		for _, p := range peers {
			if err := b.measure(ctx, part, p); err != nil {
				errs = append(errs, fmt.Errorf("%s, %s: %w", p.name, part, err))
				b.say("%v", errs[len(errs)-1])
			}
			if ctx.Err() != nil {
				return errors.Join(errs...)
			}
		}
	}
	errs = append(errs, b.compareAnswers(), b.report.table(stdout, o.peers))
	return errors.Join(errs...)
}
