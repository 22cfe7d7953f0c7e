package tsdbcache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
)

// at is the clock of the tests in this file.
var at = time.UnixMilli(10_000_000_000)

func bounded(t testing.TB) *DB {
	o := Options{Memory: 1 << 20, OutOfOrderWindow: 10 * time.Minute, MaxFuture: 10 * time.Minute, Now: func() time.Time { return at }}
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

const min10 = 600_000

var staleNaN = math.Float64frombits(0x7ff0000000000002)

// TestAppenderVerdicts: one line a case, what is there and what Append says,
// at once and through a transaction.
func TestAppenderVerdicts(t *testing.T) {
	now := at.UnixMilli()
	h, fh := testHistogram(3), testNHCB(2)
	bad := testHistogram(3)
	bad.Count++
	type s struct {
		t  int64
		v  float64
		h  *histogram.Histogram
		fh *histogram.FloatHistogram
	}
	f := func(name string, before []s, x s, inOrder bool, want error, reason Reason) {
		t.Run(name, func(t *testing.T) {
			ls := labels.FromStrings("a", "b")
			for _, split := range []bool{false, true} { // samples before in the same appender, or committed
				db := bounded(t)
				app := db.AppenderV2(context.Background())
				for _, b := range before {
					if _, err := app.Append(0, ls, 0, b.t, b.v, b.h, b.fh, storage.AOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				if split {
					if err := app.Commit(); err != nil {
						t.Fatal(err)
					}
					app = db.AppenderV2(context.Background())
				}
				ref, err := app.Append(0, ls, 0, x.t, x.v, x.h, x.fh, storage.AOptions{RejectOutOfOrder: inOrder})
				if !errors.Is(err, want) {
					t.Errorf("Append (split %v): %v, want %v", split, err, want)
				}
				if want == nil && ref == 0 {
					t.Errorf("no reference")
				}
				if err := app.Commit(); err != nil {
					t.Fatal(err)
				}
				n := 0
				for _, gs := range query(t, db, math.MinInt64, math.MaxInt64) {
					n += len(gs)
				}
				expect := len(before)
				if want == nil && !slices.ContainsFunc(before, func(b s) bool { return b.t == x.t }) {
					expect++
				}
				if n != expect {
					t.Errorf("%d samples (split %v), want %d", n, split, expect)
				}
			}
			if inOrder {
				return
			}
			db := bounded(t)
			tx := db.Begin()
			ref, _ := tx.Create(KeyV1, []byte("k"), ls)
			put := func(x s) {
				if x.h != nil || x.fh != nil {
					tx.Histogram(ref, 0, x.t, x.h, x.fh)
				} else {
					tx.Float(ref, 0, x.t, x.v)
				}
			}
			for _, b := range before {
				put(b)
			}
			put(x)
			res, err := tx.Commit()
			if err != nil {
				t.Fatal(err)
			}
			stored := len(before)
			if reason == Accepted {
				stored++
			} else if res.Refused[reason] != 1 || len(res.Examples) != 1 || res.Examples[0] != (Refusal{ref, x.t, reason}) {
				t.Errorf("result %+v, want one %s", res, reason)
			}
			if res.Samples+res.Histograms != stored {
				t.Errorf("result %+v, want %d stored", res, stored)
			}
		})
	}
	one := []s{{t: now, v: 1}}
	two := []s{{t: now - 60_000, v: 1}, {t: now, v: 2}}
	f("first", nil, s{t: now, v: 1}, false, nil, Accepted)
	f("newer", one, s{t: now + 1, v: 1}, false, nil, Accepted)
	f("same again", one, s{t: now, v: 1}, false, nil, Accepted)
	f("same time, other value", one, s{t: now, v: 2}, false, storage.ErrDuplicateSampleForTimestamp, Duplicate)
	f("same NaN bits", []s{{t: now, v: staleNaN}}, s{t: now, v: staleNaN}, false, nil, Accepted)
	f("other NaN bits", []s{{t: now, v: staleNaN}}, s{t: now, v: math.NaN()}, false, storage.ErrDuplicateSampleForTimestamp, Duplicate)
	f("0 and -0", []s{{t: now, v: 0}}, s{t: now, v: math.Copysign(0, -1)}, false, storage.ErrDuplicateSampleForTimestamp, Duplicate)
	f("old one again", two, s{t: now - 60_000, v: 1}, false, nil, Accepted)
	f("old time, other value", two, s{t: now - 60_000, v: 3}, false, storage.ErrDuplicateSampleForTimestamp, Duplicate)
	f("late, inside the window", one, s{t: now - 1, v: 3}, false, nil, Accepted)
	f("late, at the window's edge", one, s{t: now - min10, v: 3}, false, nil, Accepted)
	f("late, behind the window", one, s{t: now - min10 - 1, v: 3}, false, storage.ErrTooOldSample, TooOld)
	f("late, not wanted", one, s{t: now - 1, v: 3}, true, storage.ErrOutOfOrderSample, OutOfOrder)
	f("ahead, at the edge", one, s{t: now + min10, v: 3}, false, nil, Accepted)
	f("too far ahead", one, s{t: now + min10 + 1, v: 3}, false, storage.ErrOutOfBounds, TooFarAhead)
	f("histogram", nil, s{t: now, h: h}, false, nil, Accepted)
	f("float after histogram", []s{{t: now, h: h}}, s{t: now + 1, v: 1}, false, nil, Accepted)
	f("float over histogram", []s{{t: now, h: h}}, s{t: now, v: 1}, false, storage.ErrDuplicateSampleForTimestamp, Duplicate)
	f("histogram over float", one, s{t: now, h: h}, false, storage.ErrDuplicateSampleForTimestamp, Duplicate)
	f("same histogram", []s{{t: now, h: h}}, s{t: now, h: h.Copy()}, false, nil, Accepted)
	f("other histogram", []s{{t: now, h: h}}, s{t: now, h: testHistogram(4)}, false, storage.ErrDuplicateSampleForTimestamp, Duplicate)
	f("same custom buckets", []s{{t: now, fh: fh}}, s{t: now, fh: fh.Copy()}, false, nil, Accepted)
	f("integer over float histogram", []s{{t: now, fh: h.ToFloat(nil)}}, s{t: now, h: h}, false, storage.ErrDuplicateSampleForTimestamp, Duplicate)
	f("late histogram", []s{{t: now, h: h}}, s{t: now - 5, fh: fh}, false, nil, Accepted)
	f("old histogram again", []s{{t: now - 9, h: h}, {t: now, h: testHistogram(8)}}, s{t: now - 9, h: h}, false, nil, Accepted)
	f("late histogram behind the window", []s{{t: now, h: h}}, s{t: now - min10 - 1, fh: fh}, false, storage.ErrTooOldSample, TooOld)
	f("histogram that does not add up", nil, s{t: now, h: bad}, false, histogram.ErrHistogramCountMismatch, InvalidHistogram)
}

func TestAppenderLabels(t *testing.T) {
	db := bounded(t)
	app := db.AppenderV2(t.Context())
	add := func(ls labels.Labels) error {
		_, err := app.Append(0, ls, 0, at.UnixMilli(), 1, nil, nil, storage.AOptions{})
		return err
	}
	if err := add(labels.FromStrings("a", "", "b", "c")); err != nil {
		t.Error(err)
	}
	if err := add(labels.EmptyLabels()); !errors.Is(err, ErrInvalidLabels) {
		t.Errorf("empty: %v", err)
	}
	if err := add(labels.New(labels.Label{Name: "a", Value: "b"}, labels.Label{Name: "a", Value: "c"})); !errors.Is(err, ErrInvalidLabels) {
		t.Errorf("twice: %v", err)
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	have := query(t, db, math.MinInt64, math.MaxInt64)
	if len(have) != 1 || have[`{b="c"}`] == nil {
		t.Errorf("got %v", have)
	}
}

// Nothing is visible before a commit or after a rollback.
func TestVisibility(t *testing.T) {
	db := bounded(t)
	now := at.UnixMilli()
	app := db.AppenderV2(t.Context())
	if _, err := app.Append(0, labels.FromStrings("a", "b"), 0, now, 1, nil, nil, storage.AOptions{}); err != nil {
		t.Fatal(err)
	}
	names := func() string {
		q, _ := db.Querier(0, math.MaxInt64)
		defer q.Close()
		n, _, _ := q.LabelNames(t.Context(), nil)
		return strings.Join(n, ",")
	}
	if got := query(t, db, 0, math.MaxInt64); len(got) != 0 || names() != "" || db.Stats(9).Series != 0 {
		t.Errorf("visible before the commit: %v %s", got, names())
	}
	if err := app.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := query(t, db, 0, math.MaxInt64); len(got) != 0 || names() != "" {
		t.Errorf("visible after the rollback: %v %s", got, names())
	}
	app = db.AppenderV2(t.Context())
	ref, err := app.Append(0, labels.FromStrings("a", "b"), 0, now, 1, nil, nil, storage.AOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	// A query that began sees no later commit, be it newer, late or sealed.
	q, _ := db.Querier(0, math.MaxInt64)
	defer q.Close()
	set := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "a", "b"))
	tx := db.Begin()
	for i := range int64(100) {
		tx.Float(ref, 0, now+i+1, 2)
		tx.Float(ref, 0, now-i-1, 3)
	}
	if res, err := tx.Commit(); err != nil || res.RefusedTotal() != 0 {
		t.Fatal(res, err)
	}
	n := 0
	for set.Next() {
		n += len(collect(t, set.At().Iterator(nil)))
	}
	if n != 1 {
		t.Errorf("a query sees %d samples, want the 1 that was there", n)
	}
	if got := query(t, db, 0, math.MaxInt64)[`{a="b"}`]; len(got) != 201 {
		t.Errorf("%d samples after it, want 201", len(got))
	}
}

// Two transactions may create the same series; a rollback of one leaves it to
// the other, and a reference to a series that left is followed.
func TestPendingSeries(t *testing.T) {
	db := bounded(t)
	now := at.UnixMilli()
	ls := labels.FromStrings("a", "b")
	a, b := db.Begin(), db.Begin()
	ra, _ := a.Create(KeyV1, []byte("k"), ls)
	rb, ok := b.Lookup(KeyV1, []byte("k"))
	if !ok || ra != rb {
		t.Fatalf("found %v %v, want %v", rb, ok, ra)
	}
	a.Rollback()
	b.Float(rb, 0, now, 1)
	if res, err := b.Commit(); err != nil || res.Samples != 1 {
		t.Fatal(res, err)
	}
	if got := query(t, db, 0, math.MaxInt64)[ls.String()]; len(got) != 1 {
		t.Fatalf("got %v", got)
	}
	// Gone, but a transaction from before still holds the reference.
	c := db.Begin()
	rc, ok := c.Lookup(KeyV1, []byte("k"))
	if !ok {
		t.Fatal("not found")
	}
	db.closeIdle()
	db.closeIdle()
	db.mu.Lock()
	for db.evict(0) {
	}
	db.mu.Unlock()
	db.sweepNow()
	if _, ok := db.Labels(rc); ok {
		t.Error("labels of a series that left")
	}
	d := db.Begin()
	if _, ok := d.Lookup(KeyV1, []byte("k")); ok {
		t.Error("found by a stale cache entry")
	}
	d.Rollback()
	c.Float(rc, 0, now+1, 2)
	if res, err := c.Commit(); err != nil || res.Samples != 1 {
		t.Fatal(res, err)
	}
	if got := query(t, db, 0, math.MaxInt64)[ls.String()]; len(got) != 1 || got[0].t != now+1 {
		t.Fatalf("got %v", got)
	}
	e := db.Begin()
	e.Float(123<<32|99, 0, now, 1)
	if res, err := e.Commit(); err != nil || res.Refused[UnknownSeries] != 1 {
		t.Fatal(res, err)
	}
}

func TestExemplars(t *testing.T) {
	db := openTest(t, Options{MaxExemplars: 5})
	ls := labels.FromStrings(labels.MetricName, "m")
	ex := func(ts int64, id string) exemplar.Exemplar {
		return exemplar.Exemplar{Labels: labels.FromStrings("trace_id", id), Value: float64(ts), Ts: ts, HasTs: true}
	}
	f := func(e exemplar.Exemplar, want error) {
		t.Helper()
		app := db.AppenderV2(t.Context()).(storage.ExemplarAppenderV2)
		if _, err := app.Append(0, ls, 0, 1000, 1, nil, nil, storage.AOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err := app.AppendExemplars(0, ls, []exemplar.Exemplar{e})
		var p *storage.AppendPartialError
		if want == nil && err != nil || want != nil && (!errors.As(err, &p) || !errors.Is(p.ExemplarErrors[0], want)) {
			t.Errorf("exemplar at %d: %v, want %v", e.Ts, err, want)
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	times := func() string {
		q, _ := db.ExemplarQuerier(t.Context())
		rs, err := q.Select(0, math.MaxInt64, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m")})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range rs {
			for _, e := range r.Exemplars {
				out = append(out, fmt.Sprint(e.Ts, e.Labels.Get("trace_id")))
			}
		}
		return strings.Join(out, " ")
	}
	f(ex(1, "a"), nil)
	f(ex(3, "b"), nil)
	f(ex(3, "b"), nil)
	f(ex(1, "a"), nil)
	f(ex(2, "c"), storage.ErrOutOfOrderExemplar)
	f(ex(3, "d"), nil)
	f(ex(9, strings.Repeat("x", 200)), storage.ErrExemplarLabelLength)
	if got := times(); got != "1 a 3 b 3 d" && got != "1a 3b 3d" {
		t.Errorf("got %q", got)
	}
	for i := range int64(9) {
		f(ex(10+i, "z"), nil)
	}
	if got := times(); strings.Count(got, "z") != 5 || strings.Contains(got, "b") {
		t.Errorf("a ring of 5 holds %q", got)
	}
	app := db.AppenderV2(t.Context()).(storage.ExemplarAppenderV2)
	if _, err := app.AppendExemplars(0, labels.FromStrings("no", "such"), nil); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("exemplar without a series: %v", err)
	}
	app.Rollback()
}

func TestMetadata(t *testing.T) {
	db := bounded(t)
	tx := db.Begin()
	want := metadata.Metadata{Type: "counter", Unit: "s", Help: "a \"b\"\nc"}
	tx.Metadata("m", metadata.Metadata{Type: "gauge"})
	tx.Metadata("m", want)
	tx.Metadata("", want)
	if _, ok := db.Metadata("m"); ok {
		t.Error("visible before the commit")
	}
	if _, err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	n := 0
	db.EachMetadata(func(string, metadata.Metadata) bool { n++; return true })
	if m, ok := db.Metadata("m"); !ok || m != want || n != 1 {
		t.Errorf("got %+v %v, %d families", m, ok, n)
	}
}

// Series that are full of open pages refuse new ones and nothing else; memory
// never grows.
func TestSeriesLimit(t *testing.T) {
	for _, o := range []Options{{Memory: minMemory}, {Memory: 1 << 20, MaxSeries: 20}} {
		db := openTest(t, o)
		var refs []storage.SeriesRef
		for i := range 200 {
			tx := db.Begin()
			ref, r := tx.Create(KeyV1, nil, labels.FromStrings("i", fmt.Sprint(i)))
			if r != Accepted {
				if r != SeriesLimit {
					t.Fatal(r)
				}
				tx.Rollback()
				break
			}
			tx.Float(ref, 0, 1000, 1)
			if res, err := tx.Commit(); err != nil || res.Samples != 1 {
				t.Fatal(res, err)
			}
			refs = append(refs, ref)
		}
		if len(refs) < 10 || len(refs) > 199 {
			t.Fatalf("%d series fit", len(refs))
		}
		for i := range int64(500) {
			tx := db.Begin()
			for k, ref := range refs {
				tx.Float(ref, 0, 2000+i, math.Sqrt(float64(i)*float64(k+1)))
			}
			if res, err := tx.Commit(); err != nil || res.Samples != len(refs) {
				t.Fatalf("round %d: %+v %v", i, res, err)
			}
		}
		free, open, closed := db.pageCounts()
		if free+open+closed != int(db.arena.n)-1 {
			t.Errorf("%d free, %d open, %d closed of %d pages", free, open, closed, db.arena.n)
		}
		if n := len(query(t, db, 2499, 2499)); n != len(refs) {
			t.Errorf("%d of %d series have their newest sample", n, len(refs))
		}
	}
}

func TestRetention(t *testing.T) {
	now := at
	db, err := Open(Options{Memory: 1 << 20, Retention: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	put := func(want Reason, ts time.Time) {
		t.Helper()
		tx := db.Begin()
		ref, _ := tx.Create(KeyV1, nil, labels.FromStrings("a", "b"))
		tx.Float(ref, 0, ts.UnixMilli(), 1)
		res, err := tx.Commit()
		if err != nil || want == Accepted && res.Samples != 1 || want != Accepted && res.Refused[want] != 1 {
			t.Errorf("%+v %v, want %s", res, err, want)
		}
	}
	put(TooOld, now.Add(-time.Hour-time.Millisecond))
	put(Accepted, now.Add(-time.Hour))
	db.closeIdle()
	db.closeIdle()
	db.expire()
	if n := db.Stats(1).Series; n != 1 {
		t.Errorf("%d series at the edge of the retention", n)
	}
	now = now.Add(time.Millisecond)
	db.expire()
	if s := db.Stats(1); s.Series != 0 || s.PagesClosed != 0 || s.PagesOpen != 0 {
		t.Errorf("%+v behind the retention", s)
	}
	put(Accepted, now) // the series can come back
}
