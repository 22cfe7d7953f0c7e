package modelstore

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// filled is a file with the states that its newest transactions left behind: by
// owner, by key.
type filled struct {
	image  []byte
	states []map[uint64]map[string]string // the newest one last
	owners []map[uint64]Owner
}

// fill makes a file by transactions as saving has them: records of all sizes,
// some of several pages, that grow, go, and come back.
func fill(t testing.TB, r *rand.Rand, transactions int) *filled {
	t.Helper()
	path := filepath.Join(t.TempDir(), "models.db")
	s, aside, err := Open(path)
	if err != nil || aside != nil {
		t.Fatal(err, aside)
	}
	f := &filled{}
	records, owners := map[uint64]map[string]string{}, map[uint64]Owner{}
	for n := range transactions {
		var tr Transaction
		o := &Owner{Rule: fmt.Sprint("R", n), Key: "key", Text: fmt.Sprint("text ", n), Mark: int64(n)}
		if ids := slices.Sorted(maps.Keys(owners)); len(ids) > 5 {
			o.ID = ids[r.IntN(len(ids))]
		}
		tr.Owners = []*Owner{o}
		for _, id := range slices.Sorted(maps.Keys(owners)) {
			for range r.IntN(40) {
				e := Entry{id, strconv.Itoa(r.IntN(80)), make([]byte, []int{20, 300, 3000, 9000}[r.IntN(4)])}
				copy(e.Record, fmt.Sprintf("%d %s %d ", id, e.Key, n))
				tr.Entries = append(tr.Entries, e)
				records[id][e.Key] = string(e.Record)
			}
			if r.IntN(4) == 0 {
				var keep []string
				for k := range records[id] {
					if n, _ := strconv.Atoi(k); n%3 == 0 {
						delete(records[id], k)
					} else {
						keep = append(keep, k)
					}
				}
				tr.Keep = append(tr.Keep, Keep{id, keep})
			}
		}
		if err := s.Write(tr); err != nil {
			t.Fatal(err)
		}
		if owners[o.ID] = *o; records[o.ID] == nil {
			records[o.ID] = map[string]string{}
		}
		state := map[uint64]map[string]string{}
		for id, of := range records {
			state[id] = maps.Clone(of)
		}
		f.states, f.owners = append(f.states, state), append(f.owners, maps.Clone(owners))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if f.image, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return f
}

// check holds what a store gives back against what was written: an owner's
// records are those behind the newest transaction or the one before, of whose
// state a damaged first page may make it; or it says that some are lost, and
// the others were written once.
func (f *filled) check(s *Store) error {
	owners, err := s.Owners()
	if err != nil {
		return err
	}
	n := len(f.states)
	for _, o := range owners {
		last := f.owners[n-1][o.ID]
		if !o.Damaged && o != last && o != f.owners[n-2][o.ID] {
			return fmt.Errorf("owner %+v was never written", o)
		}
	}
	for id := range f.owners[n-1] {
		var got []string
		_, lost, err := s.Read(id, func(b []byte) { got = append(got, string(b)) })
		if err != nil {
			return err
		}
		slices.Sort(got)
		if lost == 0 && !f.is(n-1, id, got) && !f.is(n-2, id, got) {
			return fmt.Errorf("%d records of owner %d are not those of any transaction, and none is said to be lost", len(got), id)
		}
		for _, g := range got {
			if !slices.ContainsFunc(f.states, func(s map[uint64]map[string]string) bool {
				return slices.Contains(slices.Collect(maps.Values(s[id])), g)
			}) {
				return fmt.Errorf("the record %.20q of owner %d was never written", g, id)
			}
		}
	}
	return nil
}

func (f *filled) is(n int, id uint64, records []string) bool {
	return slices.Equal(records, slices.Sorted(maps.Values(f.states[n][id])))
}

// rewrite writes two rounds of all records and reads them.
func (f *filled) rewrite(s *Store) error {
	for range 2 {
		for id, of := range f.states[len(f.states)-1] {
			tr := Transaction{Keep: []Keep{{Owner: id}}}
			o := f.owners[len(f.owners)-1][id]
			tr.Owners = []*Owner{&o}
			for k, v := range of {
				tr.Entries = append(tr.Entries, Entry{id, k, []byte(v)})
				tr.Keep[0].Keys = append(tr.Keep[0].Keys, k)
			}
			if err := s.Write(tr); err != nil {
				return err
			}
		}
	}
	for id := range f.states[len(f.states)-1] {
		var got []string
		_, lost, err := s.Read(id, func(b []byte) { got = append(got, string(b)) })
		if slices.Sort(got); err != nil || lost != 0 || !f.is(len(f.states)-1, id, got) {
			return fmt.Errorf("owner %d after two rounds: %d records, %d lost, %w", id, len(got), lost, err)
		}
	}
	return nil
}

// harm damages a file at a random place. It returns what it did.
func harm(r *rand.Rand, image []byte) ([]byte, string) {
	b := slices.Clone(image)
	const page = 4096
	pages := len(b) / page
	at := func() int { // mostly where pages say what they are
		if r.IntN(3) > 0 {
			return r.IntN(pages)*page + r.IntN(96)
		}
		return r.IntN(len(b))
	}
	switch r.IntN(7) {
	case 0:
		n := r.IntN(len(b))
		return b[:n], fmt.Sprintf("cut to %d", n)
	case 1:
		n := r.IntN(pages)
		return b[:n*page], fmt.Sprintf("cut to %d pages", n)
	case 2: // a page that was written elsewhere
		from, to := r.IntN(pages), r.IntN(pages)
		copy(b[to*page:(to+1)*page], image[from*page:])
		return b, fmt.Sprintf("page %d copied to %d", from, to)
	case 3: // the same, and it says that it belongs there
		from, to := r.IntN(pages), r.IntN(pages)
		copy(b[to*page+8:(to+1)*page], image[from*page+8:(from+1)*page])
		return b, fmt.Sprintf("page %d copied to %d under its number", from, to)
	case 4: // a number becomes a small one, which may be the number of a page
		i := at() &^ 7
		clear(b[i:min(i+8, len(b))])
		b[i] = byte(r.IntN(pages))
		return b, fmt.Sprintf("%d at %d", b[i], i)
	case 5:
		i, n := at(), 1+r.IntN(2*page)
		for k := i; k < min(i+n, len(b)); k++ {
			b[k] = byte(r.Uint32())
		}
		return b, fmt.Sprintf("%d bytes of noise at %d", n, i)
	default:
		what := "bits"
		for range 1 + r.IntN(3) {
			i := at()
			b[i] ^= 1 << r.IntN(8)
			what += fmt.Sprintf(" %d", i)
		}
		return b, what
	}
}

// rounds is how many damaged files a test looks at.
func rounds(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("CHIRON_DAMAGES")); err == nil {
		return n
	}
	if testing.Short() {
		return 40
	}
	return 150
}

