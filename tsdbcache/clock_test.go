package tsdbcache

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// A wall clock that jumps, either way and back again, loses nothing: samples
// at the senders' right time are stored, and what is stored stays.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-50 * 365 * 24 * time.Hour, -time.Hour, time.Hour, 50 * 365 * 24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			db, err := Open(Options{Memory: 1 << 20, Retention: 30 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			steady, off := at, time.Duration(0)
			db.clock.read = func() (time.Time, time.Time) { return steady.Add(off), steady }
			stored := 0
			put := func(ts time.Time, want Reason) {
				t.Helper()
				tx := db.Begin()
				ref, _ := tx.Create(KeyV1, nil, labels.FromStrings("a", "b"))
				tx.Float(ref, 0, ts.UnixMilli(), 1)
				res, err := tx.Commit()
				if err != nil || want == Accepted && res.Samples != 1 || want != Accepted && res.Refused[want] != 1 {
					t.Errorf("clock off by %v, sample at %v: %+v, %v; want %s", off, ts.Sub(steady), res, err, want)
				}
				stored += res.Samples
			}
			for _, off = range []time.Duration{0, jump, 0} {
				for range 20 {
					steady = steady.Add(15 * time.Second)
					put(steady, Accepted)
				}
				db.closeIdle()
				db.closeIdle()
				db.expire()
			}
			n := 0
			for _, s := range query(t, db, 0, steady.UnixMilli()) {
				n += len(s)
			}
			if n != stored || n != 60 {
				t.Errorf("%d samples are there, %d were stored", n, stored)
			}
			// What both clocks call wrong is refused.
			put(steady.Add(defaultWindow+time.Second), TooFarAhead)
			put(steady.Add(-31*time.Minute), TooOld)
			steady = steady.Add(time.Hour)
			db.expire()
			if s := db.Stats(1); s.Series != 0 {
				t.Errorf("%d series behind the retention", s.Series)
			}
		})
	}
}

// The two readings of a real clock agree while nobody moves it.
func TestClockIsSteady(t *testing.T) {
	c := newClock(time.Now)
	earliest, latest := c.bounds()
	if now := time.Now(); earliest.After(now) || latest.Before(now.Add(-time.Minute)) || latest.Sub(earliest) > time.Minute {
		t.Errorf("%v to %v, now %v", earliest, latest, now)
	}
}
