package lang

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func identity(t *testing.T, text string) string {
	t.Helper()
	e, err := ParseModel(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return LearnedIdentity(e)
}

func TestLearnedIdentity(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := identity(t, text); got != want {
			t.Errorf("%s learns as %s, want %s", text, got, want)
		}
	}
	f("auto", "auto")
	f("zscore(threshold=9)", "zscore")
	f("zscore(alerts=1/1d)", "zscore")
	f("quantile(lower=5%, margin=0)", "quantile")
	f("zscore(threshold=9, window=60m)", "zscore(window=1h)")
	f("zscore(3600s)", "zscore(window=1h)")
	f("mad(window=360m, threshold=2)", "mad")
	f("seasonal(1w, 24h, threshold=2)", "seasonal")
	f("seasonal(12h, 1h)", "seasonal(1h, 12h)")
	f(`seasonal(tz="UTC")`, "seasonal")
	f("holtwinters(gamma=25%, alpha=0.2, threshold=8)", "holtwinters(gamma=0.25)")
	f("peers(by=[b, a], tolerance=2)", "peers(by=[a, b])")
	f(`prophet(holidays=["12-31", "01-01"])`, `prophet(holidays=["01-01", "12-31"])`)
	f("zscore(threshold=1) + (mad(threshold=1) + auto)", "zscore + mad + auto")
	f("(zscore(1h, 2) + mad) & count(rarity=1%)", "(zscore(window=1h) + mad) & count")
	f("mad + zscore", "mad + zscore")
	f("mad & zscore", "mad & zscore")
}

// others returns values of a parameter, spelled, that differ from each other
// and from the default.
func others(p *ParamSpec) []string {
	switch {
	case p.Type == Duration && p.List:
		return []string{"[2d]", "[2d, 3d]"}
	case p.Type == Duration:
		return []string{"2h", "3h"}
	case p.Type == Date && p.List:
		return []string{`["12-25"]`, `["2026-12-25"]`}
	case p.Type == Text && p.List:
		return []string{"[zone]", "[zone, rack]"}
	case p.Type == Timezone:
		return []string{`"Europe/Berlin"`, `"Asia/Tokyo"`}
	case p.Type == Rate:
		return []string{"2/1d", "1/7d"}
	case p.Type == Choice:
		return slices.DeleteFunc(slices.Clone(p.Choices), func(c string) bool { return c == p.Default })
	}
	var out []string
	for _, v := range []float64{2, 3, 17, 33, 0.123, 0.456, 0.611, 0.712} {
		if p.Bounds.contain(v) && v != p.Default && (p.Type != Integer || v == math.Trunc(v)) {
			out = append(out, strconv.FormatFloat(v, 'g', -1, 64))
		}
	}
	return out
}

// TestEveryArgumentOfTheTable holds, of each argument of each model, that
// another value is another identity unless the table calls it the border, and
// that the default written out, in other units and another order is the same.
func TestEveryArgumentOfTheTable(t *testing.T) {
	for _, m := range Models {
		all := map[string]string{m.Name: "nothing"} // identity -> what makes it
		var names []string
		for i := range m.Params {
			p := &m.Params[i]
			values := others(p)
			if len(values) == 0 {
				t.Fatalf("%s: no other value of %s", m.Name, p.Name)
			}
			for _, v := range values {
				text := fmt.Sprintf("%s(%s=%s)", m.Name, p.Name, v)
				id := identity(t, text)
				if p.Border != (id == m.Name) {
					t.Errorf("%s is %s", text, id)
				}
				if was, twice := all[id]; twice && !p.Border {
					t.Errorf("%s and %s are both %s", text, was, id)
				}
				if all[id] = text; identity(t, id) != id {
					t.Errorf("%s reads as %s", id, identity(t, id))
				}
			}
			if len(p.Replaces) == 0 {
				names = append(names, p.Name+"="+values[0])
			}
			if p.Default == nil {
				continue
			}
			for _, v := range spellings(p.Default) {
				if text := fmt.Sprintf("%s(%s=%s)", m.Name, p.Name, v); identity(t, text) != m.Name {
					t.Errorf("%s is %s", text, identity(t, text))
				}
			}
		}
		forth := m.Name + "(" + strings.Join(names, ", ") + ")"
		slices.Reverse(names)
		if back := m.Name + "(" + strings.Join(names, ", ") + ")"; identity(t, forth) != identity(t, back) {
			t.Errorf("%s is %s, and the other way round %s", forth, identity(t, forth), identity(t, back))
		}
	}
}

