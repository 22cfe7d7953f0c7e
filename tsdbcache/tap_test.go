package tsdbcache

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

func equal(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

// put stores one sample and returns the series' reference.
func put(t testing.TB, db *DB, ts int64, v float64, pairs ...string) storage.SeriesRef {
	t.Helper()
	tx := db.Begin()
	ref, _ := tx.Create(KeyV1, nil, labels.FromStrings(pairs...))
	tx.Float(ref, 7, ts, v)
	if res, err := tx.Commit(); err != nil || res.RefusedTotal() > 0 {
		t.Fatal(res, err)
	}
	return ref
}

// drained is what a reader gets, without references.
func drained(r *TapReader) (out []TapSample, overflowed bool) {
	overflowed = r.Drain(func(s TapSample) { s.Ref = 0; out = append(out, s) })
	return out, overflowed
}

func TestTap(t *testing.T) {
	db := openTest(t, Options{})
	put(t, db, 100, 1, "job", "a")
	tap := db.Tap([]*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "job", "a|c")}, 3)
	drain := func(lost bool, want ...TapSample) {
		t.Helper()
		if have, overflowed := drained(tap); !slices.Equal(have, want) || overflowed != lost {
			t.Errorf("drained %+v %v, want %+v %v", have, overflowed, want, lost)
		}
	}
	put(t, db, 101, 2, "job", "a")
	put(t, db, 101, 3, "job", "b")
	put(t, db, 101, 4, "job", "c") // a series made after the tap
	put(t, db, 101, 2, "job", "a") // there already
	drain(false, TapSample{T: 101, V: 2}, TapSample{Joined: true})
	put(t, db, 102, 5, "job", "c")
	put(t, db, 99, 6, "job", "c")
	drain(false, TapSample{T: 102, V: 5}, TapSample{T: 99, V: 6})
	for i := range int64(3) {
		put(t, db, 103+i, 5, "job", "a")
	}
	drain(false, TapSample{T: 103, V: 5}, TapSample{T: 104, V: 5}, TapSample{T: 105, V: 5})
	for i := range int64(5) {
		put(t, db, 110+i, 5, "job", "a")
	}
	drain(true)
	drain(false)
	put(t, db, 120, 6, "job", "a")
	drain(false, TapSample{T: 120, V: 6})
	put(t, db, 121, 6, "job", "a")
	tap.Close()
	put(t, db, 122, 6, "job", "a")
	drain(false)
	tap.Close()
}

// A histogram comes with its sum, so that its stale marker can be told.
func TestTapTellsStaleHistograms(t *testing.T) {
	db := openTest(t, Options{})
	tap := db.Tap([]*labels.Matcher{equal("job", "a")}, 10)
	defer tap.Close()
	stale := math.Float64frombits(value.StaleNaN)
	tx := db.Begin()
	ref, _ := tx.Create(KeyV1, nil, labels.FromStrings("job", "a"))
	h := testHistogram(3)
	tx.Histogram(ref, 0, 1, h, nil)
	tx.Histogram(ref, 0, 2, nil, h.ToFloat(nil))
	tx.Histogram(ref, 0, 3, &histogram.Histogram{Sum: stale}, nil)
	tx.Histogram(ref, 0, 4, nil, &histogram.FloatHistogram{Sum: stale})
	if res, err := tx.Commit(); err != nil || res.Histograms != 4 {
		t.Fatal(res, err)
	}
	have, _ := drained(tap)
	if len(have) != 4 {
		t.Fatalf("%+v", have)
	}
	for i, s := range have {
		if !s.Histogram || s.T != int64(i+1) || value.IsStaleNaN(s.V) != (i > 1) || i < 2 && s.V != h.Sum {
			t.Errorf("%+v", s)
		}
	}
}

