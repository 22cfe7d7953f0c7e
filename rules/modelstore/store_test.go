package modelstore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	s := openStore(t, filepath.Join(t.TempDir(), "models.db"))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openStore(t *testing.T, path string) *Store {
	t.Helper()
	s, aside, err := Open(path)
	if err != nil || aside != nil {
		t.Fatal(err, aside)
	}
	return s
}

func write(t *testing.T, s *Store, tr Transaction) {
	t.Helper()
	if err := s.Write(tr); err != nil {
		t.Fatal(err)
	}
}

// records are those of an owner, sorted. All must be whole.
func records(t *testing.T, s *Store, owner uint64) (out []string) {
	t.Helper()
	_, lost, err := s.Read(owner, func(b []byte) { out = append(out, string(b)) })
	if err != nil || lost != 0 {
		t.Fatalf("owner %d: %d lost, %v", owner, lost, err)
	}
	slices.Sort(out)
	return out
}

func owners(t *testing.T, s *Store) []Owner {
	t.Helper()
	out, err := s.Owners()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	s := newStore(t)
	a := &Owner{Rule: "A", Key: "k", File: "f", Group: "g", Text: "t", Mark: 5, Used: 6}
	b := &Owner{Rule: "B"}
	write(t, s, Transaction{Owners: []*Owner{a, b}})
	if a.ID == 0 || b.ID == 0 || a.ID == b.ID {
		t.Fatalf("IDs %d and %d", a.ID, b.ID)
	}
	long := strings.Repeat("x", 100_000)
	write(t, s, Transaction{Entries: []Entry{{a.ID, "1", []byte("one")}, {b.ID, "1", []byte("other")}, {a.ID, "2", []byte(long)}, {a.ID, long, nil}}})
	f := func(want []Owner, ofA, ofB []string) {
		t.Helper()
		if d := cmp.Diff(want, owners(t, s)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(ofA, records(t, s, a.ID)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(ofB, records(t, s, b.ID)); d != "" {
			t.Error(d)
		}
	}
	again := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, s.path)
	}
	f([]Owner{*a, *b}, []string{"", "one", long}, []string{"other"})
	again()
	f([]Owner{*a, *b}, []string{"", "one", long}, []string{"other"})
	a.Mark = 7
	write(t, s, Transaction{
		Owners: []*Owner{a}, Entries: []Entry{{a.ID, "1", []byte("uno")}, {a.ID, "3", []byte("three")}},
		Keep: []Keep{{a.ID, []string{"1", "3", "none"}}, {99, nil}},
	})
	f([]Owner{*a, *b}, []string{"three", "uno"}, []string{"other"})
	write(t, s, Transaction{Remove: []uint64{b.ID, 99}})
	f([]Owner{*a}, []string{"three", "uno"}, nil)
	again()
	f([]Owner{*a}, []string{"three", "uno"}, nil)
	c := &Owner{Rule: "C"}
	write(t, s, Transaction{Owners: []*Owner{c}})
	if c.ID == a.ID || c.ID == b.ID {
		t.Errorf("the ID %d is given twice", c.ID)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A transaction fails at its last step, and nothing of it is there.
func TestAllOrNothing(t *testing.T) {
	s := newStore(t)
	a := &Owner{Rule: "A"}
	write(t, s, Transaction{Owners: []*Owner{a}})
	write(t, s, Transaction{Entries: []Entry{{a.ID, "1", []byte("one")}, {a.ID, "2", []byte("two")}}})
	changed, fresh := *a, &Owner{Rule: "B"}
	changed.Mark = 9
	failed := errors.New("the disk refuses")
	tr := Transaction{Owners: []*Owner{&changed, fresh}, Entries: []Entry{{a.ID, "1", []byte("uno")}}, Keep: []Keep{{a.ID, []string{"1"}}}}
	err := s.update(tr.scope(), func(tx *bbolt.Tx) error {
		if err := tr.apply(tx, make([]uint64, 2)); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Owner{*a}, owners(t, s)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"one", "two"}, records(t, s, a.ID)); d != "" {
		t.Error(d)
	}
}

func TestAClosedStoreSaysSo(t *testing.T) {
	s := newStore(t)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := s.Owners()
		_, _, readErr := s.Read(1, func([]byte) {})
		for _, err := range []error{err, readErr, s.Write(Transaction{Owners: []*Owner{{}}})} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%v, want %v", err, ErrClosed)
			}
		}
	}
}