// spellings writes a value in several ways.
func spellings(v any) []string {
	switch v := v.(type) {
	case time.Duration:
		return []string{formatValue(v), fmt.Sprintf("%dms", v.Milliseconds()), fmt.Sprintf("%ds", int(v.Seconds()))}
	case []time.Duration:
		var back []string
		for _, d := range slices.Backward(v) {
			back = append(back, fmt.Sprintf("%dms", d.Milliseconds()))
		}
		return []string{formatValue(v), "[" + strings.Join(back, ", ") + "]"}
	case float64:
		return []string{formatValue(v), strconv.FormatFloat(v, 'e', -1, 64)}
	}
	return []string{formatValue(v)}
}

// TestIdentityIsTheTreeWithoutBorders draws trees: other borders leave the
// identity, anything else does not.
func TestIdentityIsTheTreeWithoutBorders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpr(t, 0)
		calls := Calls(e)
		c := rapid.SampledFrom(calls).Draw(t, "call")
		spec := FindModel(c.Name)
		if len(spec.Params) == 0 {
			return
		}
		p := rapid.SampledFrom(spec.Params).Draw(t, "parameter")
		if p.List {
			return
		}
		before, old := LearnedIdentity(e), maps.Clone(c.Args)
		c.Args[p.Name] = drawValue(t, &p) // the tree's own map
		after := LearnedIdentity(e)
		if same := p.Border || c.Args[p.Name] == old[p.Name]; (before == after) != same {
			t.Fatalf("%s: %v for %v: %s became %s", p.Name, c.Args[p.Name], old[p.Name], before, after)
		}
	})
}

func learnedKey(t *testing.T, fields string) string {
	t.Helper()
	file, problems := Load("f.yaml", []byte("groups:\n- name: g\n  rules:\n  - {"+fields+"}\n"))
	if problems.HasErrors() {
		t.Fatalf("%s: %s", fields, problems)
	}
	return file.Groups[0].Rules[0].Anomaly.LearnedKey()
}

func TestLearnedKey(t *testing.T) {
	const (
		series = `anomaly: A, expr: "rate(x[5m])", model: "zscore(window=1h)"`
		ratio  = `anomaly: A, ratio: {errors: a, total: b}`
		inputs = `anomaly: A, inputs: {errors: a, total: b}, join: [x, y]`
	)
	equal := func(a, b string) {
		t.Helper()
		if x, y := learnedKey(t, a), learnedKey(t, b); x != y {
			t.Errorf("%s: %s\n%s: %s", a, x, b, y)
		}
	}
	keys := map[string]string{}
	differ := func(fields string) {
		t.Helper()
		key := learnedKey(t, fields)
		if was, twice := keys[key]; twice {
			t.Errorf("%s and %s are both %s", fields, was, key)
		}
		keys[key] = fields
	}
	equal(series, `anomaly: A, expr: "rate( x [300s])", model: "zscore(1h, 5)"`)
	equal(series, `model: "zscore(threshold=4, window=60m)", expr: "rate(x[5m])", anomaly: A`)
	for _, more := range []string{
		"labels: {a: b}", "output: [all]", "limit: 7", "direction: above", "min_dev: 1", "min_rel_dev: 10%", "range: [0, 1]", "width: 2",
		"warmup: 1h", "accept: 2h", "cohort: [job]", "exclude: [{from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z'}]", "forecast: {horizons: [1h]}", "alert: {when: '> 1'}",
	} {
		equal(series, series+", "+more)
	}
	equal(ratio, `anomaly: A, ratio: {total: b, errors: a}, limit: 3`)
	equal(inputs, inputs+", explain: 1")
	equal(inputs, `anomaly: A, inputs: {errors: a, total: b}, join: [y, x]`)

	differ(series)
	differ(`anomaly: B, expr: "rate(x[5m])", model: "zscore(window=1h)"`)
	differ(`anomaly: A, expr: "rate(x[6m])", model: "zscore(window=1h)"`)
	differ(`anomaly: A, expr: "rate(x[5m])", model: "zscore(window=2h)"`)
	differ(`anomaly: A, expr: "rate(x[5m])", model: mad`)
	differ(`anomaly: A, expr: "rate(x[5m])"`)
	differ(ratio)
	differ(`anomaly: A, ratio: {errors: b, total: a}`)
	differ(`anomaly: A, ratio: {errors: a, total: b}, model: ratio`)
	differ(inputs)
	differ(`anomaly: A, inputs: {errors: a, total: b}, join: [x]`)
	differ(`anomaly: A, inputs: {total: b, errors: a}, join: [x, y]`) // states stand in their order
	differ(`anomaly: A, inputs: {errors: a, totals: b}, join: [x, y]`)
	differ(`anomaly: A, inputs: {errors: a}, join: [x, y]`)
	differ(`anomaly: A, inputs: {expr: a}, join: [x, y]`)
	differ(`anomaly: A, expr: a`)
	differ(`anomaly: A, inputs: {expr: a, '"': b}, join: [x, y]`)
	differ(`anomaly: A, inputs: {'expr"="a" "': b}, join: [x, y]`)
}

