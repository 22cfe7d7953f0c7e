package emit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// TestQueueAgainstSlice drives a queue and a plain slice by the same random
// operations, restarts included. What comes out is what went in, in order,
// with only the oldest missing, and every sample is accounted for.
func TestQueueAgainstSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "queue") //nolint:usetesting // one a check, not one a test
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		limit := rapid.Int64Range(300, 3000).Draw(t, "limit")
		open := func() *queue {
			q, lost, err := openQueue(dir, limit, max(limit/4, 1), quiet)
			if err != nil || lost != 0 {
				t.Fatal(lost, err)
			}
			return q
		}
		q := open()
		type item struct {
			n       int // its number, from 1
			samples int
			end     position
		}
		var queued, taken []item // in the queue; taken and not acknowledged
		count, dropped := 0, 0
		sum := func(is []item) (n int) {
			for _, i := range is {
				n += i.samples
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				count++
				it := item{n: count, samples: rapid.IntRange(1, 9).Draw(t, "samples")}
				body := binary.AppendUvarint(bytes.Repeat([]byte{'x'}, rapid.IntRange(0, 100).Draw(t, "size")), uint64(count))
				d, err := q.append(record{samples: it.samples, queued: int64(count), body: body})
				if err != nil {
					t.Fatal(err)
				}
				queued = append(queued, it)
				for dropped += d; d > 0; { // the oldest, whole records
					d -= queued[0].samples
					queued = queued[1:]
				}
			},
			"next": func(t *rapid.T) {
				r, end, damaged, ok := q.next()
				if damaged != 0 || ok != (len(queued) > 0) {
					t.Fatalf("next: ok %v, damaged %d, %d records expected", ok, damaged, len(queued))
				}
				if ok {
					if r.queued != int64(queued[0].n) || r.samples != queued[0].samples {
						t.Fatalf("next: record %d, want %d", r.queued, queued[0].n)
					}
					queued[0].end = end
					taken, queued = append(taken, queued[0]), queued[1:]
				}
			},
			"done": func(t *rapid.T) {
				if len(taken) == 0 {
					t.Skip()
				}
				n := rapid.IntRange(1, len(taken)).Draw(t, "n")
				if err := q.done(taken[n-1].end); err != nil {
					t.Fatal(err)
				}
				taken = taken[n:]
			},
			"restart": func(t *rapid.T) {
				held := slices.DeleteFunc(taken, func(i item) bool { return !q.holds(i.end) })
				if err := q.close(); err != nil {
					t.Fatal(err)
				}
				q = open()
				queued, taken = append(held, queued...), nil // what was not acknowledged comes again
			},
			"": func(t *rapid.T) {
				size, samples := q.stats()
				if size > limit || samples != sum(queued) {
					t.Fatalf("%d bytes of %d, %d samples, want %d", size, limit, samples, sum(queued))
				}
				files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
				if err != nil {
					t.Fatal(err)
				}
				var real int64
				for _, f := range files {
					info, err := os.Stat(f)
					if err != nil {
						t.Fatal(err)
					}
					real += info.Size()
				}
				if real != size {
					t.Fatalf("%d bytes on disk, %d counted", real, size)
				}
			},
		})
		if err := q.close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestQueueTail: a torn or changed tail is cut at the last whole record, the
// rest is served, and new records follow.
func TestQueueTail(t *testing.T) {
	for name, spoil := range map[string]func(b []byte) []byte{
		"torn in the header":   func(b []byte) []byte { return append(b, 1, 2, 3) },
		"torn in the payload":  func(b []byte) []byte { return b[:len(b)-1] },
		"a flipped bit":        func(b []byte) []byte { b[len(b)-2] ^= 1; return b },
		"zeros after the end":  func(b []byte) []byte { return append(b, make([]byte, 100)...) },
		"an impossible length": func(b []byte) []byte { return append(b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1) },
		"not a segment":        func([]byte) []byte { return []byte("hello") },
		"empty":                func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			q, _, err := openQueue(dir, 1<<20, 1<<20, quiet)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if _, err := q.append(record{samples: 1, queued: int64(i), body: []byte(fmt.Sprint("record ", i))}); err != nil {
					t.Fatal(err)
				}
			}
			path := q.path(q.segments[0].id)
			if err := q.close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			whole := len(b)
			b = spoil(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			q, lost, err := openQueue(dir, 1<<20, 1<<20, quiet)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := q.append(record{samples: 1, queued: 9, body: []byte("after")}); err != nil {
				t.Fatal(err)
			}
			var got []int64
			for {
				r, _, damaged, ok := q.next()
				if damaged != 0 {
					t.Errorf("%d samples damaged after the cut", damaged)
				}
				if !ok {
					break
				}
				got = append(got, r.queued)
			}
			want := []int64{0, 1, 2, 9}
			if len(b) <= whole {
				want = []int64{0, 1, 9}
			}
			if len(b) < 8 {
				want = []int64{9}
			}
			if !slices.Equal(got, want) || (lost == 0) != (len(b) == 0) {
				t.Errorf("got records %v, lost %d bytes; want %v", got, lost, want)
			}
			if err := q.close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// FuzzQueue: the segment reader takes any bytes, and what it calls good is
// what the writer would have written.
func FuzzQueue(f *testing.F) {
	good := appendRecord(appendRecord([]byte(segmentMagic), record{1, 5, []byte("a")}), record{300, 1 << 40, nil})
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(segmentMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var records []record
		last := len(segmentMagic)
		n, err := scanSegment(b, func(at int, r record) {
			if at != last || r.samples < 0 {
				t.Fatalf("record at %d, want %d: %+v", at, last, r)
			}
			_, size, err := readRecord(b[at:])
			if err != nil {
				t.Fatal(err)
			}
			last = at + size
			records = append(records, r)
		})
		if n > len(b) || (err == nil) != (n == len(b) && n > 0) {
			t.Fatalf("good up to %d of %d: %v", n, len(b), err)
		}
		if n == 0 {
			return
		}
		again := []byte(segmentMagic)
		for _, r := range records {
			again = appendRecord(again, r)
		}
		var same []record
		if m, err := scanSegment(again, func(_ int, r record) { same = append(same, r) }); err != nil || m != len(again) {
			t.Fatalf("written again: good up to %d of %d: %v", m, len(again), err)
		}
		if fmt.Sprint(records) != fmt.Sprint(same) {
			t.Fatalf("written again: %v, want %v", same, records)
		}
	})
}

// TestAckSurvivesATornWrite: one of the two slots always holds.
func TestAckSurvivesATornWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ack")
	a, p, err := openAck(path)
	if err != nil || p != (position{}) {
		t.Fatal(p, err)
	}
	for i := range 5 {
		if err := a.write(position{7, int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.f.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		c := slices.Clone(b)
		c[i] ^= 0x40
		if err := os.WriteFile(path, c, 0o600); err != nil {
			t.Fatal(err)
		}
		a, p, err := openAck(path)
		if err != nil || p.segment != 7 || p.offset < 3 {
			t.Fatalf("byte %d changed: %v, %v", i, p, err)
		}
		if err := a.f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
