package stream

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"pgregory.net/rapid"

	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/tsdbcache"
)

// expressions are selectors whose matchers the ring judges in every way it
// has: by metric name, by other equalities, and by what it leaves to the tap.
var expressions = []string{
	`m`, `m offset 30s`, `m{s="1"}`, `m{s=""}`, `m{s!="1"} offset -15s`, `m{s=~"[0-3]"}`, `m{s!~"[2-9]"}`, `m{s=~"1|2"}`, `m{s!=""}`,
	`{__name__=~"m|n"}`, `{__name__!="m",s!=""}`, `{s="2"}`, `{s="2",__name__=~"n.*"}`, `{__name__=~".+",s!~"[0-4]"}`,
}

// asker is a selector that does not tick at every tick.
type asker struct {
	*Selector
	expr parser.Expr
}

// TestStreamedEqualsTheEngineAtEveryTick stores random samples: gaps, stale
// markers, histograms, late samples and samples ahead of the tick, series that
// appear between ticks, and after hours series that come back after they had
// left the ring. Selectors over equal and other matchers tick now and then;
// those with little room overflow.
func TestStreamedEqualsTheEngineAtEveryTick(t *testing.T) {
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: lookback * time.Millisecond, EnableAtModifier: true, EnableNegativeOffset: true,
	})
	defer func() { _ = engine.Close() }()
	var did occurred
	rapid.Check(t, func(rt *rapid.T) {
		virtual(t, func() { tickAtRandom(t, rt, engine, &did) })
	})
	if did.overflowed == 0 || did.returned == 0 || did.histograms == 0 {
		t.Errorf("some case did not occur: %+v", did)
	}
}

// occurred counts what a random run should have met.
type occurred struct{ overflowed, returned, histograms int }

// virtual runs f in a bubble of its own, whose time only sleeping moves; what
// f panics with, as rapid does to end a case, comes out of it.
func virtual(t *testing.T, f func()) {
	var panicked any
	synctest.Test(t, func(*testing.T) {
		defer func() { panicked = recover() }()
		f()
	})
	if panicked != nil {
		panic(panicked)
	}
}

func tickAtRandom(t *testing.T, rt *rapid.T, engine *promql.Engine, did *occurred) {
	db, stop := running(t)
	defer stop()
	var askers []*asker
	for range rapid.IntRange(1, 5).Draw(rt, "selectors") {
		expr := parse(t, rapid.SampledFrom(expressions).Draw(rt, "expr"))
		s, err := newSelector(db, expr, lookback*time.Millisecond, rapid.SampledFrom([]int{3, 15, tapCapacity}).Draw(rt, "room"))
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		askers = append(askers, &asker{s, expr})
	}
	refs := map[string]storage.SeriesRef{}
	for range rapid.IntRange(1, 25).Draw(rt, "ticks") {
		if rapid.IntRange(0, 9).Draw(rt, "pause") == 0 {
			time.Sleep(3 * time.Hour) // idle series are closed after two, and expire
			if n := db.Stats(0).Series; n != 0 {
				rt.Fatalf("%d series outlived the retention", n)
			}
		}
		for range rapid.IntRange(1, 3).Draw(rt, "commits") {
			for key, ref := range commit(rt, db) {
				if old, known := refs[key]; known && old != ref {
					did.returned++
				}
				refs[key] = ref
			}
		}
		time.Sleep(time.Duration(rapid.Int64Range(1, 30_000).Draw(rt, "step")) * time.Millisecond)
		now := time.Now().UnixMilli()
		for i, a := range askers {
			if rapid.IntRange(0, 2).Draw(rt, "tick") == 0 {
				continue
			}
			knew := a.synced && len(a.refs) > 0
			got, err := a.Vector(context.Background(), now)
			if err != nil {
				rt.Fatal(err)
			}
			if have, want := render(got), query(t, engine, db, a.expr, now); !slices.Equal(have, want) {
				rt.Fatalf("selector %d, %s at %d\nstreamed %v\nengine   %v", i, a.expr, now, have, want)
			}
			did.note(a, knew, got)
		}
	}
}

// note looks at what a selector did at its tick. It knew references before,
// and knows none when it has read the ring.
func (did *occurred) note(a *asker, knew bool, got []eval.Sample) {
	if knew && len(a.refs) == 0 {
		did.overflowed++
	}
	for _, s := range got {
		if s.Histogram {
			did.histograms++
		}
	}
}

