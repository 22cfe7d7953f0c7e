package lang

import (
	"log/slog"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"

	"github.com/chironhq/chiron/internal/diag"
)

// Load reads and checks a rule file. It returns all problems at once, in the
// order of the text; the File is usable when none of them is an error.
func Load(file string, content []byte) (*File, diag.Problems) {
	rgs, errs := rulefmt.Parse(content, false, model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
	if len(errs) == 0 {
		return fromPrometheus(file, rgs), nil
	}
	doc, root := diag.Parse(file, content)
	_ = root
	return &File{Name: file}, doc.Problems
}

func fromPrometheus(file string, rgs *rulefmt.RuleGroups) *File {
	f := &File{Name: file}
	for _, g := range rgs.Groups {
		group := Group{Name: g.Name, Interval: time.Duration(g.Interval), Limit: g.Limit, Labels: g.Labels}
		if g.QueryOffset != nil {
			d := time.Duration(*g.QueryOffset)
			group.QueryOffset = &d
		}
		for _, r := range g.Rules {
			group.Rules = append(group.Rules, Rule{Prometheus: r})
		}
		f.Groups = append(f.Groups, group)
	}
	return f
}
