package tsdbcache

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A slot list is a sorted set of numbers, whatever the order they come in.
func TestSlotList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slot := rapid.OneOf(rapid.Uint32Range(1, 300), rapid.Uint32Range(4000, 9000), rapid.Uint32Range(1, maxSlot-1))
		var l slotList
		have := map[uint32]bool{}
		add := func(x uint32) {
			l.add(x)
			have[x] = true
		}
		t.Repeat(map[string]func(*rapid.T){
			"one": func(t *rapid.T) { add(slot.Draw(t, "slot")) },
			"run": func(t *rapid.T) {
				lo, step := slot.Draw(t, "from"), rapid.Uint32Range(1, 60).Draw(t, "step")
				for i := range rapid.Uint32Range(0, 400).Draw(t, "length") {
					add(min(lo+i*step, maxSlot-1))
				}
			},
			"without": func(t *rapid.T) {
				k := rapid.Uint32Range(2, 9).Draw(t, "every")
				gone := func(x uint32) bool { return x%k == 0 }
				l = *l.without(gone)
				for x := range have {
					if gone(x) {
						delete(have, x)
					}
				}
			},
			"": func(t *rapid.T) {
				var want []uint32
				for x := range have {
					want = append(want, x)
				}
				slices.Sort(want)
				if got := l.appendTo(nil); !slices.Equal(got, want) || int(l.n) != len(want) {
					t.Fatalf("%d: %v, want %v", l.n, got, want)
				}
				ask := rapid.SliceOf(slot).Draw(t, "ask")
				if len(want) > 0 {
					ask = append(ask, want[len(want)/2], want[0], want[len(want)-1])
				}
				slices.Sort(ask)
				ask = slices.Compact(ask)
				in, out := l.filter(slices.Clone(ask), true), l.filter(slices.Clone(ask), false)
				for _, x := range ask {
					if slices.Contains(in, x) != have[x] || slices.Contains(out, x) == have[x] {
						t.Fatalf("%d: in %v, out %v, want %v", x, in, out, have[x])
					}
				}
				if len(in)+len(out) != len(ask) {
					t.Fatalf("%d and %d of %d", len(in), len(out), len(ask))
				}
			},
		})
	})
}
