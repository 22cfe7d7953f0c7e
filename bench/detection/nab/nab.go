// Package nab scores streaming anomaly detectors the way the Numenta Anomaly
// Benchmark (NAB v1.1) does: labelled windows, a sigmoidal reward for early
// detection, a probationary prefix that is not scored, three application
// profiles, one threshold for the whole corpus and a normalisation in which
// the detector that never fires has 0 and the perfect detector has 100.
//
// It is an independent implementation of the published rules; recomputed from
// the published detector outputs, it gives the published scoreboard.
package nab

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"time"
)

// Profile holds the weights of one application profile.
type Profile struct {
	Name       string
	TP, FN, FP float64
}

// The three application profiles of the benchmark.
var (
	Standard        = Profile{Name: "standard", TP: 1, FN: 1, FP: 0.11}
	RewardLowFPRate = Profile{Name: "reward_low_FP_rate", TP: 1, FN: 1, FP: 0.22}
	RewardLowFNRate = Profile{Name: "reward_low_FN_rate", TP: 1, FN: 2, FP: 0.11}

	Profiles = []Profile{Standard, RewardLowFPRate, RewardLowFNRate}
)

// Window is one labelled anomaly, both ends inclusive.
type Window struct{ Start, End time.Time }

// Series is one file of the corpus together with a detector's output for it.
type Series struct {
	Name    string
	Times   []time.Time
	Scores  []float64 // in [0,1]; a detection is Score >= threshold
	Windows []Window  // in time order, not overlapping
}

// ProbationFraction of each file is not scored, counted on at most the first
// 5000 rows.
const ProbationFraction = 0.15

// Probation returns the number of leading rows of a file that are not scored.
func Probation(rows int) int {
	return int(math.Ceil(math.Min(math.Floor(ProbationFraction*float64(rows)), ProbationFraction*5000)))
}

// ScaledSigmoid is the reward as a function of the position relative to a
// window: -1 is its left edge, 0 its right edge, and positive values lie
// behind it, in units of the window's width.
func ScaledSigmoid(pos float64) float64 {
	if pos > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*pos)) - 1
}

// noWindow marks a row outside of every window.
const noWindow = -1

// row is a scored sample: what firing on it is worth, before weights.
type row struct {
	score  float64 // detector output
	reward float64 // in-window rows: share of the maximum reward; others: scaled sigmoid, negative
	window int     // index into the corpus' windows or noWindow
}

// Corpus is a prepared set of series. Its windows are counted over all files,
// so one threshold can be swept over the whole corpus.
type Corpus struct {
	rows    []row // by descending detector score
	live    []bool
	windows int
}

// Prepare lays out the rows of all series for sweeping.
func Prepare(series []Series) (*Corpus, error) {
	c := &Corpus{}
	for i := range series {
		if err := c.add(&series[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", series[i].Name, err)
		}
	}
	sort.SliceStable(c.rows, func(i, j int) bool { return c.rows[i].score > c.rows[j].score })
	return c, nil
}

// Windows returns the number of labelled windows.
func (c *Corpus) Windows() int { return c.windows }

func (c *Corpus) add(s *Series) error {
	if len(s.Times) != len(s.Scores) {
		return fmt.Errorf("%d timestamps but %d scores", len(s.Times), len(s.Scores))
	}
	maxTP := ScaledSigmoid(-1)
	probation := Probation(len(s.Times))
	index := make(map[int64]int, len(s.Times)) // first row with that timestamp
	for i, t := range s.Times {
		if _, dup := index[t.UnixNano()]; !dup {
			index[t.UnixNano()] = i
		}
	}
	base := c.windows
	c.windows += len(s.Windows)
	c.live = append(c.live, make([]bool, len(s.Windows))...)

	next := 0       // next window to enter
	cur := noWindow // window that the row is in
	right, width := 0, 0.0
	prevRight, prevWidth := -1, 0.0
	for i, t := range s.Times {
		if math.IsNaN(s.Scores[i]) {
			return errors.New("a score is not a number")
		}
		if cur == noWindow && next < len(s.Windows) && t.Equal(s.Windows[next].Start) {
			r, ok := index[s.Windows[next].End.UnixNano()]
			if !ok {
				return errors.New("a window's end is not a timestamp of the file")
			}
			cur, right, width = base+next, r, float64(r-index[t.UnixNano()]+1)
			next++
		}
		reward := -1.0
		switch {
		case cur != noWindow:
			reward = ScaledSigmoid(-float64(right-i+1)/width) / maxTP
		case prevRight >= 0:
			reward = ScaledSigmoid(math.Abs(float64(prevRight-i)) / (prevWidth - 1))
		}
		if i >= probation {
			c.rows = append(c.rows, row{score: s.Scores[i], reward: reward, window: cur})
			if cur != noWindow {
				c.live[cur] = true
			}
		}
		if cur != noWindow && t.Equal(s.Windows[cur-base].End) {
			prevRight, prevWidth, cur = i, width, noWindow
		}
	}
	if next != len(s.Windows) {
		return errors.New("a window's start is not a timestamp of the file")
	}
	return nil
}

// Result is a detector's figure at one threshold.
type Result struct {
	Threshold  float64
	Raw        float64 // sum of the weighted rewards
	Normalized float64 // 0 for the silent detector, 100 for the perfect one
	TP, FP     int     // rows at or above the threshold inside and outside of windows
	Detected   int     // windows with at least one detection
}

// neverFires is the threshold that no score in [0,1] reaches.
const neverFires = 1.1

// sweep calls visit at every distinct threshold, from the highest down.
func (c *Corpus) sweep(p Profile, visit func(Result)) {
	best := make([]float64, c.windows)
	raw, fpSum := 0.0, 0.0
	for w := range best {
		if c.live[w] {
			best[w] = -p.FN
			raw -= p.FN
		}
	}
	res := Result{Threshold: neverFires}
	for i, r := range c.rows {
		if r.score != res.Threshold || i == 0 {
			res.Raw = raw + fpSum
			visit(res)
			res.Threshold = r.score
		}
		if r.window == noWindow {
			fpSum += r.reward * p.FP
			res.FP++
			continue
		}
		res.TP++
		if v := r.reward * p.TP; v > best[r.window] {
			if best[r.window] == -p.FN {
				res.Detected++
			}
			raw += v - best[r.window]
			best[r.window] = v
		}
	}
	res.Raw = raw + fpSum
	visit(res)
}

func (c *Corpus) normalize(p Profile, r Result) Result {
	null := 0.0
	for _, l := range c.live {
		if l {
			null -= p.FN
		}
	}
	perfect := float64(c.windows) * p.TP
	r.Normalized = 100 * (r.Raw - null) / (perfect - null)
	return r
}

// Optimize returns the result at the threshold with the highest raw score,
// which is how the scoreboard is made: one threshold per detector and profile.
func (c *Corpus) Optimize(p Profile) Result {
	var best Result
	first := true
	c.sweep(p, func(r Result) {
		if first || r.Raw > best.Raw {
			best, first = r, false
		}
	})
	return c.normalize(p, best)
}

// At returns the result for a threshold fixed beforehand.
func (c *Corpus) At(p Profile, threshold float64) Result {
	var at Result
	c.sweep(p, func(r Result) {
		if r.Threshold >= threshold || r.Threshold == neverFires {
			at = r
		}
	})
	at.Threshold = threshold
	return c.normalize(p, at)
}
