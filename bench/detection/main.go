package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "detection:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "plot":
			return plotCommand(args[1:])
		case "gallery":
			return galleryCommand(args[1:])
		case "scenarios":
			return scenariosCommand(ctx, args[1:], out, progress)
		case "tune":
			return tuneCommand(ctx, args[1:], out, progress)
		}
	}
	fs := flag.NewFlagSet("detection", flag.ContinueOnError)
	data := fs.String("data", "", "directory that holds nab-dev, cloudmonitoring-dev, kpi-dev, smd-dev and asd-dev, or some of them")
	models := fs.String("model", "", "model strings, separated by semicolons or, without arguments, by commas; default: every model of the table")
	sets := fs.String("set", "", "only these data sets, separated by commas")
	files := fs.Bool("files", false, "a row a file as well")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *data == "" || fs.NArg() > 0 {
		fs.Usage()
		return fmt.Errorf("want -data DIR, and nothing without a flag")
	}
	corpora, err := findCorpora(*data, *sets)
	if err != nil {
		return err
	}
	sum := summary{models: modelStrings(*models)}
	for i := range corpora {
		c := &corpora[i]
		if err := c.load(ctx); err != nil {
			return err
		}
		t := &table{corpus: c}
		for _, m := range sum.models {
			r, err := score(ctx, c, m, progress)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", c.name, m, err)
			}
			t.results = append(t.results, r)
		}
		t.print(out, *files)
		if err := sum.add(c, t.results); err != nil {
			return err
		}
		c.streams = nil // one data set in memory at a time
	}
	sum.print(out)
	return nil
}

func modelStrings(text string) []string {
	split := func(s, sep string) (out []string) {
		for part := range strings.SplitSeq(s, sep) {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
		return out
	}
	switch {
	case text == "":
		return allModels()
	case strings.ContainsAny(text, ";("):
		return split(text, ";")
	}
	return split(text, ",")
}
