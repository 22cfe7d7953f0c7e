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
	"time"

	"github.com/alecthomas/kingpin/v2"
	durations "github.com/prometheus/common/model"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
)

func scoreCommand(app *kingpin.Application) (string, command) {
	cmd := app.Command("score", "Score numbers from standard input, line by line.\n\n"+
		"Reads `<unix seconds> <value> [<value>...]` and answers each line at once with `<score> <expected> <lower> <upper> <onset>`: "+
		"the score is 0 as expected, at most 1 while usual, above 1 for as long as something is anomalous, and NaN while learning; the onset is above 1 only where "+
		"something begins or grows. Several values are the inputs of one entity, as in a rule with inputs; "+
		"of peers, presence and novelty they are the members of one group, and the most anomalous one answers.\n\n"+
		"  chiron score --model 'seasonal(1d) & mad' < latency.txt")
	text := cmd.Flag("model", "Model string, as in the model field of a rule; see chiron models.").Default("auto").String()
	direction := cmd.Flag("direction", "Which deviations count: above, below or both.").Default("both").Enum("above", "below", "both")
	accept := cmd.Flag("accept", "After how long a level that holds is what is expected, as in the accept field of a rule.").Default("1d").String()
	onset := cmd.Flag("onset", "Print the onset first and the score last: for readers of one column that count events.").Bool()
	learning := cmd.Flag("learning", "Score and onset to print while a model learns, for readers that know no NaN.").Default("NaN").Float64()
	return cmd.FullCommand(), func(_ context.Context, e env) error {
		model, err := lang.ParseModel(*text)
		if err != nil {
			return fmt.Errorf("--model: %w", err)
		}
		d := map[string]lang.Direction{"both": lang.Both, "above": lang.Above, "below": lang.Below}[*direction]
		after, err := durations.ParseDuration(*accept)
		if err == nil {
			err = lang.CheckAccept(time.Duration(after))
		}
		if err != nil {
			return fmt.Errorf("--accept: %w", err)
		}
		return score(e.stdin, answers{e.stdout, *learning, *onset}, func(columns int) (*eval.Columns, error) {
			c, err := eval.NewColumns(model, d, columns)
			if err == nil {
				err = c.Accept(time.Duration(after))
			}
			if err != nil {
				return nil, fmt.Errorf("--model: %w", err)
			}
			return c, nil
		})
	}
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

// score answers every line of in before it reads the next one.
func score(in io.Reader, out answers, start func(columns int) (*eval.Columns, error)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	var line *eval.Columns
	var values []float64
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		seconds, err := strconv.ParseFloat(fields[0], 64)
		if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1e12 {
			return fmt.Errorf("line %d: %q is no time in unix seconds", n, fields[0])
		}
		if len(fields) == 1 {
			return fmt.Errorf("line %d: a time without a value; want <unix seconds> <value> [<value>...]", n)
		}
		values = values[:0]
		for _, text := range fields[1:] {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil && !errors.Is(err, strconv.ErrRange) {
				return fmt.Errorf("line %d: %q is no number", n, text)
			}
			values = append(values, v)
		}
		if line == nil {
			if line, err = start(len(values)); err != nil {
				return err
			}
		}
		worst, err := line.Step(int64(math.Round(seconds*1000)), values)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := out.write(worst); err != nil {
			return fmt.Errorf("cannot answer line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read standard input: %w", err)
	}
	return nil
}
