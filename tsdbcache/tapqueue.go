package tsdbcache

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// tapQueue holds what waits in a tap once for all its readers. It grows and
// shrinks by blocks: what every reader has passed is given back.
//
//	         base                  end
//	blocks:  [ 32 ][ 32 ][ 32 ][ 9 ]
//	            ^ next of a reader  ^ next of another one
//
// Positions count samples since the tap was opened and are never reused.
type tapQueue struct {
	mu      sync.Mutex
	waiting int    // readers that have not lost their place
	full    uint64 // no reader overflows before end gets here
	end     uint64
	blocks  tapBlocks
	readers []*TapReader
	views   int // drainers that read blocks without mu
	dropped *atomic.Uint64
}

// tapBlocks is the run of blocks that hold [base, end).
type tapBlocks struct {
	base uint64
	last *tapBlock // of run
	run  []*tapBlock
	pool *sync.Pool
}

// tapBlockSize is small because a few samples wait in each of many taps, and
// memory that is touched for the first time costs more than what is written.
const tapBlockSize = 32

type tapBlock [tapBlockSize]TapSample

// grow adds a block.
func (b *tapBlocks) grow() {
	var reused bool
	if b.last, reused = b.pool.Get().(*tapBlock); !reused {
		b.last = new(tapBlock)
	}
	b.run = append(b.run, b.last)
}

// release gives the first n blocks up. They are used again unless a drainer
// may still read them.
func (b *tapBlocks) release(n int, reuse bool) {
	for _, block := range b.run[:n] {
		if reuse {
			b.pool.Put(block)
		}
	}
	b.base += uint64(n) * tapBlockSize
	if b.run = slices.Delete(b.run, 0, n); len(b.run) == 0 {
		b.last, b.run = nil, nil
	}
}

// join makes a reader of t, whose queue this is, that begins here.
func (q *tapQueue) join(t *tap, capacity int) *TapReader {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := &TapReader{tap: t, capacity: uint64(max(capacity, 1)), next: q.end, lost: true}
	q.readers = append(q.readers, r)
	q.resume(r)
	return r
}

// resume lets a reader that has no place wait from here on. mu is held.
func (q *tapQueue) resume(r *TapReader) {
	if q.waiting == 0 { // nor is there a block
		q.full, q.blocks.base = math.MaxUint64, q.end
	}
	r.next, r.lost = q.end, false
	q.waiting++
	q.full = min(q.full, r.next+r.capacity)
}

// leave takes a reader away and says how many are left, and whether it was one.
func (q *tapQueue) leave(r *TapReader) (left int, was bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.closed {
		return len(q.readers), false
	}
	if r.lost {
		q.dropped.Add(q.end - r.next)
	} else {
		q.waiting--
	}
	r.closed, r.lost = true, true
	q.readers = slices.DeleteFunc(q.readers, func(x *TapReader) bool { return x == r })
	q.trim()
	return len(q.readers), true
}

// push queues a sample for every reader that has not lost its place.
func (q *tapQueue) push(s TapSample) {
	q.mu.Lock()
	if q.end >= q.full {
		q.overflow(false)
	}
	if q.waiting > 0 {
		i := (q.end - q.blocks.base) % tapBlockSize
		if i == 0 {
			q.blocks.grow()
		}
		q.blocks.last[i] = s
	}
	q.end++
	q.mu.Unlock()
}

// overflow takes the place from readers for which there is no room, or from
// all. The others go on. mu is held.
func (q *tapQueue) overflow(all bool) {
	q.full = math.MaxUint64
	for _, r := range q.readers {
		switch {
		case r.lost:
		case all || q.end-r.next >= r.capacity:
			q.dropped.Add(q.end - r.next)
			r.next, r.lost = q.end, true
			q.waiting--
		default:
			q.full = min(q.full, r.next+r.capacity)
		}
	}
	q.trim()
}

func (q *tapQueue) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.readers)
}

func (q *tapQueue) bytes() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.blocks.run) * int(unsafe.Sizeof(tapBlock{}))
}

// loseAll has every reader resync.
func (q *tapQueue) loseAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.overflow(true)
}

// trim gives up what no reader waits for. mu is held.
func (q *tapQueue) trim() {
	least := q.end
	for _, r := range q.readers {
		if !r.lost {
			least = min(least, r.next)
		}
	}
	n := len(q.blocks.run)
	if least < q.end {
		n = int((least - q.blocks.base) / tapBlockSize)
	}
	if n > 0 {
		q.blocks.release(n, q.views == 0)
	}
	if len(q.blocks.run) == 0 {
		q.blocks.base = q.end
	}
}

// drain calls f, without mu, with what waits for a reader.
func (q *tapQueue) drain(r *TapReader, f func(TapSample)) (overflowed bool) {
	from, end, overflowed := q.view(r)
	if from == end {
		return overflowed
	}
	defer q.unview(r)
	for at := from; at < end; at++ {
		f(r.view[at/tapBlockSize][at%tapBlockSize])
	}
	return false
}

// view takes what waits for a reader: the samples [from, end) of its view,
// which nobody writes until unview. There is no view of nothing.
func (q *tapQueue) view(r *TapReader) (from, end uint64, lost bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch n := q.end - r.next; {
	case r.closed || !r.lost && n == 0:
		return 0, 0, false
	case r.lost:
		q.dropped.Add(n)
		q.resume(r)
		return 0, 0, true
	default:
		from = r.next - q.blocks.base
		first := from / tapBlockSize
		r.view = append(r.view[:0], q.blocks.run[first:]...)
		r.next = q.end
		q.views++
		from -= first * tapBlockSize
		return from, from + n, false
	}
}

func (q *tapQueue) unview(r *TapReader) {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(r.view)
	q.views--
	q.trim()
}
