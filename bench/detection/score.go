package main

import (
	"context"
	"fmt"
	"io"
	"math"
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

// scored is one stream with what one pass of a model said about the part that
// counts, the training part left out.
type scored struct {
	name           string
	times          []time.Time
	scores, onsets []float64
	labels         []bool
	// Of the scores; NaN where nothing is labelled.
	vusPR, vusROC, aucPR float64
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

// score runs a model over every stream of a data set that is loaded, a stream at
// a time on every core.
func score(ctx context.Context, c *corpusSet, model string, progress io.Writer) (*result, error) {
	began := time.Now()
	r := &result{model: model, series: make([]scored, len(c.streams))}
	var mu sync.Mutex
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range c.streams {
		g.Go(func() (err error) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s := &c.streams[i]
			if r.series[i], err = scoreStream(s, model); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			r.points += len(s.Rows)
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

func scoreStream(s *stream, model string) (scored, error) {
	scores, onsets, err := runModel(model, &s.points)
	if err != nil {
		return scored{}, err
	}
	sane(scores)
	sane(onsets)
	out := scored{
		name: filepath.ToSlash(s.name), times: s.Times[s.train:], labels: s.Labels[s.train:],
		scores: scores[s.train:], onsets: onsets[s.train:],
		vusPR: math.NaN(), vusROC: math.NaN(), aucPR: math.NaN(),
	}
	if len(metric.Spans(out.labels)) > 0 {
		out.vusROC, out.vusPR = metric.VUS(out.scores, out.labels, s.buffer)
		out.aucPR = metric.AUCPR(out.scores, out.labels)
	}
	return out, nil
}

// nabSeries is the result as NAB's scorer takes it: the onsets, as a benchmark
// of windows counts where anomalies begin and not how long they last.
func (r *result) nabSeries(windows map[string][]nab.Window) ([]nab.Series, error) {
	var out []nab.Series
	for i := range r.series {
		s := &r.series[i]
		ws, ok := windows[strings.TrimSuffix(s.name, ".gz")]
		if !ok {
			return nil, fmt.Errorf("windows.json does not name %s", s.name)
		}
		out = append(out, nab.Series{Name: s.name, Times: s.times, Scores: s.onsets, Windows: ws})
	}
	return out, nil
}
