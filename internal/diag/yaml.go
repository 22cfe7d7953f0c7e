package diag

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// maxAliases bounds how often aliases of one document are followed, so that a
// document that refers to itself ends.
const maxAliases = 10_000

// Doc reads one YAML document strictly and collects all its problems.
type Doc struct {
	File     string
	Problems Problems
	// Elsewhere says where a key belongs that a mapping does not have, as a part
	// of a sentence; "" when it does not know. nil: nobody knows.
	Elsewhere func(what, key string) string

	aliases int
}

var yamlLine = regexp.MustCompile(`^yaml: (?:unmarshal errors:\s+)?line (\d+): `)

// Parse returns the root node of content's only document, nil when content is
// empty or not YAML; the reason is then in the Doc's problems.
func Parse(file string, content []byte) (*Doc, *yaml.Node) {
	d := &Doc{File: file}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if !errors.Is(err, io.EOF) {
			d.syntax(err)
		}
		return d, nil
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		d.Errorf(&second, "yaml/documents", "a second YAML document; put everything into one")
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err)
	}
	if root.Kind == yaml.DocumentNode {
		if len(root.Content) == 0 {
			return d, nil
		}
		return d, root.Content[0]
	}
	return d, &root
}

func (d *Doc) syntax(err error) {
	p := Problem{File: d.File, Check: "yaml/syntax", Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Message = strings.TrimPrefix(err.Error(), m[0])
	}
	d.Problems = append(d.Problems, p)
}

// Errorf notes an error at n.
func (d *Doc) Errorf(n *yaml.Node, check, format string, args ...any) {
	d.add(n, 0, Error, check, format, args...)
}

// ErrorAt notes an error offset bytes into the scalar n: a position inside an
// expression that stands in one line of the file. In block scalars and quoted
// strings with escapes the position of the scalar itself is given.
func (d *Doc) ErrorAt(n *yaml.Node, offset int, check, format string, args ...any) {
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0, strings.Contains(n.Value, "\n"):
		offset = 0
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		offset++
	}
	d.add(n, offset, Error, check, format, args...)
}

// Warnf notes a warning at n.
func (d *Doc) Warnf(n *yaml.Node, check, format string, args ...any) {
	d.add(n, 0, Warning, check, format, args...)
}

func (d *Doc) add(n *yaml.Node, offset int, s Severity, check, format string, args ...any) {
	p := Problem{File: d.File, Severity: s, Check: check, Message: fmt.Sprintf(format, args...)}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column+offset
	}
	d.Problems = append(d.Problems, p)
}

// Resolve follows aliases.
func (d *Doc) Resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		d.aliases++
		if d.aliases > maxAliases {
			d.Errorf(n, "yaml/aliases", "more than %d aliases", maxAliases)
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
		}
		n = n.Alias
	}
	return n
}

// Field reads one value of a mapping; key is where its name stands.
type Field func(key, value *yaml.Node)

// Object walks a mapping in the order of the text. A key that fields does not
// name, and a key given twice, is an error at the key; what says whose keys
// they are ("anomaly rule"). It reports whether n was a mapping.
func (d *Doc) Object(n *yaml.Node, what string, fields map[string]Field) bool {
	n = d.Resolve(n)
	if n.Kind != yaml.MappingNode {
		d.Errorf(n, "yaml/type", "%s must be a mapping, not %s", what, kind(n))
		return false
	}
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if line, ok := seen[key.Value]; ok {
			d.Errorf(key, "yaml/duplicate", "%s: %q stands here for the second time, first in line %d", what, key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		read, ok := fields[key.Value]
		if !ok {
			names := make([]string, 0, len(fields))
			for name := range fields {
				names = append(names, name)
			}
			elsewhere := ""
			if d.Elsewhere != nil {
				if elsewhere = d.Elsewhere(what, key.Value); elsewhere != "" {
					elsewhere = "; " + elsewhere
				}
			}
			d.Errorf(key, "yaml/unknown-key", "%s: unknown key %q%s%s", what, key.Value, elsewhere, DidYouMean(key.Value, names))
			continue
		}
		read(key, d.Resolve(value))
	}
	return true
}

// List walks a sequence.
func (d *Doc) List(n *yaml.Node, what string, item func(n *yaml.Node)) {
	n = d.Resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.Errorf(n, "yaml/type", "%s must be a list, not %s", what, kind(n))
		return
	}
	for _, c := range n.Content {
		item(d.Resolve(c))
	}
}

