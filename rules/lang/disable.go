package lang

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/chironhq/chiron/internal/diag"
)

// A comment "# chiron disable rule/direction" turns off a check's warnings for
// the rule in or above which it stands; above the first rule, for the file.
// Several checks are separated by commas.
var disableComment = regexp.MustCompile(`(?:^|\s)#\s*chiron disable\s+([a-z/, \t-]+)`)

// disabled is one check named in a comment.
type disabled struct {
	check string
	rule  int // index of the rule; -1 for the file
}

// silence is what the comments of a file turn off.
type silence struct {
	rules []Pos // of all rules, in order
	off   []disabled
}

// covers tells whether a problem of the file is turned off.
func (s silence) covers(p diag.Problem) bool {
	return p.Severity == diag.Warning &&
		(slices.Contains(s.off, disabled{p.Check, s.ruleAt(p.Line)}) || slices.Contains(s.off, disabled{p.Check, -1}))
}

// ruleAt returns the rule that a line (from 1) belongs to, -1 above the first.
func (s silence) ruleAt(line int) int {
	rule := -1
	for i, p := range s.rules {
		if p.Line <= line {
			rule = i
		}
	}
	return rule
}

// quieten drops the warnings that comments turn off.
func (l *loader) quieten(ps diag.Problems) diag.Problems {
	wrong := l.disabledChecks()
	return slices.DeleteFunc(append(ps, wrong...), l.silence.covers)
}

// disabledChecks reads the comments and returns what is wrong with them.
func (l *loader) disabledChecks() (wrong diag.Problems) {
	lines := strings.Split(string(l.content), "\n")
	for i, line := range lines {
		m := disableComment.FindStringSubmatchIndex(line)
		if m == nil {
			continue
		}
		rule := l.silence.ruleAt(belongsTo(lines, i) + 1)
		for _, name := range strings.FieldsFunc(line[m[2]:m[3]], func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' }) {
			if message := cannotDisable(name); message != "" {
				wrong = append(wrong, diag.Problem{
					File: l.doc.File, Line: i + 1, Column: utf8.RuneCountInString(line[:m[2]]) + 1,
					Severity: diag.Warning, Check: "lint/disable", Message: message,
				})
				continue
			}
			l.silence.off = append(l.silence.off, disabled{name, rule})
		}
	}
	return wrong
}

func cannotDisable(name string) string {
	check := findCheck(name)
	if check == nil {
		known := make([]string, len(Checks))
		for i, c := range Checks {
			known[i] = c.Name
		}
		return "there is no check " + name + diag.DidYouMean(name, known)
	}
	if check.Severity != diag.Warning {
		return name + " reports errors and cannot be turned off"
	}
	return ""
}

// belongsTo returns the line that a comment in line i speaks of: its own, or
// the next with content when it stands alone.
func belongsTo(lines []string, i int) int {
	for j := i; j < len(lines); j++ {
		if s := strings.TrimSpace(lines[j]); s != "" && s[0] != '#' {
			return j
		}
	}
	return i
}
