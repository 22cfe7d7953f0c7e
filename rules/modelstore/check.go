package modelstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
	"slices"
)

// The database maps its file and believes it: over a damaged page it may
// search in a circle until the stack is full, or take a length for memory to
// reserve, and both end the process whatever is recovered. So the pages that an
// operation is about to visit are read and judged here first. What passes
// cannot do harm; whether a record is right is for its checksum to say.
//
// The layout is that of bbolt's version 2, in the machine's byte order:
//
//	page   u64 id, u16 kind, u16 count, u32 how many pages follow it as one
//	meta   pages 0 and 1: u32 magic, u32 version, u32 page size, u32 flags,
//	       u64 root, u64 sequence, u64 freelist, u64 pages, u64 transaction,
//	       u64 FNV-1a of these
//	branch elements u32 pos, u32 length of key, u64 page; then the keys
//	leaf   elements u32 flags, u32 pos, u32 length of key, u32 length of value;
//	       then a key and a value each
//	free   u64 pages, in order; before them u64 how many if count is 0xffff
//
// pos counts from the beginning of its element. A bucket is a leaf's value: u64
// root, u64 sequence, and behind them the page itself if root is 0.
const (
	pageHeader = 16
	element    = 16
	bucketHead = 16
	metaSize   = 64

	kindBranch, kindLeaf, kindFree = 0x01, 0x02, 0x10
	bucketFlag                     = 0x01

	metaMagic, metaVersion = 0xED0CDAED, 2

	leastPage, mostPage = 1 << 10, 1 << 24
	mostDepth           = 32 // of a tree of pages that hold two keys at least
)

