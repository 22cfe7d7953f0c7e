package scenario

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestSpecErrors(t *testing.T) {
	const frame = `{"kinds": [{"name": "x", "step": 60, "days": 10, "learn": "1d", "base": %s, "incidents": [%s]}]}`
	f := func(base, incident string) {
		t.Helper()
		if _, err := Parse(fmt.Appendf(nil, frame, base, incident)); err == nil {
			t.Errorf("no error for %s %s", base, incident)
		}
	}
	f(`{"op": "gaus", "sigma": 1}`, ``)
	f(`{"op": "gauss"}`, ``)
	f(`{"op": "gauss", "sigma": 1, "center": 2}`, ``)
	f(`{"op": "poisson"}`, ``)
	f(`{"op": "job", "for": "1h", "height": 1, "every": 0}`, ``)
	f(`{"op": "sum", "of": [{"op": "trend", "perday": 1, "id": "a"}, {"op": "trend", "perday": 1, "id": "a"}]}`, ``)
	f(`[2, 1]`, ``)
	f(`"1x"`, ``)
	f(`{"log": [0, 1]}`, ``)
	f(`1`, `{"kind": "shift"}`)
	f(`1`, `{"kind": "shift", "for": "1h"}`)
	f(`1`, `{"kind": "shift", "for": "1h", "sigma": 1, "factor": 2}`)
	f(`1`, `{"kind": "shift", "for": "1h", "sigma": 1, "target": "y"}`)
	f(`1`, `{"kind": "nojob"}`)
	f(`1`, `{"kind": "shift", "for": "1h", "sigma": 1, "colour": 1}`)
	f(`1`, `{"kind": "recur", "for": "1h", "add": 1, "every": "0s"}`)
	if _, err := Parse(fmt.Appendf(nil, frame, `{"op": "sum", "of": [1, {"op": "gauss", "sigma": {"choice": [1, 2]}}]}`, `{"kind": "shift", "for": ["30m", "1d12h"], "sigma": 5}`)); err != nil {
		t.Error(err)
	}
}

// The example of the README is a spec, and its series can be drawn.
func TestReadmeExample(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "```json\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no example")
	}
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.Kinds[0].Generate(1)
	if err != nil || len(in.musts()) != 2 {
		t.Errorf("%d incidents, %v", len(in.musts()), err)
	}
}

// FuzzParse reads arbitrary text as a spec, and draws what is small.
func FuzzParse(f *testing.F) {
	f.Add(builtin)
	f.Add([]byte(`{"kinds": [{"name": "x", "step": 60, "days": [9, 10], "learn": "3d", "base": {"op": "sum", "of": [1, {"op": "gauss", "sigma": {"log": [1, 2]}}]}, "incidents": [{"kind": "glitch", "to": 1e9}]}]}`))
	f.Add([]byte(`{"kinds": [{"name": "x", "step": 3600, "days": [9, 10], "learn": "3d", "jitter": 0.1, "gaps": 0.1, "counter": "1d", "base": {"op": "product", "of": [{"op": "week", "id": "w", "sat": 0.5, "sun": 0.1}, {"op": "job", "every": "1d", "at": "2h", "for": "1h", "height": 5}, {"op": "levels", "lo": 1, "hi": 2, "every": "1d"}]}, "incidents": [{"kind": "weekend", "target": "w"}, {"kind": "recur", "every": "1d", "for": "1h", "add": 9}]}]}`))
	f.Add([]byte(`{"kinds": [{"name": "x", "step": 3600, "days": 9, "learn": "3d", "base": {"op": "autoscale", "per": 2, "of": [{"op": "wave", "id": "w", "low": 1, "high": 9, "period": "5h"}]}, "incidents": [{"kind": "frequency", "target": "w", "for": "5h", "factor": 2}, {"kind": "leak", "for": "1d", "add": 9, "after": "2h"}]}]}`))
	f.Add([]byte(`{"kinds": [{"name": "x", "step": 900, "days": 9, "learn": "3d", "base": {"op": "clip", "lo": 0, "of": [{"op": "bursts", "perday": 5, "scale": 2}]}, "incidents": [{"kind": "phase", "by": "1h", "for": "5h", "hour": 5}, {"kind": "stuck", "for": "1d", "repeat": 2, "gap": "1h"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		for i := range s.Kinds {
			k := &s.Kinds[i]
			if k.Days.max()*86400/float64(k.Step) > 2000 || len(b) > 2000 || len(k.Incidents) > 2 {
				continue // too slow to draw here
			}
			in, err := k.Generate(1)
			if err != nil {
				continue
			}
			for j := 1; j < len(in.Times); j++ {
				if in.Times[j] <= in.Times[j-1] {
					t.Fatalf("time goes back at %d", j)
				}
			}
		}
	})
}
