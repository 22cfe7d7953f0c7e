package rules

import (
	"fmt"

	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/rules/modelstore"
)

// heirs matches new rules with the owners of what has been learned. State
// belongs to the key of a rule. Of several with one key, first those go
// together that are the same in file, group and text, then those that are the
// only ones of a group, then those that are the only ones left; what is
// ambiguous still goes to nobody.
type heirs struct {
	news, olds []*modelstore.Owner
	heir       []int // by new rule: the place of its owner in olds; -1: none
	taken      []bool
}

func newHeirs(news, olds []*modelstore.Owner) *heirs {
	h := &heirs{news: news, olds: olds, heir: make([]int, len(news)), taken: make([]bool, len(olds))}
	for i := range h.heir {
		h.heir[i] = -1
	}
	h.match(0, len(olds), exactly, false)
	return h
}

func exactly(o *modelstore.Owner) string {
	return fmt.Sprintf("%q %q %q %q", o.Key, o.File, o.Group, o.Text)
}

func byPlace(o *modelstore.Owner) string { return fmt.Sprintf("%q %q %q", o.Key, o.File, o.Group) }

func byKey(o *modelstore.Owner) string { return o.Key }

// remaining matches what is left among some of olds, as far as it is clear.
func (h *heirs) remaining(from, to int) {
	h.match(from, to, byPlace, true)
	h.match(from, to, byKey, true)
}

// match puts together what has one identity among olds[from:to], in order, or
// only where both sides are alone with it.
func (h *heirs) match(from, to int, identity func(*modelstore.Owner) string, alone bool) {
	left, right := map[string][]int{}, map[string][]int{}
	for i, o := range h.news {
		if h.heir[i] < 0 {
			left[identity(o)] = append(left[identity(o)], i)
		}
	}
	for j := from; j < to; j++ {
		if !h.taken[j] {
			id := identity(h.olds[j])
			right[id] = append(right[id], j)
		}
	}
	for id, is := range left {
		js := right[id]
		if alone && (len(is) > 1 || len(js) > 1) {
			continue
		}
		for k := range min(len(is), len(js)) {
			h.heir[is[k]], h.taken[js[k]] = js[k], true
		}
	}
}

// why says why a new rule has no heritage although there is some with its key
// or its name; empty when there is none.
func (h *heirs) why(i int) string {
	sameKey, before := 0, ""
	for j, o := range h.olds {
		if !h.taken[j] && o.Key == h.news[i].Key {
			sameKey++
		} else if !h.taken[j] && o.Rule == h.news[i].Rule {
			before = o.Key
		}
	}
	switch {
	case sameKey > 0:
		return fmt.Sprintf("%d rules with its name, expressions and model had learned, and it is not clear which of them it is", sameKey)
	case before != "":
		return lang.LearnedDifference(before, h.news[i].Key)
	}
	return ""
}
