package promapi

import (
	"testing"

	"github.com/chironhq/chiron/tsdbcache"
)

// openStore opens the real ring, in memory, without bounds on time: the data
// of the tests lies in 1970 and 2026.
func openStore(t testing.TB) testStore {
	t.Helper()
	db, err := tsdbcache.Open(tsdbcache.Options{Memory: 64 << 20, OutOfOrderWindow: -1, MaxFuture: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
