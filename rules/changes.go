package rules

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/chironhq/chiron/internal/upstream"
)

// FileChange is what an update has changed of one file. Rules are named as
// "group/rule", and alert rules with their kind behind it, since the one of the
// shorthand usually has the name of its anomaly rule.
type FileChange struct {
	File string
	// Added and Removed are rules that were not there before, or are not any
	// more; a rule that has changed is Changed.
	Added, Removed, Changed []string
	Kept                    int // rules that go on as they were
	// Heirs is how many anomaly rules of groups that are new or have changed, or
	// that have just been started, go on with what was learned.
	Heirs int
	// Anew are anomaly rules that learn anew, each with the reason.
	Anew []string
}

// compare says per file what has changed from old groups to new ones.
func compare(old, groups []*group, h *handover) []FileChange {
	byFile := map[string]*FileChange{}
	var files []string
	of := func(file string) *FileChange {
		if byFile[file] == nil {
			byFile[file] = &FileChange{File: file}
			files = append(files, file)
		}
		return byFile[file]
	}
	before := map[string][]string{} // texts of the rules of a name
	for _, g := range old {
		for _, r := range g.Rules() {
			key := g.File() + "\x00" + shown(g, r)
			before[key] = append(before[key], r.String())
		}
	}
	for _, g := range groups {
		c := of(g.File())
		for _, r := range g.Rules() {
			name := shown(g, r)
			texts := before[g.File()+"\x00"+name]
			switch i := slices.Index(texts, r.String()); {
			case i >= 0:
				c.Kept++
				before[g.File()+"\x00"+name] = slices.Delete(texts, i, i+1)
			case len(texts) > 0:
				c.Changed = append(c.Changed, name)
				before[g.File()+"\x00"+name] = texts[1:]
			default:
				c.Added = append(c.Added, name)
			}
		}
		for _, a := range g.anomalies {
			if h.heirs[a] {
				c.Heirs++
			}
			if why := h.anew[a]; why != "" {
				c.Anew = append(c.Anew, fmt.Sprintf("%s/%s: %s", g.Name(), a.Name(), why))
			}
		}
	}
	for _, g := range old {
		for _, r := range g.Rules() {
			name := shown(g, r)
			key := g.File() + "\x00" + name
			if len(before[key]) > 0 {
				of(g.File()).Removed = append(of(g.File()).Removed, name)
				before[key] = before[key][1:]
			}
		}
	}
	slices.Sort(files)
	out := make([]FileChange, len(files))
	for i, f := range files {
		out[i] = *byFile[f]
	}
	return out
}

// shown is how a change names a rule.
func shown(g *group, r upstream.Rule) string {
	name := g.Name() + "/" + r.Name()
	if _, ok := r.(*upstream.AlertingRule); ok {
		name += " (alert)"
	}
	return name
}

// mostNamed bounds how many rules one line of the log names.
const mostNamed = 20

func (c FileChange) log(l *slog.Logger) {
	if len(c.Added)+len(c.Removed)+len(c.Changed)+len(c.Anew) == 0 {
		return
	}
	args := []any{slog.String("file", c.File), slog.Int("kept", c.Kept), slog.Int("go_on_with_what_they_learned", c.Heirs)}
	for _, part := range []struct {
		name  string
		rules []string
	}{{"added", c.Added}, {"removed", c.Removed}, {"changed", c.Changed}, {"learn_anew", c.Anew}} {
		if n := len(part.rules); n > mostNamed {
			args = append(args, slog.Any(part.name, append(slices.Clone(part.rules[:mostNamed]), fmt.Sprintf("and %d more", n-mostNamed))))
		} else if n > 0 {
			args = append(args, slog.Any(part.name, part.rules))
		}
	}
	if c.Kept+len(c.Removed)+len(c.Changed) == 0 {
		l.Info("rules of a file are loaded", args...)
		return
	}
	l.Info("rules of a file have changed", args...)
}
