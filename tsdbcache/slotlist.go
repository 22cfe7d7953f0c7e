package tsdbcache

import (
	"math/bits"
	"slices"
)

// slotList is an ascending list of slots in few bytes. It is made of
// containers for 4096 slots each, by ascending key:
//
//	u16 slot / 4096   u16 count               count offsets, at most 256
//	u16 slot / 4096   u16 count | bitmapFlag  256 words of a bitmap
//
// Series enter in the order of their slots nearly always, so a slot is
// nearly always added at the end.
type slotList struct {
	buf  []uint16
	n    uint32 // slots
	last uint32 // where the last container begins
}

const (
	containerBits = 12
	containerMask = 1<<containerBits - 1
	bitmapFlag    = 1 << 15
	bitmapWords   = 1 << containerBits / 16
	maxSlot       = 1 << (containerBits + 16) // far above what any memory holds
)

// next is where the container behind the one at i begins.
func (l *slotList) next(i int) int {
	if l.buf[i+1]&bitmapFlag != 0 {
		return i + 2 + bitmapWords
	}
	return i + 2 + int(l.buf[i+1])
}

// add puts a slot into the list, unless it is there.
func (l *slotList) add(slot uint32) {
	key, low := uint16(slot>>containerBits), uint16(slot&containerMask)
	at := int(l.last)
	switch {
	case l.n == 0 || key > l.buf[at]:
		l.last = uint32(len(l.buf))
		l.buf = append(l.buf, key, 1, low)
		l.n++
		return
	case key < l.buf[at]:
		for at = 0; l.buf[at] < key; {
			at = l.next(at)
		}
		if l.buf[at] != key {
			l.buf = slices.Insert(l.buf, at, key, 1, low)
			l.last += 3
			l.n++
			return
		}
	}
	if l.buf[at+1]&bitmapFlag != 0 {
		l.mark(at, low)
		return
	}
	count := int(l.buf[at+1])
	have := l.buf[at+2 : at+2+count]
	pos := count
	if low <= have[count-1] {
		var found bool
		if pos, found = slices.BinarySearch(have, low); found {
			return
		}
	}
	if count == bitmapWords { // a bitmap takes the same room
		var offsets [bitmapWords]uint16
		copy(offsets[:], have)
		clear(have)
		l.buf[at+1] = bitmapFlag
		l.n -= bitmapWords
		for _, x := range offsets {
			l.mark(at, x)
		}
		l.mark(at, low)
		return
	}
	if end := at + 2 + pos; end == len(l.buf) {
		l.buf = append(l.buf, low)
	} else {
		l.buf = slices.Insert(l.buf, end, low)
	}
	if at < int(l.last) {
		l.last++
	}
	l.buf[at+1]++
	l.n++
}

// mark sets a bit of the bitmap at a container.
func (l *slotList) mark(at int, low uint16) {
	w := &l.buf[at+2+int(low/16)]
	if bit := uint16(1) << (low % 16); *w&bit == 0 {
		*w |= bit
		l.buf[at+1]++
		l.n++
	}
}

// each calls f with every slot, ascending.
func (l *slotList) each(f func(slot uint32)) {
	for at := 0; at < len(l.buf); at = l.next(at) {
		base := uint32(l.buf[at]) << containerBits
		body := l.buf[at+2 : l.next(at)]
		if l.buf[at+1]&bitmapFlag == 0 {
			for _, x := range body {
				f(base + uint32(x))
			}
			continue
		}
		for i, w := range body {
			for ; w != 0; w &= w - 1 {
				f(base + uint32(i*16+bits.TrailingZeros16(w)))
			}
		}
	}
}

// appendTo appends all slots.
func (l *slotList) appendTo(out []uint32) []uint32 {
	out = slices.Grow(out, int(l.n))
	l.each(func(slot uint32) { out = append(out, slot) })
	return out
}

// filter keeps of an ascending list what is in l, or else what is not.
func (l *slotList) filter(a []uint32, in bool) []uint32 {
	out := a[:0]
	at, from := 0, 0
	for _, x := range a {
		key, low := uint16(x>>containerBits), uint16(x&containerMask)
		for at < len(l.buf) && l.buf[at] < key {
			at, from = l.next(at), 0
		}
		found := false
		if at < len(l.buf) && l.buf[at] == key {
			if l.buf[at+1]&bitmapFlag != 0 {
				found = l.buf[at+2+int(low/16)]>>(low%16)&1 != 0
			} else {
				var n int
				n, found = slices.BinarySearch(l.buf[at+2+from:l.next(at)], low)
				from += n
			}
		}
		if found == in {
			out = append(out, x)
		}
	}
	return out
}

// without is the list less the slots for which gone is true.
func (l *slotList) without(gone func(slot uint32) bool) *slotList {
	out := &slotList{}
	l.each(func(slot uint32) {
		if !gone(slot) {
			out.add(slot)
		}
	})
	return out
}
