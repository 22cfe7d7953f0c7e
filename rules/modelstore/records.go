package modelstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Owner is a rule whose models are kept. Its records stand under its ID.
type Owner struct {
	ID    uint64 `json:"-"`    // 0: Write gives it one
	Rule  string `json:"rule"` // its name
	Key   string `json:"key"`  // of what it learns
	File  string `json:"file"`
	Group string `json:"group"`
	Text  string `json:"text"` // everything that makes two rules the same
	// Mark is the time, in milliseconds, after which frames must be learned
	// again when all records have been loaded; 0: all that there are.
	Mark int64 `json:"mark"`
	// Used is when a rule with these models last ran, in milliseconds.
	Used int64 `json:"used"`
	// Damaged tells that nothing but the ID is known, or not any more.
	Damaged bool `json:"-"`
}

// Entry is a record to write: the key tells the records of an owner apart.
type Entry struct {
	Owner  uint64
	Key    string
	Record []byte
}

// Keep names all records of an owner that are needed; others are deleted.
type Keep struct {
	Owner uint64
	Keys  []string
}

// Transaction is what is written as a whole or not at all: owners, then
// records, then what is not to be kept goes, then owners with all their records.
type Transaction struct {
	Owners  []*Owner // an ID of 0 is set
	Entries []Entry
	Keep    []Keep
	Remove  []uint64
}

// A value of ours begins with the CRC of where it stands and of what it holds.
// Damage that leaves the pages in order, or pages that are older than they
// should be, are found by it or by the tally.
const sumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(bucket, key, body []byte) uint32 {
	crc := crc32.Update(0, castagnoli, bucket)
	crc = crc32.Update(crc, castagnoli, key)
	return crc32.Update(crc, castagnoli, body)
}

func sealed(bucket, key, body []byte) []byte {
	v := binary.LittleEndian.AppendUint32(make([]byte, 0, sumSize+len(body)), sum(bucket, key, body))
	return append(v, body...)
}

// opened is the body of a value that is whole.
func opened(bucket, key, v []byte) (body []byte, ok bool) {
	if len(v) < sumSize {
		return nil, false
	}
	body = v[sumSize:]
	return body, binary.LittleEndian.Uint32(v) == sum(bucket, key, body)
}

// tally is how many records an owner has and the sum of their checksums: a
// record that has gone, or is not the newest one, is not found out otherwise.
type tally struct {
	records, sums uint64
	suspect       uint64 // 1: it did not fit, and not all records were written since
}

const tallySize = 24

func (t *tally) add(v []byte)    { t.records, t.sums = t.records+1, t.sums+weight(v) }
func (t *tally) remove(v []byte) { t.records, t.sums = t.records-1, t.sums-weight(v) }

func weight(v []byte) uint64 {
	if len(v) < sumSize {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(v))
}

// tallyOf reads an owner's. One that is damaged fits nothing.
func tallyOf(tx *bbolt.Tx, id []byte) tally {
	v := tx.Bucket(bucketTallies).Get(id)
	if v == nil {
		return tally{}
	}
	b, ok := opened(bucketTallies, id, v)
	if !ok || len(b) != tallySize {
		return tally{records: 1 << 63}
	}
	u64 := binary.LittleEndian.Uint64
	return tally{u64(b), u64(b[8:]), u64(b[16:])}
}

func putTally(tx *bbolt.Tx, id []byte, t tally) error {
	var b []byte
	for _, n := range []uint64{t.records, t.sums, t.suspect} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return tx.Bucket(bucketTallies).Put(id, sealed(bucketTallies, id, b))
}

// Scopes of what an operation visits: of each top bucket all of its own pages,
// of the records those of some owners.
func top(records func(id []byte) scope) scope {
	return scope{all: true, inner: func(key []byte) scope {
		if bytes.Equal(key, bucketRecords) {
			return scope{all: true, inner: records}
		}
		return everything
	}}
}

var (
	everythingStored = top(func([]byte) scope { return everything })
	noRecords        = top(func([]byte) scope { return scope{} })
)

func ofOwner(id uint64) scope {
	return top(func(b []byte) scope { return scope{all: bytes.Equal(b, number(id))} })
}

// scope is what writing the transaction visits: where a record is put, the way
// to it; where some are deleted, all of the owner's.
func (t *Transaction) scope() scope {
	owners := map[string]scope{}
	for _, e := range t.Entries {
		s := owners[string(number(e.Owner))]
		s.keys = append(s.keys, hash(e.Key))
		owners[string(number(e.Owner))] = s
	}
	for id, s := range owners {
		slices.SortFunc(s.keys, bytes.Compare)
		owners[id] = s
	}
	for _, k := range t.Keep {
		owners[string(number(k.Owner))] = everything
	}
	for _, id := range t.Remove {
		owners[string(number(id))] = everything
	}
	return top(func(b []byte) scope { return owners[string(b)] })
}

