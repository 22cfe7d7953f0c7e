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

	"github.com/chironhq/chiron/rules"
	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

func scoreCommand(app *kingpin.Application) (string, command) {
	cmd := app.Command("score", "Score numbers from standard input, line by line.\n\n"+
		"Reads `<unix seconds> <value> [<value>...]` and answers each line at once with `<score> <expected> <lower> <upper>`: "+
		"0 is as expected, 1 the border of normal, NaN while learning. With several values each has its own model and the most anomalous one answers.\n\n"+
		"  chiron score --model 'seasonal(1d) & mad' < latency.txt")
	text := cmd.Flag("model", "Model string, as in the model field of a rule; see chiron models.").Default("auto").String()
	direction := cmd.Flag("direction", "Which deviations count: above, below or both.").Default("both").Enum("above", "below", "both")
	learning := cmd.Flag("learning", "Score to print while a model learns, for readers that know no NaN.").Default("NaN").Float64()
	return cmd.FullCommand(), func(_ context.Context, e env) error {
		model, err := lang.ParseModel(*text)
		if err != nil {
			return fmt.Errorf("--model: %w", err)
		}
		return score(e.stdin, e.stdout, *learning, func() (*detect.Scorer, error) {
			m, err := rules.BuildModel(model)
			if err != nil {
				return nil, fmt.Errorf("--model: %w", err)
			}
			d, err := detect.ParseDirection(*direction)
			if err != nil {
				return nil, err
			}
			return detect.NewScorer(m, detect.ScorerConfig{Direction: d}), nil
		})
	}
}

// score answers every line of in before it reads the next one.
func score(in io.Reader, out io.Writer, learning float64, scorer func() (*detect.Scorer, error)) error {
	lines, w := bufio.NewScanner(in), bufio.NewWriter(out)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	var columns []*detect.Scorer
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		seconds, err := strconv.ParseFloat(fields[0], 64)
		if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1e12 {
			return fmt.Errorf("line %d: %q is no time in unix seconds", n, fields[0])
		}
		values := fields[1:]
		switch {
		case len(values) == 0:
			return fmt.Errorf("line %d: a time without a value; want <unix seconds> <value> [<value>...]", n)
		case columns == nil:
			for range values {
				s, err := scorer()
				if err != nil {
					return err
				}
				columns = append(columns, s)
			}
		case len(values) != len(columns):
			return fmt.Errorf("line %d: %d values, the lines before have %d", n, len(values), len(columns))
		}
		worst := detect.Verdict{Score: math.NaN(), Expected: math.NaN(), Lower: math.NaN(), Upper: math.NaN()}
		for i, text := range values {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil && !errors.Is(err, strconv.ErrRange) {
				return fmt.Errorf("line %d: %q is no number", n, text)
			}
			verdict := columns[i].Step(detect.Point{T: int64(math.Round(seconds * 1000)), V: v})
			if i == 0 || !(verdict.Score <= worst.Score) && !math.IsNaN(verdict.Score) {
				worst = verdict
			}
		}
		if math.IsNaN(worst.Score) {
			worst.Score = learning
		}
		fmt.Fprintf(w, "%g %g %g %g\n", worst.Score, worst.Expected, worst.Lower, worst.Upper)
		if err := w.Flush(); err != nil {
			return fmt.Errorf("cannot answer line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read standard input: %w", err)
	}
	return nil
}
