package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/chironhq/chiron/bench/detection/corpus"
	"github.com/chironhq/chiron/bench/detection/metric"
	"github.com/chironhq/chiron/bench/detection/nab"
)

// corpusSet is a data set as it lies on disk.
type corpusSet struct {
	name, dir string
	windows   map[string][]nab.Window // NAB only
	streams   []stream                // empty of points until they are loaded
}

// stream is what one model sees: the parts of one series or entity, in order.
type stream struct {
	name  string
	paths []string
	points
}

// points is a stream, read. The first train rows are there to be learned.
type points struct {
	corpus.Entity
	train  int
	buffer int // of VUS
}

// The data sets and where their series lie below their folder.
var known = []struct {
	name  string
	below string
}{
	{name: "nab-dev", below: "data"},
	{name: "cloudmonitoring-dev"},
	{name: "kpi-dev"},
	{name: "smd-dev"},
	{name: "asd-dev"},
}

func findCorpora(data, only string) (out []corpusSet, err error) {
	for _, k := range known {
		dir := filepath.Join(data, k.name)
		if _, err := os.Stat(dir); err != nil || only != "" && !slices.Contains(strings.Split(only, ","), k.name) {
			continue
		}
		c := corpusSet{name: k.name, dir: dir}
		if k.name == "nab-dev" {
			if c.windows, err = corpus.ReadWindows(filepath.Join(dir, "windows.json")); err != nil {
				return nil, err
			}
		}
		if c.streams, err = findStreams(filepath.Join(dir, k.below)); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no data set in %s: want folders such as nab-dev; -set names %q", data, only)
	}
	return out, nil
}

// findStreams takes train/x and test/x for one stream.
func findStreams(dir string) (out []stream, err error) {
	names, err := corpus.Files(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		rest, tested := strings.CutPrefix(name, "test/")
		if strings.HasPrefix(name, "train/") {
			continue
		}
		s := stream{name: rest, paths: []string{filepath.Join(dir, name)}}
		if train := "train/" + rest; tested && slices.Contains(names, train) {
			s.paths = []string{filepath.Join(dir, train), s.paths[0]}
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no .csv or .csv.gz file in %s", dir)
	}
	return out, nil
}

// load reads all streams into memory, so that every model finds them there.
func (c *corpusSet) load(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range c.streams {
		g.Go(func() (err error) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s := &c.streams[i]
			if s.points, err = s.read(); err == nil {
				s.buffer = metric.BufferLength(s.first())
			}
			return err
		})
	}
	return g.Wait()
}

func (s *stream) read() (p points, err error) {
	for i, path := range s.paths {
		e, err := corpus.ReadEntity(path)
		if err != nil {
			return p, err
		}
		if i > 0 {
			p.train = len(p.Times)
			if e.Columns != p.Columns {
				return p, fmt.Errorf("%s: %d columns, its training part has %d", path, e.Columns, p.Columns)
			}
			// Where the times are made up, both parts count from 0.
			if last := p.Times[p.train-1]; !e.Times[0].After(last) {
				shift := last.Sub(e.Times[0]) + e.Times[1].Sub(e.Times[0])
				for j := range e.Times {
					e.Times[j] = e.Times[j].Add(shift)
				}
			}
		}
		p.Columns = e.Columns
		p.Times = append(p.Times, e.Times...)
		p.Rows = append(p.Rows, e.Rows...)
		p.Labels = append(p.Labels, e.Labels...)
	}
	return p, nil
}

// first is the first column, as the length of the buffer of VUS is found.
func (p *points) first() []float64 {
	out := make([]float64, 0, len(p.Rows)-p.train)
	for _, r := range p.Rows[p.train:] {
		out = append(out, r[0])
	}
	return out
}

// sane replaces what is no number, which rankings cannot hold, by 0: while a
// model learns it says nothing.
func sane(scores []float64) {
	for i, s := range scores {
		if math.IsNaN(s) {
			scores[i] = 0
		}
	}
}