// Whoever asks for equal matchers shares a tap, until the last one closes it.
// What waits is held once and given back when all have it, and a reader that
// is slow loses its own place only.
func TestReadersShareATap(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	db := openTest(t, Options{Registerer: reg})
	metric := func(name string) (v float64) {
		t.Helper()
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if f.GetName() == "chiron_tsdbcache_"+name {
				return f.Metric[0].GetGauge().GetValue() + f.Metric[0].GetCounter().GetValue()
			}
		}
		t.Fatalf("no metric %s", name)
		return 0
	}
	want := func(name string, v float64) {
		t.Helper()
		if have := metric(name); have != v {
			t.Errorf("%s is %v, want %v", name, have, v)
		}
	}
	m, re := equal(labels.MetricName, "m"), labels.MustNewMatcher(labels.MatchNotRegexp, "s", "x.+")
	all := labels.MustNewMatcher(labels.MatchRegexp, "zone", ".*")
	fast, slow := db.Tap([]*labels.Matcher{m, re}, 10_000), db.Tap([]*labels.Matcher{re, all, m, m}, 500)
	other := db.Tap([]*labels.Matcher{m}, 100_000)
	want("taps", 2)
	want("tap_readers", 3)
	other.Close()
	want("taps", 1)

	n := int64(0)
	feed := func(count int) {
		t.Helper()
		for range count {
			n++
			put(t, db, n, float64(n), labels.MetricName, "m")
		}
	}
	feed(1)
	for _, r := range []*TapReader{fast, slow} {
		if have, lost := drained(r); len(have) != 1 || !have[0].Joined || lost {
			t.Errorf("%v %v", have, lost)
		}
	}
	want("tap_bytes", 0)
	block := func(n int) float64 { return float64((n + tapBlockSize - 1) / tapBlockSize * tapBlockSize * 32) }
	feed(tapBlockSize)
	want("tap_bytes", block(tapBlockSize))
	feed(1)
	want("tap_bytes", block(tapBlockSize+1))
	feed(500 - tapBlockSize - 1)
	want("tap_bytes", block(500))
	if have, lost := drained(fast); len(have) != 500 || lost {
		t.Errorf("%d %v", len(have), lost)
	}
	want("tap_bytes", block(500)) // the slow one has not got it
	want("tap_dropped_samples_total", 0)
	feed(1)
	want("tap_dropped_samples_total", 500)
	want("tap_bytes", block(1))
	feed(9)
	if have, lost := drained(fast); len(have) != 10 || have[0].T != 502 || lost {
		t.Errorf("%d %v", len(have), lost)
	}
	want("tap_bytes", 0)
	feed(3)
	if have, lost := drained(slow); len(have) != 0 || !lost {
		t.Errorf("%d %v", len(have), lost)
	}
	want("tap_dropped_samples_total", 513)
	feed(2)
	if have, lost := drained(slow); len(have) != 2 || lost {
		t.Errorf("%d %v", len(have), lost)
	}
	fast.Close()
	want("tap_bytes", 0)
	want("tap_readers", 1)
	feed(1)
	if have, lost := drained(slow); len(have) != 1 || lost {
		t.Errorf("%d %v", len(have), lost)
	}
	slow.Close()
	want("taps", 0)
	feed(1)
	if set := db.taps.sets.of(1); set != 0 || db.series.entry(1).lateN&flagTapped != 0 {
		t.Errorf("a series still feeds set %d", set)
	}
}

