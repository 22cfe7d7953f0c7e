package rules

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chironhq/chiron/rules/modelstore"
	"github.com/chironhq/chiron/tsdbcache"
)

// forgetRing puts an empty ring in the place of the one there is.
func (w *watched) forgetRing() {
	w.t.Helper()
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	db, err := tsdbcache.Open(tsdbcache.Options{Memory: 16 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	w.db = db
}

// edit changes the records of all rules.
func (w *watched) edit(change func(record []byte) []byte) {
	w.t.Helper()
	s, aside, err := modelstore.Open(w.m.stateFile())
	if err != nil || aside != nil {
		w.t.Fatal(err, aside)
	}
	defer func() { _ = s.Close() }()
	owners, err := s.Owners()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range owners {
		tr := modelstore.Transaction{Keep: []modelstore.Keep{{Owner: o.ID}}}
		_, lost, err := s.Read(o.ID, func(record []byte) {
			key := fmt.Sprint(len(tr.Entries))
			tr.Entries = append(tr.Entries, modelstore.Entry{Owner: o.ID, Key: key, Record: change(bytes.Clone(record))})
			tr.Keep[0].Keys = append(tr.Keep[0].Keys, key)
		})
		if err != nil || lost != 0 {
			w.t.Fatal(err, lost)
		}
		if err := s.Write(tr); err != nil {
			w.t.Fatal(err)
		}
	}
}

// resealed gives a record that was changed a checksum that is right.
func resealed(record []byte) []byte {
	body := record[:len(record)-4]
	return binary.LittleEndian.AppendUint32(slices.Clip(body), crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// stateAt is where the model's state begins in a record: the byte of the model,
// then that of its version.
func stateAt(record []byte) int {
	at := 2
	number := func() int {
		v, n := binary.Uvarint(record[at:])
		at += n
		return int(v)
	}
	number()
	if record[1] == 1 { // of a series
		for range 2 * number() {
			at += number()
		}
		number()
		number()
	}
	number()
	return at
}

// Damage, and what this build does not know, cost no more than they must. The
// models that are left know what the ring does not hold any more.
func TestWhatDamageCosts(t *testing.T) {
	file := strings.Replace(one, "      - record", `      - anomaly: Together
        expr: hum
        model: presence(learn=10m)
        output: [all]
      - record`, 1)
	ofB := func(record []byte) bool { return bytes.Contains(record, []byte("pod\x01b")) && record[1] == 1 }
	f := func(name string, change func(w *watched), a, b, together int, says string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			for _, empty := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					w := newWatched(t, nil)
					w.begin(file)
					w.live(90*time.Minute, hum, `hum{pod="a"}`, `hum{pod="b"}`)
					w.halt()
					change(w)
					if empty {
						w.forgetRing()
					}
					w.begin(file)
					w.live(time.Minute, hum, `hum{pod="a"}`, `hum{pod="b"}`)
					if n := w.log.count(says); n != 1 && says != "" {
						t.Errorf("the log says %d times %q:\n%s", n, says, w.log.text.String())
					}
					if !empty { // everything is learned from the ring, to the byte
						w.halt()
						w.compare()
						return
					}
					got := fmt.Sprint(w.query(`anomaly_model_state{anomaly_name="Hum"}`), w.query(`anomaly_model_state{anomaly_name="Together"}`))
					want := fmt.Sprint(
						[]string{fmt.Sprintf(`{__name__="anomaly_model_state", anomaly_name="Hum", pod="a"} %d`, a), fmt.Sprintf(`{__name__="anomaly_model_state", anomaly_name="Hum", pod="b"} %d`, b)},
						[]string{fmt.Sprintf(`{__name__="anomaly_model_state", anomaly_name="Together", pod="a"} %d`, together), fmt.Sprintf(`{__name__="anomaly_model_state", anomaly_name="Together", pod="b"} %d`, together)})
					if got != want {
						t.Errorf("\n%s, want\n%s", got, want)
					}
				})
			}
		})
	}
	const aside = `level=WARN msg="saved models cannot be read; models learn again from the ring"`
	f("nothing", func(*watched) {}, 2, 2, 2, "")
	f("a bit of one record", func(w *watched) {
		w.edit(func(r []byte) []byte {
			if ofB(r) {
				r[len(r)/2] ^= 1
			}
			return r
		})
	}, 2, 1, 2, "group=g rule=Hum models=1 because")
	f("bytes of the file below two records", func(w *watched) {
		b, err := os.ReadFile(w.m.stateFile())
		if err == nil {
			b = bytes.ReplaceAll(b, []byte("pod\x01b"), []byte("pod\x01B"))
			err = os.WriteFile(w.m.stateFile(), b, 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}, 2, 1, 1, `rule=Hum models=1 because="they are damaged`)
	f("the layout of one record", func(w *watched) {
		w.edit(func(r []byte) []byte {
			if ofB(r) {
				r[0] = 200
			}
			return resealed(r)
		})
	}, 2, 1, 2, "layout 200, this build reads 1")
	f("the version of one model", func(w *watched) {
		w.edit(func(r []byte) []byte {
			if ofB(r) {
				r[stateAt(r)+1] += 100
			}
			return resealed(r)
		})
	}, 2, 1, 2, "this build reads")
	f("the version of a group's model", func(w *watched) {
		w.edit(func(r []byte) []byte {
			if !bytes.Contains(r[:20], []byte("pod")) {
				r[stateAt(r)+1] += 100
			}
			return resealed(r)
		})
	}, 2, 2, 1, "layout 103, this build reads 3")
	f("all owners", func(w *watched) {
		b, err := os.ReadFile(w.m.stateFile())
		if err == nil {
			b = bytes.ReplaceAll(b, []byte(`"mark"`), []byte(`"Mark"`))
			err = os.WriteFile(w.m.stateFile(), b, 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}, 1, 1, 1, "of which damage has left nothing but their place")
	f("the whole file", func(w *watched) {
		if err := os.WriteFile(w.m.stateFile(), bytes.Repeat([]byte("noise"), 10_000), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}, 1, 1, 1, aside)
	f("half of the file", func(w *watched) {
		info, err := os.Stat(w.m.stateFile())
		if err == nil {
			err = os.Truncate(w.m.stateFile(), info.Size()/4)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}, 1, 1, 1, aside)
}
