package emit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// queue is a bounded first-in first-out of records on disk. One goroutine
// appends and one reads; every method may be called at any time.
//
//	segments:   [ head ........ ] [ ........ ] [ open .. ]
//	             ^acked   ^taken                        ^append
//
// Acked is where a restart resumes. What lies between acked and taken is in
// flight: when its segment is dropped its fate is the reader's to count.
type queue struct {
	dir      string
	maxBytes int64
	segBytes int64
	log      *slog.Logger

	mu       sync.Mutex
	segments []*segment // oldest first; the last one is open
	acked    position
	taken    position
	ack      *ackFile
	bytes    int64 // of all segment files
	buf      []byte
	dirty    bool
}

type segment struct {
	id      uint64
	f       *os.File
	size    int64
	samples int // not yet taken by the reader
}

const segmentSuffix = ".queue"

// openQueue takes over what is in dir. Torn and damaged tails are cut and
// logged; lost is how many bytes that were.
func openQueue(dir string, maxBytes, segBytes int64, log *slog.Logger) (q *queue, lost int64, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, 0, fmt.Errorf("cannot make queue folder: %w", err)
	}
	q = &queue{dir: dir, maxBytes: maxBytes, segBytes: segBytes, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.closeFiles())
		}
	}()
	if q.ack, q.acked, err = openAck(filepath.Join(dir, "acknowledged")); err != nil {
		return nil, 0, err
	}
	ids, err := q.list()
	if err != nil {
		return nil, 0, err
	}
	for _, id := range ids {
		if id < q.acked.segment {
			if err := os.Remove(q.path(id)); err != nil {
				return nil, 0, fmt.Errorf("cannot remove sent segment: %w", err)
			}
			continue
		}
		cut, err := q.load(id)
		if err != nil {
			return nil, 0, err
		}
		lost += cut
	}
	next := q.acked.segment + 1
	if len(ids) > 0 {
		next = max(next, ids[len(ids)-1]+1)
	}
	if len(q.segments) == 0 || q.segments[0].id != q.acked.segment || q.acked.offset > q.segments[0].size {
		q.acked = position{next, int64(len(segmentMagic))}
		if len(q.segments) > 0 {
			q.acked.segment = q.segments[0].id
		}
	}
	if len(q.segments) == 0 {
		if err := q.rotate(next); err != nil {
			return nil, 0, err
		}
	}
	q.taken = q.acked
	return q, lost, nil
}

func (q *queue) path(id uint64) string {
	return filepath.Join(q.dir, fmt.Sprintf("%016x%s", id, segmentSuffix))
}

