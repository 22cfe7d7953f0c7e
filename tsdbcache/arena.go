package tsdbcache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// arena is the mapped memory of the ring, cut into pages. Page 0 holds the
// file header, so page number 0 means "none".
//
// Beside the mapping there are eight bytes a page off the heap: link strings
// together the free pages, the chunks of a series and the further pages of a
// histogram chunk (a page is on one of these at a time, but the head of a
// chunk needs two: its first further page is in extra), and queue holds the
// closed chunks, oldest first.
type arena struct {
	mem   []byte
	heap  *offHeap // has link and queue
	file  *os.File // nil: anonymous
	n     uint32   // pages, page 0 included
	link  []uint32
	extra map[uint32]uint32 // histogram chunk head -> its first further page

	free    uint32 // first free page
	nfree   int
	fresh   uint32 // pages from here on were never used
	seq     uint32 // of the page claimed last
	queue   []uint32
	qhead   int
	qlen    int
	nclosed int // pages, further pages included
}

func (a *arena) page(i uint32) page {
	o := int(i) * pageSize
	return page(a.mem[o : o+pageSize : o+pageSize])
}

// newArena maps the ring. With a file it also reserves the disk space, so
// that a full disk is an error now and not a crash on a store later.
func newArena(heap *offHeap, path string, bytes int64) (*arena, error) {
	a := &arena{heap: heap, n: uint32(bytes / pageSize), extra: map[uint32]uint32{}}
	size := int(a.n) * pageSize
	if path == "" {
		mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return nil, fmt.Errorf("cannot map %d bytes of memory: %w; give the ring less memory", size, err)
		}
		a.mem = mem
	} else {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil {
			return nil, fmt.Errorf("cannot open the ring's pages: %w; make the directory writable", err)
		}
		if err := reserve(f, int64(size)); err != nil {
			_ = f.Close()
			return nil, err
		}
		mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("cannot map %d bytes of %s: %w", size, path, err)
		}
		a.mem, a.file = mem, f
	}
	a.link = heap.numbers(int(a.n))
	a.queue = heap.numbers(int(a.n))
	a.fresh = 1
	return a, nil
}

// reserve gives f its size and disk space. It looks first, so that a request
// which cannot succeed does not fill the disk on the way.
func reserve(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", f.Name(), err)
	}
	full := func(err error) error {
		return fmt.Errorf("cannot reserve %d bytes in %s: %w; free disk space or give the ring less memory", size, filepath.Dir(f.Name()), err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err == nil {
		have := int64(fs.Bavail) * fs.Bsize
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			have += st.Blocks * 512
		}
		if size > have {
			return full(unix.ENOSPC)
		}
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		// A file system without reservation: the size at least is right.
		err = f.Truncate(max(size, info.Size()))
	}
	if err != nil {
		return full(errors.Join(err, f.Truncate(info.Size())))
	}
	return nil
}

func (a *arena) sync() error {
	if a.file == nil {
		return nil
	}
	return unix.Msync(a.mem, unix.MS_SYNC)
}

func (a *arena) close() error {
	err := unix.Munmap(a.mem)
	a.mem = nil
	a.heap.drop(a.link)
	a.heap.drop(a.queue)
	a.link, a.queue = nil, nil
	if a.file != nil {
		err = errors.Join(err, a.file.Close())
	}
	return err
}

// take claims a free page, or returns 0 when there is none.
func (a *arena) take(slot uint32, gen uint16, kind uint8) uint32 {
	i := a.free
	switch {
	case i != 0:
		a.free = a.link[i]
		a.nfree--
	case a.fresh < a.n:
		i = a.fresh
		a.fresh++
		a.noteFresh()
	default:
		return 0
	}
	a.seq++
	a.link[i] = 0
	a.page(i).claim(slot, gen, kind, a.seq)
	return i
}

func (a *arena) give(i uint32) {
	a.page(i).free()
	a.link[i] = a.free
	a.free = i
	a.nfree++
}

// available is the number of pages that take can still give.
func (a *arena) available() int { return a.nfree + int(a.n-a.fresh) }

// enqueue closes a chunk: its pages get their checksums and queue up for
// eviction.
func (a *arena) enqueue(head uint32) {
	a.each(head, func(i uint32) { a.page(i).close(); a.nclosed++ })
	a.queue[(a.qhead+a.qlen)%len(a.queue)] = head
	a.qlen++
}

// oldest takes the oldest closed chunk off the queue.
func (a *arena) oldest() (uint32, bool) {
	if a.qlen == 0 {
		return 0, false
	}
	i := a.queue[a.qhead]
	a.qhead = (a.qhead + 1) % len(a.queue)
	a.qlen--
	return i, true
}

// release gives back all pages of a chunk and returns how many.
func (a *arena) release(head uint32) int {
	n, closed := 0, a.page(head).closed()
	next := uint32(0)
	for i, more := head, true; more; i = next {
		if i == head {
			next = a.extra[head]
		} else {
			next = a.link[i]
		}
		more = next != 0
		a.give(i)
		n++
	}
	delete(a.extra, head)
	if closed {
		a.nclosed -= n
	}
	return n
}

// each calls f with every page of a chunk, the head first.
func (a *arena) each(head uint32, f func(uint32)) {
	f(head)
	if k := a.page(head).kind(); k != kindHist && k != kindLateHist {
		return
	}
	for i := a.extra[head]; i != 0; i = a.link[i] {
		f(i)
	}
}
