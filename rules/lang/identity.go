package lang

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LearnedIdentity tells which models learn the same: the canonical text of the
// model without the arguments that only move the border. It is equal for equal
// models however they were written: with defaults or without, with durations
// in other units, with named arguments and what is in a list in another order.
// The order of models that are combined counts, as their states stand in it.
func LearnedIdentity(e ModelExpr) string { return learned(e).String() }

// learned is e without what does not matter for what it learns.
func learned(e ModelExpr) ModelExpr {
	switch e := e.(type) {
	case Any:
		return Any{Of: learnedAll(e.Of)}
	case All:
		return All{Of: learnedAll(e.Of)}
	case Call:
		return learnedCall(e)
	}
	return e
}

func learnedAll(of []ModelExpr) []ModelExpr {
	out := make([]ModelExpr, len(of))
	for i, e := range of {
		out[i] = learned(e)
	}
	return out
}

func learnedCall(c Call) Call {
	spec := FindModel(c.Name)
	if spec == nil {
		return c
	}
	args := Args{}
	for _, p := range spec.Params {
		v, ok := c.Args[p.Name]
		if !ok || p.Border {
			continue
		}
		if p.List { // seasons, days, labels: every list of the table is a set
			v = sorted(v)
		}
		args[p.Name] = v
	}
	return Call{Name: c.Name, Args: args}
}

// sorted returns a list in ascending order; the one given stays as it is.
func sorted(list any) any {
	switch v := list.(type) {
	case []float64:
		return ascending(v)
	case []time.Duration:
		return ascending(v)
	case []string:
		return ascending(v)
	}
	return list
}

func ascending[T cmp.Ordered](v []T) []T {
	v = slices.Clone(v)
	slices.Sort(v)
	return v
}

// LearnedKey tells which rules learn the same, so that one goes on with the
// models of the other: name, expressions, and what their models are but for
// the arguments that only move the border. Labels, outputs, alert and all
// fields that stand between a model and its score are no part of it. Two
// different rules never have one key: every text in it is quoted.
func (a *Anomaly) LearnedKey() string {
	var b strings.Builder
	b.WriteString(strconv.Quote(a.Name))
	switch {
	case a.Ratio != nil:
		b.WriteString(" ratio")
	case a.Inputs != nil:
		b.WriteString(" inputs")
	default:
		b.WriteString(" series")
	}
	for _, s := range a.Sources() {
		b.WriteString(" " + strconv.Quote(s.Name) + "=" + strconv.Quote(s.Expr.String()))
	}
	if a.Inputs != nil {
		b.WriteString(" join")
		for _, name := range ascending(a.Join) {
			b.WriteString(" " + strconv.Quote(name))
		}
	}
	b.WriteString(beforeModel + strconv.Quote(LearnedIdentity(a.Model)))
	return b.String()
}

// beforeModel ends the expressions in a key. Quotes inside of texts are
// escaped, so it stands in a key once as it is with the quote behind it.
const beforeModel = " model "

// LearnedDifference says why a rule with the second key learns anew although
// one of its name, with the first key, had learned.
func LearnedDifference(before, now string) string {
	exprBefore, modelBefore := splitKey(before)
	exprNow, modelNow := splitKey(now)
	switch {
	case exprBefore != exprNow && modelBefore != modelNow:
		return "its model and its expressions, or the labels that join them, are others than before"
	case exprBefore != exprNow:
		return "its expressions, or the labels that join them, are others than before"
	}
	return fmt.Sprintf("its model was %s and is %s now", modelBefore, modelNow)
}

// splitKey splits a key at its model.
func splitKey(key string) (expressions, model string) {
	i := strings.LastIndex(key, beforeModel+`"`)
	if i < 0 {
		return key, ""
	}
	model, err := strconv.Unquote(key[i+len(beforeModel):])
	if err != nil {
		return key, ""
	}
	return key[:i], model
}
