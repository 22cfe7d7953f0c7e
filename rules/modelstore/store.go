// Package modelstore keeps what models have learned in one embedded database,
// record by record.
//
// It promises that a batch is written as a whole or not at all and is on disk
// when Write returns, that a damaged file is set aside instead of preventing a
// start, and that no fault of the file ends the process. It does not know what
// a record holds; whoever loads one checks it.
package modelstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
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
}

// Entry is a record to write: the key tells the records of an owner apart. A
// nil record deletes.
type Entry struct {
	Owner  uint64
	Key    string
	Record []byte
}

// Store is the database. It is safe for concurrent use.
type Store struct {
	file string

	mu sync.RWMutex // held by whoever uses db; to set a damaged file aside, alone
	db *bbolt.DB    // nil after Close, or when no file can be made
}

var (
	bucketOwners  = []byte("owners")
	bucketRecords = []byte("records") // holds a bucket an owner
	bucketMeta    = []byte("meta")
	keyFormat     = []byte("format")
)

const format = "1"

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

// ErrDamaged says that the file cannot be used any more.
var ErrDamaged = errors.New("the file is damaged")

// ErrClosed says that the store is not open: it was closed, or its file could
// be neither read nor replaced.
var ErrClosed = errors.New("the store of models is not open")

// Open opens the file or makes it. A file that cannot be read as a whole is
// moved to the same name with .damaged behind it and aside says why; an empty
// store takes its place.
func Open(file string) (s *Store, aside, err error) {
	s = &Store{file: file}
	if s.db, err = open(file); err == nil {
		return s, nil, nil
	}
	aside = err
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, nil, fmt.Errorf("cannot open %s: another process uses it", file)
	}
	if s.db, err = replace(file); err != nil {
		return nil, aside, err
	}
	return s, aside, nil
}

// replace moves a file aside and makes an empty one.
func replace(file string) (*bbolt.DB, error) {
	if err := os.Rename(file, file+".damaged"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot set %s aside: %w", file, err)
	}
	db, err := open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot make %s: %w", file, err)
	}
	return db, nil
}

// open opens a file and reads all of it once: a fault that is found now is not
// met later.
func open(file string) (db *bbolt.DB, err error) {
	defer guard(&err)
	db, err = bbolt.Open(file, 0o600, &bbolt.Options{Timeout: 5 * time.Second, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	opened := db
	defer func() {
		if err != nil {
			db, err = nil, errors.Join(err, closeDB(opened))
		}
	}()
	if err := complete(db); err != nil {
		return nil, err
	}
	err = protect(func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			for _, b := range [][]byte{bucketOwners, bucketRecords, bucketMeta} {
				if _, err := tx.CreateBucketIfNotExists(b); err != nil {
					return err
				}
			}
			meta := tx.Bucket(bucketMeta)
			if v := meta.Get(keyFormat); v != nil && string(v) != format {
				return fmt.Errorf("its format is %q, this version reads %q", v, format)
			}
			return meta.Put(keyFormat, []byte(format))
		})
	})
	return db, err
}

// complete reads every page that is in use.
func complete(db *bbolt.DB) error {
	return protect(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			if size, err := os.Stat(db.Path()); err != nil {
				return err
			} else if size.Size() < tx.Size() {
				return fmt.Errorf("it has %d bytes where it says that there are %d", size.Size(), tx.Size())
			}
			return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return walk(b, 0) })
		})
	})
}

func walk(b *bbolt.Bucket, depth int) error {
	if depth > 2 {
		return errors.New("it holds buckets in buckets that it cannot hold")
	}
	return b.ForEach(func(k, v []byte) error {
		if v == nil {
			if inner := b.Bucket(k); inner != nil {
				return walk(inner, depth+1)
			}
		}
		return nil
	})
}

// protect turns a panic of the database over a damaged page, and a fault of the
// mapping where the file is shorter than it says, into an error.
func protect(f func() error) (err error) {
	defer guard(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return f()
}

func guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, p)
	}
}

func closeDB(db *bbolt.DB) error { return protect(db.Close) }

// Close closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return closeDB(db)
}