// Map walks a mapping of free keys, in the order of the text.
func (d *Doc) Map(n *yaml.Node, what string, item func(key, value *yaml.Node)) {
	n = d.Resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.Errorf(n, "yaml/type", "%s must be a mapping, not %s", what, kind(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if seen[n.Content[i].Value] {
			d.Errorf(n.Content[i], "yaml/duplicate", "%s: %q stands here for the second time", what, n.Content[i].Value)
			continue
		}
		seen[n.Content[i].Value] = true
		item(n.Content[i], d.Resolve(n.Content[i+1]))
	}
}

// String reads any scalar as text.
func (d *Doc) String(n *yaml.Node, what string) string {
	n = d.Resolve(n)
	if n.Kind != yaml.ScalarNode {
		d.Errorf(n, "yaml/type", "%s must be a string, not %s", what, kind(n))
		return ""
	}
	if isNull(n) {
		return ""
	}
	return n.Value
}

// Strings reads a list of strings.
func (d *Doc) Strings(n *yaml.Node, what string) []string {
	var out []string
	d.List(n, what, func(n *yaml.Node) { out = append(out, d.String(n, what)) })
	return out
}

// StringMap reads a mapping of strings.
func (d *Doc) StringMap(n *yaml.Node, what string) map[string]string {
	out := map[string]string{}
	d.Map(n, what, func(k, v *yaml.Node) { out[k.Value] = d.String(v, what+" "+k.Value) })
	return out
}

// Bool reads true or false.
func (d *Doc) Bool(n *yaml.Node, what string) bool {
	n = d.Resolve(n)
	var b bool
	if n.Kind != yaml.ScalarNode || n.Decode(&b) != nil {
		d.Errorf(n, "yaml/type", "%s must be true or false, not %s", what, kind(n))
	}
	return b
}

// Int reads a whole number.
func (d *Doc) Int(n *yaml.Node, what string) int {
	n = d.Resolve(n)
	i, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.Errorf(n, "yaml/type", "%s must be a whole number, not %s", what, kind(n))
	}
	return i
}

// Float reads a number; Inf, +Inf and -Inf are numbers.
func (d *Doc) Float(n *yaml.Node, what string) float64 {
	n = d.Resolve(n)
	f, err := strconv.ParseFloat(strings.Replace(n.Value, ".inf", "inf", 1), 64)
	if n.Kind != yaml.ScalarNode || err != nil || math.IsNaN(f) {
		d.Errorf(n, "yaml/type", "%s must be a number, not %s", what, kind(n))
		return 0
	}
	return f
}

// Percent reads "20%" as 0.2; a number without the sign is an error.
func (d *Doc) Percent(n *yaml.Node, what string) float64 {
	n = d.Resolve(n)
	text, ok := strings.CutSuffix(n.Value, "%")
	f, err := strconv.ParseFloat(text, 64)
	if n.Kind != yaml.ScalarNode || !ok || err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		d.Errorf(n, "yaml/type", "%s must be a percentage such as 20%%, not %s", what, kind(n))
		return 0
	}
	return f / 100
}

// Duration reads a Prometheus duration such as 30s or 1h30m.
func (d *Doc) Duration(n *yaml.Node, what string) time.Duration {
	n = d.Resolve(n)
	v, err := model.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.Errorf(n, "yaml/type", "%s must be a duration such as 30s or 1h30m, not %s", what, kind(n))
	}
	return time.Duration(v)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// kind describes a node for messages.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	case len(n.Value) > 60:
		return strconv.Quote(n.Value[:60] + "…")
	}
	return strconv.Quote(n.Value)
}
