package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chironhq/chiron/bench/detection/scenario"
	"github.com/chironhq/chiron/bench/detection/tune"
	"github.com/chironhq/chiron/rules/detect/auto"
)

// knobs are the constants that the detector lets the protocol choose.
func knobs() (out []tune.Knob) {
	for _, c := range auto.Constants() {
		out = append(out, tune.Knob{Name: c.Name, Value: c.Value, Try: c.Try})
	}
	return out
}

// tuneOptions are what the protocol measures.
type tuneOptions struct {
	data, sets, model   string
	seeds, unseen, spec string
	kinds               string
	several, fast       bool
}

// tuneCommand chooses constants, or with -eval measures those that are shipped.
func tuneCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	fs := flag.NewFlagSet("detection tune", flag.ContinueOnError)
	var o tuneOptions
	fs.StringVar(&o.data, "data", "", "directory of the data sets")
	fs.StringVar(&o.sets, "set", "nab-dev,cloudmonitoring-dev,kpi-dev", "data sets that are chosen on, separated by commas")
	fs.StringVar(&o.model, "model", "auto", "model string")
	fs.StringVar(&o.seeds, "seeds", "1-20", "seeds of the scenarios that are chosen on")
	fs.StringVar(&o.unseen, "unseen", "100-120", "seeds of the scenarios that are only reported")
	fs.StringVar(&o.spec, "spec", "", "spec file of the scenarios; the one that is built in if empty")
	fs.StringVar(&o.kinds, "kinds", "", "only these kinds of scenarios, as in 'leak*,flat-*'")
	fs.BoolVar(&o.several, "several", false, "smd-dev and asd-dev, which have several inputs, as well")
	fs.BoolVar(&o.fast, "fast", false, "two seeds to choose on, three to report, four series of kpi-dev: to try things out")
	eval := fs.Bool("eval", false, "choose nothing, only measure the shipped constants")
	rounds := fs.Int("rounds", 3, "rounds over all constants, at most")
	gain := fs.Float64("gain", 0.0005, "what another value must add to the objective")
	only := fs.String("constants", "*", "choose only these constants, as in 'tail*,share'; the others stay as shipped")
	memo := fs.String("memo", "", "file that keeps what was measured, so that a run can be ended and started again")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.data == "" || fs.NArg() > 0 {
		fs.Usage()
		return fmt.Errorf("want -data DIR, and nothing without a flag")
	}
	constants, err := chosen(knobs(), func(k tune.Knob) string { return k.Name }, *only)
	if err != nil {
		return fmt.Errorf("-constants: %w", err)
	}
	began := time.Now()
	options := tune.Options{Rounds: *rounds, MinGain: *gain, Log: func(format string, args ...any) {
		fmt.Fprintf(progress, "%8s  %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
	}}
	if *memo != "" {
		program, err := fingerprint()
		if err != nil {
			return err
		}
		if options.Memo, err = tune.OpenMemo(*memo, program); err != nil {
			return err
		}
		defer func() { _ = options.Memo.Close() }()
		options.Log("%d measurements are known", options.Memo.Len())
	}
	sources, err := o.sources(ctx)
	if err != nil {
		return err
	}
	for i := range sources {
		sources[i] = timed(sources[i], options.Log)
	}
	if *eval {
		standings, err := tune.Evaluate(ctx, constants, sources, options)
		if err != nil {
			return err
		}
		tune.PrintStandings(out, standings)
		return nil
	}
	report, err := tune.Run(ctx, constants, sources, options)
	if err != nil {
		return err
	}
	report.Print(out, constants)
	return nil
}

// fingerprint tells this program from one of other code.
func fingerprint() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// timed logs what comes of measuring a source and how long it took.
func timed(s tune.Source, log func(string, ...any)) tune.Source {
	wrap := func(m tune.Measure) tune.Measure {
		if m == nil {
			return nil
		}
		return func(ctx context.Context) ([]tune.Figure, error) {
			began := time.Now()
			figures, err := m(ctx)
			if err == nil {
				text := make([]string, len(figures))
				for i, f := range figures {
					text[i] = fmt.Sprintf("%s %.4f", f.Name, f.Value[tune.Whole])
				}
				log("  %s in %.1fs", strings.Join(text, ", "), time.Since(began).Seconds())
			}
			return figures, err
		}
	}
	s.Measure, s.Unseen = wrap(s.Measure), wrap(s.Unseen)
	return s
}

const (
	fastSeeds       = "1-2"
	fastUnseen      = "100-102"
	fastFilesInHalf = 2 // of kpi-dev
)

// sources are the scenarios and the data sets, read.
func (o *tuneOptions) sources(ctx context.Context) ([]tune.Source, error) {
	if o.fast {
		o.seeds, o.unseen = fastSeeds, fastUnseen
	}
	scenarios, err := o.scenarios()
	if err != nil {
		return nil, err
	}
	sets := o.sets
	if o.several {
		sets += ",smd-dev,asd-dev"
	}
	corpora, err := findCorpora(o.data, sets)
	if err != nil {
		return nil, err
	}
	sources := []tune.Source{scenarios}
	for i := range corpora {
		c := &corpora[i]
		if o.fast && c.name == "kpi-dev" {
			c.streams = fewOfEachHalf(c.streams, fastFilesInHalf)
		}
		if err := c.load(ctx); err != nil {
			return nil, err
		}
		sources = append(sources, corpusSource(c, o.model))
	}
	return sources, nil
}

