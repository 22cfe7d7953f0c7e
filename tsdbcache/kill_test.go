package tsdbcache

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
)

func killOptions(dir string) Options {
	memory := int64(4 << 20)
	if s := os.Getenv("CHIRON_KILLS"); s != "" { // nothing may be old enough to go
		n, _ := strconv.ParseInt(s, 10, 64)
		memory = max(memory, n<<17)
	}
	return Options{Dir: dir, Memory: memory, OutOfOrderWindow: -1, MaxFuture: -1, Logger: quiet()}
}

const (
	killSeries = 40
	killStep   = 15000
)

func killLabels(i, batch int) labels.Labels {
	// Every seventh batch brings a series of its own.
	if i == killSeries {
		return labels.FromStrings(labels.MetricName, "new", "batch", strconv.Itoa(batch))
	}
	return labels.FromStrings(labels.MetricName, "m", "i", strconv.Itoa(i))
}

func killValue(i, batch int) float64 {
	if i%3 == 0 {
		return math.Sqrt(float64(batch*killSeries + i)) // full mantissas
	}
	return float64(batch * i)
}

// killBatch commits batch number n: floats, a histogram, a late sample, an
// exemplar and metadata.
func killBatch(db *DB, n int) error {
	tx := db.Begin()
	t := int64(n+1) * killStep
	ref := func(ls labels.Labels) uint64 {
		key := ls.Bytes(nil)
		r, ok := tx.Lookup(KeyV1, key)
		if !ok {
			r, _ = tx.Create(KeyV1, key, ls)
		}
		return uint64(r)
	}
	for i := range killSeries {
		tx.Float(seriesRef(ref(killLabels(i, n))), 0, t, killValue(i, n))
	}
	if n%7 == 0 {
		tx.Float(seriesRef(ref(killLabels(killSeries, n))), 0, t, 1)
	}
	h := labels.FromStrings(labels.MetricName, "h")
	tx.Histogram(seriesRef(ref(h)), 0, t, testHistogram(n), nil)
	if n > 2 && n%5 == 0 {
		tx.Float(seriesRef(ref(killLabels(1, n))), 0, t-7, -float64(n))
	}
	tx.Exemplar(seriesRef(ref(killLabels(0, n))), exemplar.Exemplar{Labels: labels.FromStrings("trace_id", strconv.Itoa(n)), Value: float64(n), Ts: t})
	tx.Metadata("m", metadata.Metadata{Type: "gauge", Help: strconv.Itoa(n)})
	res, err := tx.Commit()
	if err == nil && res.RefusedTotal() > 0 {
		err = fmt.Errorf("refused: %+v", res)
	}
	return err
}

// TestKill kills a process that appends, again and again, and looks for every
// batch that it said was committed.
func TestKill(t *testing.T) {
	if dir := os.Getenv(childEnv); strings.HasPrefix(dir, "kill:") {
		arg := strings.Split(dir, ":")
		n, _ := strconv.Atoi(arg[1])
		db, err := Open(killOptions(arg[2]))
		if err != nil {
			t.Fatal(err)
		}
		for ; ; n++ {
			if err := killBatch(db, n); err != nil {
				t.Fatal(err)
			}
			fmt.Printf("did %d\n", n)
		}
	}
	rounds := 6
	if s := os.Getenv("CHIRON_KILLS"); s != "" {
		rounds, _ = strconv.Atoi(s)
	}
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	next := 0
	answered := map[int]bool{}
	for range rounds {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=kill:%d:%s", childEnv, next, dir))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := next + 1 + r.IntN(120)
		last := -1
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var n int
			if _, err := fmt.Sscanf(lines.Text(), "did %d", &n); err != nil {
				t.Fatalf("child: %s", lines.Text())
			}
			last = n
			answered[n] = true
			if n == stop {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		db, err := Open(killOptions(dir))
		if err != nil {
			t.Fatal(err)
		}
		checkKilled(t, db, last, answered)
		if db.rec.corrupt > 0 {
			t.Errorf("%+v", db.rec)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		next = last + 2 // the batch after the last answered one may be there in part
	}
}

// checkKilled looks for everything of the answered batches, of which last is
// the newest.
func checkKilled(t *testing.T, db *DB, last int, answered map[int]bool) {
	t.Helper()
	have := map[string]map[int64]string{}
	for name, samples := range query(t, db, math.MinInt64, math.MaxInt64) {
		have[name] = map[int64]string{}
		for _, g := range samples {
			have[name][g.t] = g.v
		}
	}
	find := func(ls labels.Labels, at int64, want string, n int) {
		t.Helper()
		switch got, ok := have[ls.String()][at]; {
		case !ok:
			t.Fatalf("batch %d of %d: %s has no sample at %d", n, last, ls, at)
		case got != want:
			t.Fatalf("batch %d of %d: %s at %d is %s, want %s", n, last, ls, at, got, want)
		}
	}
	for n := range answered {
		at := int64(n+1) * killStep
		for i := range killSeries {
			find(killLabels(i, n), at, printed(math.Float64bits(killValue(i, n)), nil, nil), n)
		}
		if n%7 == 0 {
			find(killLabels(killSeries, n), at, printed(math.Float64bits(1), nil, nil), n)
		}
		find(labels.FromStrings(labels.MetricName, "h"), at, printed(0, testHistogram(n), nil), n)
		if n > 2 && n%5 == 0 {
			find(killLabels(1, n), at-7, printed(math.Float64bits(-float64(n)), nil, nil), n)
		}
	}
	m, _ := db.Metadata("m")
	if n, err := strconv.Atoi(m.Help); err != nil || n < last {
		t.Errorf("metadata says %q after batch %d", m.Help, last)
	}
	q, _ := db.ExemplarQuerier(t.Context())
	es, err := q.Select(int64(last+1)*killStep, int64(last+1)*killStep, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "i", "0")})
	if err != nil || len(es) != 1 || es[0].Exemplars[0].Value != float64(last) {
		t.Errorf("exemplar of batch %d: %v, %v", last, es, err)
	}
}