// TestADamagedFile damages a closed file. Opening it sets it aside, or gives
// back what was written, and the store works from then on.
func TestADamagedFile(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	f := fill(t, r, 25)
	aside := 0
	dir := t.TempDir()
	for n := range rounds(t) {
		image, what := harm(r, f.image)
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
		s, why, err := Open(path)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_, stat := os.Stat(path + ".damaged")
		if (why != nil) != (stat == nil) {
			t.Fatalf("%s: set aside because %v, but the file beside it: %v", what, why, stat)
		}
		if why != nil {
			aside++
		} else if err := f.check(s); err != nil && len(image) > 0 {
			t.Fatalf("%s: %v", what, err)
		}
		if n%8 == 0 {
			if err := f.rewrite(s); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_ = os.Remove(path)
	}
	t.Logf("%d of %d files were set aside", aside, rounds(t))
	if aside == 0 || aside == rounds(t) {
		t.Error("all files came to the same: nothing was tested")
	}
}

// TestDamageOfAnOpenFile damages the file below an open store, between its
// operations. They say that it is damaged, or go on with what was written, and
// Reset gives a store that works.
func TestDamageOfAnOpenFile(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	f := fill(t, r, 25)
	dir := t.TempDir()
	noticed := 0
	for n := range rounds(t) / 2 {
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(path, f.image, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, path)
		image, what := harm(r, f.image)
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = file.WriteAt(image, 0)
		}
		if err := errors.Join(err, file.Truncate(int64(len(image))), file.Close()); err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			err = f.check(s)
		} else {
			err = f.rewrite(s)
		}
		if err != nil {
			if noticed++; !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s: %v", what, err)
			}
			if err := s.Reset(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if n%8 < 2 {
			if err := f.rewrite(s); err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s, after that: %v", what, err)
			}
		}
		if err := s.Close(); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: %v", what, err)
		}
		_, _ = os.Remove(path), os.Remove(path+".damaged")
	}
	if noticed == 0 {
		t.Error("no damage was noticed: nothing was tested")
	}
}

// FuzzOpen writes bytes anywhere into a small file and cuts it.
func FuzzOpen(f *testing.F) {
	small := fill(f, rand.New(rand.NewPCG(1, 0)), 4)
	whole := uint32(len(small.image))
	f.Add(uint32(0), []byte(nil), whole)
	f.Add(uint32(4096+24), []byte{1}, whole)     // how long a page is
	f.Add(uint32(2*4096+8), []byte{2}, whole)    // what kind of page
	f.Add(uint32(3*4096+10), []byte{255}, whole) // how many elements
	f.Add(uint32(3*4096+24), []byte{3, 0, 0, 0, 0, 0, 0, 0}, whole)
	f.Add(uint32(0), []byte(nil), whole/2)
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, size uint32) {
		image := slices.Clone(small.image)
		if at < whole {
			copy(image[at:], patch)
		}
		image = image[:min(size, whole)]
		path := filepath.Join(t.TempDir(), "models.db")
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
		s, aside, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if aside == nil && len(image) > 0 {
			if err := small.check(s); err != nil {
				t.Error(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
