package lang

import (
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// output is the check rule/output.
func (l *loader) output(n *yaml.Node) Output {
	var o Output
	clean := l.clean(func() {
		l.doc.List(n, "output", func(n *yaml.Node) {
			switch word := l.doc.String(n, "output"); word {
			case "score":
				o |= OutputScore
			case "band":
				o |= OutputBand
			case "all":
				o |= OutputAll
			default:
				l.doc.Errorf(n, "rule/output", "output knows score, band and all, not %q%s", word,
					diag.DidYouMean(word, []string{"score", "band", "all"}))
			}
		})
	})
	if clean && o == 0 {
		l.doc.Errorf(n, "rule/output", "a rule without output does nothing; the default is [score, band]")
	}
	return o
}
