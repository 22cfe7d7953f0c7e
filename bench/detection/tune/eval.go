package tune

import (
	"context"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// Standing is how the constants do that are shipped.
type Standing struct {
	Source string
	Figure         // the weighted mean of the source where the name is empty
	Unseen float64 // NaN where there is no unseen data
}

// Evaluate measures the shipped constants on all sources and searches nothing.
// Its first standings are the objective's, then come those of each source.
func Evaluate(ctx context.Context, knobs []Knob, sources []Source, o Options) ([]Standing, error) {
	p, err := newProtocol(knobs, sources, o)
	if err != nil {
		return nil, err
	}
	var each []Standing
	var objective [numParts]mean
	for i := range sources {
		s := &sources[i]
		figures, err := p.measure(ctx, s, p.shipped)
		if err != nil {
			return nil, err
		}
		var unseen []Figure
		if s.Unseen != nil {
			if unseen, err = p.measure(ctx, &Source{Name: s.Name + ", unseen", Key: s.Key, Measure: s.Unseen}, p.shipped); err != nil {
				return nil, err
			}
		}
		each = append(each, standings(s.Name, figures, unseen)...)
		for part := range objective {
			objective[part].add(figures, Part(part))
		}
	}
	total := Standing{Source: "objective", Unseen: math.NaN()}
	for part := range objective {
		total.Value[part] = objective[part].value()
	}
	return append([]Standing{total}, each...), nil
}

// standings are the figures of a source, and their mean where there are several.
func standings(source string, figures, unseen []Figure) (out []Standing) {
	of := func(figures []Figure) Standing {
		s := Standing{Source: source, Unseen: math.NaN()}
		for part := range numParts {
			var m mean
			m.add(figures, part)
			s.Value[part] = m.value()
		}
		return s
	}
	if len(figures) > 1 {
		out = append(out, of(figures))
	}
	for i, f := range figures {
		s := Standing{Source: source, Figure: f, Unseen: math.NaN()}
		if i < len(unseen) {
			s.Unseen = unseen[i].Value[Whole]
		}
		out = append(out, s)
	}
	return out
}

// PrintStandings prints a row a figure.
func PrintStandings(out io.Writer, all []Standing) {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintf(w, "source\tfigure\t%s\t%s\t%s\tunseen\t\n", Whole, First, Second)
	for i := range all {
		s := &all[i]
		name := s.Name
		if name == "" {
			name = "mean"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t\n", s.Source, name, cell(s.Value[Whole]), cell(s.Value[First]), cell(s.Value[Second]), cell(s.Unseen))
	}
	_ = w.Flush()
}

// Print prints what was chosen and how far it holds.
func (r *Report) Print(out io.Writer, knobs []Knob) {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintln(w, "data\tin-sample\tleft out\tgap\t")
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", row.Data, cell(row.In), cell(row.Out), cell(row.Gap()))
	}
	_ = w.Flush()
	fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprint(w, "constant\tshipped\t")
	for _, c := range r.Choices {
		fmt.Fprintf(w, "%s\t", c.On)
	}
	fmt.Fprintln(w)
	for i, k := range knobs {
		fmt.Fprintf(w, "%s\t%g\t", k.Name, *k.Value)
		for _, c := range r.Choices {
			fmt.Fprintf(w, "%g\t", c.Values[i])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "objective\t\t")
	for _, c := range r.Choices {
		fmt.Fprintf(w, "%.4f, was %.4f\t", c.Objective, c.Shipped)
	}
	fmt.Fprintln(w)
	_ = w.Flush()
}

func cell(x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	return fmt.Sprintf("%.4f", x)
}
