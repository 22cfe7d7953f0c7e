package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/tsdbcache"
)

// cancelledAfter is a context that is cancelled while somebody works under
// it: after it has been asked some times.
type cancelledAfter struct {
	context.Context
	left int
}

func (c *cancelledAfter) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// store commits one sample of each of n series.
func store(t testing.TB, db *tsdbcache.DB, n int, at int64) {
	t.Helper()
	app := db.AppenderV2(t.Context())
	for i := range n {
		ls := labels.FromStrings("__name__", "m", "s", fmt.Sprint(i))
		if _, err := app.Append(0, ls, 0, at, float64(at), nil, nil, storage.AppendV2Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

// A read of the ring that fails, at its first series or on the way, is an
// error at its tick, and the next tick has the whole vector.
func TestAFailedReadLeavesNoPartOfAVector(t *testing.T) {
	const series = 700 // the ring looks at the context every 256
	f := func(name string, checks int, resync func(t *testing.T, db *tsdbcache.DB, s *Selector) (at int64)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			db := open(t)
			store(t, db, series, 1000)
			s, err := newSelector(db, parse(t, "m"), time.Minute, 2*series)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if got, err := s.Vector(t.Context(), 3000); err != nil || len(got) != series {
				t.Fatalf("%d samples, %v", len(got), err)
			}
			at := resync(t, db, s)
			if got, err := s.Vector(&cancelledAfter{t.Context(), checks}, at); !errors.Is(err, context.Canceled) || got != nil {
				t.Fatalf("under a cancelled context: %d samples, %v", len(got), err)
			}
			got, err := s.Vector(t.Context(), 4000)
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := NewSelector(db, parse(t, "m"), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer fresh.Close()
			want, err := fresh.Vector(t.Context(), 4000)
			if err != nil {
				t.Fatal(err)
			}
			if len(want) != series || !slices.Equal(render(got), render(want)) {
				t.Errorf("the tick after: %d samples, want %d", len(got), len(want))
			}
		})
	}
	overflow := func(t *testing.T, db *tsdbcache.DB, _ *Selector) int64 {
		for at := int64(3001); at < 3004; at++ {
			store(t, db, series, at)
		}
		return 4000
	}
	backwards := func(*testing.T, *tsdbcache.DB, *Selector) int64 { return 2000 }
	for _, checks := range []int{0, 1, 2, 3} {
		f(fmt.Sprintf("overflow, cancelled at check %d", checks), checks, overflow)
		f(fmt.Sprintf("backwards, cancelled at check %d", checks), checks, backwards)
	}
}

// A closed ring is an error, not an empty vector, also when it is asked again.
func TestAClosedRingIsAnError(t *testing.T) {
	db, err := tsdbcache.Open(tsdbcache.Options{Memory: 1 << 20, OutOfOrderWindow: -1, MaxFuture: -1})
	if err != nil {
		t.Fatal(err)
	}
	store(t, db, 3, 1000)
	s, err := NewSelector(db, parse(t, "m"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Vector(t.Context(), 3000); err != nil || len(got) != 3 {
		t.Fatalf("%d samples, %v", len(got), err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := s.Vector(t.Context(), 2000); !errors.Is(err, tsdbcache.ErrClosed) {
			t.Errorf("%d samples, %v", len(got), err)
		}
	}
}
