package lang

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// equalTrees compares checked trees without their positions.
func equalTrees(a, b ModelExpr) string {
	ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".At" }, cmp.Ignore())
	return cmp.Diff(a, b, ignore)
}

func call(name string, args Args) Call {
	for _, p := range FindModel(name).Params {
		if _, given := args[p.Name]; !given && p.Default != nil && !slices.ContainsFunc(p.Replaces, args.Has) {
			args[p.Name] = p.Default
		}
	}
	return Call{Name: name, Args: args}
}

func TestParseModel(t *testing.T) {
	f := func(text string, want ModelExpr, canonical string) {
		t.Helper()
		got, err := ParseModel(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if d := equalTrees(want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", text, d)
		}
		if got.String() != canonical {
			t.Errorf("%s prints as %s, want %s", text, got, canonical)
		}
	}
	auto := call("auto", Args{})
	zscore, mad := call("zscore", Args{}), call("mad", Args{})
	seasonal := call("seasonal", Args{})
	hour := time.Hour

	f("auto", auto, "auto")
	f("auto()", auto, "auto")
	f("zscore", zscore, "zscore")
	f("zscore(6h)", zscore, "zscore")
	f("zscore(window=6h, alerts=1/30d)", zscore, "zscore")
	f("zscore(6h, alerts=2/1w)", call("zscore", Args{"alerts": Frequency{2, 7 * day}}), "zscore(alerts=2/1w)")
	f("auto(alerts=0.5/24h)", call("auto", Args{"alerts": Frequency{0.5, day}}), "auto(alerts=0.5/1d)")
	f("zscore(window=6h, threshold=3.0)", call("zscore", Args{"threshold": 3.0}), "zscore(threshold=3)")
	f("quantile(margin=1)", call("quantile", Args{"margin": 1.0}), "quantile(margin=1)")
	f("zscore(1h30m)", call("zscore", Args{"window": hour * 3 / 2}), "zscore(window=1h30m)")
	f("zscore(1h, 4)", call("zscore", Args{"window": hour, "threshold": 4.0}), "zscore(window=1h, threshold=4)")
	f("zscore(threshold=4e-1, window=1h)", call("zscore", Args{"window": hour, "threshold": 0.4}), "zscore(window=1h, threshold=0.4)")
	f("zscore(threshold=1e+30)", call("zscore", Args{"threshold": 1e30}), "zscore(threshold=1e+30)")
	f("seasonal", seasonal, "seasonal")
	f("seasonal(1d, 1w)", seasonal, "seasonal")
	f("seasonal(1d)", call("seasonal", Args{"periods": []time.Duration{day}}), "seasonal(1d)")
	f("seasonal([1d])", call("seasonal", Args{"periods": []time.Duration{day}}), "seasonal(1d)")
	f("seasonal(periods=[12h, 1d])", call("seasonal", Args{"periods": []time.Duration{12 * hour, day}}), "seasonal(12h, 1d)")
	f(`seasonal(1d, 1w, tz="Europe/Berlin")`, call("seasonal", Args{"tz": "Europe/Berlin"}), `seasonal(tz="Europe/Berlin")`)
	f(`seasonal(tz='Europe/Berlin')`, call("seasonal", Args{"tz": "Europe/Berlin"}), `seasonal(tz="Europe/Berlin")`)
	f("seasonal(tz=UTC)", seasonal, "seasonal")
	f(`auto(tz="Europe/Berlin")`, call("auto", Args{"tz": "Europe/Berlin"}), `auto(tz="Europe/Berlin")`)
	f("holtwinters(season=1w, alpha=25%, gamma=0.05, mode=multiplicative)",
		call("holtwinters", Args{"season": 7 * day, "alpha": 0.25, "gamma": 0.05, "mode": "multiplicative"}),
		"holtwinters(season=1w, alpha=0.25, gamma=0.05, mode=multiplicative)")
	f("zscore + mad", Any{Of: []ModelExpr{zscore, mad}}, "zscore + mad")
	f("zscore & mad", All{Of: []ModelExpr{zscore, mad}}, "zscore & mad")
	f("zscore + mad & seasonal", Any{Of: []ModelExpr{zscore, All{Of: []ModelExpr{mad, seasonal}}}}, "zscore + mad & seasonal")
	f("(zscore + mad) & seasonal", All{Of: []ModelExpr{Any{Of: []ModelExpr{zscore, mad}}, seasonal}}, "(zscore + mad) & seasonal")
	f("zscore + (mad + seasonal)", Any{Of: []ModelExpr{zscore, mad, seasonal}}, "zscore + mad + seasonal")
	f("((zscore)) & (mad & (seasonal))", All{Of: []ModelExpr{zscore, mad, seasonal}}, "zscore & mad & seasonal")
	f("\n zscore (\t6h\n)\r\n", zscore, "zscore")
}

func TestDefaultsAreFilledIn(t *testing.T) {
	e, err := ParseModel("holtwinters(alpha=0.3)")
	if err != nil {
		t.Fatal(err)
	}
	args := e.(Call).Args
	if args.Float("alpha") != 0.3 || args.Float("beta") != 0.02 || args.Duration("season") != day || args.String("mode") != "additive" {
		t.Errorf("args = %v", args)
	}
}

// TestTableIsSound holds every default against its own parameter.
func TestTableIsSound(t *testing.T) {
	for _, m := range Models {
		if m.For == "" || m.Method == "" || FindModel(m.Name) == nil {
			t.Errorf("%s: incomplete", m.Name)
		}
		if e, err := ParseModel(m.Signature()); err != nil || e.String() != m.Name {
			t.Errorf("%s does not stand for the defaults: %v, %v", m.Signature(), e, err)
		}
		for i, p := range m.Params {
			if p.Help == "" || (p.Variadic && (i > 0 || !p.List)) || (p.Type == Choice) != (len(p.Choices) > 0) {
				t.Errorf("%s: parameter %s", m.Name, p.Name)
			}
		}
	}
}

func TestOffsets(t *testing.T) {
	e, err := ParseModel("zscore + (mad & auto)")
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, c := range Calls(e) {
		got = append(got, c.Offset())
	}
	if d := cmp.Diff([]int{0, 10, 16}, got); d != "" {
		t.Error(d)
	}
}

func TestDepthIsBounded(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", 100_000),
		"seasonal(" + strings.Repeat("[", 100_000),
	} {
		if _, err := ParseModel(text); err == nil || !strings.Contains(err.Error(), "deep") {
			t.Errorf("err = %v", err)
		}
	}
	deep := strings.Repeat("(", maxDepth) + "auto" + strings.Repeat(")", maxDepth)
	if _, err := ParseModel(deep); err != nil {
		t.Error(err)
	}
}

