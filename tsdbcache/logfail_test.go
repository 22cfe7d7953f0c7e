package tsdbcache

import (
	"errors"
	"math"
	"os"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

// A series log that cannot be written fails the transaction: nothing of it is
// visible, and the same transaction goes through once the log can be written.
func TestCommitFailsWithTheLog(t *testing.T) {
	o := killOptions(t.TempDir())
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	put := func() (Result, error) {
		tx := db.Begin()
		for i := range 3 {
			ls := labels.FromStrings("i", string(rune('a'+i)))
			ref, _ := tx.Create(KeyV1, ls.Bytes(nil), ls)
			tx.Float(ref, 0, 1000, float64(i))
			tx.Float(ref, 0, 2000, float64(i))
		}
		return tx.Commit()
	}
	good := db.log.file
	if db.log.file, err = os.Open(good.Name()); err != nil { // read only
		t.Fatal(err)
	}
	if _, err := put(); err == nil {
		t.Fatal("a log that cannot be written is no error")
	}
	if got := query(t, db, math.MinInt64, math.MaxInt64); len(got) != 0 || db.pend != 0 {
		t.Errorf("visible after an error: %v; %d series pending", got, db.pend)
	}
	db.log.file.Close()
	db.log.file = good
	if res, err := put(); err != nil || res.Samples != 6 {
		t.Fatal(res, err)
	}
	want := query(t, db, math.MinInt64, math.MaxInt64)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := query(t, db, math.MinInt64, math.MaxInt64); len(got) != 3 || len(got) != len(want) {
		t.Errorf("%d series after a restart, want %d", len(got), len(want))
	}
	tx := db.Begin()
	tx.Rollback()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if _, err := db.Begin().Commit(); !errors.Is(err, ErrClosed) {
		t.Errorf("commit after Close: %v", err)
	}
}

// The series log is rewritten when most of it speaks of series that left, and
// says the same afterwards.
func TestSeriesLogCompaction(t *testing.T) {
	o := killOptions(t.TempDir())
	o.Memory = 64 << 10
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 4000 {
		tx := db.Begin()
		ls := labels.FromStrings("n", string(rune('a'+n%26))+labels.FromStrings("x", string(rune(n+300))).String(), "pad", "0123456789012345678901234567890123456789")
		ref, r := tx.Create(KeyV1, nil, ls)
		if r != Accepted {
			tx.Rollback()
			db.closeIdle()
			db.closeIdle()
			continue
		}
		tx.Float(ref, 0, int64(n)*1000, 1)
		if _, err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	before := db.log.size
	held := db.Begin()
	pending, _ := held.Create(KeyV1, nil, labels.FromStrings("pending", "yes"))
	held.Float(pending, 0, 9_000_000, 1)
	db.mu.Lock()
	err = db.log.compact(db)
	db.mu.Unlock()
	if err != nil || db.log.size > before/4 {
		t.Fatalf("%d bytes of %d left: %v", db.log.size, before, err)
	}
	if _, err := held.Commit(); err != nil {
		t.Fatal(err)
	}
	want := query(t, db, math.MinInt64, math.MaxInt64)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := query(t, db, math.MinInt64, math.MaxInt64)
	if len(got) != len(want) || got[`{pending="yes"}`] == nil || db.rec.orphaned > 0 {
		t.Errorf("%d series after a restart, want %d; %+v", len(got), len(want), db.rec)
	}
}