// TestADifferenceIsNamed also has texts that look like the parts of a key.
func TestADifferenceIsNamed(t *testing.T) {
	f := func(before, now, want string) {
		t.Helper()
		if got := LearnedDifference(learnedKey(t, before), learnedKey(t, now)); got != want {
			t.Errorf("%s\n%s\n%s\nwant %s", before, now, got, want)
		}
	}
	const expressions = "its expressions, or the labels that join them, are others than before"
	f(`anomaly: A, expr: x, model: zscore(6h)`, `anomaly: A, expr: x, model: zscore(5h)`, "its model was zscore and is zscore(window=5h) now")
	f(`anomaly: A, expr: x`, `anomaly: A, expr: y`, expressions)
	f(`anomaly: A, inputs: {a: x, b: y}, join: [j]`, `anomaly: A, inputs: {a: x, b: y}, join: [k]`, expressions)
	f(`anomaly: A, expr: x, model: mad`, `anomaly: A, expr: y`, "its model and its expressions, or the labels that join them, are others than before")
	f(`anomaly: A, expr: 'x{a=" model \"mad\""}'`, `anomaly: A, expr: 'x{a=" model \"auto\""}'`, expressions)
}

// TestKeysAreUnambiguous draws rules of awkward texts: their keys are equal
// only when all their texts are.
func TestKeysAreUnambiguous(t *testing.T) {
	awkward := rapid.StringOfN(rapid.SampledFrom([]rune(`a" =\j`)), 0, 3, -1)
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (*Anomaly, string) {
			a := &Anomaly{Name: awkward.Draw(t, "name"), Model: call("auto", Args{}), Inputs: []Source{}, Join: []string{}}
			for range rapid.IntRange(1, 2).Draw(t, "inputs") {
				e, err := promQL.ParseExpr(strconv.Quote(awkward.Draw(t, "expression")))
				if err != nil {
					t.Fatal(err)
				}
				a.Inputs = append(a.Inputs, Source{Name: awkward.Draw(t, "input"), Expr: e})
			}
			for range rapid.IntRange(0, 2).Draw(t, "labels") {
				a.Join = append(a.Join, awkward.Draw(t, "label"))
			}
			slices.Sort(a.Join)
			return a, fmt.Sprintf("%q %q %q", a.Name, a.Inputs, a.Join)
		}
		a, x := draw()
		b, y := draw()
		if (a.LearnedKey() == b.LearnedKey()) != (x == y) {
			t.Fatalf("%s and %s: %s and %s", x, y, a.LearnedKey(), b.LearnedKey())
		}
	})
}
