package policy

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// Template is a text with values of the alert in it.
type Template struct {
	Text string
	tmpl *template.Template
}

// Values is what a template sees.
type Values struct {
	Labels, Annotations map[string]string
	StartsAt            time.Time
}

// Query answers the template function query: the one value of an expression.
type Query func(expr string) (float64, error)

const maxExpanded = 64 << 10

func noQuery(string) (float64, error) {
	return 0, fmt.Errorf("query is not possible here")
}

func functions(q Query) template.FuncMap {
	return template.FuncMap{
		"ceil": func(v any) (float64, error) {
			f, err := toFloat(v)
			return math.Ceil(f), err
		},
		"div": func(a, b any) (float64, error) {
			x, err := toFloat(a)
			if err != nil {
				return 0, err
			}
			y, err := toFloat(b)
			if err == nil && y == 0 {
				err = fmt.Errorf("div by zero")
			}
			return x / y, err
		},
		// The stock one gives "" for what is not there, and a query with an empty
		// value means other series.
		"index": func(values map[string]string, name string) (string, error) {
			v, ok := values[name]
			if !ok {
				return "", fmt.Errorf("the alert has no %q, or not for here", name)
			}
			return v, nil
		},
		"query": func(expr string) (float64, error) { return q(expr) },
	}
}

func toFloat(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case int:
		return float64(v), nil
	case string:
		return strconv.ParseFloat(v, 64)
	}
	return 0, fmt.Errorf("%v is no number", v)
}

// ParseTemplate checks the text's syntax.
func ParseTemplate(text string) (*Template, error) {
	t, err := template.New("").Option("missingkey=error").Funcs(functions(noQuery)).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "template: "))
	}
	return &Template{Text: text, tmpl: t}, nil
}

// Expand fills the template in. A label that the alert does not have is an error.
func (t *Template) Expand(v Values, q Query) (string, error) {
	if q == nil {
		q = noQuery
	}
	c, err := t.tmpl.Clone()
	if err != nil {
		return "", err
	}
	var b limited
	if err := c.Funcs(functions(q)).Execute(&b, v); err != nil {
		text := err.Error()
		if _, after, ok := strings.Cut(text, "<.Labels."); ok && strings.Contains(text, "no entry for key") {
			name, _, _ := strings.Cut(after, ">")
			return "", fmt.Errorf("the alert has no label %q", name)
		}
		return "", fmt.Errorf("cannot fill in %q: %s", t.Text, strings.TrimPrefix(text, "template: "))
	}
	return b.String(), nil
}

type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxExpanded {
		return 0, fmt.Errorf("more than %d bytes", maxExpanded)
	}
	return l.Builder.Write(p)
}

// inQuery is what a value of an alert may hold inside a PromQL string: nothing
// that could end the string or that a regular expression takes for repetition
// or choice.
var inQuery = regexp.MustCompile(`^[A-Za-z0-9_.:/@ -]*$`)

// ExpandQuery fills in a PromQL expression. Values of the alert stand inside
// quotes (the loader has seen to it); one that holds more than plain characters
// is out of the template's reach, whatever way it takes.
func (t *Template) ExpandQuery(v Values, q Query) (string, error) {
	safe := Values{Labels: plain(v.Labels), Annotations: plain(v.Annotations), StartsAt: v.StartsAt}
	text, err := t.Expand(safe, q)
	if err == nil {
		return text, nil
	}
	_, withPlain := t.Expand(safe, noAnswer)
	if _, withAll := t.Expand(v, noAnswer); withPlain != nil && withAll == nil {
		return "", fmt.Errorf("cannot fill in %q: a value of the alert that it uses must not stand in a query: letters, digits and _.:/@ - only", t.Text)
	}
	return "", err
}

// noAnswer stands in for a query when only the template's values matter.
func noAnswer(string) (float64, error) { return 1, nil }

// plain leaves out the values that must not stand in a query.
func plain(values map[string]string) map[string]string {
	out := make(map[string]string, len(values))
	for name, value := range values {
		if inQuery.MatchString(value) {
			out[name] = value
		}
	}
	return out
}

var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// Expand fills in the target and holds the result against Kubernetes' rules for names.
func (t Target) Expand(v Values) (namespace, name string, err error) {
	if namespace, err = t.Namespace.Expand(v, nil); err != nil {
		return "", "", err
	}
	if name, err = t.Name.Expand(v, nil); err != nil {
		return "", "", err
	}
	if len(namespace) > 63 || !dnsLabel.MatchString(namespace) {
		return "", "", fmt.Errorf("%q is no name of a namespace", namespace)
	}
	if len(name) > 253 || !dnsSubdomain.MatchString(name) {
		return "", "", fmt.Errorf("%q is no name of a %s", name, t.Kind)
	}
	return namespace, name, nil
}

// Number fills in a template that gives a number. It may ask queries, so the
// alert's values are those of ExpandQuery.
func (t *Template) Number(v Values, q Query) (float64, error) {
	text, err := t.ExpandQuery(v, q)
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q gives %q, which is no number", t.Text, text)
	}
	return f, nil
}
