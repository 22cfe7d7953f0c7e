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

// commit is what one commit stored, and the external labels of that time.
type commit struct {
	samples  []sample
	external external
}

// maxPending is how many samples wait in memory for the disk, which they do
// only while a write hangs.
const maxPending = 200_000

// pending is what evaluations stored and the disk has not got yet. Putting
// never waits.
type pending struct {
	mu      sync.Mutex
	commits []commit // oldest first
	samples int
	wake    chan struct{} // holds a token when there is something
}

// put takes over a commit and returns how many older samples had to go for it.
func (p *pending) put(c commit) (dropped int) {
	p.mu.Lock()
	p.commits = append(p.commits, c)
	p.samples += len(c.samples)
	for p.samples > maxPending && len(p.commits) > 1 {
		n := len(p.commits[0].samples)
		dropped += n
		p.samples -= n
		p.commits = p.commits[1:]
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return dropped
}

func (p *pending) takeAll() []commit {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.commits
	p.commits, p.samples = nil, 0
	return out
}

func (p *pending) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.samples
}
