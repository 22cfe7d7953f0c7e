package tsdbcache

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
)

// MaxSeriesPerMetric refuses new series of a metric that has its share, none
// of another metric and no sample of a known series; series that leave make
// room, also over a restart.
func TestMetricSeriesLimit(t *testing.T) {
	now := time.UnixMilli(10_000)
	o := Options{Dir: t.TempDir(), Memory: 1 << 20, Retention: time.Hour, MaxSeriesPerMetric: 3, Now: func() time.Time { return now }}
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	put := func(metric string, n int) Reason {
		t.Helper()
		tx := db.Begin()
		ls := labels.FromStrings("A", strconv.Itoa(n), "__name__", metric, "zone", "x")
		ref, reason := tx.Create(KeyV1, ls.Bytes(nil), ls)
		if reason != Accepted {
			tx.Rollback()
			return reason
		}
		tx.Float(ref, 0, now.UnixMilli(), 1)
		if _, err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		return Accepted
	}
	f := func(metric string, n int, want Reason) {
		t.Helper()
		if got := put(metric, n); got != want {
			t.Errorf("%s %d: %s, want %s", metric, n, got, want)
		}
	}
	for n := range 3 {
		f("a", n, Accepted)
	}
	f("a", 3, MetricSeriesLimit)
	f("a", 0, Accepted) // known
	f("b", 3, Accepted)
	f("x", 1, Accepted) // the name is a value of another label everywhere
	tx := db.Begin()    // pending series count, and no more once they are dropped
	for n, want := range []Reason{Accepted, Accepted, MetricSeriesLimit} {
		ls := labels.FromStrings("A", strconv.Itoa(10+n), "__name__", "b")
		if _, got := tx.Create(KeyV1, ls.Bytes(nil), ls); got != want {
			t.Errorf("pending %d: %s, want %s", n, got, want)
		}
	}
	tx.Rollback()
	f("b", 4, Accepted)
	f("b", 5, Accepted)
	f("b", 6, MetricSeriesLimit)

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(o); err != nil {
		t.Fatal(err)
	}
	f("a", 4, MetricSeriesLimit)
	f("a", 1, Accepted)
	now = now.Add(2 * time.Hour)
	f("b", 3, Accepted)
	db.closeIdle()
	db.closeIdle() // idle is what has nothing new since the look before
	db.expire()
	f("a", 5, Accepted) // the others are gone
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// Series that are refused for ever leave a bounded number of symbols behind.
func TestRefusedSeriesLeaveNoSymbols(t *testing.T) {
	db := openTest(t, Options{Memory: 1 << 20, MaxSeries: 10})
	most := 0
	for round := range 200 {
		tx := db.Begin()
		for n := range 2000 {
			ls := labels.FromStrings("__name__", "up", "id", strconv.Itoa(round*2000+n))
			if ref, reason := tx.Create(KeyV1, ls.Bytes(nil), ls); reason == Accepted {
				tx.Float(ref, 0, 1000, 1)
			}
		}
		if _, err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		most = max(most, db.syms.live)
	}
	t.Logf("%d symbols at most, of %d made", most, 200*2000)
	if most > minFresh+5000 || db.series.live != 10 {
		t.Errorf("%d symbols, %d series", most, db.series.live)
	}
}

// Metadata is bounded by the bytes of its texts, also when families are said
// anew with longer ones.
func TestMetadataBytes(t *testing.T) {
	s := newMetas()
	help := strings.Repeat("x", maxMetaText)
	for n := range 20_000 {
		s.set("family"+strconv.Itoa(n), metadata.Metadata{Help: "short"})
	}
	for n := range 20_000 {
		s.set("family"+strconv.Itoa(n), metadata.Metadata{Help: help, Unit: help})
	}
	held, long := 0, 0
	for family, m := range s.byFamily {
		held += len(family) + len(m.Help) + len(m.Unit)
		if m.Help == help {
			long++
		}
	}
	if held != s.bytes || held > maxMetaBytes || len(s.byFamily) != 20_000 || long < 3900 {
		t.Errorf("%d bytes held, %d counted, %d families, %d of them long", held, s.bytes, len(s.byFamily), long)
	}
}
