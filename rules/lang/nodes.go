package lang

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

func pos(n *yaml.Node) Pos { return Pos{Line: n.Line, Column: n.Column} }

// value returns the value of a mapping's key, nil when there is none.
func value(n *yaml.Node, key string) *yaml.Node {
	if _, v := entry(n, key); v != nil {
		return v
	}
	return nil
}

func entry(n *yaml.Node, key string) (k, v *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// items returns the items of a list that decoding into structs would see.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.Content), isNull)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.Tag == "!!merge" }

// merged carries out YAML's merge keys (<<), as decoding into a struct does: a
// key that stands in the mapping itself wins, then the first of the merged ones.
func (l *loader) merged(n *yaml.Node) *yaml.Node {
	n = l.doc.Resolve(n)
	if n.Kind != yaml.MappingNode {
		return n
	}
	if l.merging[n] {
		l.doc.Errorf(n, "yaml/aliases", "the mapping merges itself")
		return &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column}
	}
	l.merging[n] = true
	defer delete(l.merging, n)
	out := *n
	out.Content = nil
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMerge(n.Content[i]) {
			merges = append(merges, n.Content[i+1])
			continue
		}
		if isNull(n.Content[i]) {
			continue // no field has an empty key; decoding passes it over
		}
		out.Content = append(out.Content, n.Content[i], n.Content[i+1])
	}
	for _, m := range merges {
		m = l.doc.Resolve(m)
		sources := []*yaml.Node{m}
		if m.Kind == yaml.SequenceNode {
			sources = m.Content
		}
		for _, s := range sources {
			s = l.merged(s)
			if s.Kind != yaml.MappingNode {
				l.doc.Errorf(m, "yaml/type", "<< merges mappings only")
				continue
			}
			for i := 0; i+1 < len(s.Content); i += 2 {
				if value(&out, s.Content[i].Value) == nil {
					out.Content = append(out.Content, s.Content[i], s.Content[i+1])
				}
			}
		}
	}
	return &out
}

// list walks a list of mappings; empty items are passed over, as by Prometheus.
func (l *loader) list(n *yaml.Node, what string, item func(*yaml.Node)) {
	l.doc.List(n, what, func(n *yaml.Node) {
		if !isNull(n) {
			item(n)
		}
	})
}

// The readers below take what YAML's own decoding takes for the same type, so
// that a field means here what it means in Prometheus.

func (l *loader) duration(n *yaml.Node, what string) time.Duration {
	if isNull(n) {
		return 0
	}
	return l.doc.Duration(n, what)
}

func (l *loader) integer(n *yaml.Node, what string) int {
	var i int
	if err := n.Decode(&i); err != nil {
		return l.doc.Int(n, what) // says what is wrong
	}
	return i
}

func (l *loader) stringMap(n *yaml.Node, what string) map[string]string {
	var m map[string]string
	if err := n.Decode(&m); err != nil {
		before := len(l.doc.Problems)
		if l.doc.StringMap(n, what); len(l.doc.Problems) == before {
			l.decodeError(n, err)
		}
		return nil
	}
	return m
}

// decodeError reports what YAML's decoding says.
func (l *loader) decodeError(n *yaml.Node, err error) {
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		l.doc.Errorf(n, "yaml/type", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	for _, msg := range te.Errors {
		l.doc.Errorf(n, "yaml/type", "%s", msg)
	}
}

// clean runs a reader and tells whether it found no error.
func (l *loader) clean(read func()) bool {
	before := len(l.doc.Problems)
	read()
	return !l.doc.Problems[before:].HasErrors()
}

// errorIn notes an error offset bytes into the text of a scalar, wherever that
// byte stands in the file: block scalars and lines that YAML folded included.
func (l *loader) errorIn(n *yaml.Node, offset int, check, format string, args ...any) {
	l.doc.Errorf(n, check, format, args...)
	l.moveInto(n, offset)
}

// warnIn notes a warning there.
func (l *loader) warnIn(n *yaml.Node, offset int, check, format string, args ...any) {
	l.doc.Warnf(n, check, format, args...)
	l.moveInto(n, offset)
}

// moveInto moves the newest problem to a byte of the scalar.
func (l *loader) moveInto(n *yaml.Node, offset int) {
	if at, ok := l.locate(n, offset); ok {
		p := &l.doc.Problems[len(l.doc.Problems)-1]
		p.Line, p.Column = at.Line, at.Column
	}
}

// locate finds the place of a scalar's byte in the file by walking both texts.
// White space stands for any white space, as YAML folds it. It gives up where
// the texts differ otherwise, which is at the first escape.
func (l *loader) locate(n *yaml.Node, offset int) (Pos, bool) {
	raw := l.content
	i, ok := offsetOf(raw, pos(n))
	if !ok || offset > len(n.Value) {
		return Pos{}, false
	}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		end := bytes.IndexByte(raw[i:], '\n')
		if end < 0 {
			return Pos{}, false
		}
		i += end + 1
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		i++
	}
	for v := 0; ; {
		if v < len(n.Value) && !isSpace(n.Value[v]) {
			for i < len(raw) && isSpace(raw[i]) {
				i++
			}
		}
		if v == offset {
			return placeOf(raw, i), true
		}
		switch {
		case isSpace(n.Value[v]):
			if i < len(raw) && isSpace(raw[i]) {
				i++
			}
		case i >= len(raw) || raw[i] != n.Value[v]:
			return Pos{}, false
		case raw[i] == '\'' && n.Style&yaml.SingleQuotedStyle != 0:
			i += 2
		default:
			i++
		}
		v++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// offsetOf finds the byte of a place; columns count characters, as YAML's do.
func offsetOf(raw []byte, p Pos) (int, bool) {
	i := 0
	for line := 1; line < p.Line; line++ {
		end := bytes.IndexByte(raw[i:], '\n')
		if end < 0 {
			return 0, false
		}
		i += end + 1
	}
	for column := 1; column < p.Column; column++ {
		if i >= len(raw) {
			return 0, false
		}
		_, size := utf8.DecodeRune(raw[i:])
		i += size
	}
	return i, i < len(raw)
}

func placeOf(raw []byte, i int) Pos {
	i = min(i, len(raw))
	start := bytes.LastIndexByte(raw[:i], '\n') + 1
	return Pos{Line: bytes.Count(raw[:i], []byte{'\n'}) + 1, Column: utf8.RuneCount(raw[start:i]) + 1}
}

// validLabelName is Prometheus's rule for names, with what it also forbids in
// rule files.
func validLabelName(name string) bool {
	return model.UTF8Validation.IsValidLabelName(name) && name != model.MetricNameLabel
}
