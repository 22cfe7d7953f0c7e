package rules

import (
	"fmt"
	"log/slog"
	"slices"
)

// FileChange is what an update has changed of one file. Rules are named as
// "group/rule".
type FileChange struct {
	File string
	// Added and Removed are rules that were not there before, or are not any
	// more; a rule that has changed is Changed.
	Added, Removed, Changed []string
	Kept                    int // rules that go on as they were
	// Anew are anomaly rules that learn anew, each with the reason.
	Anew []string
}

// compare says per file what has changed from old groups to new ones.
func compare(old, groups []*group, anew map[*anomalyRule]string) []FileChange {
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
			key := g.File() + "\x00" + g.Name() + "/" + r.Name()
			before[key] = append(before[key], r.String())
		}
	}
	for _, g := range groups {
		c := of(g.File())
		for _, r := range g.Rules() {
			name := g.Name() + "/" + r.Name()
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
			if why := anew[a]; why != "" {
				c.Anew = append(c.Anew, fmt.Sprintf("%s/%s: %s", g.Name(), a.Name(), why))
			}
		}
	}
	for _, g := range old {
		for _, r := range g.Rules() {
			name := g.Name() + "/" + r.Name()
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

// mostNamed bounds how many rules one line of the log names.
const mostNamed = 20

func (c FileChange) log(l *slog.Logger) {
	if len(c.Added)+len(c.Removed)+len(c.Changed)+len(c.Anew) == 0 {
		return
	}
	args := []any{slog.String("file", c.File), slog.Int("kept", c.Kept)}
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
	l.Info("rules of a file have changed", args...)
}
