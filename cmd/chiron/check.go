package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/config"
	"github.com/chironhq/chiron/internal/diag"
	"github.com/chironhq/chiron/internal/promparse"
	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/remediation/policy"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/rules/stream"
)

// Kinds of file that check tells apart.
const (
	kindConfig      = "config"
	kindRules       = "rules"
	kindRemediation = "remediation"
)

func checkCommand(app *kingpin.Application) (string, command) {
	cmd := app.Command("check", "Say what is wrong in configuration, rule and policy files.\n\n"+
		"Every problem comes with file, line, column and the nearest right word. A configuration is checked with the rule and policy "+
		"files that it names. What kind of file it is shows from its top-level keys, or stands before the files:\n\n"+
		"  chiron check chiron.yaml checkout.anomaly.yaml\n"+
		"  chiron check remediation policies.yaml")
	explain := cmd.Flag("explain", "Say for each rule how it is evaluated, and why.").Bool()
	strict := cmd.Flag("strict", "Warnings fail as well.").Bool()
	experimental := cmd.Flag("experimental-functions", "Accept PromQL's experimental functions in every file, as "+promparse.Setting+" of a configuration does in its files and "+
		"in those that are checked with it.").Bool()
	retention := cmd.Flag("cache.retention", "The server's --cache.retention; with it seasons that do not fit are found.").Default("0").String()
	files := cmd.Arg("file", "Files to check, after an optional kind: config, rules or remediation.").Required().Strings()
	return cmd.FullCommand(), func(_ context.Context, e env) error {
		d, err := model.ParseDuration(*retention)
		if err != nil {
			return fmt.Errorf("--cache.retention: %q is no duration such as 12h or 7d: %w", *retention, err)
		}
		c := checker{env: e, explain: *explain, experimental: *experimental, rule: lang.Options{Retention: time.Duration(d)}}
		kind, names := kindAndFiles(*files)
		if len(names) == 0 {
			return fmt.Errorf("no file after %q", kind)
		}
		c.settings(kind, names)
		for _, name := range names {
			c.file(kind, name)
		}
		c.problems = append(c.problems, lang.CheckFiles(c.loaded...)...)
		c.problems.Sort()
		fmt.Fprint(e.stderr, c.problems)
		if c.unreadable || c.problems.HasErrors() || *strict && len(c.problems) > 0 {
			return errFailed
		}
		return nil
	}
}

// kindAndFiles splits a leading kind off, unless a file of that name exists.
func kindAndFiles(args []string) (kind string, files []string) {
	if slices.Contains([]string{kindConfig, kindRules, kindRemediation}, args[0]) {
		if _, err := os.Stat(args[0]); err != nil {
			return args[0], args[1:]
		}
	}
	return "", args
}

type checker struct {
	env
	explain      bool
	experimental bool         // experimental functions are on
	rule         lang.Options // of rule files
	problems     diag.Problems
	unreadable   bool
	loaded       []*lang.File // rule files without errors, to be checked together
	seen         []os.FileInfo
}

// settings takes from the configurations among the files what bears on the
// others. What is wrong in them shows when they are checked.
func (c *checker) settings(kind string, names []string) {
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || kind != "" && kind != kindConfig || kind == "" && kindOf(text) != kindConfig {
			continue
		}
		parsed, _ := config.Parse(name, text)
		c.experimental = c.experimental || parsed.Query.ExperimentalFunctions
		if parsed.Global.IntervalGiven {
			c.rule.Interval = parsed.Global.EvaluationInterval
		}
	}
	c.rule.Parser = promparse.New(promparse.Options{ExperimentalFunctions: c.experimental})
}

func (c *checker) file(kind, name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		c.unreadable = true
		fmt.Fprintf(c.stderr, "%s: %v\n", name, err)
		return
	}
	if c.again(name) {
		return
	}
	if kind == "" {
		kind = kindOf(text)
	}
	before := len(c.problems)
	var what string
	switch kind {
	case kindRules:
		what = c.rules(name, text)
	case kindRemediation:
		set, problems := policy.Options{Parser: c.rule.Parser}.Load(name, text)
		c.problems = append(c.problems, problems...)
		if set != nil {
			what = plural(len(set.Policies), "policy", "policies")
		}
	default:
		what = c.config(name, text)
	}
	if !c.problems[before:].HasErrors() {
		fmt.Fprintf(c.stdout, "%s: ok, %s\n", name, what)
	}
}

