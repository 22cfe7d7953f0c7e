package tsdbcache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync/atomic"
)

// The first page of the file: magic, u32 version, u32 page size, u64 pages,
// u32 pages from which on none was ever used, u32 1 if samples were dropped,
// i64 the newest time of those.
const (
	pagesMagic   = "CHIRONPG"
	pagesVersion = 2
)

func (a *arena) writeHeader() {
	h := a.page(0)
	binary.LittleEndian.PutUint32(h[8:], pagesVersion)
	binary.LittleEndian.PutUint32(h[12:], pageSize)
	binary.LittleEndian.PutUint64(h[16:], uint64(a.n))
	*h.u32(24) = a.fresh
	copy(h, pagesMagic)
}

// noteFresh stores how far pages are used before one there is claimed.
func (a *arena) noteFresh() {
	if a.file != nil {
		atomic.StoreUint32(a.page(0).u32(24), a.fresh)
	}
}

func (a *arena) noteEdge(e edge) {
	if a.file != nil && e.known {
		h := a.page(0)
		*h.i64(32) = e.t
		atomic.StoreUint32(h.u32(28), 1)
	}
}

func (a *arena) readEdge() edge {
	h := a.page(0)
	return edge{known: *h.u32(28) != 0, t: *h.i64(32)}
}

// openPages maps the page file; one of another size is first copied into a
// file of the wanted size, the newest pages first.
func (db *DB) openPages() error {
	path := db.path(pagesFile)
	old, err := oldPages(path)
	if err != nil {
		return err
	}
	want := db.opts.Memory / pageSize
	if old > 0 && old != want {
		if err := db.resize(path, old, want); err != nil {
			return err
		}
	}
	if db.arena, err = newArena(db.mem, path, db.opts.Memory); err != nil {
		return err
	}
	if old == 0 {
		db.arena.writeHeader()
		return nil
	}
	db.arena.fresh = min(max(*db.arena.page(0).u32(24), 1), db.arena.n)
	db.edge = db.arena.readEdge()
	return nil
}

// oldPages reads how many pages a file has; 0 if there is none.
func oldPages(path string) (int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot open the ring's pages: %w", err)
	}
	defer func() { _ = f.Close() }()
	var h [28]byte
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if _, err := f.ReadAt(h[:], 0); err != nil || h == [28]byte{} {
		return 0, nil // the process that made it was stopped before it wrote anything
	}
	if string(h[:8]) != pagesMagic {
		return 0, fmt.Errorf("cannot use %s: it is not a page file; move it away", path)
	}
	version, size := binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[12:])
	if version != pagesVersion || size != pageSize {
		return 0, fmt.Errorf("cannot use %s: version %d with pages of %d bytes, this program knows version %d with %d; start the program that wrote it, or remove the directory",
			path, version, size, pagesVersion, pageSize)
	}
	n := int64(binary.LittleEndian.Uint64(h[16:]))
	if n <= 0 || n > math.MaxUint32 {
		n = info.Size() / pageSize
	}
	return min(n, info.Size()/pageSize), nil
}

// resize writes a page file of another size. Raw pages go first: they hold
// what is newest, whatever their sequence number.
func (db *DB) resize(path string, have, want int64) error {
	from, err := newArena(db.mem, path, have*pageSize)
	if err != nil {
		return err
	}
	defer func() { _ = from.close() }()
	fresh := min(max(*from.page(0).u32(24), 1), from.n)
	var used []uint32
	for i := uint32(1); i < fresh; i++ {
		if from.page(i).kind() != kindFree {
			used = append(used, i)
		}
	}
	slices.SortFunc(used, func(a, b uint32) int {
		pa, pb := from.page(a), from.page(b)
		if ra, rb := pa.kind() == kindRaw, pb.kind() == kindRaw; ra != rb {
			if ra {
				return -1
			}
			return 1
		}
		return int(int32(pb.seq() - pa.seq()))
	})
	kept := used[:min(int64(len(used)), want-1)]
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	to, err := newArena(db.mem, path+".new", want*pageSize)
	if err != nil {
		return err
	}
	for i, p := range kept {
		copy(to.page(uint32(i)+1), from.page(p))
	}
	to.fresh = uint32(len(kept)) + 1
	to.writeHeader()
	reach := from.readEdge()
	for _, p := range used[len(kept):] {
		reach = edge{true, max(reach.t, from.page(p).maxT())}
	}
	to.noteEdge(reach)
	if err := errors.Join(to.sync(), to.close()); err != nil {
		return fmt.Errorf("cannot write pages of the new size: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("cannot replace the page file: %w", err)
	}
	db.opts.Logger.Info("page file resized", "pages_before", have, "pages_now", want, "kept", len(kept), "dropped", len(used)-len(kept))
	return syncDir(db.opts.Dir)
}
