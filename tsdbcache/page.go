package tsdbcache

import (
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"
	"unsafe"
)

// A page, little endian:
//
//	 0 u32 slot     series it belongs to
//	 4 u16 gen      low bits of the series' generation
//	 6 u8  kind     0 = free
//	 7 u8  flags    bit 0: closed, crc valid
//	 8 u32 seq      allocation number, wraps; orders the pages of a series
//	12 u32 pub      samples<<16 | payload bytes, stored last, atomically
//	16 i64 minT     milliseconds
//	24 u32 span     newest time - minT
//	28 u32 crc      of everything before it and the payload, once closed;
//	                while a packed page is open, its newest interval
//	32 payload
//
// A store into the payload comes before the store of pub, so a killed process
// leaves a valid prefix.
const (
	pageSize    = 256
	pageHeader  = 32
	pagePayload = pageSize - pageHeader
)

const (
	kindFree     = iota
	kindRaw      // st, 18 time offsets, 18 values; rewritten in place
	kindPacked   // compressed blocks, see codec.go
	kindHist     // head of a chunk of histogram records
	kindCont     // further page of a histogram chunk
	kindLate     // late floats in order of arrival
	kindLateHist // head of a chunk of late histogram records
	numKinds
)

const flagClosed = 1

const (
	rawSamples  = 18
	rawTimes    = pageHeader + 8
	rawValues   = rawTimes + 4*rawSamples
	lateSamples = 13
	lateData    = pageHeader + 16
	chainData   = 8 // bytes of a chain page's payload before its records
	chainRoom   = pagePayload - chainData
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// page is a window on one page of the arena or on a copy of it.
type page []byte

func (p page) u32(off int) *uint32 { return (*uint32)(unsafe.Pointer(&p[off])) }
func (p page) i64(off int) *int64  { return (*int64)(unsafe.Pointer(&p[off])) }

func (p page) slot() uint32 { return *p.u32(0) }
func (p page) gen() uint16  { return binary.LittleEndian.Uint16(p[4:]) }
func (p page) kind() uint8  { return p[6] }
func (p page) closed() bool { return p[7]&flagClosed != 0 }
func (p page) seq() uint32  { return *p.u32(8) }
func (p page) minT() int64  { return *p.i64(16) }
func (p page) maxT() int64  { return *p.i64(16) + int64(*p.u32(24)) }

func (p page) setTimes(minT, maxT int64) {
	*p.i64(16) = minT
	*p.u32(24) = uint32(maxT - minT)
}

// published returns the number of samples and of payload bytes in use.
func (p page) published() (samples, used int) {
	w := atomic.LoadUint32(p.u32(12))
	return int(w >> 16), int(w & 0xffff)
}

func (p page) publish(samples, used int) {
	atomic.StoreUint32(p.u32(12), uint32(samples)<<16|uint32(used))
}

// claim turns a free page into an empty one of a series. The kind goes in
// last: until then the page counts as free.
func (p page) claim(slot uint32, gen uint16, kind uint8, seq uint32) {
	p.publish(0, 0)
	*p.u32(0) = slot
	binary.LittleEndian.PutUint16(p[4:], gen)
	p[7] = 0
	*p.u32(8) = seq
	*p.i64(16) = 0
	*p.u32(24) = 0
	*p.u32(28) = 0
	w := (*uint32)(unsafe.Pointer(&p[4]))
	atomic.StoreUint32(w, *w&0xff00ffff|uint32(kind)<<16)
}

func (p page) free() {
	w := (*uint32)(unsafe.Pointer(&p[4]))
	atomic.StoreUint32(w, *w&0xff00ffff)
}

// checksum covers the header and the payload that the page itself holds.
func (p page) checksum() uint32 {
	var head [28]byte
	copy(head[:], p[:28])
	head[7] |= flagClosed
	c := crc32.Update(0, castagnoli, head[:])
	return crc32.Update(c, castagnoli, p[pageHeader:])
}

// close seals the page with its checksum.
func (p page) close() {
	*p.u32(28) = p.checksum()
	p[7] |= flagClosed
}

// The payload of a raw page.

func (p page) rawTime(i int) int64 {
	return p.minT() + int64(*p.u32(rawTimes + 4*i))
}

func (p page) rawValue(i int) uint64 {
	return *(*uint64)(unsafe.Pointer(&p[rawValues+8*i]))
}

func (p page) rawST() int64 { return *p.i64(pageHeader) }

// rawStart empties a raw page and sets what its samples have in common.
func (p page) rawStart(st, t int64) {
	p.publish(0, 0)
	*p.i64(16) = t
	*p.i64(pageHeader) = st
}

func (p page) rawPut(i int, t int64, v uint64) {
	*p.u32(rawTimes + 4*i) = uint32(t - p.minT())
	*(*uint64)(unsafe.Pointer(&p[rawValues+8*i])) = v
	*p.u32(24) = uint32(t - p.minT())
	p.publish(i+1, 0)
}

// The payload of a page of late floats: u32 index of its first sample among
// the late samples of the series, u32 unused, i64 st, pairs of time and value.

func (p page) lateFirst() uint32      { return *p.u32(pageHeader) }
func (p page) lateST() int64          { return *p.i64(pageHeader + 8) }
func (p page) lateTime(i int) int64   { return *p.i64(lateData + 16*i) }
func (p page) lateValue(i int) uint64 { return *(*uint64)(unsafe.Pointer(&p[lateData+16*i+8])) }

func (p page) latePut(i int, t int64, v uint64) {
	*p.i64(lateData + 16*i) = t
	*(*uint64)(unsafe.Pointer(&p[lateData+16*i+8])) = v
	if i == 0 {
		p.setTimes(t, t)
	} else {
		p.setTimes(min(p.minT(), t), max(p.maxT(), t))
	}
	p.publish(i+1, 0)
}

// The payload of a chain page: in a head, u32 index of its first record among
// the late samples of the series; in a further page, u32 seq of the head. Then
// u16 part number (0 in the head), u16 unused, record bytes. The head's pub
// counts the records and bytes of the whole chain.

func (p page) chainKey() *uint32 { return p.u32(pageHeader) }
func (p page) part() uint16      { return binary.LittleEndian.Uint16(p[pageHeader+4:]) }
func (p page) setPart(n uint16)  { binary.LittleEndian.PutUint16(p[pageHeader+4:], n) }
