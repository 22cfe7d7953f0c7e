package scenario

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Detector answers every sample of a series before it sees the next one: with
// the score, and with the score of the rule that tells beginnings, or with nil
// where the first one serves for both. It must not keep the instance.
type Detector func(in *Instance) (score, onset []float64, err error)

// Outcome is what one detector made of all series.
type Outcome struct {
	Kinds  []KindResult // in the order of the kinds asked for, seeds added up
	Series [][]Result   // by kind and seed
}

// Options of Run. The zero value is ready to use.
type Options struct {
	Threshold float64 // of both scores; 0 is 1
	// Draw makes a series; nil calls Generate. It is there for callers that keep
	// series from one run to the next.
	Draw func(k *Kind, seed uint64) (*Instance, error)
	// NoRanking leaves out the average precision, which takes the time and memory
	// of a sort of all samples; it is NaN then.
	NoRanking bool
	// Done is told of each series that all detectors have answered, one call at a
	// time.
	Done func(in *Instance)
}

// Run draws a series of each kind and seed and has every detector answer it.
// There are as many series at a time as cores; a series is dropped before the
// next one is drawn, and the scores of a kind when its last seed is done.
func Run(ctx context.Context, kinds []Kind, seeds []uint64, detectors []Detector, o Options) ([]Outcome, error) {
	if o.Threshold == 0 {
		o.Threshold = 1
	}
	if o.Draw == nil {
		o.Draw = func(k *Kind, seed uint64) (*Instance, error) {
			in, err := k.Generate(seed)
			return &in, err
		}
	}
	r := &runner{kinds: kinds, seeds: seeds, detectors: detectors, options: o, pending: make([]kindPending, len(kinds)), out: make([]Outcome, len(detectors))}
	for d := range r.out {
		r.out[d] = Outcome{Kinds: make([]KindResult, len(kinds)), Series: make([][]Result, len(kinds))}
		for i := range kinds {
			r.out[d].Series[i] = make([]Result, len(seeds))
		}
	}
	for i := range r.pending {
		r.pending[i] = kindPending{left: len(seeds), rankings: make([][]Ranking, len(detectors))}
		for d := range detectors {
			r.pending[i].rankings[d] = make([]Ranking, len(seeds))
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(kinds)*len(seeds) {
					return
				}
				if err := r.series(n/len(seeds), n%len(seeds)); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return r.out, nil
}

type runner struct {
	kinds     []Kind
	seeds     []uint64
	detectors []Detector
	options   Options

	mu      sync.Mutex // guards what follows
	pending []kindPending
	out     []Outcome
}

// kindPending is a kind of which not all seeds are done.
type kindPending struct {
	left     int
	rankings [][]Ranking // by detector and seed
}

// series draws and judges the series of one kind and seed.
func (r *runner) series(i, j int) error {
	k := &r.kinds[i]
	in, err := r.options.Draw(k, r.seeds[j])
	if err != nil {
		return err
	}
	results, rankings := make([]Result, len(r.detectors)), make([]Ranking, len(r.detectors))
	for d, detect := range r.detectors {
		score, onset, err := detect(in)
		if err != nil {
			return fmt.Errorf("%s, seed %d: %w", k.Name, r.seeds[j], err)
		}
		results[d] = Judge(in, score, onset, r.options.Threshold)
		if !r.options.NoRanking {
			rankings[d].Add(in, score)
		}
	}
	if ranked := r.record(i, j, results, rankings, in); ranked != nil {
		for d := range r.detectors { // of this kind alone, so no lock is needed
			r.out[d].Kinds[i].AveragePrecision = join(ranked[d]).AveragePrecision()
		}
	}
	return nil
}

// record keeps what the detectors made of a series. It returns the rankings of
// all seeds, by detector, when the series was the last one of its kind.
func (r *runner) record(i, j int, results []Result, rankings []Ranking, in *Instance) [][]Ranking {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.options.Done != nil {
		r.options.Done(in)
	}
	p := &r.pending[i]
	for d := range r.detectors {
		r.out[d].Series[i][j] = results[d]
		p.rankings[d][j] = rankings[d]
	}
	if p.left--; p.left > 0 {
		return nil
	}
	k := &r.kinds[i]
	for d := range r.detectors {
		r.out[d].Kinds[i] = KindResult{Name: k.Name, Step: k.Step, Result: sum(r.out[d].Series[i], -1), AveragePrecision: math.NaN()}
	}
	ranked := p.rankings
	p.rankings = nil
	return ranked
}

// sum adds up the seeds of a kind, all but one.
func sum(seeds []Result, without int) (total Result) {
	for j := range seeds {
		if j != without {
			total = total.Add(seeds[j])
		}
	}
	return total
}

// StandardError is that of the F1 of both rules over the seeds, by leaving out
// each seed in turn; NaN with fewer than three.
func (o *Outcome) StandardError() float64 {
	if len(o.Series) == 0 || len(o.Series[0]) < 3 {
		return math.NaN()
	}
	var f1 []float64
	for j := range o.Series[0] {
		without := make([]KindResult, len(o.Kinds))
		for i := range without {
			without[i] = KindResult{Name: o.Kinds[i].Name, Step: o.Kinds[i].Step, Result: sum(o.Series[i], j), AveragePrecision: math.NaN()}
		}
		f1 = append(f1, Summarize(without).All.F1)
	}
	return jackknife(f1)
}

// jackknife is the standard error of a figure, from the figures without one
// part each.
func jackknife(without []float64) float64 {
	n := float64(len(without))
	mean, squares := 0.0, 0.0
	for _, x := range without {
		mean += x / n
	}
	for _, x := range without {
		squares += (x - mean) * (x - mean)
	}
	return math.Sqrt((n - 1) / n * squares)
}
