package bench

import (
	"bytes"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// TestWorkload: as many series as asked for, all different, of the stated
// shape, and the same bytes for the same arguments.
func TestWorkload(t *testing.T) {
	if n := len(podMetrics()); n != perPod {
		t.Fatalf("%d metrics a pod, want %d", n, perPod)
	}
	const n = 5000
	w := NewWorkload(n, 1_800_000_000_000)
	seen := map[uint64]bool{}
	labelCount, size := 0, 0
	for _, s := range w.series {
		seen[s.Labels.Hash()] = true
		labelCount += s.Labels.Len()
		s.Labels.Range(func(l labels.Label) { size += len(l.Name) + len(l.Value) })
	}
	if len(seen) != n {
		t.Errorf("%d different series of %d", len(seen), n)
	}
	if mean := float64(labelCount) / n; mean < 11 || mean > 12 {
		t.Errorf("%.1f labels a series", mean)
	}
	if mean := size / n; mean < 170 || mean > 250 {
		t.Errorf("%d bytes of labels a series", mean)
	}
	for _, p := range []remotewrite.Protocol{remotewrite.V1, remotewrite.V2} {
		a, b := NewWorkload(n, 1_800_000_000_000), NewWorkload(n, 1_800_000_000_000)
		for range 3 {
			x, y := a.Requests(p, 2000), b.Requests(p, 2000)
			if len(x) != 3 || !bytes.Equal(bytes.Join(x, nil), bytes.Join(y, nil)) {
				t.Fatalf("%s: %d requests, or not the same twice", p, len(x))
			}
		}
	}
}
