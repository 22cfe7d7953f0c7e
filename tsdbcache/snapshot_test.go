package tsdbcache

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"pgregory.net/rapid"
)

// view is what a querier sees of the selected series, as text.
func view(t rapid.TB, q storage.Querier, ms ...*labels.Matcher) map[string]string {
	t.Helper()
	out := map[string]string{}
	set := q.Select(context.Background(), true, nil, ms...)
	for set.Next() {
		var b strings.Builder
		it := set.At().Iterator(nil)
		for v := it.Next(); v != chunkenc.ValNone; v = it.Next() {
			if v == chunkenc.ValFloat {
				ts, x := it.At()
				fmt.Fprint(&b, ts, "=", x, " ")
				continue
			}
			fmt.Fprint(&b, it.AtT(), "=histogram ")
		}
		if it.Err() != nil {
			t.Fatal(it.Err())
		}
		out[set.At().Labels().String()] = b.String()
	}
	if set.Err() != nil {
		t.Fatal(set.Err())
	}
	return out
}

// However many commits come between, every Select of a querier sees what there
// was when the querier was made.
func TestQuerierSnapshot(t *testing.T) {
	all := labels.MustNewMatcher(labels.MatchRegexp, "i", ".*")
	some := labels.MustNewMatcher(labels.MatchRegexp, "i", "[0-4]")
	rapid.Check(t, func(t *rapid.T) {
		db, err := Open(Options{Memory: 1 << 20, OutOfOrderWindow: -1, MaxFuture: -1, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		type held struct {
			q         storage.Querier
			all, some map[string]string
		}
		var open []held
		clock := int64(1_000_000)
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				tx := db.Begin()
				clock += 1000
				for range rapid.IntRange(1, 20).Draw(t, "samples") {
					i := rapid.IntRange(0, 9).Draw(t, "series")
					ref, r := tx.Create(KeyV1, nil, labels.FromStrings(labels.MetricName, "m", "i", fmt.Sprint(i)))
					if r != Accepted {
						t.Fatal(r)
					}
					at := clock + rapid.Int64Range(-5000, 400).Draw(t, "at")
					if i == 9 && rapid.Bool().Draw(t, "histogram") {
						tx.Histogram(ref, 0, at, testHistogram(int(at%7)), nil)
					} else {
						tx.Float(ref, 0, at, float64(at%1000))
					}
				}
				if _, err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
			},
			"close idle": func(*rapid.T) { db.closeIdle(); db.sweepNow() },
			"open": func(t *rapid.T) {
				q, err := db.Querier(math.MinInt64, math.MaxInt64)
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, held{q, view(t, q, all), view(t, q, some)})
			},
			"close": func(t *rapid.T) {
				if len(open) > 0 {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "querier")
					_ = open[i].q.Close()
					open = append(open[:i], open[i+1:]...)
				}
			},
			"": func(t *rapid.T) {
				for i, h := range open {
					if now := view(t, h.q, all); !maps.Equal(now, h.all) {
						t.Fatalf("querier %d sees %v, saw %v", i, now, h.all)
					}
					if now := view(t, h.q, some); !maps.Equal(now, h.some) {
						t.Fatalf("querier %d sees %v, saw %v", i, now, h.some)
					}
				}
				if len(open) == 0 && (len(db.snaps.gens) > 0 || db.snaps.total > 0) {
					t.Fatalf("%d generations with %d notes, and no querier", len(db.snaps.gens), db.snaps.total)
				}
			},
		})
	})
}

// A matcher runs without the lock: it can even commit.
func TestMatcherHoldsNoLock(t *testing.T) {
	db := bounded(t)
	put := func(v string) {
		tx := db.Begin()
		ref, _ := tx.Create(KeyV1, nil, labels.FromStrings("a", v))
		tx.Float(ref, 0, at.UnixMilli(), 1)
		if _, err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	put("x1")
	put("y1")
	tm := terms([]*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "a", "x.+")})
	match, calls := tm[0].match, 0
	tm[0].match = func(s string) bool {
		if calls++; calls <= 2 {
			put(fmt.Sprintf("x%d", 1+calls))
		}
		return match(s)
	}
	db.judge(&tm[0])
	if calls != 2 {
		t.Errorf("%d values were judged, want 2", calls)
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	// The two that came meanwhile are judged now.
	if n := len(db.selectSlots(tm)); n != 3 || calls != 4 {
		t.Errorf("%d series selected after %d calls, want 3 after 4", n, calls)
	}
}