// Reset sets the file aside and goes on with an empty one, after an error that
// does not pass.
func (s *Store) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		_ = closeDB(s.db) // it is damaged; what matters is that it is let go
		s.db = nil
	}
	db, err := replace(s.file)
	s.db = db
	return err
}

// Size is the size of the file in bytes.
func (s *Store) Size() int64 {
	info, err := os.Stat(s.file)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (s *Store) view(f func(*bbolt.Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	return protect(func() error { return s.db.View(f) })
}

func (s *Store) updateTx(f func(*bbolt.Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	return protect(func() error { return s.db.Update(f) })
}

// Owners lists all owners in the order of their IDs. One that cannot be read is
// left out.
func (s *Store) Owners() (out []Owner, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketOwners).ForEach(func(k, v []byte) error {
			o := Owner{}
			if len(k) != 8 || json.Unmarshal(v, &o) != nil {
				return nil
			}
			o.ID = binary.BigEndian.Uint64(k)
			out = append(out, o)
			return nil
		})
	})
	return out, err
}

// Mark is that of one owner; 0 when there is no such owner or it cannot be read.
func (s *Store) Mark(owner uint64) (int64, error) {
	o := Owner{}
	err := s.view(func(tx *bbolt.Tx) error {
		if v := tx.Bucket(bucketOwners).Get(number(owner)); v == nil || json.Unmarshal(v, &o) != nil {
			o.Mark = 0
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", s.file, err)
	}
	return o.Mark, nil
}

// Write carries a transaction out.
func (s *Store) Write(t Transaction) error {
	ids := make([]uint64, len(t.Owners))
	err := s.updateTx(func(tx *bbolt.Tx) error {
		for i, o := range t.Owners {
			id, err := putOwner(tx.Bucket(bucketOwners), o)
			if err != nil {
				return err
			}
			ids[i] = id
		}
		records := tx.Bucket(bucketRecords)
		for _, e := range t.Entries {
			if err := putRecord(records, e); err != nil {
				return err
			}
		}
		for _, k := range t.Keep {
			if err := keep(records.Bucket(number(k.Owner)), k.Keys); err != nil {
				return err
			}
		}
		for _, id := range t.Remove {
			if err := tx.Bucket(bucketOwners).Delete(number(id)); err != nil {
				return err
			}
			if err := records.DeleteBucket(number(id)); err != nil && !errors.Is(err, bbolt.ErrBucketNotFound) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot write to %s: %w", s.file, err)
	}
	for i, o := range t.Owners {
		o.ID = ids[i]
	}
	return nil
}

func putOwner(b *bbolt.Bucket, o *Owner) (id uint64, err error) {
	if id = o.ID; id == 0 {
		if id, err = b.NextSequence(); err != nil {
			return 0, err
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		return 0, err
	}
	return id, b.Put(number(id), text)
}

func putRecord(records *bbolt.Bucket, e Entry) error {
	b, err := records.CreateBucketIfNotExists(number(e.Owner))
	if err != nil {
		return err
	}
	if e.Record == nil {
		return b.Delete(hash(e.Key))
	}
	return b.Put(hash(e.Key), e.Record)
}

// keep deletes all records but those of the keys.
func keep(b *bbolt.Bucket, keys []string) error {
	if b == nil {
		return nil
	}
	wanted := make(map[string]bool, len(keys))
	for _, k := range keys {
		wanted[string(hash(k))] = true
	}
	var gone [][]byte
	err := b.ForEach(func(k, _ []byte) error {
		if !wanted[string(k)] {
			gone = append(gone, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range gone {
		err = errors.Join(err, b.Delete(k))
	}
	return err
}

// Read calls f with every record of an owner. f must not keep it.
func (s *Store) Read(owner uint64, f func(record []byte)) error {
	err := s.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketRecords).Bucket(number(owner))
		if b == nil {
			return nil
		}
		return b.ForEach(func(_, v []byte) error {
			if v != nil {
				f(v)
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", s.file, err)
	}
	return nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// hash bounds the keys: labels may be longer than the database takes.
func hash(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:16]
}
