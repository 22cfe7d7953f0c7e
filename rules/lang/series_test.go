package lang

import (
	"slices"
	"strings"
	"testing"
)

func TestResultLabels(t *testing.T) {
	f := func(expr, want string) {
		t.Helper()
		e, err := PromQL().ParseExpr(expr)
		if err != nil {
			t.Fatal(err)
		}
		got := resultLabels(e)
		slices.Sort(got.names)
		text := strings.Join(slices.Compact(got.names), " ")
		if got.open {
			text = "any"
		}
		if text != want {
			t.Errorf("%s: %q, want %q", expr, text, want)
		}
	}
	f(`up`, "any")
	f(`rate(x[5m])`, "any")
	f(`sum(x)`, "")
	f(`sum by (a, b) (x)`, "a b")
	f(`(-sum by (a) (rate(x[5m])))`, "a")
	f(`sum without (a) (x)`, "any")
	f(`sum without (a) (sum by (a, b) (x))`, "a b")
	f(`topk by (a) (3, x)`, "any")
	f(`topk by (a) (3, sum by (a, b) (x))`, "a b")
	f(`count_values("v", x)`, "v")
	f(`count_values by (a) ("v", x)`, "a v")
	f(`count_values without (a) ("v", sum by (b) (x))`, "b v")
	f(`count_values without (a) ("v", x)`, "any")
	f(`histogram_quantile(0.9, sum by (le, a) (x))`, "a le")
	f(`label_replace(sum by (a) (x), "new", "$1", "src", "(.*)")`, "$1 (.*) a new src")
	f(`label_join(x, "new", "-", "a")`, "any")
	f(`absent(x{a="b"})`, "any")
	f(`vector(1)`, "")
	f(`vector(time())`, "")
	f(`max_over_time(sum by (a) (x)[1h:])`, "a")
	f(`sum by (a) (x) > 3`, "a")
	f(`3 < bool sum by (a) (x)`, "a")
	f(`sum by (a) (x) / on(b) y`, "b")
	f(`sum by (a) (x) / on(b) group_left(c) y`, "any")
	f(`sum by (a) (x) / sum by (a) (y)`, "any")
	f(`sum by (a) (x) and y`, "a")
	f(`sum by (a) (x) unless on() y`, "a")
	f(`sum by (a) (x) or y`, "any")
}

func TestArgsAccessors(t *testing.T) {
	e, err := ParseModel("seasonal(12h, 1d)")
	if err != nil {
		t.Fatal(err)
	}
	args := e.(Call).Args
	if got := args.Durations("periods"); len(got) != 2 || got[0] != day/2 || got[1] != day {
		t.Errorf("periods = %v", got)
	}
	if args.Floats("weights") != nil || args.Strings("holidays") != nil || args.Int("trees") != 0 || args.Durations("x") != nil {
		t.Error("absent arguments have values")
	}
	defer func() {
		if recover() == nil {
			t.Error("a wrong type passes")
		}
	}()
	args.Float("periods")
}