// Owners lists all owners in the order of their IDs.
func (s *Store) Owners() (out []Owner, err error) {
	err = s.view(noRecords, func(tx *bbolt.Tx) error {
		// An owner that has gone has left its records.
		ids := map[uint64]bool{}
		for _, b := range [][]byte{bucketOwners, bucketRecords} {
			err := tx.Bucket(b).ForEach(func(k, _ []byte) error {
				if len(k) == 8 {
					ids[binary.BigEndian.Uint64(k)] = true
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		for _, id := range slices.Sorted(maps.Keys(ids)) {
			out = append(out, ownerOf(tx, id))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", s.path, err)
	}
	return out, nil
}

func ownerOf(tx *bbolt.Tx, id uint64) (o Owner) {
	k := number(id)
	if b, ok := opened(bucketOwners, k, tx.Bucket(bucketOwners).Get(k)); !ok || json.Unmarshal(b, &o) != nil {
		o = Owner{Damaged: true}
	}
	o.ID = id
	return o
}

// Write carries a transaction out.
func (s *Store) Write(t Transaction) error {
	ids := make([]uint64, len(t.Owners))
	if err := s.update(t.scope(), func(tx *bbolt.Tx) error { return t.apply(tx, ids) }); err != nil {
		return fmt.Errorf("cannot write to %s: %w", s.path, err)
	}
	for i, o := range t.Owners {
		o.ID = ids[i]
	}
	return nil
}

func (t *Transaction) apply(tx *bbolt.Tx, ids []uint64) (err error) {
	for i, o := range t.Owners {
		if ids[i], err = putOwner(tx, o); err != nil {
			return err
		}
	}
	if err := putRecords(tx, t.Entries); err != nil {
		return err
	}
	for _, k := range t.Keep {
		if err := keep(tx, number(k.Owner), k.Keys); err != nil {
			return err
		}
	}
	for _, id := range t.Remove {
		if err := remove(tx, number(id)); err != nil {
			return err
		}
	}
	return nil
}

func putOwner(tx *bbolt.Tx, o *Owner) (id uint64, err error) {
	b := tx.Bucket(bucketOwners)
	for id = o.ID; id == 0 || o.ID == 0 && taken(tx, number(id)); {
		// The database's counter has no checksum: it may give what it gave before.
		if id, err = b.NextSequence(); err != nil {
			return 0, err
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		return 0, err
	}
	return id, b.Put(number(id), sealed(bucketOwners, number(id), text))
}

func taken(tx *bbolt.Tx, id []byte) bool {
	return tx.Bucket(bucketOwners).Get(id) != nil || tx.Bucket(bucketTallies).Get(id) != nil || tx.Bucket(bucketRecords).Bucket(id) != nil
}

func putRecords(tx *bbolt.Tx, entries []Entry) error {
	for len(entries) > 0 { // those of one owner
		n := 1
		for n < len(entries) && entries[n].Owner == entries[0].Owner {
			n++
		}
		id := number(entries[0].Owner)
		b, err := tx.Bucket(bucketRecords).CreateBucketIfNotExists(id)
		if err != nil {
			return err
		}
		t := tallyOf(tx, id)
		for _, e := range entries[:n] {
			k := hash(e.Key)
			if old := b.Get(k); old != nil {
				t.remove(old)
			}
			v := sealed(id, k, e.Record)
			t.add(v)
			if err := b.Put(k, v); err != nil {
				return err
			}
		}
		if err := putTally(tx, id, t); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// keep deletes all records but those of the keys. They are all that there are
// of the owner, written since it was called last: a tally that did not fit
// then does now, and one that does not fit now may next time.
func keep(tx *bbolt.Tx, id []byte, keys []string) error {
	b := tx.Bucket(bucketRecords).Bucket(id)
	if b == nil {
		return nil
	}
	wanted := make(map[string]bool, len(keys))
	for _, k := range keys {
		wanted[string(hash(k))] = true
	}
	var gone [][]byte
	var all, kept tally
	err := b.ForEach(func(k, v []byte) error {
		all.add(v)
		if wanted[string(k)] {
			kept.add(v)
		} else {
			gone = append(gone, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range gone {
		err = errors.Join(err, b.Delete(k))
	}
	if was := tallyOf(tx, id); was.suspect == 0 && was != all {
		kept.suspect = 1
	}
	return errors.Join(err, putTally(tx, id, kept))
}

func remove(tx *bbolt.Tx, id []byte) error {
	err := errors.Join(tx.Bucket(bucketOwners).Delete(id), tx.Bucket(bucketTallies).Delete(id))
	if e := tx.Bucket(bucketRecords).DeleteBucket(id); e != nil && !errors.Is(e, bolterrors.ErrBucketNotFound) {
		err = errors.Join(err, e)
	}
	return err
}

// Read calls f with every record of an owner that is whole, and tells how many
// are not. One is lost at least when some are not there, or are older than they
// should be: which ones, nobody knows. f must not keep the record.
func (s *Store) Read(id uint64, f func(record []byte)) (o Owner, lost int, err error) {
	err = s.view(ofOwner(id), func(tx *bbolt.Tx) error {
		o = ownerOf(tx, id)
		var found tally
		if b := tx.Bucket(bucketRecords).Bucket(number(id)); b != nil {
			err := b.ForEach(func(k, v []byte) error {
				found.add(v)
				if record, ok := opened(number(id), k, v); ok {
					f(record)
				} else {
					lost++
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if found != tallyOf(tx, number(id)) {
			lost = max(lost, 1)
		}
		return nil
	})
	if err != nil {
		return Owner{ID: id, Damaged: true}, lost, fmt.Errorf("cannot read %s: %w", s.path, err)
	}
	return o, lost, nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Place is where a record stands among those of its owner. Records that are
// written in this order share the pages of the database that each of them would
// have written anew.
func Place(key string) string { return string(hash(key)) }

// hash bounds the keys: labels may be longer than the database takes.
func hash(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:16]
}
