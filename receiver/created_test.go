package receiver

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// TestCreatedLabels: whatever series follow each other in a request, each is
// stored under its own labels; those of the one before are only a guess.
func TestCreatedLabels(t *testing.T) {
	names := []string{"a", "b", "c", "d", "le", "pod"}
	rapid.Check(t, func(rt *rapid.T) {
		for _, p := range protocols12 {
			e := newEnv(t, tsdbcache.Options{Memory: 1 << 20}, Limits{})
			var want []string
			var batch []remotewrite.BatchSeries
			for i := range rapid.IntRange(1, 12).Draw(rt, "series") {
				b := labels.NewScratchBuilder(8)
				b.Add("__name__", fmt.Sprint("m", rapid.IntRange(0, 2).Draw(rt, "name")))
				b.Add("i", fmt.Sprint(i))
				for _, n := range names {
					if rapid.Bool().Draw(rt, n) {
						b.Add(n, rapid.SampledFrom([]string{"", "x", "y", "a"}).Draw(rt, n+" is"))
					}
				}
				b.Sort()
				ls := b.Labels()
				batch = append(batch, remotewrite.BatchSeries{Labels: ls, Samples: []remotewrite.Sample{{T: base, V: 1}}})
				want = append(want, fmt.Sprintf("%s 0 1", ls.WithoutEmpty()))
			}
			e.want(e.post(p, batch...), p, 204, len(batch), 0, 0)
			got := e.dump()
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Fatalf("%s (-sent +stored):\n%s", p, diff)
			}
		}
	})
}