// checker judges the pages of a file.
type checker struct {
	file     io.ReaderAt
	page     uint64 // bytes
	root     uint64
	freelist uint64
	high     uint64 // pages from here on are not in use
	txid     uint64
	seen     []bool   // pages that something points to
	buffers  [][]byte // by depth
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

// newChecker reads the pages that say where all others are.
func newChecker(file io.ReaderAt, size int64) (*checker, error) {
	c := &checker{file: file}
	if err := c.readMeta(size); err != nil {
		return nil, err
	}
	if c.high < 4 || c.high > uint64(size)/c.page {
		return nil, damaged("it has %d bytes where it says that there are %d pages of %d", size, c.high, c.page)
	}
	c.seen = make([]bool, c.high)
	c.seen[0], c.seen[1] = true, true
	return c, nil
}

// readMeta takes the newer one of the two that is valid, as the database does.
func (c *checker) readMeta(size int64) error {
	found := false
	take := func(at int64) error {
		b := make([]byte, pageHeader+metaSize)
		if at+int64(len(b)) > size {
			return nil
		}
		if _, err := c.file.ReadAt(b, at); err != nil {
			return err
		}
		b = b[pageHeader:]
		u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
		h := fnv.New64a()
		_, _ = h.Write(b[:metaSize-8])
		page := uint64(u32(b[8:]))
		switch {
		case u32(b) != metaMagic || u32(b[4:]) != metaVersion || u64(b[56:]) != h.Sum64():
		case page < leastPage || page > mostPage || bits.OnesCount64(page) != 1:
		case c.page != 0 && c.page != page:
		case !found || u64(b[48:]) > c.txid:
			c.page, c.root, c.freelist, c.high, c.txid = page, u64(b[16:]), u64(b[32:]), u64(b[40:]), u64(b[48:])
			found = true
		}
		return nil
	}
	err := take(0)
	if found {
		err = errors.Join(err, take(int64(c.page)))
	} else { // how long a page is, the second one has to say
		for at := int64(leastPage); at <= mostPage && !found && err == nil; at *= 2 {
			if err = take(at); found && int64(c.page) != at {
				found, c.page = false, 0
			}
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("cannot read its first pages: %w", err)
	case !found:
		return damaged("neither of its two first pages is whole")
	}
	return nil
}

// read reads a page with those that follow it, which nothing else may point to.
func (c *checker) read(id uint64, depth int) ([]byte, error) {
	if depth > mostDepth {
		return nil, damaged("page %d: more than %d pages lead there", id, mostDepth)
	}
	for len(c.buffers) <= depth {
		c.buffers = append(c.buffers, make([]byte, c.page))
	}
	if id >= c.high || c.seen[id] {
		return nil, damaged("page %d of %d: something points to it that cannot", id, c.high)
	}
	b := c.buffers[depth][:c.page]
	if _, err := c.file.ReadAt(b, int64(id*c.page)); err != nil {
		return nil, fmt.Errorf("cannot read page %d: %w", id, err)
	}
	if self := binary.NativeEndian.Uint64(b); self != id {
		return nil, damaged("page %d: it says that it is page %d", id, self)
	}
	more := uint64(binary.NativeEndian.Uint32(b[12:]))
	if more >= c.high-id {
		return nil, damaged("page %d of %d: it says that %d others follow", id, c.high, more)
	}
	for k := range more + 1 {
		if c.seen[id+k] {
			return nil, damaged("page %d of %d: two pages claim it", id+k, c.high)
		}
		c.seen[id+k] = true
	}
	if more > 0 {
		b = slices.Grow(b, int(more*c.page))[:(more+1)*c.page]
		if _, err := c.file.ReadAt(b[c.page:], int64((id+1)*c.page)); err != nil {
			return nil, fmt.Errorf("cannot read page %d: %w", id, err)
		}
		c.buffers[depth] = b
	}
	return b, nil
}

// node is a branch or a leaf whose lengths have been judged.
type node struct {
	b     []byte
	leaf  bool
	count int
}

func parse(b []byte) (node, error) {
	kind, count := binary.NativeEndian.Uint16(b[8:]), int(binary.NativeEndian.Uint16(b[10:]))
	n := node{b: b, leaf: kind == kindLeaf, count: count}
	if kind != kindLeaf && (kind != kindBranch || count == 0) {
		return n, damaged("it is of kind %#x with %d elements", kind, count)
	}
	end := uint64(pageHeader + count*element)
	if end > uint64(len(b)) {
		return n, damaged("%d elements do not fit in %d bytes", count, len(b))
	}
	for i := range count {
		pos, key, value := n.lengths(i)
		if uint64(pageHeader+i*element)+pos != end || key == 0 {
			return n, damaged("element %d does not lie behind the one before", i)
		}
		if end += key + value; end > uint64(len(b)) {
			return n, damaged("element %d ends behind the page", i)
		}
		if i > 0 && bytes.Compare(n.key(i-1), n.key(i)) >= 0 {
			return n, damaged("its keys are not in order")
		}
	}
	return n, nil
}

func (n node) at(i int) []byte { return n.b[pageHeader+i*element:] }

func (n node) lengths(i int) (pos, key, value uint64) {
	e := n.at(i)
	if n.leaf {
		e = e[4:]
		value = uint64(binary.NativeEndian.Uint32(e[8:]))
	}
	return uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:])), value
}

func (n node) key(i int) []byte {
	pos, key, _ := n.lengths(i)
	return n.at(i)[pos : pos+key]
}

func (n node) value(i int) []byte {
	pos, key, value := n.lengths(i)
	return n.at(i)[pos+key : pos+key+value]
}

func (n node) isBucket(i int) bool {
	return n.leaf && binary.NativeEndian.Uint32(n.at(i))&bucketFlag != 0
}

// scope is which keys of a bucket are going to be visited.
type scope struct {
	all  bool
	keys [][]byte // in order
	// inner tells what of a bucket in the bucket is; nil: it must hold none.
	inner func(key []byte) scope
}

var everything = scope{all: true}

