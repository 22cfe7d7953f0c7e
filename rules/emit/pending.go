package emit

import (
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
)

// sample is one stored sample on its way out. Histograms are copies.
type sample struct {
	labels labels.Labels
	st, t  int64
	v      float64
	h      *histogram.Histogram
	fh     *histogram.FloatHistogram
	meta   metadata.Metadata
}

// maxPending is how many samples wait in memory for the disk, which they do
// only while a write hangs.
const maxPending = 200_000

// pending is what evaluations stored and the disk has not got yet. Putting
// never waits.
type pending struct {
	mu      sync.Mutex
	batches [][]sample // one a commit, oldest first
	samples int
	wake    chan struct{} // holds a token when there is something
}

// put takes over a batch and returns how many older samples had to go for it.
func (p *pending) put(batch []sample) (dropped int) {
	p.mu.Lock()
	p.batches = append(p.batches, batch)
	p.samples += len(batch)
	for p.samples > maxPending && len(p.batches) > 1 {
		dropped += len(p.batches[0])
		p.samples -= len(p.batches[0])
		p.batches = p.batches[1:]
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return dropped
}

func (p *pending) takeAll() [][]sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.batches
	p.batches, p.samples = nil, 0
	return out
}

func (p *pending) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.samples
}