func (q *queue) list() ([]uint64, error) {
	entries, err := os.ReadDir(q.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list queue folder: %w", err)
	}
	var ids []uint64
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), segmentSuffix); ok {
			if id, err := strconv.ParseUint(name, 16, 64); err == nil {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// load opens a segment of an earlier process and cuts what is not whole.
func (q *queue) load(id uint64) (cut int64, err error) {
	path := q.path(id)
	b, err := os.ReadFile(path) //nolint:gosec // the queue's own folder
	if err != nil {
		return 0, fmt.Errorf("cannot read segment: %w", err)
	}
	s := &segment{id: id}
	good, bad := scanSegment(b, func(at int, r record) {
		if id > q.acked.segment || int64(at) >= q.acked.offset {
			s.samples += r.samples
		}
	})
	if bad != nil {
		cut = int64(len(b) - good)
		q.log.Warn("cut the tail of a remote write queue segment", "file", path, "at", good, "bytes", cut, "err", bad)
	}
	if good == 0 {
		if err := os.Remove(path); err != nil {
			return 0, fmt.Errorf("cannot remove segment: %w", err)
		}
		return cut, nil
	}
	if s.f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil { //nolint:gosec // the queue's own folder
		return 0, fmt.Errorf("cannot open segment: %w", err)
	}
	s.size = int64(good)
	q.segments = append(q.segments, s)
	q.bytes += s.size
	if cut > 0 {
		if err := s.f.Truncate(s.size); err != nil {
			return 0, fmt.Errorf("cannot cut segment: %w", err)
		}
	}
	return cut, nil
}

// rotate starts a new open segment.
func (q *queue) rotate(id uint64) error {
	f, err := os.OpenFile(q.path(id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot make segment: %w", err)
	}
	if _, err := f.WriteString(segmentMagic); err != nil {
		return errors.Join(fmt.Errorf("cannot begin segment: %w", err), f.Close(), os.Remove(q.path(id)))
	}
	q.segments = append(q.segments, &segment{id: id, f: f, size: int64(len(segmentMagic))})
	q.bytes += int64(len(segmentMagic))
	return nil
}

// append writes a record and returns how many samples were dropped to make
// room for it. On an error the record is not in the queue.
func (q *queue) append(r record) (dropped int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.buf = appendRecord(q.buf[:0], r)
	n := int64(len(q.buf))
	if n > maxRecordBytes || n+int64(len(segmentMagic)) > q.maxBytes {
		return 0, fmt.Errorf("cannot queue a record of %d bytes: the queue holds %d", n, q.maxBytes)
	}
	open := q.segments[len(q.segments)-1]
	if open.size > int64(len(segmentMagic)) && (open.size+n > q.segBytes || q.bytes+n > q.maxBytes && len(q.segments) == 1) {
		if err := open.f.Sync(); err != nil {
			return 0, fmt.Errorf("cannot sync segment: %w", err)
		}
		if err := q.rotate(open.id + 1); err != nil {
			return 0, err
		}
		q.trim()
		open = q.segments[len(q.segments)-1]
	}
	for q.bytes+n > q.maxBytes && len(q.segments) > 1 {
		dropped += q.segments[0].samples
		if err := q.removeHead(); err != nil {
			return dropped, err
		}
	}
	if _, err := open.f.WriteAt(q.buf, open.size); err != nil {
		return dropped, errors.Join(fmt.Errorf("cannot append to segment: %w", err), open.f.Truncate(open.size))
	}
	open.size += n
	q.bytes += n
	open.samples += r.samples
	q.dirty = true
	return dropped, nil
}

// removeHead deletes the oldest segment, sent or not.
func (q *queue) removeHead() error {
	s := q.segments[0]
	q.segments = q.segments[1:]
	q.bytes -= s.size
	if q.acked.segment <= s.id {
		q.acked = position{q.segments[0].id, int64(len(segmentMagic))}
	}
	if err := errors.Join(s.f.Close(), os.Remove(q.path(s.id))); err != nil {
		return fmt.Errorf("cannot remove segment: %w", err)
	}
	return nil
}

// trim deletes segments that were sent completely.
func (q *queue) trim() {
	for len(q.segments) > 1 {
		s := q.segments[0]
		if s.id > q.acked.segment || s.id == q.acked.segment && q.acked.offset < s.size {
			return
		}
		if err := q.removeHead(); err != nil {
			q.log.Warn("cannot remove a sent segment of the remote write queue", "err", err)
		}
	}
}

// next takes the record after those taken before: it counts as queued no more.
// Without one, ok is false. End is to be given to done. Damaged is how many
// samples had to be skipped. The record's memory is the caller's.
func (q *queue) next() (r record, end position, damaged int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.segments {
		if s.id < q.taken.segment {
			continue
		}
		if s.id > q.taken.segment {
			q.taken = position{s.id, int64(len(segmentMagic))}
		}
		if q.taken.offset >= s.size {
			continue
		}
		r, n, err := s.read(q.taken.offset)
		if err == nil {
			q.taken.offset += n
			s.samples -= r.samples
			return r, q.taken, damaged, true
		}
		// It was whole when it was written or loaded: nothing behind the
		// damage can be trusted.
		q.log.Error("skipping the rest of a damaged remote write queue segment", "file", q.path(s.id), "at", q.taken.offset, "samples", s.samples, "err", err)
		damaged += s.samples
		s.samples = 0
		q.taken.offset = s.size
	}
	return record{}, q.taken, damaged, false
}

func (s *segment) read(at int64) (r record, n int64, err error) {
	var h [recordHeader]byte
	if _, err := s.f.ReadAt(h[:], at); err != nil {
		return r, 0, fmt.Errorf("cannot read segment: %w", err)
	}
	size := recordHeader + int64(binary.LittleEndian.Uint32(h[:]))
	if size > s.size-at {
		return r, 0, errDamaged
	}
	buf := make([]byte, size)
	if _, err := s.f.ReadAt(buf, at); err != nil {
		return r, 0, fmt.Errorf("cannot read segment: %w", err)
	}
	r, k, err := readRecord(buf)
	return r, int64(k), err
}

// done acknowledges everything up to p, whether sent or given up.
func (q *queue) done(p position) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.acked.before(p) {
		q.acked = p
	}
	q.dirty = true
	q.trim()
	return q.ack.write(q.acked)
}

// holds says whether the record that ends at p is still in the queue.
func (q *queue) holds(p position) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.segments[0].id <= p.segment
}

// stats are the bytes on disk and the samples that wait.
func (q *queue) stats() (bytes int64, samples int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.segments {
		samples += s.samples
	}
	return q.bytes, samples
}

// sync forces what was written to disk.
func (q *queue) sync() error {
	q.mu.Lock()
	if !q.dirty {
		q.mu.Unlock()
		return nil
	}
	q.dirty = false
	open := q.segments[len(q.segments)-1].f
	q.mu.Unlock()
	// Without the lock: a slow disk must not hold up the writer. A file that
	// was removed meanwhile is closed and needs no sync.
	if err := open.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("cannot sync segment: %w", err)
	}
	if err := q.ack.f.Sync(); err != nil {
		return fmt.Errorf("cannot sync acknowledged offset: %w", err)
	}
	return nil
}

func (q *queue) close() error {
	return errors.Join(q.sync(), q.closeFiles())
}

func (q *queue) closeFiles() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var errs []error
	for _, s := range q.segments {
		errs = append(errs, s.f.Close())
	}
	q.segments = nil
	if q.ack != nil {
		errs = append(errs, q.ack.f.Close())
		q.ack = nil
	}
	return errors.Join(errs...)
}
