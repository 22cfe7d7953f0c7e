package tune

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hill is a detector of two constants and three sources, each of which is best
// at a place of its own. Both halves of b want something else.
type hill struct {
	x, y float64
	runs map[string]int
}

func (h *hill) knobs() []Knob {
	return []Knob{{Name: "x", Value: &h.x, Try: []float64{0, 1, 2, 3, 4}}, {Name: "y", Value: &h.y, Try: []float64{0, 1, 2}}}
}

func (h *hill) source(name string, at [numParts]float64) Source {
	return Source{Name: name, Measure: func(context.Context) ([]Figure, error) {
		h.runs[name]++
		f := Figure{Name: "peak", Weight: 1}
		for i := range f.Value {
			f.Value[i] = 1 - (h.x-at[i])*(h.x-at[i])/100 - (h.y-1)*(h.y-1)/100
		}
		return []Figure{f}, nil
	}}
}

func newHill() (*hill, []Source) {
	h := &hill{x: 0.5, y: 0, runs: map[string]int{}}
	kept := h.source("made", [numParts]float64{2, 2, 2})
	kept.Keep = true
	kept.Unseen = func(context.Context) ([]Figure, error) {
		return []Figure{{Name: "peak", Weight: 1, Value: [numParts]float64{h.x / 10, math.NaN(), math.NaN()}}}, nil
	}
	return h, []Source{kept, h.source("a", [numParts]float64{2, 2, 2}), h.source("b", [numParts]float64{4, 0, 4})}
}

// The protocol finds the summit, tells by how much a source falls that is left
// out, and gives the shipped constants back.
func TestRun(t *testing.T) {
	h, sources := newHill()
	report, err := Run(t.Context(), h.knobs(), sources, Options{MinGain: 1e-6})
	if err != nil {
		t.Fatal(err)
	}
	if h.x != 0.5 || h.y != 0 {
		t.Errorf("constants %v, %v after the run", h.x, h.y)
	}
	// The mean of 2, 2 and 4 is 2.67; without b it is 2; the halves have 1.33 and 2.67.
	want := map[string][]float64{"everything": {3, 1}, "everything but a": {3, 1}, "everything but b": {2, 1}, "first halves": {1, 1}, "second halves": {3, 1}}
	for _, c := range report.Choices {
		if !slices.Equal(c.Values, want[c.On]) {
			t.Errorf("%s: chose %v, want %v", c.On, c.Values, want[c.On])
		}
		if c.Objective <= c.Shipped {
			t.Errorf("%s: objective %v, shipped %v", c.On, c.Objective, c.Shipped)
		}
	}
	if len(report.Choices) != len(want) {
		t.Errorf("%d choices", len(report.Choices))
	}
	f := func(data string, in, out float64) {
		t.Helper()
		i := slices.IndexFunc(report.Rows, func(r Row) bool { return r.Data == data })
		if i < 0 {
			t.Fatalf("no row %q in %+v", data, report.Rows)
		}
		if r := report.Rows[i]; math.Abs(r.In-in) > 1e-12 || math.Abs(r.Out-out) > 1e-12 || math.Abs(r.Gap()-(in-out)) > 1e-12 {
			t.Errorf("%+v, want %v and %v", r, in, out)
		}
	}
	f("a", 0.99, 0.99)
	f("b", 0.99, 0.96)
	f("made, unseen", 0.99, 0.3)
	f("b, half 1", 0.99, 0.91)
	f("b, half 2", 0.99, 0.91)
	var text bytes.Buffer
	report.Print(&text, h.knobs())
	if !strings.Contains(text.String(), " b|    0.9900|   0.9600| 0.0300|") {
		t.Error(text.String())
	}
}

