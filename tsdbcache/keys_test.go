package tsdbcache

import (
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"pgregory.net/rapid"
)

// A key finds its series, under however many keys that is known, until the
// series leaves.
func TestKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db, err := Open(Options{Memory: 1 << 20, OutOfOrderWindow: -1, MaxFuture: -1, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		type key struct {
			space KeySpace
			n     int
		}
		keys := map[key]int{} // series
		refs := map[int]storage.SeriesRef{}
		now, grown := int64(1000), false
		give := func(tx *Tx, k key, series int) {
			ref, r := tx.Create(k.space, fmt.Append(nil, k.n), labels.FromStrings("i", fmt.Sprint(series)))
			if r != Accepted {
				t.Fatal(r)
			}
			tx.Float(ref, 0, now, 1)
			keys[k], refs[series] = series, ref
		}
		draw := func(t *rapid.T) key {
			return key{rapid.SampledFrom([]KeySpace{KeyV1, KeyV2, keyLabels}).Draw(t, "space"), rapid.IntRange(0, 30).Draw(t, "key")}
		}
		commit := func(tx *Tx) {
			if res, err := tx.Commit(); err != nil || res.RefusedTotal() > 0 {
				t.Fatal(res, err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"give": func(t *rapid.T) {
				now += 1000
				tx := db.Begin()
				k := draw(t)
				give(tx, k, k.n%10) // a key always means the same labels
				commit(tx)
			},
			"give many": func(t *rapid.T) {
				if grown {
					t.Skip("the table has grown")
				}
				grown = true
				now += 1000
				tx := db.Begin()
				from := rapid.IntRange(100, 900).Draw(t, "from")
				for i := range 600 {
					give(tx, key{KeyV1, from + i}, from+i)
				}
				commit(tx)
			},
			"all leave": func(*rapid.T) {
				db.closeIdle()
				db.closeIdle()
				db.mu.Lock()
				for db.evict(0) {
				}
				db.mu.Unlock()
				db.sweepNow()
				clear(keys)
			},
			"": func(t *rapid.T) {
				tx := db.Begin()
				defer tx.Rollback()
				ask := draw(t)
				for k := range keys {
					ask = k
					break
				}
				for _, k := range []key{ask, draw(t), draw(t), draw(t)} {
					if rapid.Bool().Draw(t, "alone") {
						tx.prev = 0
					}
					ref, ok := tx.Lookup(k.space, fmt.Append(nil, k.n))
					if series, want := keys[k]; ok != want || ok && ref != refs[series] {
						t.Fatalf("key %v: %d %v, want %d %v", k, ref, ok, refs[series], want)
					}
				}
			},
		})
	})
}
