package lang

import (
	"fmt"
	"slices"

	"github.com/chironhq/chiron/internal/diag"
)

// CheckFiles checks what only shows when all rules are seen together. It
// returns what Load does not: circles and rules that write the same series when
// they concern more than one file, and reads of what no file writes.
func CheckFiles(files ...*File) diag.Problems {
	known := map[diag.Problem]bool{}
	for _, f := range files {
		for _, p := range checkTogether([]*File{f}) {
			known[p] = true
		}
	}
	ps := append(checkTogether(files), checkUnwritten(files)...)
	ps = slices.DeleteFunc(ps, func(p diag.Problem) bool {
		return known[p] || slices.ContainsFunc(files, func(f *File) bool { return f.Name == p.File && f.silence.covers(p) })
	})
	ps.Sort()
	return ps
}

// checkTogether looks for circles and for rules that write the same series.
func checkTogether(files []*File) diag.Problems {
	return append(checkCycles(files), checkSameSeries(files)...)
}

// checkSameSeries warns when rules of different groups have one name and the
// same labels: the check rule/duplicate. Whether they clash depends on what
// their expressions return, so it is no error.
func checkSameSeries(files []*File) diag.Problems {
	var ps diag.Problems
	first := map[string]string{} // what identifies the series -> where
	for _, f := range files {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				if r.Anomaly == nil {
					continue
				}
				key := r.Anomaly.scoreSelector()
				where, ok := first[key]
				if !ok {
					first[key] = fmt.Sprintf("group %q, line %d of %s", g.Name, r.Pos.Line, f.Name)
					continue
				}
				ps = append(ps, diag.Problem{
					File: f.Name, Line: r.Pos.Line, Column: r.Pos.Column, Severity: diag.Warning, Check: "rule/duplicate",
					Message: fmt.Sprintf("anomaly %q has the name and the labels of another rule (%s); give one of them another name or label", r.Anomaly.Name, where),
				})
			}
		}
	}
	return ps
}
