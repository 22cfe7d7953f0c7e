package lang

import (
	"fmt"
	"slices"

	"github.com/chironhq/chiron/internal/diag"
)

// CheckFiles checks what only shows when rules are seen together: circles and
// rules that write the same series. Load has done it for each file; of several
// files it returns what concerns more than one.
func CheckFiles(files ...*File) diag.Problems {
	ps := checkCycles(files)
	ps = append(ps, checkSameSeries(files)...)
	if len(files) > 1 {
		alone := map[diag.Problem]bool{}
		for _, f := range files {
			for _, p := range CheckFiles(f) {
				alone[p] = true
			}
		}
		ps = slices.DeleteFunc(ps, func(p diag.Problem) bool { return alone[p] })
	}
	ps.Sort()
	return ps
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