// lockedEnv has the process of the test be the one that finds the file in use.
const lockedEnv = "CHIRON_LOCKED_STORE"

func TestAnotherProcessCannotOpenTheFile(t *testing.T) {
	if path := os.Getenv(lockedEnv); path != "" {
		s, aside, err := Open(path)
		fmt.Printf("store %t, aside %v, err %v\n", s != nil, aside, err)
		return
	}
	s := newStore(t)
	a := &Owner{Rule: "A"}
	write(t, s, Transaction{Owners: []*Owner{a}})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAnotherProcessCannotOpenTheFile$")
	cmd.Env = append(os.Environ(), lockedEnv+"="+s.path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "store false, aside <nil>, err cannot open " + s.path + ": another process uses it"; !strings.Contains(string(out), want) {
		t.Errorf("it says %s, want %s", out, want)
	}
	write(t, s, Transaction{Entries: []Entry{{a.ID, "1", []byte("one")}}})
	if d := cmp.Diff([]string{"one"}, records(t, s, a.ID)); d != "" {
		t.Error(d)
	}
	if _, err := os.Stat(s.path + ".damaged"); err == nil {
		t.Error("a file in use was set aside")
	}
}

// What is wrong with a file, or with its place, decides what becomes of it.
func TestWhatIsSetAside(t *testing.T) {
	f := func(name string, make func(path string) error, aside, fails bool) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "models.db")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		s, why, err := Open(path)
		if (why != nil) != aside || (err != nil) != fails {
			t.Errorf("%s: aside %v, err %v", name, why, err)
		}
		if _, err := os.Stat(path + ".damaged"); (err == nil) != aside {
			t.Errorf("%s: the file beside it: %v", name, err)
		}
		if s != nil {
			write(t, s, Transaction{Owners: []*Owner{{Rule: "A"}}})
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	f("none", func(string) error { return nil }, false, false)
	f("empty", func(path string) error { return os.WriteFile(path, nil, 0o600) }, false, false)
	f("text", func(path string) error { return os.WriteFile(path, []byte("no database"), 0o600) }, true, false)
	f("noise", func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("noise", 10_000)), 0o600) }, true, false)
	f("a folder", func(path string) error { return os.Mkdir(path, 0o700) }, false, true)
	f("another format", func(path string) error {
		s := openStore(t, path)
		err := s.update(everythingStored, func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyFormat, []byte("2")) })
		return errors.Join(err, s.Close())
	}, true, false)
	f("another's database", func(path string) error {
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			return err
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket(bucketMeta)
			return errors.Join(err, b.Put([]byte("k"), []byte("v")))
		})
		return errors.Join(err, db.Close())
	}, true, false)
	f("made and never filled", func(path string) error {
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			return err
		}
		return db.Close()
	}, false, false)
}

