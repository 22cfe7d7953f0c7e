package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chironhq/chiron/bench/detection/metric"
	"github.com/chironhq/chiron/bench/detection/nab"
	"github.com/chironhq/chiron/rules/lang"
)

// result is one model over one data set.
type result struct {
	model  string
	series []scored
	points int
}

// scored is one stream with the scores of what counts, the training part left
// out.
type scored struct {
	name   string
	times  []time.Time
	scores []float64
	labels []bool
	buffer int // of VUS
}

// allModels are those of the table that a file of numbers can be given to.
func allModels() (out []string) {
	for _, m := range lang.Models {
		if fits(m.Name) {
			out = append(out, m.Name)
		}
	}
	return out
}

// score runs a model over every stream of the data set.
func score(ctx context.Context, c corpusSet, model string, progress io.Writer) (*result, error) {
	began := time.Now()
	r := &result{model: model, series: make([]scored, len(c.streams))}
	var mu sync.Mutex
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, s := range c.streams {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p, err := s.read()
			if err != nil {
				return err
			}
			scores, _, err := runModel(model, &p)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			sane(scores)
			r.series[i] = scored{
				name: filepath.ToSlash(s.name), times: p.Times[p.train:], scores: scores[p.train:], labels: p.Labels[p.train:],
				buffer: metric.BufferLength(p.first()),
			}
			mu.Lock()
			defer mu.Unlock()
			r.points += len(scores)
			if done++; done%10 == 0 && done < len(c.streams) {
				fmt.Fprintf(progress, "%s: %s: %d of %d series\n", c.name, model, done, len(c.streams))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "%s: %s: %d points in %.1fs\n", c.name, model, r.points, time.Since(began).Seconds())
	return r, nil
}

// nabSeries is the result as NAB's scorer takes it.
func (r *result) nabSeries(windows map[string][]nab.Window) ([]nab.Series, error) {
	var out []nab.Series
	for i := range r.series {
		s := &r.series[i]
		ws, ok := windows[strings.TrimSuffix(s.name, ".gz")]
		if !ok {
			return nil, fmt.Errorf("windows.json does not name %s", s.name)
		}
		out = append(out, nab.Series{Name: s.name, Times: s.times, Scores: s.scores, Windows: ws})
	}
	return out, nil
}
