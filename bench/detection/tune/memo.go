package tune

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// Memo keeps what was measured, by source and constants, so that nothing is
// measured twice: searches share much of their way, and a run that was ended
// goes on where it was. The zero value remembers until the process ends.
type Memo struct {
	program string // fingerprint of what measured
	figures map[string][]Figure
	file    io.Writer
	close   func() error
}

// memoLine is a line of the file, JSON.
type memoLine struct {
	Program string       `json:"program"`
	Of      string       `json:"of"` // source, key and constants
	Figures []memoFigure `json:"figures"`
}

// memoFigure is a Figure; null is what is not a number.
type memoFigure struct {
	Name   string     `json:"name"`
	Weight float64    `json:"weight"`
	Value  []*float64 `json:"value"`
}

// OpenMemo reads the file at path, if there is one, and appends to it. Lines of
// another program, which may measure something else, and damaged ones, as a
// kill leaves them, are passed over.
func OpenMemo(path, program string) (*Memo, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644) //nolint:gosec // figures for everybody
	if err != nil {
		return nil, err
	}
	m := &Memo{program: program, file: f, close: f.Close}
	whole, err := m.read(f)
	if err == nil && !whole {
		_, err = f.WriteString("\n") // what comes next is a line of its own
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return m, nil
}

// Close closes the file.
func (m *Memo) Close() error {
	if m.close == nil {
		return nil
	}
	return m.close()
}

// Len is the number of measurements that are known.
func (m *Memo) Len() int { return len(m.figures) }

// read takes the lines of a file; whole tells that the last one has an end.
func (m *Memo) read(r io.Reader) (whole bool, err error) {
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return len(line) == 0, nil
		}
		if err != nil {
			return false, err
		}
		var l memoLine
		d := json.NewDecoder(bytes.NewReader(line))
		if d.Decode(&l) == nil && l.Program == m.program {
			if figures, ok := l.figuresOf(); ok {
				m.put(l.Of, figures)
			}
		}
	}
}

func (l *memoLine) figuresOf() (out []Figure, ok bool) {
	for _, f := range l.Figures {
		if len(f.Value) != int(numParts) {
			return nil, false
		}
		figure := Figure{Name: f.Name, Weight: f.Weight}
		for i, v := range f.Value {
			figure.Value[i] = math.NaN()
			if v != nil {
				figure.Value[i] = *v
			}
		}
		out = append(out, figure)
	}
	return out, len(out) > 0
}

func (m *Memo) put(of string, figures []Figure) {
	if m.figures == nil {
		m.figures = map[string][]Figure{}
	}
	m.figures[of] = figures
}

// name is what a measurement is known by.
func name(s *Source, knobs []Knob, values []float64) string {
	var b strings.Builder
	b.WriteString(s.Name + "; " + s.Key)
	for i, k := range knobs {
		b.WriteString("; " + k.Name + "=" + strconv.FormatFloat(values[i], 'g', -1, 64))
	}
	return b.String()
}

func (m *Memo) find(s *Source, knobs []Knob, values []float64) ([]Figure, bool) {
	figures, ok := m.figures[name(s, knobs, values)]
	return figures, ok
}

func (m *Memo) keep(s *Source, knobs []Knob, values []float64, figures []Figure) error {
	of := name(s, knobs, values)
	m.put(of, figures)
	if m.file == nil {
		return nil
	}
	l := memoLine{Program: m.program, Of: of}
	for _, f := range figures {
		one := memoFigure{Name: f.Name, Weight: f.Weight}
		for _, v := range f.Value {
			if math.IsNaN(v) {
				one.Value = append(one.Value, nil)
			} else {
				one.Value = append(one.Value, &v)
			}
		}
		l.Figures = append(l.Figures, one)
	}
	text, err := json.Marshal(l)
	if err == nil {
		_, err = m.file.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("cannot keep the figures of %s: %w", s.Name, err)
	}
	return nil
}
