package eval

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"

	"github.com/chironhq/chiron/rules/lang"
)

// lives are how often each model's stream is drawn.
const lives = 4

// eachStream draws rules of every model and shape, and their frames.
func eachStream(t *testing.T, models []string, seeds int64, frames int, f func(rnd *rand.Rand, spec *lang.Anomaly, frames []timed) error) {
	t.Helper()
	if testing.Short() {
		seeds = min(seeds, 2)
	}
	for _, model := range models {
		for _, s := range shapesOf(model) {
			t.Run(model+"/"+s.String(), func(t *testing.T) {
				for seed := range seeds {
					rnd := rand.New(rand.NewSource(seed))
					fields := fieldsOf(rnd, model, s)
					spec := ruleOf(t, fields...)
					if err := f(rnd, spec, streamOf(rnd, spec, frames)); err != nil {
						t.Errorf("seed %d, %s:\n%v", seed, strings.Join(fields, ", "), err)
					}
				}
			})
		}
	}
}

// TestOneStepHoweverItIsSplit is the promise of the package: whatever is saved
// when, lost, loaded, learned again and copied, outputs and changes of every
// step and all records at the end are those of a rule that never stopped.
func TestOneStepHoweverItIsSplit(t *testing.T) {
	eachStream(t, quick, lives, 420, liveOnce)
}

// TestSeriesComeAndGoHoweverItIsSplit is the same for many more streams. It is
// about which series there are, for which the cheapest models do.
func TestSeriesComeAndGoHoweverItIsSplit(t *testing.T) {
	eachStream(t, []string{"zscore(window=10m)", "peers(min_members=3)", "presence(learn=10m, forget=3h)"}, 100, 300, liveOnce)
}

func liveOnce(rnd *rand.Rand, spec *lang.Anomaly, frames []timed) error {
	whole, want, err := never(spec, frames)
	if err != nil {
		return err
	}
	if !scores(want) {
		return errors.New("nothing was scored: the stream says nothing")
	}
	l, err := newLife(rnd, spec, frames, want)
	if err != nil {
		return err
	}
	if err = l.run(); err == nil {
		err = sameRecords(l.rule, whole)
	}
	if err != nil {
		return fmt.Errorf("%s\n%w", strings.Join(l.story, "\n"), err)
	}
	return nil
}

// scores tells whether some output is a score.
func scores(steps []seen) bool {
	for _, s := range steps {
		for _, o := range s.outputs {
			if o.Labels.Get("__name__") == lang.MetricScore && !math.IsNaN(o.V) {
				return true
			}
		}
	}
	return false
}
