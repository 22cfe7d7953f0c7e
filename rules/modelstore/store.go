// Package modelstore keeps what models have learned in one embedded database,
// record by record.
//
// It promises that a batch is written as a whole or not at all and is on disk
// when Write returns, that what is read is what was written, that a damaged
// file is set aside instead of preventing a start, and that no fault of the
// file ends the process. For that it holds what the database does not: a
// checksum of every value and a tally of every owner's records, and it judges
// pages before the database visits them. It does not know what a record holds;
// whoever loads one checks it.
package modelstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Store is the database. It is safe for concurrent use.
type Store struct {
	path string

	mu   sync.RWMutex // Read and Owners share it, everything else has it alone
	db   *bbolt.DB    // nil after Close, or when no file can be made
	raw  *os.File     // the same file, to judge pages
	txid uint64       // of the newest transaction that was seen: an older one cannot be the newest
	// stuck tells that the database has panicked while it wrote. It may hold
	// its own locks then, so not even Close may be asked of it.
	stuck bool
}

var (
	bucketOwners  = []byte("owners")
	bucketRecords = []byte("records") // holds a bucket an owner
	bucketTallies = []byte("tallies") // of the records of each owner
	bucketMeta    = []byte("meta")
	keyFormat     = []byte("format")
)

const format = "1"

// lockTimeout is how long another process may take to let the file go.
const lockTimeout = 5 * time.Second

// ErrDamaged says that the file cannot be used any more.
var ErrDamaged = errors.New("the file is damaged")

// ErrClosed says that the store is not open: it was closed, or its file could
// be neither read nor replaced.
var ErrClosed = errors.New("the store of models is not open")

// errInUse says that another process has the file open.
var errInUse = errors.New("another process uses it")

// Open opens the file or makes it. A file that is damaged is moved to the same
// name with .damaged behind it and aside says why; an empty store takes its
// place. When there is no room to make a file, the store is returned beside the
// error and is not open; Reset tries again.
func Open(path string) (s *Store, aside, err error) {
	s = &Store{path: path}
	err = s.open()
	if errors.Is(err, ErrDamaged) {
		aside = err
		err = s.replace()
	}
	switch {
	case err == nil:
		return s, aside, nil
	case noRoom(err):
		return s, aside, err
	}
	return nil, aside, err
}

// noRoom reports whether an error is one of a disk that has no room.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// replace moves the file aside, if there is one, and makes an empty one.
func (s *Store) replace() error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o750); err != nil {
		return fmt.Errorf("cannot make the folder of %s: %w", s.path, err)
	}
	if err := os.Rename(s.path, s.path+".damaged"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot set %s aside: %w", s.path, err)
	}
	return s.open()
}

// open opens the file and judges all of it once: a fault that is found now is
// not met later.
func (s *Store) open() (err error) {
	raw, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600) // to write, for the lock
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", s.path, err)
	}
	var db *bbolt.DB
	fresh := false
	defer func() {
		if err == nil {
			s.db, s.raw, s.stuck = db, raw, false
			return
		}
		err = fmt.Errorf("cannot open %s: %w", s.path, err)
		if db != nil {
			err = errors.Join(err, protect(db.Close))
		}
		if fresh { // half a file is nothing to keep
			err = errors.Join(err, os.Remove(s.path))
		}
		err = errors.Join(err, raw.Close())
	}()
	// The database reads the file as soon as it has the lock. So it is judged
	// before that, under the same lock.
	if err := lock(raw); err != nil {
		return err
	}
	info, err := raw.Stat()
	if err != nil {
		return err
	}
	if fresh, s.txid = info.Size() == 0, 0; !fresh {
		if s.txid, err = judge(raw, info.Size(), everythingStored); err != nil {
			return asDamage(err)
		}
	}
	if err := syscall.Flock(int(raw.Fd()), syscall.LOCK_UN); err != nil {
		return fmt.Errorf("cannot unlock it: %w", err)
	}
	err = protect(func() (err error) {
		db, err = bbolt.Open(s.path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		fresh = false // it is the other's
		return errInUse
	case err != nil:
		return err
	}
	return protect(func() error { return prepare(db) })
}

// lock takes the lock that the database will hold.
func lock(f *os.File) error {
	for end := time.Now().Add(lockTimeout); ; time.Sleep(50 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return fmt.Errorf("cannot lock it: %w", err)
		case time.Now().After(end):
			return errInUse
		}
	}
}

// asDamage takes what cannot be read for damage.
func asDamage(err error) error {
	if errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// prepare makes the buckets of a new file. It writes nothing to one that has
// them: there may be no room.
func prepare(db *bbolt.DB) error {
	whole := false
	err := db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil { // the process ended between making the file and this
			return nil
		}
		for _, b := range [][]byte{bucketOwners, bucketRecords, bucketTallies} {
			if tx.Bucket(b) == nil {
				return damaged("it has no bucket %q", b)
			}
		}
		if v := meta.Get(keyFormat); string(v) != format {
			return damaged("its format is %q, this version reads %q", v, format)
		}
		whole = true
		return nil
	})
	if err != nil || whole {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketOwners, bucketRecords, bucketTallies, bucketMeta} {
			if _, err := tx.CreateBucket(b); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyFormat, []byte(format))
	})
}

// protect turns a panic of the database over a damaged page, and a fault of the
// mapping where the file is shorter than it says, into an error.
func protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged("%v", p)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return f()
}

// Close closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}

func (s *Store) close() error {
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	err := s.raw.Close()
	if !s.stuck {
		err = errors.Join(err, protect(db.Close))
	}
	return err
}

// Reset sets the file aside and goes on with an empty one, after an error that
// does not pass.
func (s *Store) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil { // there is nothing to set aside
		return s.open()
	}
	_ = s.close() // it is damaged; what matters is that it is let go
	return s.replace()
}

// judge judges the pages of a scope and returns the newest transaction.
func judge(file *os.File, size int64, s scope) (txid uint64, err error) {
	c, err := newChecker(file, size)
	if err != nil {
		return 0, err
	}
	if err := c.tree(c.root, nil, nil, s, 0); err != nil {
		return 0, err
	}
	return c.txid, c.free()
}

// view reads after the pages of the scope were judged.
func (s *Store) view(of scope, f func(*bbolt.Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	if _, err := s.judge(of); err != nil {
		return err
	}
	return protect(func() error { return s.db.View(f) })
}

// update writes after the pages of the scope were judged.
func (s *Store) update(of scope, f func(*bbolt.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return ErrClosed
	}
	txid, err := s.judge(of)
	if err != nil {
		return err
	}
	s.txid = txid
	s.stuck = true
	err = protect(func() error {
		err := s.db.Update(f)
		s.stuck = false
		return err
	})
	if err == nil {
		s.txid++
	}
	return err
}

func (s *Store) judge(of scope) (txid uint64, err error) {
	if s.stuck {
		return 0, damaged("the database has given up")
	}
	info, err := s.raw.Stat()
	if err != nil {
		return 0, err
	}
	if there, err := os.Stat(s.path); err != nil || !os.SameFile(info, there) {
		return 0, damaged("it was removed or replaced while it was in use")
	}
	if txid, err = judge(s.raw, info.Size(), of); err != nil {
		return 0, asDamage(err)
	}
	if txid < s.txid {
		return 0, damaged("transaction %d is the newest one in it, %d was written", txid, s.txid)
	}
	return txid, nil
}
