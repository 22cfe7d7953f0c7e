package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chironhq/chiron/bench/detection/corpus"
	"github.com/chironhq/chiron/bench/detection/nab"
	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
)

// plotOptions say what to draw.
type plotOptions struct {
	data, file, model, out string
	column                 int     // that is drawn; all are scored
	from, to               float64 // share of the file
}

// plotCommand draws one file with what one model says of it.
func plotCommand(args []string) error {
	var o plotOptions
	fs := flag.NewFlagSet("detection plot", flag.ContinueOnError)
	fs.StringVar(&o.data, "data", "", "directory of the data sets")
	fs.StringVar(&o.file, "file", "", "file below it, such as nab-dev/data/realKnownCause/nyc_taxi.csv")
	fs.StringVar(&o.model, "model", "auto", "model string")
	fs.IntVar(&o.column, "column", 0, "column to draw, from 0; all are scored")
	fs.Float64Var(&o.from, "from", 0, "share of the file at which the picture begins")
	fs.Float64Var(&o.to, "to", 1, "share of the file at which it ends")
	fs.StringVar(&o.out, "out", "", "file to write, an SVG")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.data == "" || o.file == "" || o.out == "" || o.from < 0 || o.to > 1 || o.from >= o.to {
		fs.Usage()
		return fmt.Errorf("want -data, -file and -out, and 0 <= -from < -to <= 1")
	}
	return plot(o)
}

func plot(o plotOptions) error {
	e, err := corpus.ReadEntity(filepath.Join(o.data, o.file))
	if err != nil {
		return err
	}
	if o.column >= e.Columns {
		return fmt.Errorf("%s has %d columns", o.file, e.Columns)
	}
	if set, name, ok := strings.Cut(o.file, "/data/"); ok { // NAB has its labels beside
		windows, err := corpus.ReadWindows(filepath.Join(o.data, set, "windows.json"))
		if err != nil {
			return err
		}
		labelWindows(&e, windows[strings.TrimSuffix(name, ".gz")])
	}
	p, err := drawn(o, &e)
	if err != nil {
		return err
	}
	n := float64(len(p.rows))
	p.rows = p.rows[int(o.from*n):int(o.to*n)]
	p.title = fmt.Sprintf("%s on %s", o.model, strings.TrimSuffix(filepath.Base(o.file), ".csv"))
	if e.Columns > 1 {
		p.title += fmt.Sprintf(", %d inputs, number %d drawn", e.Columns, o.column+1)
	}
	return os.WriteFile(o.out, p.svg(), 0o644) //nolint:gosec // a picture for everybody
}

func labelWindows(e *corpus.Entity, windows []nab.Window) {
	for i, t := range e.Times {
		for _, w := range windows {
			e.Labels[i] = e.Labels[i] || !t.Before(w.Start) && !t.After(w.End)
		}
	}
}

// picture is a series with its verdicts.
type picture struct {
	title string
	rows  []pictureRow
}

type pictureRow struct {
	t                              time.Time
	v, score, expected, lower, top float64
	label                          bool
}

func drawn(o plotOptions, e *corpus.Entity) (*picture, error) {
	expr, err := lang.ParseModel(o.model)
	if err != nil {
		return nil, err
	}
	line, err := eval.NewColumns(*lang.NewAnomaly(expr), e.Columns)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.model, err)
	}
	p := &picture{}
	for i, row := range e.Rows {
		v, err := line.Step(e.Times[i].UnixMilli(), row)
		if err != nil {
			return nil, err
		}
		p.rows = append(p.rows, pictureRow{e.Times[i], row[o.column], v.Score, v.Expected, v.Lower, v.Upper, e.Labels[i]})
	}
	return p, nil
}

const (
	plotWidth, plotHeight, scoreHeight, plotMargin = 900, 260, 90, 46
	plotColumns                                    = 300 // a column holds the least and the greatest of its points
	scoreTop                                       = 3.0 // greater scores are cut
)

