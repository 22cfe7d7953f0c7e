package tsdbcache

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"pgregory.net/rapid"
)

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
		if len(db.taps.byKey)+len(db.taps.named)-1-len(db.taps.freed)+len(db.taps.nameless)+len(db.taps.sets.ids)+len(db.taps.sets.grown) > 0 {
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
