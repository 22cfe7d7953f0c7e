package emit

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"
)

// TestJoinEqualsPrometheus: the joined labels are those that Prometheus's loop
// over the external labels gives, whatever names meet and are empty.
func TestJoinEqualsPrometheus(t *testing.T) {
	var j joiner // used again, as the writing goroutine does
	set := rapid.MapOfN(rapid.StringMatching("[a-e]{1,2}"), rapid.SampledFrom([]string{"", "x", "y"}), 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		own, given := labels.FromMap(set.Draw(t, "own")), labels.FromMap(set.Draw(t, "external"))
		b := labels.NewBuilder(own)
		given.Range(func(l labels.Label) {
			if b.Get(l.Name) == "" {
				b.Set(l.Name, l.Value)
			}
		})
		e := newExternal(given)
		got := j.join(own, e)
		if len(e) == 0 {
			got = got.WithoutEmpty() // nothing to join: the labels are passed on as they are
		}
		if want := b.Labels().WithoutEmpty(); !labels.Equal(want, got) {
			t.Fatalf("%s with %s: got %s, want %s", own, given, got, want)
		}
	})
}

// TestWithoutExternalLabelsNothingIsCopied: who sets none pays nothing.
func TestWithoutExternalLabelsNothingIsCopied(t *testing.T) {
	var j joiner
	own := labels.FromStrings("__name__", "up", "job", "api")
	if n := testing.AllocsPerRun(100, func() { own = j.join(own, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
