package lang

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// Load reads and checks a rule file. It returns all problems at once, in the
// order of the text. The File is nil when one of them is an error; what runs
// never sees an unchecked rule.
//
// A file that Prometheus accepts is read by Prometheus's own code, and so
// means the same by construction.
func Load(file string, content []byte) (*File, diag.Problems) { return Options{}.Load(file, content) }

// Load is the function Load under those circumstances.
func (o Options) Load(file string, content []byte) (*File, diag.Problems) {
	l, root := newLoader(file, content, o)
	rgs, errs := parsePrometheus(content, l.promQL)
	if len(errs) == 0 {
		f := l.fromPrometheus(rgs, root)
		ps := l.quieten(l.doc.Problems)
		f.silence = l.silence
		ps.Sort()
		return f, ps
	}
	f := l.file(root)
	if !l.hasAnomalies && !l.doc.Problems.HasErrors() {
		// Prometheus sees something that we do not: believe it.
		for _, err := range errs {
			l.prometheusError(nil, err)
		}
	}
	if l.hasAnomalies && !l.doc.Problems.HasErrors() {
		l.doc.Problems = append(l.doc.Problems, checkTogether([]*File{f})...)
	}
	ps := l.quieten(l.doc.Problems)
	f.silence = l.silence
	ps.Sort()
	if ps.HasErrors() {
		return nil, ps
	}
	return f, ps
}

// Sound reads a file that may have errors and returns the rules without any, to
// say what they mean. They are not checked together, and never run.
func (o Options) Sound(file string, content []byte) *File {
	l, root := newLoader(file, content, o)
	return l.file(root)
}

// loader reads the nodes of one file.
type loader struct {
	doc          *diag.Doc
	content      []byte
	options      Options
	promQL       parser.Parser
	hasAnomalies bool
	interval     time.Duration // of the group being read; 0: unknown
	silence      silence
	merging      map[*yaml.Node]bool // whose merge keys are being carried out
	modelText    string              // of the anomaly rule that is being read
}

func newLoader(file string, content []byte, o Options) (*loader, *yaml.Node) {
	doc, root := diag.Parse(file, content)
	if root != nil {
		// Prometheus reads the first document and warns of the others.
		for i := range doc.Problems {
			doc.Problems[i].Severity = diag.Warning
		}
	}
	l := &loader{doc: doc, content: content, options: o, promQL: o.parser(), merging: map[*yaml.Node]bool{}}
	doc.Elsewhere = l.elsewhere
	return l, root
}

func parsePrometheus(content []byte, p parser.Parser) (*rulefmt.RuleGroups, []error) {
	return rulefmt.Parse(content, false, model.UTF8Validation, p, slog.New(slog.DiscardHandler))
}

// ruleFile is where rules stand.
const ruleFile = "rules stand in groups: [{name: …, rules: […]}]"

func (l *loader) file(root *yaml.Node) *File {
	f := &File{Name: l.doc.File, promQL: l.promQL}
	if root == nil || isNull(root) {
		return f
	}
	groups := map[string]*yaml.Node{}
	if n := l.doc.Resolve(root); n.Kind == yaml.SequenceNode {
		l.doc.Errorf(n, "yaml/type", "rule file must be a mapping, not a list: %s", ruleFile)
		return f
	}
	l.doc.Object(l.merged(root), "rule file", map[string]diag.Field{
		"groups": func(_, v *yaml.Node) {
			l.list(v, "groups", func(n *yaml.Node) {
				if g, ok := l.group(n, groups); ok {
					f.Groups = append(f.Groups, g)
				}
			})
		},
	})
	return f
}

// group reads one group; others has the groups before it by name.
func (l *loader) group(n *yaml.Node, others map[string]*yaml.Node) (Group, bool) {
	n = l.merged(n)
	g := Group{Pos: pos(n)}
	var rules, labels *yaml.Node
	if !l.doc.Object(n, "group", map[string]diag.Field{
		"name":     func(_, v *yaml.Node) { g.Name = l.doc.String(v, "name") },
		"interval": func(_, v *yaml.Node) { g.Interval = l.duration(v, "interval") },
		"query_offset": func(_, v *yaml.Node) {
			if d := l.duration(v, "query_offset"); !isNull(v) {
				g.QueryOffset = &d
			}
		},
		"limit":  func(_, v *yaml.Node) { g.Limit = l.integer(v, "limit") },
		"labels": func(_, v *yaml.Node) { labels = v; g.Labels = l.stringMap(v, "labels") },
		"rules":  func(_, v *yaml.Node) { rules = v },
	}) {
		return g, false
	}
	l.checkGroup(&g, n, labels, others)
	if rules == nil {
		return g, true
	}
	l.interval = cmp.Or(g.Interval, l.options.Interval)
	anomalies := map[string]*Anomaly{}
	l.list(rules, "rules", func(n *yaml.Node) {
		n = l.merged(n)
		l.silence.rules = append(l.silence.rules, pos(n))
		r := Rule{Pos: pos(n)}
		var ok bool
		if value(n, "anomaly") != nil {
			l.hasAnomalies = true
			ok = l.clean(func() { r.Anomaly = l.anomaly(n, &g) })
			l.checkDuplicate(r.Anomaly, n, anomalies)
		} else {
			r.Prometheus, ok = l.prometheusRule(n)
		}
		if ok {
			g.Rules = append(g.Rules, r)
		}
	})
	if len(anomalies) > 0 {
		l.checkReserved(labels, g.Labels)
	}
	return g, true
}

// fromPrometheus takes over what Prometheus read; the tree gives the places.
func (l *loader) fromPrometheus(rgs *rulefmt.RuleGroups, root *yaml.Node) *File {
	f := &File{Name: l.doc.File, promQL: l.promQL}
	groupNodes := items(value(root, "groups"))
	for i, g := range rgs.Groups {
		group := Group{Name: g.Name, Interval: time.Duration(g.Interval), Limit: g.Limit, Labels: g.Labels}
		if g.QueryOffset != nil {
			d := time.Duration(*g.QueryOffset)
			group.QueryOffset = &d
		}
		var ruleNodes []*yaml.Node
		if i < len(groupNodes) {
			group.Pos = pos(groupNodes[i])
			ruleNodes = items(value(groupNodes[i], "rules"))
		}
		l.interval = cmp.Or(group.Interval, l.options.Interval)
		for j, r := range g.Rules {
			rule := Rule{Prometheus: r}
			if j < len(ruleNodes) {
				rule.Pos = pos(ruleNodes[j])
				l.silence.rules = append(l.silence.rules, rule.Pos)
				l.checkRangeOf(ruleNodes[j], r)
			}
			group.Rules = append(group.Rules, rule)
		}
		f.Groups = append(f.Groups, group)
	}
	return f
}
