// Package diag says what is wrong with a text that somebody wrote: file, line,
// column, what, and the nearest right word. Rule files, policy files and the
// configuration speak through it, so that every message has one form.
//
// It knows YAML and positions; it knows no domain.
package diag

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Severity tells whether a problem prevents the use of a file.
type Severity uint8

const (
	// Error prevents the file's use.
	Error Severity = iota
	// Warning is worth a look; the file works.
	Warning
)

// Problem is one thing that is wrong at one place.
type Problem struct {
	File     string
	Line     int // from 1; 0 when the whole file is meant
	Column   int // from 1, in bytes; 0 when the whole line is meant
	Severity Severity
	Check    string // stable name such as "model/name"; the same word in docs/checks
	Message  string
}

// String renders "file:line:column: message [check]"; a warning says so.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	b.WriteString(": ")
	if p.Severity == Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Message)
	if p.Check != "" {
		fmt.Fprintf(&b, " [%s]", p.Check)
	}
	return b.String()
}

// Problems are all problems of one or more files.
type Problems []Problem

// HasErrors reports whether one of them prevents the use of the file.
func (ps Problems) HasErrors() bool {
	for _, p := range ps {
		if p.Severity == Error {
			return true
		}
	}
	return false
}

// Sort orders by file, line and column; problems of one place keep their order.
func (ps Problems) Sort() {
	sort.SliceStable(ps, func(i, j int) bool {
		a, b := ps[i], ps[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
}

// Err joins the error-level problems into one error, nil when there are none.
func (ps Problems) Err() error {
	var errs []error
	for _, p := range ps {
		if p.Severity == Error {
			errs = append(errs, errors.New(p.String()))
		}
	}
	return errors.Join(errs...)
}

// String renders a problem a line.
func (ps Problems) String() string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.String())
		b.WriteByte('\n')
	}
	return b.String()
}
