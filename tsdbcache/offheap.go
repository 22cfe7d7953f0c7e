package tsdbcache

import (
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// offHeap hands out zeroed memory outside of the Go heap for tables without
// pointers. A collector that waits until the heap has doubled would otherwise
// let garbage grow as large as the tables are.
//
// What was not given back is unmapped when the ring's DB is collected, never
// by Close: a transaction that is still open may read a table without a lock.
type offHeap struct {
	mu   sync.Mutex
	maps map[*byte][]byte
}

func newOffHeap(owner *DB) *offHeap {
	h := &offHeap{maps: map[*byte][]byte{}}
	runtime.AddCleanup(owner, func(h *offHeap) {
		for _, b := range h.maps {
			_ = unix.Munmap(b)
		}
	}, h)
	return h
}

// bytes returns n zeroed bytes. Where nothing can be mapped they come from the
// Go heap, as they do under the race detector, which sees only that.
func (h *offHeap) bytes(n int) []byte {
	if n == 0 || raceEnabled {
		return make([]byte, n)
	}
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, n)
	}
	h.mu.Lock()
	h.maps[&b[0]] = b
	h.mu.Unlock()
	return b
}

// numbers returns n zeroed numbers.
func (h *offHeap) numbers(n int) []uint32 {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(h.bytes(4*n)))), n)
}

// drop gives numbers back that nobody reads any more.
func (h *offHeap) drop(s []uint32) {
	if b, ok := h.mapping(s); ok {
		h.mu.Lock()
		delete(h.maps, &b[0])
		h.mu.Unlock()
		_ = unix.Munmap(b)
	}
}

// forget gives the memory back of numbers that somebody may still read; they
// read as zeros from now on, or as they were.
func (h *offHeap) forget(s []uint32) {
	if b, ok := h.mapping(s); ok {
		_ = unix.Madvise(b, unix.MADV_DONTNEED)
	}
}

func (h *offHeap) mapping(s []uint32) ([]byte, bool) {
	if len(s) == 0 {
		return nil, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b, ok := h.maps[(*byte)(unsafe.Pointer(unsafe.SliceData(s)))]
	return b, ok
}

// mapped is a T in zeroed memory outside of the Go heap. T has no pointers.
func mapped[T any](h *offHeap) *T {
	var t T
	return (*T)(unsafe.Pointer(unsafe.SliceData(h.bytes(int(unsafe.Sizeof(t))))))
}