// tree judges the pages of a bucket that belong to the scope. Its first key is
// first, by which the database finds a page's place in the one above, and the
// others are below below, unless these are nil.
func (c *checker) tree(id uint64, first, below []byte, s scope, depth int) error {
	b, err := c.read(id, depth)
	if err != nil {
		return err
	}
	n, err := parse(b)
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if first != nil && (n.count == 0 || !bytes.Equal(n.key(0), first)) || below != nil && bytes.Compare(n.key(n.count-1), below) >= 0 {
		return damaged("page %d: it holds keys that belong elsewhere", id)
	}
	if used := n.used(); (used+c.page-1)/c.page*c.page != uint64(len(b)) {
		return damaged("page %d: %d bytes are used of %d", id, used, len(b))
	}
	if n.leaf {
		return c.leaf(n, s, depth)
	}
	rest := s.keys
	for i := range n.count {
		until := below
		if i+1 < n.count {
			until = n.key(i + 1)
		}
		part := s
		part.keys = rest
		if until != nil {
			k, _ := slices.BinarySearchFunc(rest, until, bytes.Compare)
			part.keys, rest = rest[:k], rest[k:]
		}
		if !s.all && len(part.keys) == 0 {
			continue
		}
		if err := c.tree(binary.NativeEndian.Uint64(n.at(i)[8:]), n.key(i), until, part, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// used is where the last element ends.
func (n node) used() uint64 {
	if n.count == 0 {
		return pageHeader
	}
	pos, key, value := n.lengths(n.count - 1)
	return uint64(pageHeader+(n.count-1)*element) + pos + key + value
}

// leaf judges the buckets in a leaf.
func (c *checker) leaf(n node, s scope, depth int) error {
	for i := range n.count {
		if n.isBucket(i) != (s.inner != nil) {
			return damaged("a bucket stands where there is none, or a value in the place of a bucket")
		}
		if s.inner == nil {
			continue
		}
		v := n.value(i)
		if len(v) < bucketHead {
			return damaged("a bucket of %d bytes", len(v))
		}
		inner := s.inner(n.key(i))
		if root := binary.NativeEndian.Uint64(v); root != 0 {
			if inner.all || len(inner.keys) > 0 {
				if err := c.tree(root, nil, nil, inner, depth+1); err != nil {
					return err
				}
			}
			continue
		}
		if v = v[bucketHead:]; len(v) < pageHeader {
			return damaged("a bucket of %d bytes", len(v))
		}
		n, err := parse(v)
		if err == nil && (!n.leaf || n.used() != uint64(len(v))) {
			err = damaged("a bucket of %d bytes that cannot be", len(v))
		}
		if err == nil {
			err = c.leaf(n, inner, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// free judges the list of the pages that may be written over. None of them may
// be one that was seen before.
func (c *checker) free() error {
	b, err := c.read(c.freelist, 0)
	if err != nil {
		return err
	}
	count := uint64(binary.NativeEndian.Uint16(b[10:]))
	if kind := binary.NativeEndian.Uint16(b[8:]); kind != kindFree {
		return damaged("page %d: it is of kind %#x where free pages are listed", c.freelist, kind)
	}
	list := b[pageHeader:]
	if count == 0xffff {
		count, list = binary.NativeEndian.Uint64(list), list[8:]
	}
	if count > uint64(len(list)/8) {
		return damaged("page %d: %d free pages in %d bytes", c.freelist, count, len(list))
	}
	// The list is given its pages before it takes these from itself.
	most := c.listPages(count + uint64(len(b))/c.page)
	if pages := uint64(len(b)) / c.page; pages < c.listPages(count) || pages > most {
		return damaged("page %d: %d free pages are listed on %d", c.freelist, count, pages)
	}
	last := uint64(1)
	for i := range count {
		id := binary.NativeEndian.Uint64(list[8*i:])
		if id <= last || id >= c.high || c.seen[id] {
			return damaged("page %d of %d is listed as free and cannot be", id, c.high)
		}
		last = id
	}
	return nil
}

// listPages is how many pages the database takes for a list of free pages.
func (c *checker) listPages(count uint64) uint64 {
	if count >= 0xffff {
		count++
	}
	return (pageHeader+8*count)/c.page + 1
}
