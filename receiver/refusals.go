package receiver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// maxCauses is how many distinct causes an answer names.
const maxCauses = 20

// refusals counts what was not stored, by reason, and keeps the first causes
// as text. A refusal is one sample, histogram or exemplar, or a series that
// has none.
type refusals struct {
	problems [remotewrite.NumProblems]int
	reasons  [tsdbcache.NumReasons]int
	total    int
	causes   []string
}

func (f *refusals) reset() {
	if f.total > 0 {
		*f = refusals{causes: f.causes[:0]}
	}
}

func (f *refusals) problem(p remotewrite.Problem, n int, cause string) {
	f.problems[p] += n
	f.add(n, cause)
}

func (f *refusals) reason(p tsdbcache.Reason, n int, cause string) {
	f.reasons[p] += n
	f.add(n, cause)
}

// example adds the cause of a refusal that is counted already.
func (f *refusals) example(e tsdbcache.Refusal, series string) {
	f.add(0, fmt.Sprintf("%s at %d: %s", series, e.T, e.Reason))
}

func (f *refusals) add(n int, cause string) {
	f.total += n
	if cause == "" || len(f.causes) >= maxCauses {
		return
	}
	if !slices.Contains(f.causes, cause) {
		f.causes = append(f.causes, cause)
	}
}

// each calls g with the word and the number of every reason that occurred.
func (f *refusals) each(g func(word string, n int)) {
	for p, n := range f.problems {
		if n > 0 {
			g(remotewrite.Problem(p).String(), n) //nolint:gosec // an index of the array
		}
	}
	for p, n := range f.reasons {
		if n > 0 {
			g(tsdbcache.Reason(p).String(), n) //nolint:gosec // an index of the array
		}
	}
}

func (f *refusals) count(m *metrics) {
	f.each(func(word string, n int) { m.refused.WithLabelValues(word).Add(float64(n)) })
}

// text is the answer: how many of how many, how often for which reason, which.
func (f *refusals) text(items int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "refused %d of %d samples: ", f.total, items)
	first := true
	f.each(func(word string, n int) {
		if !first {
			b.WriteString(", ")
		}
		first = false
		fmt.Fprintf(&b, "%s %d", word, n)
	})
	for _, c := range f.causes {
		b.WriteString("; ")
		b.WriteString(c)
	}
	if more := f.total - len(f.causes); more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// short cuts a text for a message.
func short(s string) string {
	if len(s) > 300 {
		return s[:300] + "..."
	}
	return s
}
