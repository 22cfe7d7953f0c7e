package lang

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// RenderModels writes the table Models for people: each model with its
// parameters, their types, defaults and ranges.
func RenderModels(w io.Writer) error {
	for i, m := range Models {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := RenderModel(w, m); err != nil {
			return err
		}
	}
	return nil
}

// RenderModel writes one model of the table.
func RenderModel(w io.Writer, m ModelSpec) error {
	if _, err := fmt.Fprintf(w, "%s\n  for %s\n  by %s\n", m.Signature(), m.For, m.Method); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range m.Params {
		fmt.Fprintf(tw, "    %s\t%s\t%s\n", p.Name, p.takes(), p.Help) // a failed write comes back from Flush
	}
	return tw.Flush()
}

// Signature is the model as one would write it with all its defaults.
func (m *ModelSpec) Signature() string {
	var parts []string
	for _, p := range m.Params {
		switch {
		case p.Default == nil: // absent unless given
		case p.Variadic:
			parts = append(parts, listItems(p.Default)...)
		default:
			parts = append(parts, p.Name+"="+formatValue(p.Default))
		}
	}
	if len(parts) == 0 {
		return m.Name
	}
	return m.Name + "(" + strings.Join(parts, ", ") + ")"
}

// takes describes the values of a parameter in a few words.
func (p *ParamSpec) takes() string {
	words := map[Type]string{
		Number: "number", Integer: "whole number", Duration: "duration", Fraction: "fraction",
		Rate: "rate", Text: "word", Timezone: "time zone", Date: "date", Choice: strings.Join(p.Choices, " or "),
	}[p.Type]
	switch {
	case p.List && p.MaxItems > 0:
		words = fmt.Sprintf("up to %d %ss", p.MaxItems, words)
	case p.List:
		words = "list of " + words + "s"
	}
	if p.Bounds != nil {
		format := formatValue
		if p.Type == Duration {
			format = formatSeconds
		}
		if p.Type == Rate {
			format = formatPerDay
		}
		words += " " + p.Bounds.describe(format)
	}
	return words
}