// An answer over times of which samples were dropped says so, also after a
// restart; nothing is said before anything is dropped.
func TestEdgeWarning(t *testing.T) {
	o := Options{Dir: t.TempDir(), Memory: minMemory, OutOfOrderWindow: -1, MaxFuture: -1, Logger: quiet()}
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { db.Close() }()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute})
	warned := func(from, to int64) string {
		t.Helper()
		q, err := engine.NewRangeQuery(t.Context(), db, nil, `m`, time.UnixMilli(from), time.UnixMilli(to), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		res := q.Exec(t.Context())
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		w, _ := res.Warnings.AsStrings("", 0, 0)
		return strings.Join(w, "; ")
	}
	start := at.UnixMilli()
	now := start
	put := func() {
		tx := db.Begin()
		ref, _ := tx.Create(KeyV1, nil, labels.FromStrings(labels.MetricName, "m"))
		for range 10 {
			now += 1000
			tx.Float(ref, 0, now, math.Sqrt(float64(now)))
		}
		if res, err := tx.Commit(); err != nil || res.Samples != 10 {
			t.Fatal(res, err)
		}
	}
	for db.n.evicted == 0 {
		if w := warned(start-3600_000, now); w != "" {
			t.Fatalf("warned before anything was dropped: %s", w)
		}
		put()
	}
	for range 2 {
		q, err := db.Querier(0, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		oldest := int64(math.MaxInt64)
		set := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m"))
		for set.Next() {
			it := set.At().Iterator(nil)
			it.Next()
			oldest = it.AtT()
		}
		q.Close()
		lookback := (5 * time.Minute).Milliseconds()
		want := "the ring reaches back to " + time.UnixMilli(db.edge.t+1).UTC().Format(time.RFC3339)
		if w := warned(start, now); !strings.Contains(w, want) || oldest <= db.edge.t {
			t.Errorf("warned %q, want %q; oldest sample at %d, edge at %d", w, want, oldest, db.edge.t)
		}
		// The lookback does not reach the millisecond it begins at.
		if w := warned(db.edge.t+lookback-1, now+lookback); w == "" {
			t.Error("no warning at the edge")
		}
		if w := warned(db.edge.t+lookback, now+lookback); w != "" {
			t.Errorf("warned behind the edge: %s", w)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if db, err = Open(o); err != nil {
			t.Fatal(err)
		}
	}
}

// When too much changes while a querier is open it sees what is newest; later
// queriers are not concerned.
func TestSnapshotBound(t *testing.T) {
	db := bounded(t)
	db.snaps.limit = 5
	now := at.UnixMilli()
	put := func(n int) {
		now++
		tx := db.Begin()
		for i := range n {
			ref, _ := tx.Create(KeyV1, nil, labels.FromStrings("i", fmt.Sprint(i)))
			tx.Float(ref, 0, now, 1)
		}
		if res, err := tx.Commit(); err != nil || res.Samples != n {
			t.Fatal(res, err)
		}
	}
	open := func() storage.Querier {
		q, err := db.Querier(0, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	all := labels.MustNewMatcher(labels.MatchRegexp, "i", ".+")
	first := open()
	put(3)
	second := open()
	put(2)
	if a, b := len(view(t, first, all)), len(view(t, second, all)); a != 0 || b != 3 {
		t.Errorf("%d and %d series, want 0 and 3", a, b)
	}
	put(6)
	third := open()
	put(1)
	want := view(t, third, all)
	if a, b := len(view(t, first, all)), len(view(t, second, all)); a != 6 || b != 6 || len(want) != 6 {
		t.Errorf("%d, %d and %d series, want 6", a, b, len(want))
	}
	first.Close()
	second.Close()
	put(2)
	if got := view(t, third, all); !maps.Equal(got, want) {
		t.Errorf("sees %v, saw %v", got, want)
	}
	third.Close()
	if db.snaps.total != 0 || len(db.snaps.gens) != 0 {
		t.Errorf("%d notes and %d generations are left", db.snaps.total, len(db.snaps.gens))
	}
}
