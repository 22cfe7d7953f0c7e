package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// value is a figure with its unit, as in the lines of Go's benchmarks.
type value struct {
	v    float64
	unit string
}

// row is one line: a measurement of one peer.
type row struct {
	peer, name string
	values     []value
}

// report collects rows. Each is written at once in the form of Go's
// benchmarks, for benchstat -col /side.
type report struct {
	lines io.Writer
	rows  []row
}

func (r *report) header(peers []*peer) {
	_, _ = fmt.Fprintf(r.lines, "goos: %s\ngoarch: %s\n", runtime.GOOS, runtime.GOARCH) // as the lines below
	for _, p := range peers {
		_, _ = fmt.Fprintf(r.lines, "# %s: %s\n", p.name, p.version())
	}
}

func (r *report) add(peer, name string, n int, values ...value) {
	r.rows = append(r.rows, row{peer, name, values})
	_, _ = fmt.Fprintf(r.lines, "BenchmarkPeers/%s/side=%s %d", name, peer, n) // the table at the end fails if this does
	for _, v := range values {
		_, _ = fmt.Fprintf(r.lines, " %s %s", number(v.v), v.unit)
	}
	_, _ = fmt.Fprintf(r.lines, "\n")
}

// number writes four digits that count, without an exponent.
func number(v float64) string {
	switch {
	case v >= 1000 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.1f", v)
	case v >= 10:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// moreIsBetter says so of units; of all others less is.
var moreIsBetter = map[string]bool{"series/cpu-s": true, "samples/cpu-s": true}

// details stand in the lines and not in the table.
var details = map[string]bool{"series": true, "answer-B": true, "retries": true, "max-ms": true, "samples/s": true}

// table writes the peers side by side and how the first does against the rest.
func (r *report) table(w io.Writer, peers []string) error {
	type cell struct{ name, unit string }
	var order []cell
	figures := map[cell]map[string]float64{}
	for _, row := range r.rows {
		for _, v := range row.values {
			if details[v.unit] {
				continue
			}
			c := cell{row.name, v.unit}
			if figures[c] == nil {
				figures[c] = map[string]float64{}
				order = append(order, c)
			}
			figures[c][row.peer] = v.v
		}
	}
	slices.SortStableFunc(order, func(a, b cell) int { return strings.Compare(part(a.name), part(b.name)) })
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := append([]string{"\n", ""}, peers...)
	for _, p := range peers[1:] {
		head = append(head, "against "+p)
	}
	if _, err := fmt.Fprintln(t, strings.Join(head, "\t")); err != nil {
		return err
	}
	for _, c := range order {
		line := []string{c.name, c.unit}
		for _, p := range peers {
			text := "-"
			if v, ok := figures[c][p]; ok {
				text = number(v)
			}
			line = append(line, text)
		}
		for _, p := range peers[1:] {
			line = append(line, against(figures[c], peers[0], p, c.unit))
		}
		if _, err := fmt.Fprintln(t, strings.Join(line, "\t")); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nRatios above 1: %s is better. CPU is that of the server, from procfs, background work included. Load average at the end %s.\n", peers[0], loadAverage())
	return err
}

func part(name string) string {
	first, _, _ := strings.Cut(name, "/")
	return first
}

// against is how many times better a is than b.
func against(figures map[string]float64, a, b, unit string) string {
	x, ok := figures[a]
	y, other := figures[b]
	if !ok || !other || x == 0 || y == 0 {
		return "-"
	}
	if moreIsBetter[unit] {
		return fmt.Sprintf("%.2fx", x/y)
	}
	return fmt.Sprintf("%.2fx", y/x)
}
