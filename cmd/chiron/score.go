package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
)

// ruleFlags are the flags that are fields of a rule: the same text means the same.
var ruleFlags = []struct{ flag, field, help string }{
	{"direction", "direction", "Which deviations count: above, below or both, the default."},
	{"min-dev", "min_dev", "Smaller deviations score 0: a number, or '[below, above]'."},
	{"min-rel-dev", "min_rel_dev", "Smaller deviations, in per cent of the expectation, score 0: '20%', or '[20%, 50%]', below and above."},
	{"range", "range", "Outside '[lo, hi]' the score is above 1 whatever the model says."},
	{"width", "width", "Scales the band around the expectation: a number, or '[below, above]'."},
	{"warmup", "warmup", "No score before this much history."},
	{"accept", "accept", "After how long a level that holds is what is expected; 1d unless given."},
}

func scoreCommand(app *kingpin.Application) (string, command) {
	cmd := app.Command("score", "Score numbers from standard input, line by line.\n\n"+
		"Reads `<unix seconds> <value> [<value>...]` and answers each line at once with `<score> <expected> <lower> <upper> <onset>`: "+
		"the score is 0 as expected, at most 1 while usual, above 1 for as long as something is anomalous, and NaN while learning; the onset is above 1 only where "+
		"something begins or grows. Several values are the inputs of one entity, as in a rule with inputs; "+
		"of peers, presence and novelty they are the members of one group, and the most anomalous one answers.\n\n"+
		"Lines come in the order of time. One that is not newer than the newest is scored and not learned, and nothing begins with it: while the series is usual "+
		"its score stays below 1 however far out its value is. One that is more than an hour older makes the model start over. Standard error says so. "+
		"NaN is a missing value. Inf and -Inf are values farther out than any other: anomalous, and not learned.\n\n"+
		"Fields of a rule can be tried as flags:\n\n"+
		"  chiron score --model 'seasonal(1d) & mad' --direction above --min-rel-dev 20% --range '[0, 500]' < latency.txt")
	text := cmd.Flag("model", "Model string, as in the model field of a rule; see chiron models.").Default("auto").String()
	fields := make([]*string, len(ruleFlags))
	for i, f := range ruleFlags {
		fields[i] = cmd.Flag(f.flag, f.help+" The field "+f.field+" of a rule.").String()
	}
	onset := cmd.Flag("onset", "Print the onset first and the score last: for readers of one column that count events.").Bool()
	learning := cmd.Flag("learning", "Score and onset to print while a model learns, for readers that know no NaN.").Default("NaN").Float64()
	return cmd.FullCommand(), func(_ context.Context, e env) error {
		model, err := lang.ParseModel(*text)
		if err == nil {
			err = needsNoRule(model)
		}
		if err != nil {
			return fmt.Errorf("--model: %w", err)
		}
		rule := lang.NewAnomaly(model)
		for i, f := range ruleFlags {
			if *fields[i] == "" {
				continue
			}
			if err := rule.SetField(f.field, *fields[i]); err != nil {
				return fmt.Errorf("--%s: %w", f.flag, err)
			}
		}
		return score(e, answers{e.stdout, *learning, *onset}, func(columns int) (*eval.Columns, error) {
			if err := fits(rule, columns); err != nil {
				return nil, err
			}
			c, err := eval.NewColumns(*rule, columns)
			if err != nil {
				return nil, fmt.Errorf("--model: %w", err)
			}
			return c, nil
		})
	}
}

// needsNoRule refuses models that judge what only the fields of a rule give.
func needsNoRule(model lang.ModelExpr) error {
	for _, c := range lang.Calls(model) {
		if lang.TraitsOf(c.Name).Ratio {
			return fmt.Errorf("%s needs a rule with the field ratio: {errors: …, total: …}; numbers alone have no total", c.Name)
		}
	}
	return nil
}

