package tune

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Knob is a constant that may be chosen.
type Knob struct {
	Name  string
	Value *float64  // where the detector reads it when it starts
	Try   []float64 // what it may become; the shipped value need not be among them
}

// Part of a source.
type Part int

// The parts of a source. The halves have no member in common and make up the
// whole.
const (
	Whole Part = iota
	First
	Second
	numParts
)

func (p Part) String() string {
	return [numParts]string{"all", "half 1", "half 2"}[p]
}

// Figure is one measure of a source, scaled so that 1 is perfect.
type Figure struct {
	Name   string
	Weight float64           // in the objective
	Value  [numParts]float64 // by part; NaN where a part has nothing to measure
}

// Measure runs the detector, with the constants as they are, over data.
type Measure func(ctx context.Context) ([]Figure, error)

// Source is a body of data.
type Source struct {
	Name    string
	Key     string // tells apart, with the name, what is measured: seeds, files
	Measure Measure
	Keep    bool    // it is never left out
	Unseen  Measure // other data of the same sort, on which nothing is chosen; or nil
}

// Options of a search. The zero value is ready to use.
type Options struct {
	Rounds  int     // at most so many rounds over all knobs; 0 is 3
	MinGain float64 // what another value must add to the objective; 0 is 0.0005
	Memo    *Memo   // what was measured before; nil measures all
	Log     func(format string, args ...any)
}

// Choice is what a search has found.
type Choice struct {
	On        string // what it was made on
	Values    []float64
	Shipped   float64 // objective of the shipped constants
	Objective float64
}

// Row compares the figure of some data under constants that were chosen on it
// with that under constants that were chosen without it.
type Row struct {
	Data    string
	In, Out float64
}

// Gap is what the constants owe to having been chosen on the data.
func (r Row) Gap() float64 { return r.In - r.Out }

// Report is the outcome of the protocol.
type Report struct {
	Choices []Choice
	Rows    []Row
}

// protocol holds the shipped constants and gives them back.
type protocol struct {
	knobs   []Knob
	sources []Source
	shipped []float64
	options Options
}

// Run carries the protocol out. The constants are the shipped ones when it
// returns; nobody else may run the detector until then.
func Run(ctx context.Context, knobs []Knob, sources []Source, o Options) (Report, error) {
	p, err := newProtocol(knobs, sources, o)
	if err != nil {
		return Report{}, err
	}
	defer p.set(p.shipped)
	var report Report
	search := func(on string, part Part, without int) ([]float64, error) {
		c, err := p.search(ctx, on, part, without)
		if err != nil {
			return nil, fmt.Errorf("search on %s: %w", on, err)
		}
		report.Choices = append(report.Choices, c)
		return c.Values, nil
	}
	row := func(data string, in, out float64, err error) error {
		if err == nil {
			report.Rows = append(report.Rows, Row{Data: data, In: in, Out: out})
			p.options.Log("%s: in-sample %.4f, left out %.4f", data, in, out)
		}
		return err
	}

	all, err := search("everything", Whole, none)
	if err != nil {
		return report, err
	}
	for i := range sources {
		s := &sources[i]
		switch {
		case !s.Keep:
			without, err := search("everything but "+s.Name, Whole, i)
			if err != nil {
				return report, err
			}
			in, out, err := p.two(ctx, s, Whole, all, without)
			if err := row(s.Name, in, out, err); err != nil {
				return report, err
			}
		case s.Unseen != nil:
			in, err := p.figure(ctx, s, Whole, all)
			if err != nil {
				return report, err
			}
			unseen := Source{Name: s.Name + ", unseen", Key: s.Key, Measure: s.Unseen}
			out, err := p.figure(ctx, &unseen, Whole, all)
			if err := row(s.Name+", unseen", in, out, err); err != nil {
				return report, err
			}
		}
	}
	first, err := search("first halves", First, none)
	if err != nil {
		return report, err
	}
	second, err := search("second halves", Second, none)
	if err != nil {
		return report, err
	}
	for i := range sources {
		s := &sources[i]
		in, out, err := p.two(ctx, s, First, first, second)
		if err := row(s.Name+", "+First.String(), in, out, err); err != nil {
			return report, err
		}
		in, out, err = p.two(ctx, s, Second, second, first)
		if err := row(s.Name+", "+Second.String(), in, out, err); err != nil {
			return report, err
		}
	}
	return report, nil
}