// A value that is not what was written costs that value, and the owner knows.
func TestDamagedValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "models.db")
	all := func(a, b uint64) []Entry {
		return []Entry{{a, "1", []byte("one")}, {a, "2", []byte("two")}, {b, "1", []byte("other")}}
	}
	f := func(name string, damage func(tx *bbolt.Tx, id []byte) error, lost int, want ...string) {
		t.Helper()
		_ = os.Remove(path)
		s := openStore(t, path)
		defer func() { _ = s.Close() }()
		a, b := &Owner{Rule: "A"}, &Owner{Rule: "B"}
		write(t, s, Transaction{Owners: []*Owner{a, b}})
		write(t, s, Transaction{Entries: all(a.ID, b.ID)})
		if err := s.update(everythingStored, func(tx *bbolt.Tx) error { return damage(tx, number(a.ID)) }); err != nil {
			t.Fatal(err)
		}
		read := func() (got []string, n int) {
			_, n, err := s.Read(a.ID, func(b []byte) { got = append(got, string(b)) })
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			slices.Sort(got)
			return got, n
		}
		if got, n := read(); n != lost || !slices.Equal(got, want) {
			t.Errorf("%s: %q and %d lost, want %q and %d", name, got, n, want, lost)
		}
		if got := records(t, s, b.ID); !slices.Equal(got, []string{"other"}) {
			t.Errorf("%s: of the other owner %q", name, got)
		}
		// Two whole rounds later everything is as it should be.
		for range 2 {
			write(t, s, Transaction{Owners: []*Owner{a}, Entries: all(a.ID, b.ID), Keep: []Keep{{a.ID, []string{"1", "2"}}}})
		}
		if got, n := read(); n != 0 || !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("%s: after two rounds %q and %d lost", name, got, n)
		}
		if d := cmp.Diff([]Owner{*a, *b}, owners(t, s)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	change := func(tx *bbolt.Tx, id []byte, f func(b *bbolt.Bucket, k, v []byte) error) error {
		b := tx.Bucket(bucketRecords).Bucket(id)
		k := hash("1")
		return f(b, k, slices.Clone(b.Get(k)))
	}
	f("nothing", func(*bbolt.Tx, []byte) error { return nil }, 0, "one", "two")
	f("a bit of a record", func(tx *bbolt.Tx, id []byte) error {
		return change(tx, id, func(b *bbolt.Bucket, k, v []byte) error { v[5] ^= 1; return b.Put(k, v) })
	}, 1, "two")
	f("a record is cut short", func(tx *bbolt.Tx, id []byte) error {
		return change(tx, id, func(b *bbolt.Bucket, k, v []byte) error { return b.Put(k, v[:2]) })
	}, 1, "two")
	f("a record has gone", func(tx *bbolt.Tx, id []byte) error {
		return change(tx, id, func(b *bbolt.Bucket, k, _ []byte) error { return b.Delete(k) })
	}, 1, "two")
	f("a record stands elsewhere", func(tx *bbolt.Tx, id []byte) error {
		return change(tx, id, func(b *bbolt.Bucket, k, v []byte) error { return errors.Join(b.Delete(k), b.Put(hash("3"), v)) })
	}, 1, "two")
	f("a record is an older one", func(tx *bbolt.Tx, id []byte) error {
		return change(tx, id, func(b *bbolt.Bucket, k, _ []byte) error { return b.Put(k, sealed(id, k, []byte("old"))) })
	}, 1, "old", "two")
	f("all records have gone", func(tx *bbolt.Tx, id []byte) error { return tx.Bucket(bucketRecords).DeleteBucket(id) }, 1)
	f("the tally has gone", func(tx *bbolt.Tx, id []byte) error { return tx.Bucket(bucketTallies).Delete(id) }, 1, "one", "two")
	f("the tally is damaged", func(tx *bbolt.Tx, id []byte) error { return tx.Bucket(bucketTallies).Put(id, []byte("tally")) }, 1, "one", "two")
}

