package load

import (
	"slices"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

const testStart = int64(1_767_225_600_000)

// TestWorkload: as many series as asked for, all different, sorted, of the
// stated shape, with counters that never fall.
func TestWorkload(t *testing.T) {
	if n := len(podMetrics()); n != PerPod {
		t.Fatalf("%d metrics a pod, want %d", n, PerPod)
	}
	const n = 20_000
	w := New(n, testStart)
	seen := map[string]bool{}
	count, size := 0, 0
	for i := range n {
		ls := w.Labels(i)
		if !slices.IsSortedFunc(ls, func(a, b [2]string) int { return cmpStrings(a[0], b[0]) }) {
			t.Fatalf("labels out of order: %v", ls)
		}
		seen[selector(ls)] = true
		count += len(ls)
		for _, l := range ls {
			size += len(l[0]) + len(l[1])
		}
	}
	if len(seen) != n {
		t.Errorf("%d different series of %d", len(seen), n)
	}
	if mean := float64(count) / n; mean < 11 || mean > 12 {
		t.Errorf("%.1f labels a series", mean)
	}
	if mean := size / n; mean < 190 || mean > 230 {
		t.Errorf("%d bytes of labels a series", mean)
	}
	values := make([]float64, 2*PerPod)
	for round := range 50 {
		for i := range values {
			before := values[i]
			values[i] = w.step(before, i, round)
			m := &w.metrics[i%PerPod]
			if m.typ != typeGauge && values[i] < before {
				t.Fatalf("%s falls from %v to %v", m.name, before, values[i])
			}
			if m.kind == bucket && m.le > 0 && values[i] < values[i-1] {
				t.Fatalf("round %d: bucket %d below the one before", round, i)
			}
		}
	}
}

func cmpStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// sample is one decoded sample under its series.
type sample struct {
	series string
	t      int64
	v      float64
}

// TestRequests decodes what is sent with Prometheus's own messages: every
// sample of every round once, in order for each series, whatever the number of
// connections and the size of requests.
func TestRequests(t *testing.T) {
	const series, rounds = 230, 7
	for _, p := range []remotewrite.Protocol{remotewrite.V1, remotewrite.V2} {
		for _, shape := range []struct{ connections, batch int }{{1, 2000}, {1, 64}, {3, 50}, {4, 7}} {
			w := New(series, testStart)
			var got, want []sample
			for k := range shape.connections {
				s := NewStream(w, k, shape.connections, shape.batch, p)
				s.Until(rounds)
				for {
					r, ok := s.Next(nil)
					if !ok {
						break
					}
					if r.Samples > shape.batch {
						t.Fatalf("%d samples in a request of %d", r.Samples, shape.batch)
					}
					raw, err := snappy.Decode(nil, r.Body)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, decode(t, p, raw)...)
				}
			}
			for i := range series {
				v, name := 0.0, selector(w.Labels(i))
				for round := range rounds {
					v = w.step(v, i, round)
					want = append(want, sample{name, w.time(i, round), v})
				}
			}
			slices.SortStableFunc(got, func(a, b sample) int { return cmpStrings(a.series, b.series) })
			slices.SortStableFunc(want, func(a, b sample) int { return cmpStrings(a.series, b.series) })
			if d := cmp.Diff(want, got, cmp.AllowUnexported(sample{})); d != "" {
				t.Fatalf("%s, %+v: (-want +got)\n%s", p, shape, d)
			}
		}
	}
}

func decode(t *testing.T, p remotewrite.Protocol, raw []byte) []sample {
	t.Helper()
	var out []sample
	add := func(ls labels.Labels, at int64, v float64) {
		var pairs [][2]string
		ls.Range(func(l labels.Label) { pairs = append(pairs, [2]string{l.Name, l.Value}) })
		out = append(out, sample{selector(pairs), at, v})
	}
	builder := labels.NewScratchBuilder(16)
	if p == remotewrite.V1 {
		var m prompb.WriteRequest
		if err := proto.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		for _, ts := range m.Timeseries {
			for _, x := range ts.Samples {
				add(ts.ToLabels(&builder, nil), x.Timestamp, x.Value)
			}
		}
		return out
	}
	var m writev2.Request
	if err := m.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	for _, ts := range m.Timeseries {
		ls, err := ts.ToLabels(&builder, m.Symbols)
		if err != nil {
			t.Fatal(err)
		}
		if ts.Metadata.Type == writev2.Metadata_METRIC_TYPE_UNSPECIFIED || m.Symbols[ts.Metadata.HelpRef] == "" {
			t.Fatalf("%v has no metadata", ls)
		}
		for _, x := range ts.Samples {
			add(ls, x.Timestamp, x.Value)
		}
	}
	return out
}

// TestSameTwice: equal arguments give equal bytes.
func TestSameTwice(t *testing.T) {
	for _, p := range []remotewrite.Protocol{remotewrite.V1, remotewrite.V2} {
		a, b := NewStream(New(500, testStart), 1, 2, 100, p), NewStream(New(500, testStart), 1, 2, 100, p)
		a.Until(5)
		b.Until(5)
		for {
			x, ok := a.Next(nil)
			y, _ := b.Next(nil)
			if !slices.Equal(x.Body, y.Body) {
				t.Fatal(p, "different bytes")
			}
			if !ok {
				break
			}
		}
	}
}

// TestQuantile of a few known latencies.
func TestQuantile(t *testing.T) {
	p := Phase{}
	if p.Quantile(.5) != 0 {
		t.Error("a phase without requests has a latency")
	}
	for i := range 101 {
		p.latencies = append(p.latencies, 1+time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 1, .5: 51, .99: 100, 1: 101} {
		if got := p.Quantile(q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
}