func TestModelErrors(t *testing.T) {
	datadriven.RunTest(t, "testdata/model_errors", func(t *testing.T, d *datadriven.TestData) string {
		_, err := ParseModel(d.Input)
		var errs ModelErrors
		if !errors.As(err, &errs) {
			t.Fatalf("%s: %s is not refused: %v", d.Pos, d.Input, err)
		}
		var b strings.Builder
		for _, e := range errs {
			fmt.Fprintf(&b, "%s\n%s^ %s [%s]\n", d.Input, strings.Repeat(" ", e.Offset), e.Message, e.Check)
		}
		return b.String()
	})
}

// drawExpr draws any checked tree that the table allows.
func drawExpr(t *rapid.T, depth int) ModelExpr {
	kind := 0
	if depth < 4 {
		kind = rapid.IntRange(0, 2).Draw(t, "kind")
	}
	if kind == 0 {
		return drawCall(t, depth)
	}
	var of []ModelExpr
	for range rapid.IntRange(2, 3).Draw(t, "parts") {
		e := drawExpr(t, depth+1)
		switch sub := e.(type) {
		case Any:
			if kind == 1 {
				of = append(of, sub.Of...)
				continue
			}
		case All:
			if kind == 2 {
				of = append(of, sub.Of...)
				continue
			}
		}
		of = append(of, e)
	}
	if kind == 1 {
		return Any{Of: of}
	}
	return All{Of: of}
}

