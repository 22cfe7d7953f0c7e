package tsdbcache

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

// A kill between packing a raw page and emptying it, wholly or in part, leaves
// samples in both places; the start tells them apart.
func TestKillWithinASeal(t *testing.T) {
	for _, packed := range []int{0, 1, 7, rawSamples - 1, rawSamples} {
		for _, before := range []int{0, 18, 100} {
			t.Run(fmt.Sprintf("%d of 18 packed behind %d", packed, before), func(t *testing.T) {
				o := killOptions(t.TempDir())
				db, err := Open(o)
				if err != nil {
					t.Fatal(err)
				}
				tx := db.Begin()
				ref, _ := tx.Create(KeyV1, nil, labels.FromStrings("a", "b"))
				n := before/rawSamples*rawSamples + rawSamples
				for i := range n {
					tx.Float(ref, 5, int64(i+1)*1000, math.Sqrt(float64(i)))
				}
				if _, err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
				want := query(t, db, math.MinInt64, math.MaxInt64)[`{a="b"}`]
				// As seal does, but stopped after some samples.
				slot, _ := splitRef(ref)
				db.mu.Lock()
				e := db.series.entry(slot)
				raw := db.arena.page(e.raw)
				var ts []int64
				var vs []uint64
				for i := range packed {
					ts, vs = append(ts, raw.rawTime(i)), append(vs, raw.rawValue(i))
				}
				db.sealSamples(slot, e, raw.rawST(), ts, vs)
				db.mu.Unlock()
				o.Dir = copyDir(t, o.Dir)
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				for restart := range 2 {
					if db, err = Open(o); err != nil {
						t.Fatal(err)
					}
					if got := query(t, db, math.MinInt64, math.MaxInt64)[`{a="b"}`]; !slices.Equal(got, want) {
						t.Errorf("start %d: %d samples, want %d", restart, len(got), len(want))
					}
					tx := db.Begin()
					ref, _ := tx.Create(KeyV1, nil, labels.FromStrings("a", "b"))
					last := want[len(want)-1].t + 1000
					tx.Float(ref, 5, last, 1)
					if res, err := tx.Commit(); err != nil || res.Samples != 1 {
						t.Fatal(res, err)
					}
					want = append(want, got{st: 5, t: last, v: printed(math.Float64bits(1), nil, nil)})
					if free, open, closed := db.pageCounts(); free+open+closed != int(db.arena.n)-1 || db.rec.corrupt+db.rec.orphaned > 0 {
						t.Errorf("%d free, %d open, %d closed pages; %+v", free, open, closed, db.rec)
					}
					if err := db.Close(); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// Every page is free, in a chunk of a series, or its raw page; nowhere twice.
func checkPages(t testing.TB, db *DB) {
	t.Helper()
	seen := map[uint32]string{}
	note := func(i uint32, what string) {
		if old, ok := seen[i]; ok {
			t.Fatalf("page %d is %s and %s", i, old, what)
		}
		seen[i] = what
	}
	for i := db.arena.free; i != 0; i = db.arena.link[i] {
		note(i, "free")
	}
	for slot := uint32(1); slot < db.series.next; slot++ {
		e := db.series.entry(slot)
		if e.raw != 0 {
			note(e.raw, "raw")
		}
		for i := e.head; i != 0; i = db.arena.link[i] {
			db.arena.each(i, func(j uint32) { note(j, fmt.Sprintf("of series %d", slot)) })
		}
	}
	if len(seen) != int(db.arena.fresh)-1 {
		t.Fatalf("%d of %d used pages are somewhere", len(seen), db.arena.fresh-1)
	}
	closed := 0
	for k := range db.arena.qlen {
		i := db.arena.queue[(db.arena.qhead+k)%len(db.arena.queue)]
		db.arena.each(i, func(uint32) { closed++ })
	}
	if closed != db.arena.nclosed {
		t.Fatalf("%d pages queue, counted %d", closed, db.arena.nclosed)
	}
}