// fits refuses what would never give a score, and fields that would do nothing,
// with so many values a line.
func fits(rule *lang.Anomaly, columns int) error {
	call, _ := rule.Model.(lang.Call)
	traits := lang.TraitsOf(call.Name)
	if call.Name == "peers" && columns < call.Args.Int("min_members") {
		return fmt.Errorf("--model: peers judges groups of %d members and more, and the lines have %s; give more values a line, or peers(min_members=3)",
			call.Args.Int("min_members"), plural(columns, "value", "values"))
	}
	of := "several values a line"
	if traits.Sideless {
		of = call.Name
	} else if traits.Group || columns < 2 {
		return nil
	}
	free := lang.NewAnomaly(rule.Model)
	for flag, given := range map[string]bool{
		"direction": rule.Direction != free.Direction, "min-dev": rule.MinDev != free.MinDev, "min-rel-dev": rule.MinRelDev != free.MinRelDev, "range": rule.Range != free.Range,
	} {
		if given {
			return fmt.Errorf("--%s cannot be used with %s: there is no expected value to deviate from", flag, of)
		}
	}
	return nil
}

// answers is how lines are answered.
type answers struct {
	to       io.Writer
	learning float64 // instead of NaN
	onset    bool    // first
}

func (a answers) write(v detect.Verdict) error {
	first, last := v.Score, v.Onset
	if math.IsNaN(first) {
		first, last = a.learning, a.learning
	}
	if a.onset {
		first, last = last, first
	}
	_, err := fmt.Fprintf(a.to, "%g %g %g %g %g\n", first, v.Expected, v.Lower, v.Upper, last)
	return err
}

// score answers every line before it reads the next one.
func score(e env, out answers, start func(columns int) (*eval.Columns, error)) error {
	lines := bufio.NewScanner(e.stdin)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	order := lateLines{to: e.stderr}
	defer order.sum()
	var line *eval.Columns
	var values []float64
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		t, err := milliseconds(fields[0])
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if len(fields) == 1 {
			return fmt.Errorf("line %d: a time without a value; want <unix seconds> <value> [<value>...]", n)
		}
		values = values[:0]
		for _, text := range fields[1:] {
			v, err := number(text)
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			values = append(values, v)
		}
		if line == nil {
			if line, err = start(len(values)); err != nil {
				return err
			}
		}
		worst, err := line.Step(t, values)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		order.line(n, t, line.StartedOver())
		if err := out.write(worst); err != nil {
			return fmt.Errorf("cannot answer line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read standard input: %w", err)
	}
	return nil
}

// number reads a number as Prometheus's text format has it: what Go reads
// beyond that, 1_000 and 0x1p4, is more often a mistake than meant.
func number(text string) (float64, error) {
	if strings.ContainsAny(text, "pP_") {
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return 0, fmt.Errorf("%q is no number: as in Prometheus's text format, it has no _ and is not hexadecimal", text)
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%q is beyond the numbers of 64 bits, which end at 1.8e308; infinity is written +Inf or -Inf", text)
	case err != nil:
		return 0, fmt.Errorf("%q is no number", text)
	}
	return v, nil
}

// mostSeconds is beyond all times that anybody measures, and below the present
// in milliseconds.
const mostSeconds = 1e12

// milliseconds reads a time in unix seconds.
func milliseconds(text string) (int64, error) {
	seconds, err := number(text)
	hint := ""
	switch {
	case err != nil || math.IsNaN(seconds) || math.IsInf(seconds, 0):
	case seconds < 0:
		hint = ": it is before 1970"
	case seconds < mostSeconds:
		return int64(math.Round(seconds * 1000)), nil
	case seconds < mostSeconds*1e3:
		hint = " (milliseconds? divide by 1000)"
	case seconds < mostSeconds*1e6:
		hint = " (microseconds? divide by 1e6)"
	case seconds < mostSeconds*1e9:
		hint = " (nanoseconds? divide by 1e9)"
	}
	return 0, fmt.Errorf("%q is no time in unix seconds%s", text, hint)
}