func drawCall(t *rapid.T, depth int) Call {
	m := rapid.SampledFrom(Models).Filter(func(m ModelSpec) bool { return depth == 0 || !TraitsOf(m.Name).Group }).Draw(t, "model")
	args := Args{}
	for _, p := range m.Params {
		if slices.ContainsFunc(p.Replaces, args.Has) || !rapid.Bool().Draw(t, p.Name+" given") {
			continue
		}
		if !p.List {
			args[p.Name] = drawValue(t, &p)
			continue
		}
		n := rapid.IntRange(1, 3).Draw(t, "items")
		var xs []any
		seen := map[any]bool{}
		for len(xs) < n {
			if x := drawValue(t, &p); !seen[x] {
				seen[x] = true
				xs = append(xs, x)
			}
		}
		args[p.Name] = typedList(p.Type, xs)
	}
	return call(m.Name, args)
}

func drawValue(t *rapid.T, p *ParamSpec) any {
	switch p.Type {
	case Duration:
		return time.Duration(rapid.Int64Range(int64(p.Bounds.Min*1000), int64(p.Bounds.Max*1000)).Draw(t, p.Name)) * time.Millisecond
	case Rate:
		return Frequency{rapid.Float64Range(0.1, 20).Draw(t, p.Name), time.Duration(rapid.Int64Range(1, 36).Draw(t, "days")) * day}
	case Choice:
		return rapid.SampledFrom(p.Choices).Draw(t, p.Name)
	case Date:
		return rapid.SampledFrom([]string{"2026-12-25", "12-25", "02-29"}).Draw(t, p.Name)
	case Timezone:
		return rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"}).Draw(t, p.Name)
	case Integer:
		return float64(rapid.IntRange(int(p.Bounds.Min), int(min(p.Bounds.Max, 1<<40))).Draw(t, p.Name))
	case Number, Fraction:
		return rapid.Float64Range(p.Bounds.Min, min(p.Bounds.Max, 1e300)).Filter(p.Bounds.contain).Draw(t, p.Name)
	default:
		return rapid.String().Draw(t, p.Name)
	}
}

func TestPrintedTreeParsesToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpr(t, 0)
		got, err := ParseModel(e.String())
		if err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		if d := equalTrees(e, got); d != "" {
			t.Fatalf("%s: (-want +got)\n%s", e, d)
		}
	})
}

func TestEveryStringLexesToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "s")
		tokens, err := lex(formatValue(s))
		if err != nil {
			t.Fatal(err)
		}
		if len(tokens) != 2 || tokens[0].str != s {
			t.Fatalf("%q reads as %+v", s, tokens)
		}
	})
}

func FuzzParseModel(f *testing.F) {
	for _, s := range []string{
		"auto", "zscore(window=6h, threshold=3) + mad(7d) & (seasonal(1d, 1w, tz=\"UTC\"))", "holtwinters(alpha=20%)", "zscore(alerts=0.5/1d) + auto(alerts=1/30d)",
		"seasonal(periods=[1d, 1w])", "a(b='\\'')", "((((", "1e", "-", "x(1e-)", "é",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseModel(text)
		if err != nil {
			errs, ok := AsModelErrors(err)
			if !ok || len(errs) == 0 {
				t.Fatalf("error without problems: %#v", err)
			}
			for _, e := range errs {
				if e.Offset < 0 || e.Offset > len(text) || e.Message == "" || findCheck(e.Check) == nil {
					t.Fatalf("problem %+v", e)
				}
			}
			return
		}
		again, err := ParseModel(e.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, e, err)
		}
		if d := equalTrees(e, again); d != "" {
			t.Fatalf("%q prints as %q: %s", text, e, d)
		}
	})
}
