package emit_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/rules/emit"
)

// commitKinds commits, now, one sample of every kind: a float, a stale marker,
// both kinds of histograms, and a series that has labels which may be external
// too. The series get the external labels that they lack.
func commitKinds(t *testing.T, to storage.AppendableV2, external ...string) {
	t.Helper()
	now := time.Now().UnixMilli()
	h := &histogram.Histogram{Schema: 1, Count: 3, Sum: 2, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 1}}
	app := to.AppenderV2(t.Context())
	add := func(v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, pairs ...string) {
		t.Helper()
		b := labels.NewBuilder(labels.FromStrings(pairs...))
		for i := 0; i < len(external); i += 2 {
			if b.Get(external[i]) == "" {
				b.Set(external[i], external[i+1])
			}
		}
		if _, err := app.Append(0, b.Labels(), 0, now, v, h, fh, storage.AOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	add(float64(now%1000), nil, nil, "__name__", "float", "zone", "z")
	add(math.Float64frombits(value.StaleNaN), nil, nil, "__name__", "stale")
	add(0, h, nil, "__name__", "int")
	add(0, nil, h.ToFloat(nil), "__name__", "histogram", "anything", "x")
	add(1, nil, nil, "__name__", "own", "cluster", "mine", "team", "mine")
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

// TestExternalLabels: by both protocols, series of every kind get the labels of
// their time where they have none of the name. What was queued before a change,
// in an outage and over a restart, keeps those it got; our ring has none.
func TestExternalLabels(t *testing.T) {
	f := func(o func(*far) emit.ForwarderOptions) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			f := newFar(t)
			n := newNear(t, f, o(f))
			plain, want := openRing(t), openRing(t)
			tick := func(external ...string) {
				t.Helper()
				commitKinds(t, n.app)
				commitKinds(t, plain)
				commitKinds(t, want, external...)
				time.Sleep(15 * time.Second)
			}
			tick()
			n.f.SetExternalLabels(labels.FromStrings("cluster", "a", "zone", "outside", "aa", "1", "empty", ""))
			tick("cluster", "a", "zone", "outside", "aa", "1")
			f.is(errors.New("connection refused"), nil)
			tick("cluster", "a", "zone", "outside", "aa", "1")
			n.f.SetExternalLabels(labels.FromStrings("cluster", "b", "team", ""))
			tick("cluster", "b")
			n.stop()
			n.up() // as a process with another configuration
			n.f.SetExternalLabels(labels.FromStrings("zzz", "c"))
			tick("zzz", "c")
			n.f.SetExternalLabels(labels.EmptyLabels())
			tick()
			f.is(nil, nil)
			time.Sleep(time.Minute)

			if diff := cmp.Diff(dump(t, want), dump(t, f.db)); diff != "" {
				t.Errorf("the far side (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(dump(t, plain), dump(t, n.db)); diff != "" {
				t.Errorf("our ring (-want +got):\n%s", diff)
			}
			n.stop()
		})
	}
	f(func(f *far) emit.ForwarderOptions { return emit.ForwarderOptions{Client: client{f, remotewrite.V2}} })
	f(func(f *far) emit.ForwarderOptions { // 2.0 until the far side says that it speaks 1.0 only
		f.speaks = remotewrite.V1
		return emit.ForwarderOptions{Client: client{f, remotewrite.V2}, Fallback: client{f, remotewrite.V1}}
	})
	f(func(f *far) emit.ForwarderOptions { return emit.ForwarderOptions{Fallback: client{f, remotewrite.V1}} })
}

// TestExternalLabelsAreThoseOfTheCommit: a change right behind a commit does
// not reach what was committed, though the disk has not got it yet.
func TestExternalLabelsAreThoseOfTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		n := newNear(t, f, emit.ForwarderOptions{})
		want := openRing(t)
		for _, v := range []string{"a", "b", "c"} {
			n.f.SetExternalLabels(labels.FromStrings("zone", v, "run", v))
			commitKinds(t, n.app)
			commitKinds(t, want, "zone", v, "run", v)
			n.f.SetExternalLabels(labels.FromStrings("zone", "too late", "run", "too late"))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if diff := cmp.Diff(dump(t, want), dump(t, f.db)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		n.stop()
	})
}
