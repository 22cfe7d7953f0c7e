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
	"pgregory.net/rapid"
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
	drain(false, TapSample{ST: 7, T: 101, V: 2}, TapSample{Joined: true})
	put(t, db, 102, 5, "job", "c")
	put(t, db, 99, 6, "job", "c")
	drain(false, TapSample{ST: 7, T: 102, V: 5}, TapSample{ST: 7, T: 99, V: 6})
	for i := range int64(3) {
		put(t, db, 103+i, 5, "job", "a")
	}
	drain(false, TapSample{ST: 7, T: 103, V: 5}, TapSample{ST: 7, T: 104, V: 5}, TapSample{ST: 7, T: 105, V: 5})
	for i := range int64(5) {
		put(t, db, 110+i, 5, "job", "a")
	}
	drain(true)
	drain(false)
	put(t, db, 120, 6, "job", "a")
	drain(false, TapSample{ST: 7, T: 120, V: 6})
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
	block := float64(40 * tapBlockSize)
	feed(tapBlockSize)
	want("tap_bytes", block)
	feed(1)
	want("tap_bytes", 2*block)
	feed(500 - tapBlockSize - 1)
	want("tap_bytes", 4*block)
	if have, lost := drained(fast); len(have) != 500 || lost {
		t.Errorf("%d %v", len(have), lost)
	}
	want("tap_bytes", 4*block) // the slow one has not got it
	want("tap_dropped_samples_total", 0)
	feed(1)
	want("tap_dropped_samples_total", 500)
	want("tap_bytes", block)
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

// oracle is what a reader must be told at its next Drain.
type oracle struct {
	*TapReader
	ms    []*labels.Matcher
	room  int
	wants []TapSample
}

// TestTapsTellWhatWasStored opens and closes readers of all kinds of matchers
// while series come and go. What a reader is told, and what the ring holds of
// series that it is told joined, is all that was stored since the last time.
func TestTapsTellWhatWasStored(t *testing.T) {
	matchers := [][]*labels.Matcher{
		{equal(labels.MetricName, "m")},
		{equal(labels.MetricName, "m"), equal("s", "1")},
		{equal(labels.MetricName, "m"), equal("s", "")},
		{equal("s", "2")},
		{labels.MustNewMatcher(labels.MatchNotEqual, "s", "1")},
		{labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, "m|n"), equal("s", "3")},
		{equal(labels.MetricName, "n"), labels.MustNewMatcher(labels.MatchNotRegexp, "s", "[0-2]")},
		{labels.MustNewMatcher(labels.MatchRegexp, "s", ".+")},
	}
	rapid.Check(t, func(rt *rapid.T) {
		// So small that series leave, and late samples of those there are.
		db, err := Open(Options{Memory: minMemory, OutOfOrderWindow: -1, MaxFuture: -1})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		var readers []*oracle
		now := int64(1000)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				ms, room := rapid.SampledFrom(matchers).Draw(rt, "matchers"), rapid.SampledFrom([]int{5, 1000}).Draw(rt, "room")
				readers = append(readers, &oracle{TapReader: db.Tap(ms, room), ms: ms, room: room})
			case 1:
				if n := len(readers); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(rt, "closed")
					readers[i].Close()
					readers = slices.Delete(readers, i, i+1)
				}
			case 2:
				db.closeIdle()
				db.closeIdle()
				db.sweepNow()
			case 3, 4:
				for _, r := range readers {
					if rapid.Bool().Draw(rt, "drained") {
						r.check(rt, db)
					}
				}
			default:
				now += storeAtRandom(rt, db, now, readers)
			}
		}
		for _, r := range readers {
			r.check(rt, db)
			r.Close()
		}
		if len(db.taps.byKey)+len(db.taps.byName)+len(db.taps.nameless)+len(db.taps.sets.ids)+len(db.taps.sets.grown) > 0 {
			rt.Fatalf("taps are left: %+v", &db.taps)
		}
	})
}

// storeAtRandom commits once and returns how far time went.
func storeAtRandom(rt *rapid.T, db *DB, now int64, readers []*oracle) int64 {
	tx := db.Begin()
	n := rapid.IntRange(1, 12).Draw(rt, "samples")
	var stored []TapSample
	var sets []labels.Labels
	for i := range int64(n) {
		name := rapid.SampledFrom([]string{"m", "n", "o"}).Draw(rt, "name")
		ls := labels.FromStrings(labels.MetricName, name, "s", rapid.SampledFrom([]string{"", "1", "2", "3", "4"}).Draw(rt, "s")).WithoutEmpty()
		if name == "o" {
			ls = labels.FromStrings(labels.MetricName, name, "churn", fmt.Sprint(now+i))
		}
		ref, r := tx.Create(KeyV1, nil, ls)
		if r != Accepted {
			continue
		}
		tx.Float(ref, 0, now+i, float64(now+i))
		stored, sets = append(stored, TapSample{Ref: ref, T: now + i, V: float64(now + i)}), append(sets, ls)
	}
	res, err := tx.Commit()
	if err != nil {
		rt.Fatal(err)
	}
	if res.RefusedTotal() > 0 { // the ring is full of open pages
		for _, r := range readers {
			r.room = 0 // it is not known which samples it was
		}
	}
	for _, r := range readers {
		for i, ls := range sets {
			if !slices.ContainsFunc(r.ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) }) {
				r.wants = append(r.wants, stored[i])
			}
		}
	}
	return int64(n)
}

func (o *oracle) check(rt *rapid.T, db *DB) {
	var have []TapSample
	joined := map[storage.SeriesRef]bool{}
	overflowed := o.Drain(func(s TapSample) {
		if s.Joined {
			joined[s.Ref] = true
		} else {
			have = append(have, s)
		}
	})
	want, room := o.wants, o.room
	o.wants = nil
	switch {
	case room == 0:
		o.room = 1
		return
	case overflowed:
		if len(want)+len(joined) <= room && room > 5 {
			rt.Fatalf("%v overflowed with %d samples", o.ms, len(want))
		}
		return
	}
	told := map[TapSample]bool{}
	for _, s := range have {
		if !slices.Contains(want, s) {
			rt.Fatalf("%v was told %+v, which it did not ask for", o.ms, s)
		}
		told[s] = true
	}
	for _, s := range want {
		if told[s] || joined[s.Ref] && holds(rt, db, s) {
			continue
		}
		if _, found, err := db.Series(s.Ref, 0, math.MaxInt64); err != nil || found {
			rt.Fatalf("%v was not told %+v, %v", o.ms, s, err)
		}
	}
}

func holds(rt *rapid.T, db *DB, s TapSample) bool {
	series, found, err := db.Series(s.Ref, 0, math.MaxInt64)
	if err != nil {
		rt.Fatal(err)
	}
	if !found {
		return true // it left again
	}
	it := series.Iterator(nil)
	for it.Next() != chunkenc.ValNone {
		if t, v := it.At(); t == s.T {
			return v == s.V
		}
		if it.AtT() > s.T {
			return true // evicted
		}
	}
	return false
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