// svg draws the value over its band, and the score below with its border at 1;
// labelled spans are shaded.
func (p *picture) svg() []byte {
	var b strings.Builder
	height := plotHeight + scoreHeight + plotMargin + 20
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><text x="8" y="16" font-size="13">%s</text>`+"\n", plotWidth, height, p.title)
	lo, hi := p.limits()
	y := func(v float64) float64 { return plotMargin - 16 + plotHeight*(1-(min(max(v, lo), hi)-lo)/(hi-lo)) }
	base := float64(plotMargin + plotHeight)
	ys := func(s float64) float64 { return base + scoreHeight*(1-min(max(s, 0), scoreTop)/scoreTop) }
	for i := 0; i < len(p.rows); i++ {
		if !p.rows[i].label {
			continue
		}
		j := i
		for j+1 < len(p.rows) && p.rows[j+1].label {
			j++
		}
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#f6d5d5"/>`+"\n", p.x(i), plotMargin-16, max(p.x(j)-p.x(i), 1), plotHeight+scoreHeight+16)
		i = j
	}
	p.band(&b, y)
	p.line(&b, "#1a4f8b", func(r *pictureRow) float64 { return r.v }, y)
	fmt.Fprintf(&b, `<path d="M0 %.1fH%d" stroke="#999" stroke-dasharray="4 3"/>`+"\n", ys(1), plotWidth)
	p.line(&b, "#b8430b", func(r *pictureRow) float64 { return r.score }, ys)
	fmt.Fprintf(&b, `<text x="4" y="%d">%.4g</text><text x="4" y="%d">%.4g</text><text x="4" y="%.0f" fill="#b8430b">score, border at 1</text>`+"\n",
		plotMargin-6, hi, plotMargin+plotHeight-20, lo, base+12)
	fmt.Fprintf(&b, `<text x="4" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">%s</text>`+"\n</svg>\n", height-6, p.rows[0].t.Format(time.DateOnly),
		plotWidth-4, height-6, p.rows[len(p.rows)-1].t.Format(time.DateOnly))
	return []byte(b.String())
}

func (p *picture) x(i int) float64 { return plotWidth * float64(i) / float64(max(len(p.rows)-1, 1)) }

func (p *picture) limits() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for i := range p.rows {
		if v := p.rows[i].v; !math.IsNaN(v) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if !(hi > lo) {
		lo, hi = lo-1, lo+1
	}
	room := (hi - lo) / 10
	return lo - room, hi + room
}

// columns calls f with the first row and the number of rows of each column.
func (p *picture) columns(f func(first, n int)) {
	step := max(1, len(p.rows)/plotColumns)
	for i := 0; i < len(p.rows); i += step {
		f(i, min(step, len(p.rows)-i))
	}
}

func (p *picture) line(b *strings.Builder, color string, value func(*pictureRow) float64, y func(float64) float64) {
	fmt.Fprintf(b, `<path fill="none" stroke="%s" d="`, color)
	op := "M"
	p.columns(func(first, n int) {
		lo, hi := math.Inf(1), math.Inf(-1)
		for i := first; i < first+n; i++ {
			if v := value(&p.rows[i]); !math.IsNaN(v) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
		if lo > hi {
			op = "M"
			return
		}
		fmt.Fprintf(b, "%s%.1f %.1f", op, p.x(first), y(lo))
		op = "L"
		if hi > lo {
			fmt.Fprintf(b, "V%.1f", y(hi))
		}
	})
	b.WriteString(`"/>` + "\n")
}

// band shades from the lower to the upper edge of what is normal.
func (p *picture) band(b *strings.Builder, y func(float64) float64) {
	var up, down []string
	flush := func() {
		if len(up) > 1 {
			fmt.Fprintf(b, `<path fill="#cfe3cf" d="M%sL%sZ"/>`+"\n", strings.Join(up, "L"), strings.Join(down, "L"))
		}
		up, down = nil, nil
	}
	p.columns(func(first, _ int) {
		r := &p.rows[first]
		if math.IsNaN(r.lower) || math.IsNaN(r.top) {
			flush()
			return
		}
		up = append(up, fmt.Sprintf("%.1f %.1f", p.x(first), y(r.top)))
		down = append([]string{fmt.Sprintf("%.1f %.1f", p.x(first), y(r.lower))}, down...)
	})
	flush()
}