func TestADamagedOwnerIsKnownAsOne(t *testing.T) {
	s := newStore(t)
	a, b, c := &Owner{Rule: "A", Mark: 128}, &Owner{Rule: "B"}, &Owner{Rule: "C"}
	write(t, s, Transaction{Owners: []*Owner{a, b, c}})
	write(t, s, Transaction{Entries: []Entry{{a.ID, "1", []byte("one")}, {c.ID, "1", []byte("one")}}})
	err := s.update(everythingStored, func(tx *bbolt.Tx) error {
		in := tx.Bucket(bucketOwners)
		v := slices.Clone(in.Get(number(a.ID)))
		v[strings.Index(string(v), "128")] ^= 8 // still a number
		// The counter begins again, so it gives what there is.
		return errors.Join(in.Put(number(a.ID), v), in.Delete(number(c.ID)), in.SetSequence(0))
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Owner{{ID: a.ID, Damaged: true}, *b, {ID: c.ID, Damaged: true}}, owners(t, s)); d != "" {
		t.Error(d)
	}
	fresh := &Owner{Rule: "D"}
	write(t, s, Transaction{Owners: []*Owner{fresh}})
	if slices.Contains([]uint64{a.ID, b.ID, c.ID}, fresh.ID) {
		t.Errorf("the ID %d is given twice", fresh.ID)
	}
	write(t, s, Transaction{Remove: []uint64{a.ID, c.ID}})
	if d := cmp.Diff([]Owner{*b, *fresh}, owners(t, s)); d != "" {
		t.Error(d)
	}
}

// What a store judges before it visits is all that the database visits: pages
// that no operation needs are damaged, and it does not notice.
func TestOnlyWhatIsVisitedIsJudged(t *testing.T) {
	s := newStore(t)
	a, b := &Owner{Rule: "A"}, &Owner{Rule: "B"}
	write(t, s, Transaction{Owners: []*Owner{a, b}})
	want := map[uint64][]string{}
	for _, o := range []*Owner{a, b} {
		var tr Transaction
		for i := range 200 {
			r := fmt.Sprintf("%d %d %s", o.ID, i, strings.Repeat("x", 300))
			tr.Entries = append(tr.Entries, Entry{o.ID, fmt.Sprint(i), []byte(r)})
			want[o.ID] = append(want[o.ID], r)
		}
		write(t, s, tr)
		slices.Sort(want[o.ID])
	}
	var root uint64
	if err := s.db.View(func(tx *bbolt.Tx) error {
		root = uint64(tx.Bucket(bucketRecords).Bucket(number(a.ID)).Root())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.raw.WriteAt(make([]byte, 4096), int64(root)*4096); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want[b.ID], records(t, s, b.ID)); d != "" {
		t.Error(d)
	}
	write(t, s, Transaction{Entries: []Entry{{b.ID, "x", []byte("y")}}, Keep: []Keep{{b.ID, []string{"x"}}}})
	for name, err := range map[string]error{
		"read":   func() error { _, _, err := s.Read(a.ID, func([]byte) {}); return err }(),
		"write":  s.Write(Transaction{Entries: []Entry{{a.ID, "x", []byte("y")}}}),
		"keep":   s.Write(Transaction{Keep: []Keep{{a.ID, nil}}}),
		"remove": s.Write(Transaction{Remove: []uint64{a.ID}}),
	} {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want %v", name, err, ErrDamaged)
		}
	}
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if got := owners(t, s); len(got) != 0 {
		t.Errorf("in the new file: %v", got)
	}
	if _, err := os.Stat(s.path + ".damaged"); err != nil {
		t.Error(err)
	}
}

// A file that somebody removes while it is used takes nothing any more, and says
// so; a new one does.
func TestAFileThatIsRemovedIsMissed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rules")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, _, err := Open(filepath.Join(dir, "models.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	owner := &Owner{Rule: "a"}
	if err := s.Write(Transaction{Owners: []*Owner{owner}}); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(Transaction{Owners: []*Owner{owner}}); !errors.Is(err, ErrDamaged) {
		t.Errorf("written to nowhere: %v", err)
	}
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(Transaction{Owners: []*Owner{{Rule: "b"}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Owners(); err != nil || len(got) != 1 || got[0].Rule != "b" {
		t.Errorf("owners %+v, %v", got, err)
	}
}
