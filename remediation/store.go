package remediation

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/chironhq/chiron/remediation/webhook"
)

// store is the embedded database: deliveries that are not decided yet, runs and
// episodes. Every write is one transaction and on disk when it returns.
type store struct{ db *bbolt.DB }

var (
	bucketInbox    = []byte("inbox")
	bucketRuns     = []byte("runs")
	bucketEpisodes = []byte("episodes")
	bucketMeta     = []byte("meta")
	keyFormat      = []byte("format")
)

const (
	storeFormat = "1"
	// maxInbox bounds what waits for a decision; more is refused with 503 and comes again.
	maxInbox = 1000
)

var errInboxFull = errors.New("too many deliveries wait for a decision")

func openStore(dir string) (*store, error) {
	if dir == "" {
		return nil, errors.New("remediation needs a directory for its runs")
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the runs: %w", err)
	}
	name := filepath.Join(dir, "runs.db")
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{Timeout: 5 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", name, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketInbox, bucketRuns, bucketEpisodes, bucketMeta} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		if v := meta.Get(keyFormat); v != nil && string(v) != storeFormat {
			return fmt.Errorf("its format is %q, this version reads %q", v, storeFormat)
		}
		return meta.Put(keyFormat, []byte(storeFormat))
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open %s: %w", name, err), db.Close())
	}
	return &store{db}, nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// load reads what the engine starts from.
func (s *store) load() (State, error) {
	st := State{Episodes: map[string]*Episode{}}
	err := s.db.View(func(tx *bbolt.Tx) error {
		err := tx.Bucket(bucketRuns).ForEach(func(k, v []byte) error {
			r := &Run{}
			if err := json.Unmarshal(v, r); err != nil {
				return fmt.Errorf("cannot read run %d: %w", binary.BigEndian.Uint64(k), err)
			}
			st.Runs = append(st.Runs, r)
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Bucket(bucketEpisodes).ForEach(func(k, v []byte) error {
			e := &Episode{}
			if err := json.Unmarshal(v, e); err != nil {
				return fmt.Errorf("cannot read the episode of %s: %w", k, err)
			}
			st.Episodes[string(k)] = e
			return nil
		})
	})
	return st, err
}

// enqueue records a delivery; it is on disk when it returns.
func (s *store) enqueue(d *webhook.Delivery) error {
	v, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("cannot write the delivery: %w", err)
	}
	return s.db.Batch(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketInbox)
		first, _ := b.Cursor().First()
		last, _ := b.Cursor().Last()
		if first != nil && binary.BigEndian.Uint64(last)-binary.BigEndian.Uint64(first)+1 >= maxInbox {
			return errInboxFull
		}
		n, err := b.NextSequence()
		if err != nil {
			return err
		}
		return b.Put(number(n), v)
	})
}

// next returns the oldest delivery, nil when there is none, and how many there are.
func (s *store) next() (id uint64, d *webhook.Delivery, waiting int, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketInbox).Cursor()
		k, v := c.First()
		if k == nil {
			return nil
		}
		id = binary.BigEndian.Uint64(k)
		last, _ := c.Last()
		waiting = int(binary.BigEndian.Uint64(last)-id) + 1
		d = &webhook.Delivery{}
		return json.Unmarshal(v, d)
	})
	return id, d, waiting, err
}

// apply records the Save and Drop effects of one step and takes the delivery
// that caused it (0: none) from the inbox, all or nothing.
func (s *store) apply(effects []Effect, delivery uint64) error {
	if delivery == 0 && !storing(effects) {
		return nil
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		runs, episodes := tx.Bucket(bucketRuns), tx.Bucket(bucketEpisodes)
		if delivery != 0 {
			if err := tx.Bucket(bucketInbox).Delete(number(delivery)); err != nil {
				return err
			}
		}
		for _, f := range effects {
			var err error
			switch f := f.(type) {
			case SaveRun:
				err = put(runs, number(f.Run.ID), f.Run)
			case SaveEpisode:
				err = put(episodes, []byte(f.Key), f.Episode)
			case DropRun:
				err = runs.Delete(number(f.ID))
			case DropEpisode:
				err = episodes.Delete([]byte(f.Key))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func storing(effects []Effect) bool {
	for _, f := range effects {
		switch f.(type) {
		case SaveRun, SaveEpisode, DropRun, DropEpisode:
			return true
		}
	}
	return false
}

func put(b *bbolt.Bucket, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, text)
}

// each calls f for the runs, newest first, until it returns false.
func (s *store) each(f func(*Run) bool) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketRuns).Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			r := &Run{}
			if err := json.Unmarshal(v, r); err != nil {
				return fmt.Errorf("cannot read run %d: %w", binary.BigEndian.Uint64(k), err)
			}
			if !f(r) {
				return nil
			}
		}
		return nil
	})
}

// run returns one run, nil when it is not there.
func (s *store) run(id uint64) (*Run, error) {
	var r *Run
	err := s.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucketRuns).Get(number(id))
		if v == nil {
			return nil
		}
		r = &Run{}
		return json.Unmarshal(v, r)
	})
	return r, err
}
