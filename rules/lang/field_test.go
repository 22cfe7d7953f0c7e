package lang

import (
	"testing"
	"time"
)

func TestSetField(t *testing.T) {
	f := func(name, text, want string) {
		t.Helper()
		got := ""
		if err := NewAnomaly(DefaultModel()).SetField(name, text); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s says %q, want %q", name, text, got, want)
		}
	}
	f("direction", "abov", `direction must be above, below or both, not "abov"; did you mean "above"?`)
	f("min_dev", "x", `min_dev must be a number, not "x"`)
	f("min_dev", "-1", "min_dev must be 0 or more and finite")
	f("min_rel_dev", "5", `min_rel_dev must be a percentage such as 20%, not "5"`)
	f("range", "0:5", "range must be a pair [lo, hi]")
	f("range", "[5, 0]", "range: the lower end 5 must be below the upper end 0")
	f("range", "[5", "did not find expected ',' or ']'")
	f("width", "0", "width must be above 0 and finite, not 0")
	f("warmup", "5", `warmup must be a duration such as 30s or 1h30m, not "5"`)
	f("accept", "", `accept must be a duration such as 30s or 1h30m, not nothing`)
	f("accept", "30s", "accept must be 1m or more, not 30s")
	f("expr", "up", "expr is no field that says how values are judged")

	a := NewAnomaly(DefaultModel())
	for name, text := range map[string]string{
		"direction": "below", "min_dev": "[5, 0]", "min_rel_dev": "20%", "range": "[0, 50]", "width": "2", "warmup": "1h", "accept": "6h",
	} {
		if err := a.SetField(name, text); err != nil {
			t.Error(err)
		}
	}
	if a.Direction != Below || a.MinDev != [2]float64{5, 0} || a.MinRelDev != [2]float64{0.2, 0.2} || a.Range != [2]float64{0, 50} ||
		a.Width != [2]float64{2, 2} || a.Warmup != time.Hour || a.Accept != 6*time.Hour {
		t.Errorf("the fields are %+v", a)
	}
}