// A second DB cannot have the directory, and says so.
func TestDirIsLocked(t *testing.T) {
	dir := t.TempDir()
	openTest(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Fatalf("second Open: %v", err)
	}
}

// Every way a directory can be unusable is an error that says what to do.
func TestOpenErrors(t *testing.T) {
	f := func(want string, o Options) {
		t.Helper()
		db, err := Open(o)
		if err == nil {
			db.Close()
			t.Fatalf("no error, want %q", want)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want %q in it", err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	write := func(dir, name string, b []byte) string {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o640); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	write(filepath.Dir(file), "file", []byte("x"))
	f("cannot make the ring's directory", Options{Dir: file})
	f("at least", Options{Memory: 1})
	f("negative limit", Options{Retention: -1})
	f("free disk space or give the ring less memory", Options{Dir: t.TempDir(), Memory: 900 << 30})
	f("it is not a page file", Options{Dir: write(t.TempDir(), pagesFile, bytes.Repeat([]byte("x"), 4096))})
	f("version 9 with pages of 256 bytes, this program knows version 2", Options{Dir: write(t.TempDir(), pagesFile, append([]byte(pagesMagic+"\x09\x00\x00\x00\x00\x01\x00\x00"), make([]byte, 4096)...))})
	f(`version "9999" is not "0001"`, Options{Dir: write(t.TempDir(), seriesFile, []byte("CHSL9999"))})
}

// The ring can be opened with more memory, and with less: the newest stay.
func TestMemoryChange(t *testing.T) {
	dir := t.TempDir()
	open := func(bytes int64) *DB {
		o := killOptions(dir)
		o.Memory = bytes
		db, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open(256 << 10)
	for n := range 300 {
		if err := killBatch(db, n); err != nil {
			t.Fatal(err)
		}
	}
	all := query(t, db, math.MinInt64, math.MaxInt64)
	db.Close()
	db = open(1 << 20)
	more := query(t, db, math.MinInt64, math.MaxInt64)
	if len(more) != len(all) {
		t.Errorf("%d series after growing, had %d", len(more), len(all))
	}
	for k, gs := range all {
		if len(more[k]) != len(gs) {
			t.Errorf("%s: %d samples after growing, had %d", k, len(more[k]), len(gs))
		}
	}
	db.Close()
	db = open(64 << 10)
	defer db.Close()
	if db.rec.corrupt > 0 {
		t.Errorf("%d corrupt pages after shrinking", db.rec.corrupt)
	}
	less := query(t, db, math.MinInt64, math.MaxInt64)
	for i := range killSeries {
		k := killLabels(i, 0).String()
		if len(less[k]) == 0 || less[k][len(less[k])-1] != all[k][len(all[k])-1] {
			t.Errorf("%s lost its newest sample by shrinking", k)
		}
	}
	if err := killBatch(db, 300); err != nil {
		t.Error(err)
	}
}

// damaged flips or cuts bytes of a log and looks that the ring opens with one
// warning and still takes samples.
func TestDamagedSeriesLog(t *testing.T) {
	src := t.TempDir()
	db, err := Open(killOptions(src))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		if err := killBatch(db, n); err != nil {
			t.Fatal(err)
		}
	}
	want := len(query(t, db, math.MinInt64, math.MaxInt64))
	db.Close()
	good, err := os.ReadFile(filepath.Join(src, seriesFile))
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, damage func(b []byte) []byte, lostAtMost int) {
		t.Helper()
		dir := copyDir(t, src)
		if err := os.WriteFile(filepath.Join(dir, seriesFile), damage(bytes.Clone(good)), 0o640); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		o := killOptions(dir)
		o.Logger = textLogger(&log)
		db, err := Open(o)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer db.Close()
		if n := len(query(t, db, math.MinInt64, math.MaxInt64)); n < want-lostAtMost || n > want {
			t.Errorf("%s: %d of %d series left, may lose %d", what, n, want, lostAtMost)
		}
		if n := strings.Count(log.String(), "damaged log repaired"); n != 1 {
			t.Errorf("%s: %d log lines about it:\n%s", what, n, log.String())
		}
		if err := killBatch(db, 30); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	f("last byte torn off", func(b []byte) []byte { return b[:len(b)-1] }, 1)
	f("half a header at the end", func(b []byte) []byte { return append(b, 9, 0, 0) }, 0)
	f("zeros at the end", func(b []byte) []byte { return append(b, make([]byte, 100)...) }, 0)
	f("a bit flipped in the last record", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, 1)
	f("a bit flipped in a series record", func(b []byte) []byte {
		at := bytes.LastIndexByte(b[:len(b)/2], 'S')
		b[at+2] ^= 4
		return b
	}, 2)
	f("a length that cannot be", func(b []byte) []byte { copy(b[len(b)/2:], "\xff\xff\xff\xff\xff\xff\xff\xff"); return b }, want)
	f("everything overwritten", func(b []byte) []byte { return bytes.Repeat([]byte{0xaa}, len(b)) }, want)
}

// FuzzSeriesLog opens arbitrary bytes as a series log beside good pages.
func FuzzSeriesLog(f *testing.F) {
	src := f.TempDir()
	o := killOptions(src)
	o.Memory = 64 << 10
	db, err := Open(o)
	if err != nil {
		f.Fatal(err)
	}
	tx := db.Begin()
	for i := range 5 {
		ref, _ := tx.Create(KeyV1, nil, killLabels(i, 0))
		tx.Float(ref, 0, 1000, 1)
	}
	tx.Metadata("m", metadata.Metadata{Type: "counter", Help: "h", Unit: "s"})
	if _, err := tx.Commit(); err != nil {
		f.Fatal(err)
	}
	db.Close()
	good, err := os.ReadFile(filepath.Join(src, seriesFile))
	if err != nil {
		f.Fatal(err)
	}
	pages, err := os.ReadFile(filepath.Join(src, pagesFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(seriesMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{seriesFile: b, pagesFile: pages} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o640); err != nil {
				t.Fatal(err)
			}
		}
		o := o
		o.Dir = dir
		db, err := Open(o)
		if err != nil {
			if len(b) >= 8 && string(b[:4]) == seriesMagic[:4] && string(b[:8]) != seriesMagic {
				return // another version
			}
			t.Fatal(err)
		}
		defer db.Close()
		query(t, db, math.MinInt64, math.MaxInt64)
		if err := smallBatch(db); err != nil {
			t.Fatal(err)
		}
	})
}

func smallBatch(db *DB) error {
	tx := db.Begin()
	for i := range 3 {
		ref, r := tx.Create(KeyV1, nil, killLabels(i, 0))
		if r == Accepted {
			tx.Float(ref, 0, math.MaxInt64/2, 1)
		}
	}
	_, err := tx.Commit()
	return err
}

// FuzzPages opens arbitrary bytes as pages beside a good series log.
func FuzzPages(f *testing.F) {
	src := f.TempDir()
	o := killOptions(src)
	o.Memory = 64 << 10
	db, err := Open(o)
	if err != nil {
		f.Fatal(err)
	}
	for n := range 4 {
		if err := killBatch(db, n); err != nil && n < 2 {
			f.Fatal(err)
		}
	}
	db.closeIdle()
	db.closeIdle()
	db.Close()
	series, err := os.ReadFile(filepath.Join(src, seriesFile))
	if err != nil {
		f.Fatal(err)
	}
	pages, err := os.ReadFile(filepath.Join(src, pagesFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pages, 0, byte(0))
	for i := range 40 {
		f.Add(pages, 256+i*11, byte(1<<(i%8)))
	}
	f.Fuzz(func(t *testing.T, b []byte, at int, flip byte) {
		b = bytes.Clone(b)
		copy(b, pages[:24]) // the header is FuzzSeriesLog's and TestOpenErrors's
		if at > 24 && at < len(b) {
			b[at] ^= flip
		}
		dir := t.TempDir()
		for name, data := range map[string][]byte{seriesFile: series, pagesFile: b} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o640); err != nil {
				t.Fatal(err)
			}
		}
		o := o
		o.Dir = dir
		db, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		qr, err := db.Querier(math.MinInt64, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		defer qr.Close()
		set := qr.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".*"))
		for set.Next() {
			it := set.At().Iterator(nil)
			for it.Next() != 0 {
			}
		}
		if err := smallBatch(db); err != nil {
			t.Fatal(err)
		}
	})
}