// Creating a series compares symbols. What is not an equality waits for a
// drainer, and taps for another metric are not even looked at.
func TestNewSeriesAreJudgedByTheDrainer(t *testing.T) {
	db := openTest(t, Options{})
	re := labels.MustNewMatcher(labels.MatchRegexp, "s", "a.*")
	open := func(ms ...*labels.Matcher) *TapReader {
		r := db.Tap(ms, 100)
		t.Cleanup(r.Close)
		return r
	}
	plain := open(equal(labels.MetricName, "m"))
	costly := open(equal(labels.MetricName, "m"), re)
	elsewhere := open(equal(labels.MetricName, "n"), re)
	nameless := open(re)
	zoned := open(re, equal("zone", "z"))
	zoneless := open(re, equal("zone", ""))
	readers := []*TapReader{plain, costly, elsewhere, nameless, zoned, zoneless}
	f := func(listed, got [6]int, pairs ...string) {
		t.Helper()
		put(t, db, 1, 1, pairs...)
		for i, r := range readers {
			if len(r.tap.newborn) != listed[i] {
				t.Errorf("%v: reader %d has %d to judge, want %d", pairs, i, len(r.tap.newborn), listed[i])
			}
			if have, _ := drained(r); len(have) != got[i] {
				t.Errorf("%v: reader %d has %+v", pairs, i, have)
			}
		}
	}
	f([6]int{0, 1, 0, 1, 0, 1}, [6]int{1, 1, 0, 1, 0, 1}, labels.MetricName, "m", "s", "a1")
	f([6]int{0, 1, 0, 1, 0, 1}, [6]int{1, 0, 0, 0, 0, 0}, labels.MetricName, "m", "s", "b1")
	f([6]int{0, 0, 1, 1, 1, 0}, [6]int{0, 0, 1, 1, 1, 0}, labels.MetricName, "n", "s", "a1", "zone", "z")
	f([6]int{0, 0, 0, 1, 0, 0}, [6]int{0, 0, 0, 1, 0, 0}, "s", "a1", "zone", "y")
	f([6]int{0, 0, 0, 1, 0, 1}, [6]int{0, 0, 0, 0, 0, 0}, labels.MetricName, "o")
}

// More new series than the list holds cost their readers a query, and are fed
// from then on.
func TestTooManyNewSeries(t *testing.T) {
	db := openTest(t, Options{Memory: 64 << 20})
	tap := db.Tap([]*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "i", ".*7")}, 1<<20)
	defer tap.Close()
	refs := make([]storage.SeriesRef, maxNewborn+10)
	for lo := 0; lo < len(refs); lo += 1000 {
		tx := db.Begin()
		for i := lo; i < min(lo+1000, len(refs)); i++ {
			refs[i], _ = tx.Create(KeyV1, nil, labels.FromStrings("i", fmt.Sprint(i)))
			tx.Float(refs[i], 0, 1, 1)
		}
		if res, err := tx.Commit(); err != nil || res.RefusedTotal() > 0 {
			t.Fatal(res, err)
		}
	}
	if tap.tap.newborn != nil {
		t.Error("the list was kept")
	}
	if have, lost := drained(tap); len(have) != 0 || !lost {
		t.Errorf("%d %v", len(have), lost)
	}
	for _, i := range []int{7, 8, maxNewborn + 1, maxNewborn + 2} {
		tx := db.Begin()
		tx.Float(refs[i], 0, 2, float64(i))
		if _, err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	have, lost := drained(tap)
	if len(have) != 2 || lost || have[0].V != 7 || have[1].V != maxNewborn+1 {
		t.Errorf("%+v %v", have, lost)
	}
}

// Series knows what there is now, and says when the ring is closed.
func TestSeries(t *testing.T) {
	db, err := Open(Options{Memory: 1 << 20, OutOfOrderWindow: -1, MaxFuture: -1})
	if err != nil {
		t.Fatal(err)
	}
	ref := put(t, db, 10, 1, "a", "b")
	put(t, db, 20, 2, "a", "b")
	put(t, db, 15, 3, "a", "b")
	s, found, err := db.Series(ref, 11, 20)
	if err != nil || !found || s.Labels().String() != `{a="b"}` {
		t.Fatal(s, found, err)
	}
	put(t, db, 17, 4, "a", "b") // later than the call
	var have []int64
	for it := s.Iterator(nil); it.Next() != chunkenc.ValNone; {
		have = append(have, it.AtT())
	}
	if !slices.Equal(have, []int64{15, 20}) {
		t.Error(have)
	}
	if _, found, err := db.Series(ref+1<<32, 0, 100); found || err != nil {
		t.Error(found, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Series(ref, 0, 100); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