func newProtocol(knobs []Knob, sources []Source, o Options) (*protocol, error) {
	if o.Rounds == 0 {
		o.Rounds = 3
	}
	if o.MinGain == 0 {
		o.MinGain = 0.0005
	}
	if o.Memo == nil {
		o.Memo = &Memo{}
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	p := &protocol{knobs: knobs, sources: sources, options: o}
	names := map[string]bool{}
	for _, k := range knobs {
		if k.Value == nil || names[k.Name] {
			return nil, fmt.Errorf("knob %q: no value, or a second one of that name", k.Name)
		}
		names[k.Name] = true
		p.shipped = append(p.shipped, *k.Value)
	}
	return p, nil
}

// none leaves no source out.
const none = -1

// search finds constants for a part of all sources but one.
func (p *protocol) search(ctx context.Context, on string, part Part, without int) (Choice, error) {
	c := Choice{On: on, Values: slices.Clone(p.shipped)}
	var err error
	if c.Shipped, err = p.objective(ctx, part, without, c.Values); err != nil {
		return c, err
	}
	c.Objective = c.Shipped
	p.options.Log("%s: %.4f with the shipped constants", on, c.Objective)
	for round := range p.options.Rounds {
		before := c.Objective
		for i := range p.knobs {
			if err := p.try(ctx, &c, i, part, without); err != nil {
				return c, err
			}
		}
		p.options.Log("%s: %.4f after round %d", on, c.Objective, round+1)
		if c.Objective-before < p.options.MinGain {
			break
		}
	}
	return c, nil
}

// try sets knob i to the best of its values.
func (p *protocol) try(ctx context.Context, c *Choice, i int, part Part, without int) error {
	k, was, values := &p.knobs[i], c.Values[i], slices.Clone(c.Values)
	for _, v := range k.Try {
		if v == was {
			continue
		}
		values[i] = v
		f, err := p.objective(ctx, part, without, values)
		if err != nil {
			return err
		}
		if f >= c.Objective+p.options.MinGain {
			c.Objective, c.Values[i] = f, v
			p.options.Log("%s: %.4f with %s = %g, was %g", c.On, f, k.Name, v, was)
		}
	}
	return nil
}

// objective is the weighted mean of all figures of a part, all sources but one.
func (p *protocol) objective(ctx context.Context, part Part, without int, values []float64) (float64, error) {
	var m mean
	for i := range p.sources {
		if i == without {
			continue
		}
		figures, err := p.measure(ctx, &p.sources[i], values)
		if err != nil {
			return 0, err
		}
		m.add(figures, part)
	}
	return m.value(), nil
}

// figure is the weighted mean of the figures of one source.
func (p *protocol) figure(ctx context.Context, s *Source, part Part, values []float64) (float64, error) {
	figures, err := p.measure(ctx, s, values)
	if err != nil {
		return 0, err
	}
	var m mean
	m.add(figures, part)
	return m.value(), nil
}

// two is the figure of a source under two choices.
func (p *protocol) two(ctx context.Context, s *Source, part Part, a, b []float64) (x, y float64, err error) {
	if x, err = p.figure(ctx, s, part, a); err != nil {
		return 0, 0, err
	}
	y, err = p.figure(ctx, s, part, b)
	return x, y, err
}

// measure sets the constants and runs the detector, unless it is known what
// comes of it.
func (p *protocol) measure(ctx context.Context, s *Source, values []float64) ([]Figure, error) {
	if figures, ok := p.options.Memo.find(s, p.knobs, values); ok {
		return figures, nil
	}
	p.set(values)
	figures, err := s.Measure(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot measure %s: %w", s.Name, err)
	}
	return figures, p.options.Memo.keep(s, p.knobs, values, figures)
}

func (p *protocol) set(values []float64) {
	for i, v := range values {
		*p.knobs[i].Value = v
	}
}

// mean is a weighted one; what is not a number is left out.
type mean struct{ sum, weight float64 }

func (m *mean) add(figures []Figure, part Part) {
	for _, f := range figures {
		if v := f.Value[part]; !math.IsNaN(v) {
			m.sum += f.Weight * v
			m.weight += f.Weight
		}
	}
}

func (m *mean) value() float64 { return m.sum / m.weight }