// What was measured is not measured again: not by another search, and not by a
// run that goes on after the one before was cut short in the middle of a line.
func TestMemo(t *testing.T) {
	h, sources := newHill()
	path := filepath.Join(t.TempDir(), "memo")
	once := func(program string, s []Source) (Report, error) {
		m, err := OpenMemo(path, program)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return Run(t.Context(), h.knobs(), s, Options{Memo: m})
	}
	stop := errors.New("stopped")
	cut := slices.Clone(sources)
	cut[1].Measure = func(ctx context.Context) ([]Figure, error) {
		if h.x == 2 {
			return nil, stop
		}
		return sources[1].Measure(ctx)
	}
	if _, err := once("p", cut); !errors.Is(err, stop) || !strings.Contains(err.Error(), "cannot measure a") {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"program":"p","of":"a; ; x=2`); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	full, err := once("p", sources)
	if err != nil {
		t.Fatal(err)
	}
	runs := h.runs["a"]
	if most := 6 * 3; runs > most { // with the shipped ones, there are so many constants
		t.Errorf("a was measured %d times, want at most %d", runs, most)
	}
	again, err := once("p", sources)
	if err != nil {
		t.Fatal(err)
	}
	if h.runs["a"] != runs || !slices.Equal(full.Rows, again.Rows) {
		t.Errorf("a was measured %d times more; rows %v and %v", h.runs["a"]-runs, full.Rows, again.Rows)
	}
	if _, err := once("another program", sources); err != nil || h.runs["a"] == runs {
		t.Errorf("another program took the figures over; %v", err)
	}
}

func TestEvaluate(t *testing.T) {
	h, sources := newHill()
	all, err := Evaluate(t.Context(), h.knobs(), sources, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 4 || h.runs["b"] != 1 {
		t.Fatalf("%+v after %d runs", all, h.runs["b"])
	}
	b := 1 - 3.5*3.5/100 - 0.01
	if s := all[3]; s.Source != "b" || math.Abs(s.Value[Whole]-b) > 1e-12 || math.Abs(s.Value[First]-(1-0.0025-0.01)) > 1e-12 {
		t.Errorf("%+v", s)
	}
	if s := all[0]; math.Abs(s.Value[Whole]-(2*(1-0.0225-0.01)+b)/3) > 1e-12 {
		t.Errorf("objective %v", s.Value)
	}
	if s := all[1]; s.Unseen != 0.05 {
		t.Errorf("unseen %v", s.Unseen)
	}
	var text bytes.Buffer
	PrintStandings(&text, all)
	if !strings.Contains(text.String(), "0.8675") {
		t.Error(text.String())
	}
}

func TestKnobErrors(t *testing.T) {
	x := 1.0
	f := func(knobs ...Knob) {
		t.Helper()
		if _, err := Run(t.Context(), knobs, nil, Options{}); err == nil {
			t.Error("no error")
		}
	}
	f(Knob{Name: "x"})
	f(Knob{Name: "x", Value: &x}, Knob{Name: "x", Value: &x})
}

// FuzzMemo reads arbitrary bytes as a file of figures; what is taken can be
// written and read again.
func FuzzMemo(f *testing.F) {
	f.Add([]byte(`{"program":"p","of":"a","figures":[{"name":"f","weight":1,"value":[0.5,null,1]}]}` + "\n"))
	f.Add([]byte(`{"program":"q","of":"a","figures":[{"name":"f","weight":1,"value":[0.5,null,1]}]}` + "\n" + `{"program":"p"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &Memo{program: "p"}
		if _, err := m.read(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(b, []byte("\n")); m.Len() > lines {
			t.Errorf("%d measurements in %d lines", m.Len(), lines)
		}
		again := &Memo{program: "p"}
		var text bytes.Buffer
		again.file = &text
		for of, figures := range m.figures {
			if err := again.keep(&Source{Name: of}, nil, nil, figures); err != nil {
				t.Fatal(err)
			}
		}
		back := &Memo{program: "p"}
		if whole, err := back.read(&text); err != nil || !whole || back.Len() != m.Len() {
			t.Errorf("%d measurements came back as %d: %v", m.Len(), back.Len(), err)
		}
	})
}
