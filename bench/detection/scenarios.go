package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/chironhq/chiron/bench/detection/scenario"
)

// scenariosCommand judges models on series made from a spec, or lists these.
func scenariosCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	fs := flag.NewFlagSet("detection scenarios", flag.ContinueOnError)
	models := fs.String("model", "auto", "model strings, separated by semicolons or, without arguments, by commas")
	spec := fs.String("spec", "", "spec file; the one that is built in if empty")
	seedList := fs.String("seeds", "1-3", "seeds, as in 1-3,7")
	globs := fs.String("kinds", "", "only these kinds, as in 'leak*,flat-*'")
	onset := fs.Bool("onset", true, "judge beginnings by the onset; without it by the score")
	threshold := fs.Float64("threshold", 1, "alerts are scores above it")
	details := fs.Bool("details", false, "list each incident missed and each false alert, by the day of its series")
	asJSON := fs.Bool("json", false, "print JSON")
	list := fs.Bool("list", false, "print series and incidents, and run no model")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("scenarios: what is %q? Want nothing without a flag", fs.Arg(0))
	}
	kinds, err := readKinds(*spec, *globs)
	if err != nil {
		return err
	}
	seeds, err := parseSeeds(*seedList)
	if err != nil {
		return err
	}
	if *list {
		return listScenarios(out, kinds, seeds)
	}
	names := modelStrings(*models)
	detectors := make([]scenario.Detector, len(names))
	for i, m := range names {
		detectors[i] = scenarioDetector(m, *onset)
	}
	done, samples := 0, 0
	outcomes, err := scenario.Run(ctx, kinds, seeds, detectors, scenario.Options{Threshold: *threshold, Done: func(in *scenario.Instance) {
		samples += len(in.Times)
		if done++; done%20 == 0 || done == len(kinds)*len(seeds) {
			fmt.Fprintf(progress, "%d of %d series, %d samples\n", done, len(kinds)*len(seeds), samples)
		}
	}})
	if err != nil {
		return err
	}
	for i := range outcomes {
		if len(names) > 1 && !*asJSON {
			fmt.Fprintf(out, "\n## %s\n\n", names[i])
		}
		if err := printOutcome(out, kinds, seeds, &outcomes[i], *details, *asJSON); err != nil {
			return err
		}
	}
	return nil
}

// scenarioDetector runs a model over a series as chiron score does. Where
// onsets are not asked for, the score serves.
func scenarioDetector(model string, onsets bool) scenario.Detector {
	return func(in *scenario.Instance) (score, onset []float64, err error) {
		s, err := newStepper(model, 1)
		if err != nil {
			return nil, nil, err
		}
		score, onset = make([]float64, len(in.Times)), make([]float64, len(in.Times))
		for i, t := range in.Times {
			if score[i], onset[i], err = s.step(t*1000, in.Values[i:i+1]); err != nil {
				return nil, nil, err
			}
		}
		if !onsets {
			onset = nil
		}
		return score, onset, nil
	}
}

// readKinds reads the kinds of a spec whose names match one of the patterns.
func readKinds(file, globs string) ([]scenario.Kind, error) {
	spec, err := scenario.Builtin()
	if file != "" {
		spec, err = scenario.Read(file)
	}
	if err != nil || globs == "" {
		return spec.Kinds, err
	}
	kinds, err := chosen(spec.Kinds, func(k scenario.Kind) string { return k.Name }, globs)
	if err != nil {
		return nil, fmt.Errorf("-kinds: %w", err)
	}
	return kinds, nil
}

// chosen are those whose names match one of the patterns.
func chosen[T any](all []T, name func(T) string, globs string) (out []T, err error) {
	for _, x := range all {
		for glob := range strings.SplitSeq(globs, ",") {
			ok, err := path.Match(strings.TrimSpace(glob), name(x))
			if err != nil {
				return nil, fmt.Errorf("cannot read %q: %w", glob, err)
			}
			if ok {
				out = append(out, x)
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("nothing is called %q", globs)
	}
	return out, nil
}

// maxSeeds bounds a list of seeds, so that a slip of the hand ends at once.
const maxSeeds = 10000

// parseSeeds reads "1-3,7".
func parseSeeds(text string) (seeds []uint64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			to = from
		}
		lo, err1 := strconv.ParseUint(from, 10, 32)
		hi, err2 := strconv.ParseUint(to, 10, 32)
		if err1 != nil || err2 != nil || lo > hi || hi-lo >= maxSeeds {
			return nil, fmt.Errorf("-seeds: cannot read %q; want numbers and ranges such as 1-3,7", part)
		}
		for s := lo; s <= hi; s++ {
			seeds = append(seeds, s)
		}
	}
	return seeds, nil
}

// listScenarios prints each series with its incidents and how far these stand
// out of the noise.
func listScenarios(out io.Writer, kinds []scenario.Kind, seeds []uint64) error {
	samples := 0
	for i := range kinds {
		for _, seed := range seeds {
			in, err := kinds[i].Generate(seed)
			if err != nil {
				return err
			}
			n := len(in.Times)
			samples += n
			fmt.Fprintf(out, "%-28s seed %d  step %d, %d samples, %.1f days\n", in.Kind, seed, in.Step, n, float64(in.Times[n-1]-in.Times[0])/86400)
			for _, w := range in.Windows {
				if w.Kind != scenario.Must {
					continue
				}
				seen := ""
				if w.Visible > 0 {
					seen = fmt.Sprintf(", %.1f sigma", w.Visible)
				}
				fmt.Fprintf(out, "    %-10s from day %.2f for %s, within %s%s\n", w.Of, float64(w.From-in.Times[0])/86400, seconds(float64(w.To-w.From)), seconds(float64(w.Within)), seen)
			}
		}
	}
	fmt.Fprintf(out, "%d samples\n", samples)
	return nil
}
