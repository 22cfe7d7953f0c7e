package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chironhq/chiron/rules/modelstore"
)

// An owner is written as key/file/group/text.
func owners(texts ...string) (out []*modelstore.Owner) {
	for _, text := range texts {
		p := strings.Split(text, "/")
		out = append(out, &modelstore.Owner{Rule: p[0][:1], Key: p[0], File: p[1], Group: p[2], Text: p[3]})
	}
	return out
}

func TestHeirs(t *testing.T) {
	f := func(name string, news, running, stored []*modelstore.Owner, want string, why ...string) {
		t.Helper()
		h := newHeirs(news, append(append([]*modelstore.Owner{}, running...), stored...))
		h.remaining(0, len(running))
		h.remaining(len(running), len(running)+len(stored))
		if got := strings.Trim(fmt.Sprint(h.heir), "[]"); got != want {
			t.Errorf("%s: heirs %s, want %s", name, got, want)
		}
		for i, text := range why {
			if got := h.why(i); !strings.Contains(got, text) || text == "" && got != "" {
				t.Errorf("%s: why of %d is %q, want %q", name, i, got, text)
			}
		}
	}
	f("the same", owners("k/f/g/t"), owners("k/f/g/t"), nil, "0", "")
	f("nothing", owners("k/f/g/t"), nil, nil, "-1", "")
	f("another text in its place", owners("k/f/g/t2"), owners("k/f/g/t"), nil, "0")
	f("another group", owners("k/f/g2/t"), owners("k/f/g/t"), nil, "0")
	f("another file", owners("k/f2/g/t"), owners("k/f/g/t"), nil, "0")
	f("another key", owners("k2/f/g/t"), owners("k/f/g/t"), nil, "-1", "are others than before")
	f("another name", owners("x/f/g/t"), owners("k/f/g/t"), nil, "-1", "")
	f("two that stay", owners("k/f/g/t", "k/f/h/t"), owners("k/f/h/t", "k/f/g/t"), nil, "1 0")
	f("two of one group, told apart by their text", owners("k/f/g/b", "k/f/g/a"), owners("k/f/g/a", "k/f/g/b"), nil, "1 0")
	f("one of two moves", owners("k/f/g/t", "k/e/h/t"), owners("k/f/h/t", "k/f/g/t"), nil, "1 0")
	f("one of two changes in its place", owners("k/f/g/t2", "k/f/h/t"), owners("k/f/h/t", "k/f/g/t"), nil, "1 0")
	f("one of two goes, the other one changes in its place", owners("k/f/g/t2"), owners("k/f/h/t", "k/f/g/t"), nil, "1")
	f("two move", owners("k/e/g/t", "k/e/h/t"), owners("k/f/g/t", "k/f/h/t"), nil, "-1 -1", "2 rules", "2 rules")
	f("one moves to two places", owners("k/e/g/t", "k/e/h/t"), owners("k/f/g/t"), nil, "-1 -1", "1 rules")
	f("both of one group change", owners("k/f/g/a2", "k/f/g/b2"), owners("k/f/g/a", "k/f/g/b"), nil, "-1 -1", "2 rules")
	f("what ran comes before what was saved", owners("k/f2/g/t"), owners("k/f/g/t"), owners("k/e/g/t"), "0")
	f("but what is the same comes first", owners("k/f2/g/t"), owners("k/f/g/t"), owners("k/f2/g/t"), "1")
	f("what was saved", owners("k/f2/g/t"), nil, owners("k/f/g/t"), "0")
}