// again reports whether the file was checked before: a configuration may name
// one that stands among the arguments as well, and its rules are no others.
func (c *checker) again(name string) bool {
	info, err := os.Stat(name)
	if err != nil {
		return false // it has been read, so whoever changed it may check again
	}
	if slices.ContainsFunc(c.seen, func(o os.FileInfo) bool { return os.SameFile(info, o) }) {
		return true
	}
	c.seen = append(c.seen, info)
	return false
}

func (c *checker) rules(name string, text []byte) string {
	file, problems := c.rule.Load(name, text)
	c.problems = append(c.problems, problems...)
	if problems.HasErrors() {
		if c.explain { // the rules without an error
			c.explainAll(c.rule.Sound(name, text))
		}
		return ""
	}
	c.loaded = append(c.loaded, file)
	if c.explain {
		c.explainAll(file)
	}
	var record, alert, anomaly int
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			switch {
			case r.Anomaly != nil:
				anomaly++
			case r.Prometheus.Alert != "":
				alert++
			default:
				record++
			}
		}
	}
	return fmt.Sprintf("%d record, %d alert, %d anomaly rules", record, alert, anomaly)
}

func (c *checker) explainAll(file *lang.File) {
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Anomaly != nil {
				explainRule(c.stdout, g.Name, r.Anomaly)
			}
		}
	}
}

func explainRule(w io.Writer, group string, a *lang.Anomaly) {
	sources := a.Sources()
	for _, s := range sources {
		way := "queried"
		streamed, reason := stream.Explain(s.Expr)
		if streamed {
			way = "streamed"
		}
		name := group + "/" + a.Name
		if len(sources) > 1 {
			name += " " + s.Name
		}
		fmt.Fprintf(w, "%s: %s: %s\n", name, way, reason)
	}
	perWeek, known := a.Budget()
	if known {
		fmt.Fprintf(w, "%s/%s: budget: about %s a week for each series, %s for a hundred\n", group, a.Name, lang.FalseAlerts(perWeek), lang.TwoDigits(100*perWeek))
		return
	}
	fmt.Fprintf(w, "%s/%s: no budget: %s\n", group, a.Name, a.WithoutBudget())
}

// config checks the file, what libraries make of its sections, and the rule
// and policy files that it names.
func (c *checker) config(name string, text []byte) string {
	parsed, problems := config.Parse(name, text)
	c.problems = append(c.problems, problems...)
	if problems.HasErrors() {
		return ""
	}
	wrong := func(section string, err error) {
		if err != nil {
			c.problems = append(c.problems, diag.Problem{File: name, Check: "config/" + section, Message: section + ": " + err.Error()})
		}
	}
	if parsed.Alerting != nil {
		wrong("alerting", upstream.ParseAlerting(upstream.Alerting{YAML: parsed.Alerting}))
	}
	for _, w := range parsed.RemoteWrite {
		wrong("remote_write", upstream.ParseWriteClient(w.YAML))
	}
	files := c.named(name, kindRules, parsed.RuleFiles) + c.named(name, kindRemediation, parsed.Remediation.PolicyFiles)
	return plural(files, "named file", "named files")
}

func (c *checker) named(configFile, kind string, patterns []string) (count int) {
	for _, pattern := range patterns {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(configFile), pattern)
		}
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			c.problems = append(c.problems, diag.Problem{
				File: configFile, Severity: diag.Warning, Check: "config/no-files", Message: fmt.Sprintf("no %s file matches %q", kind, pattern),
			})
		}
		for _, name := range names {
			c.file(kind, name)
			count++
		}
	}
	return count
}

// kindOf tells the kind of a file from its top-level keys.
func kindOf(text []byte) string {
	var top map[string]yaml.Node
	var list []map[string]yaml.Node
	err := yaml.Unmarshal(text, &top)
	if yaml.Unmarshal(text, &list) == nil && len(list) > 0 { // rules, or groups, that have been copied from somewhere
		top, err = list[0], nil
	}
	if err == nil {
		for _, key := range []string{"groups", "rules", "anomaly", "alert", "record"} {
			if _, ok := top[key]; ok {
				return kindRules
			}
		}
		for _, key := range []string{"guardrails", "policies"} {
			if _, ok := top[key]; ok {
				return kindRemediation
			}
		}
	}
	return kindConfig
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