// running opens a ring that keeps ten minutes of its clock.
func running(t *testing.T) (db *tsdbcache.DB, stop func()) {
	t.Helper()
	db, err := tsdbcache.Open(tsdbcache.Options{
		Memory: 1 << 20, OutOfOrderWindow: -1, MaxFuture: -1, Retention: 10 * time.Minute, SyncInterval: 20 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() {
		if err := db.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return db, func() {
		cancel()
		background.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// commit stores random samples around now and returns the references.
func commit(rt *rapid.T, db *tsdbcache.DB) map[string]storage.SeriesRef {
	refs := map[string]storage.SeriesRef{}
	app := db.AppenderV2(context.Background())
	for range rapid.IntRange(0, 8).Draw(rt, "samples") {
		name := rapid.SampledFrom([]string{"m", "m", "n", "o"}).Draw(rt, "name")
		ls := labels.FromStrings("__name__", name, "s", rapid.SampledFrom([]string{"", "0", "1", "2", "3", "4", "5", "6"}).Draw(rt, "s"))
		v := rapid.SampledFrom([]float64{1, 2, 3, math.NaN(), math.Inf(1), math.Float64frombits(value.StaleNaN)}).Draw(rt, "v")
		var h *histogram.Histogram
		var fh *histogram.FloatHistogram
		switch rapid.IntRange(0, 9).Draw(rt, "kind") {
		case 0:
			h = tsdbutil.GenerateTestHistogram(1)
		case 1:
			fh = tsdbutil.GenerateTestFloatHistogram(2)
		case 2:
			h = &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}
		}
		at := time.Now().UnixMilli() + rapid.Int64Range(-40_000, 20_000).Draw(rt, "at")
		// Refused duplicates are part of life.
		if ref, err := app.Append(0, ls.WithoutEmpty(), 0, at, v, h, fh, storage.AppendV2Options{}); err == nil {
			refs[ls.String()] = ref
		}
	}
	if err := app.Commit(); err != nil {
		rt.Fatal(err)
	}
	return refs
}

// meanwhile is a context that does something when it is asked for the first
// time, which is while the ring is read.
type meanwhile struct {
	context.Context
	do func()
}

func (m *meanwhile) Err() error {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Context.Err()
}

// A transaction that commits while a tick reads a series that joined is seen
// whole or not at all.
func TestATickSeesOneStateOfTheRing(t *testing.T) {
	db := open(t)
	put := func(v float64, names ...string) {
		t.Helper()
		app := db.AppenderV2(t.Context())
		for _, name := range names {
			if _, err := app.Append(0, labels.FromStrings("__name__", name), 0, int64(1000*v), v, nil, nil, storage.AppendV2Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := NewSelector(db, parse(t, `{__name__=~"m."}`), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(1, "m1")
	if got, err := s.Vector(t.Context(), 10_000); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	put(2, "m2")
	ctx := &meanwhile{t.Context(), func() { put(3, "m1", "m2", "m3") }}
	got, err := s.Vector(ctx, 11_000)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`{__name__="m1"} 3`, `{__name__="m2"} 3`, `{__name__="m3"} 3`}
	var have []string
	for _, x := range got {
		have = append(have, fmt.Sprint(x.Labels, " ", x.V))
	}
	slices.Sort(have)
	if ctx.do != nil || !slices.Equal(have, want) {
		t.Errorf("%v, want %v", have, want)
	}
}

// A series of histograms costs no reading of the ring at a tick.
func TestHistogramsAreFollowedByTheTap(t *testing.T) {
	db := open(t)
	s, err := NewSelector(db, parse(t, "m"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	asked := &cancelledAfter{t.Context(), 1 << 30}
	for i := range int64(5) {
		app := db.AppenderV2(t.Context())
		if _, err := app.Append(0, labels.FromStrings("__name__", "m"), 0, 1000*i, 0, tsdbutil.GenerateTestHistogram(i), nil, storage.AppendV2Options{}); err != nil {
			t.Fatal(err)
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			asked.left = 0 // the next reading would fail
		}
		if got, err := s.Vector(asked, 1000*i); err != nil || len(got) != 1 || !got[0].Histogram {
			t.Errorf("tick %d: %v, %v", i, got, err)
		}
	}
}