// half puts a file or a kind of scenario into one of two halves by its name.
func half(name string) tune.Part {
	if sum := sha256.Sum256([]byte(filepath.ToSlash(name))); sum[0]&1 == 0 {
		return tune.First
	}
	return tune.Second
}

// inPart says which names belong to a part.
func inPart(part tune.Part) func(name string) bool {
	return func(name string) bool { return part == tune.Whole || half(name) == part }
}

func fewOfEachHalf(streams []stream, n int) (out []stream) {
	taken := map[tune.Part]int{}
	for _, s := range streams {
		if h := half(s.name); taken[h] < n {
			taken[h]++
			out = append(out, s)
		}
	}
	return out
}

// scenarios is the source of generated series.
func (o *tuneOptions) scenarios() (tune.Source, error) {
	kinds, err := readKinds(o.spec, o.kinds)
	if err != nil {
		return tune.Source{}, err
	}
	seeds, err := parseSeeds(o.seeds)
	if err != nil {
		return tune.Source{}, err
	}
	unseen, err := parseSeeds(o.unseen)
	if err != nil {
		return tune.Source{}, err
	}
	key := fmt.Sprintf("%s, spec %q, kinds %q, seeds %s and %s", o.model, o.spec, o.kinds, o.seeds, o.unseen)
	return scenarioSource(key, kinds, seeds, unseen, scenarioDetector(o.model, true), &keptSeries{}), nil
}

func scenarioSource(key string, kinds []scenario.Kind, seeds, unseen []uint64, detector scenario.Detector, kept *keptSeries) tune.Source {
	measure := func(seeds []uint64, draw func(*scenario.Kind, uint64) (*scenario.Instance, error)) tune.Measure {
		return func(ctx context.Context) ([]tune.Figure, error) {
			outcomes, err := scenario.Run(ctx, kinds, seeds, []scenario.Detector{detector}, scenario.Options{NoRanking: true, Draw: draw})
			if err != nil {
				return nil, err
			}
			return []tune.Figure{scenarioFigure(outcomes[0].Kinds)}, nil
		}
	}
	return tune.Source{Name: "scenarios", Key: key, Keep: true, Measure: measure(seeds, kept.draw), Unseen: measure(unseen, nil)}
}

// scenarioFigure counts twice. Its halves are of the kinds.
func scenarioFigure(kinds []scenario.KindResult) tune.Figure {
	f := tune.Figure{Name: "SRE-F1", Weight: 2}
	for part := range f.Value {
		var some []scenario.KindResult
		for i := range kinds {
			if inPart(tune.Part(part))(kinds[i].Name) {
				some = append(some, kinds[i])
			}
		}
		f.Value[part] = math.NaN()
		if len(some) > 0 {
			f.Value[part] = scenario.Summarize(some).All.F1
		}
	}
	return f
}

// maxKept bounds the samples that are kept, of 16 bytes each.
const maxKept = 64 << 20

// keptSeries keeps series from one measurement to the next, as drawing them
// takes as long as scoring them.
type keptSeries struct {
	mu      sync.Mutex
	series  map[string]*scenario.Instance
	samples int
}

func (k *keptSeries) draw(kind *scenario.Kind, seed uint64) (*scenario.Instance, error) {
	key := fmt.Sprint(kind.Name, " ", seed)
	k.mu.Lock()
	in, ok := k.series[key]
	k.mu.Unlock()
	if ok {
		return in, nil
	}
	drawn, err := kind.Generate(seed)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.series == nil {
		k.series = map[string]*scenario.Instance{}
	}
	if k.samples += len(drawn.Times); k.samples <= maxKept {
		k.series[key] = &drawn
	}
	return &drawn, nil
}

// corpusSource is a data set; each of its measures counts once.
func corpusSource(c *corpusSet, model string) tune.Source {
	return tune.Source{
		Name: c.name, Key: fmt.Sprintf("%s, %s, %d files", model, c.dir, len(c.streams)),
		Measure: func(ctx context.Context) ([]tune.Figure, error) {
			r, err := score(ctx, c, model, io.Discard)
			if err != nil {
				return nil, err
			}
			return corpusFigures(c, r)
		},
	}
}

// weighed are the measures of the objective, with what makes 1 of a perfect one.
var weighed = map[string]float64{
	nabStandard: 100, kpiEventF1: 1, kpiVUS: 1, cmVUS: 1, cmEventF1: 1, smdVUS: 1, smdEventF1: 1, asdVUS: 1, asdEventF1: 1,
}

func corpusFigures(c *corpusSet, r *result) (figures []tune.Figure, err error) {
	for part := range (tune.Figure{}).Value {
		measured, err := r.measures(c, inPart(tune.Part(part)))
		if err != nil {
			return nil, err
		}
		at := 0
		for _, m := range measured {
			perfect, ok := weighed[m.name]
			if !ok {
				continue
			}
			if part == int(tune.Whole) {
				figures = append(figures, tune.Figure{Name: m.name, Weight: 1})
			}
			figures[at].Value[part] = m.value / perfect
			at++
		}
	}
	return figures, nil
}
