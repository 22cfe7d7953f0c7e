package lang

import (
	"errors"
	"fmt"
	"strings"
)

// ModelError is one thing that is wrong with a model string.
type ModelError struct {
	Offset  int    // in bytes
	Check   string // stable name such as "model/name"
	Message string
}

// Error names the column, from 1.
func (e *ModelError) Error() string {
	return fmt.Sprintf("column %d: %s", e.Offset+1, e.Message)
}

// ModelErrors are all problems of one model string, in the order of the text.
type ModelErrors []*ModelError

// Error joins the messages with "; ".
func (es ModelErrors) Error() string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.Error()
	}
	return strings.Join(parts, "; ")
}

func syntaxError(at int, format string, args ...any) *ModelError {
	return &ModelError{Offset: at, Check: "model/syntax", Message: fmt.Sprintf(format, args...)}
}

// ParseModel reads and checks a model string. The error is a ModelErrors.
func ParseModel(text string) (ModelExpr, error) {
	n, err := parseTree(text)
	if err != nil {
		return nil, ModelErrors{err}
	}
	var r resolver
	e := r.expr(n)
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	return e, nil
}

// maxDepth bounds the nesting of parentheses and lists, and with it the stack.
const maxDepth = 100

// node is the tree before names and types are checked.
type node struct {
	at       int
	operator byte   // '+', '&', or 0 for a call
	parts    []node // of an operator, at least two
	name     string
	args     []argNode
}

type argNode struct {
	at    int
	name  string // "" for a positional one
	value valueNode
}

type valueNode struct {
	token
	list  bool
	items []valueNode
}

func (v valueNode) String() string {
	if v.list {
		return "a list"
	}
	return v.token.String()
}

// modelParser descends through the grammar. After the first problem it only
// unwinds: every token it sees is the end.
type modelParser struct {
	tokens []token
	depth  int
	err    *ModelError
}

func parseTree(text string) (node, *ModelError) {
	tokens, err := lex(text)
	if err != nil {
		return node{}, err
	}
	p := &modelParser{tokens: tokens}
	if p.peek().kind == tokEnd {
		p.fail("a model is missing; the simplest is auto")
	}
	n := p.any()
	if t := p.peek(); t.kind != tokEnd {
		p.fail("unexpected %s after the model; models are combined with + (any of them) and & (all of them)", t)
	}
	return n, p.err
}

// fail keeps the first problem and leaves nothing more to read.
func (p *modelParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = syntaxError(p.peek().at, format, args...)
		p.tokens = p.tokens[len(p.tokens)-1:]
	}
}

func (p *modelParser) peek() token { return p.tokens[0] }

func (p *modelParser) next() token {
	t := p.tokens[0]
	if t.kind != tokEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *modelParser) at(punct byte) bool {
	t := p.peek()
	return t.kind == tokPunct && t.text[0] == punct
}

func (p *modelParser) take(punct byte) bool {
	if !p.at(punct) {
		return false
	}
	p.next()
	return true
}

func (p *modelParser) enter() {
	if p.depth++; p.depth > maxDepth {
		p.fail("nested more than %d deep", maxDepth)
	}
}

// any = all , { "+" , all }.
func (p *modelParser) any() node { return p.operator('+', p.all) }

// all = unary , { "&" , unary }.
func (p *modelParser) all() node { return p.operator('&', p.unary) }

func (p *modelParser) operator(op byte, part func() node) node {
	first := part()
	if !p.at(op) {
		return first
	}
	n := node{at: first.at, operator: op, parts: []node{first}}
	for p.take(op) {
		n.parts = append(n.parts, part())
	}
	return n
}

// unary = call | "(" , any , ")".
func (p *modelParser) unary() node {
	open := p.peek()
	if !p.take('(') {
		return p.call()
	}
	p.enter()
	n := p.any()
	if !p.take(')') {
		p.fail("expected ) for the ( in column %d, found %s", open.at+1, p.peek())
	}
	p.depth--
	return n
}

// call = name , [ "(" , [ arg , { "," , arg } ] , ")" ].
func (p *modelParser) call() node {
	t := p.peek()
	if t.kind != tokName {
		p.fail("expected the name of a model, found %s", t)
		return node{}
	}
	p.next()
	n := node{at: t.at, name: t.str}
	open := p.peek()
	if !p.take('(') || p.take(')') {
		return n
	}
	n.args = append(n.args, p.arg())
	for p.take(',') {
		n.args = append(n.args, p.arg())
	}
	if !p.take(')') {
		p.fail("expected , or ) for the ( in column %d, found %s", open.at+1, p.peek())
	}
	return n
}

// arg = [ name , "=" ] , value.
func (p *modelParser) arg() argNode {
	t := p.peek()
	if t.kind == tokName && p.tokens[1].kind == tokPunct && p.tokens[1].text == "=" {
		p.next()
		p.next()
		return argNode{at: t.at, name: t.str, value: p.value()}
	}
	return argNode{at: t.at, value: p.value()}
}

// value = number | duration | percentage | name | string | "[" , value , { "," , value } , "]".
func (p *modelParser) value() valueNode {
	t := p.peek()
	if !p.take('[') {
		if t.kind == tokEnd || t.kind == tokPunct {
			p.fail("expected a value, found %s", t)
		}
		return valueNode{token: p.next()}
	}
	p.enter()
	v := valueNode{token: t, list: true, items: []valueNode{p.value()}}
	for p.take(',') {
		v.items = append(v.items, p.value())
	}
	if !p.take(']') {
		p.fail("expected , or ] for the [ in column %d, found %s", t.at+1, p.peek())
	}
	p.depth--
	return v
}

// AsModelErrors returns the problems in an error of ParseModel.
func AsModelErrors(err error) (ModelErrors, bool) {
	var es ModelErrors
	ok := errors.As(err, &es)
	return es, ok
}
