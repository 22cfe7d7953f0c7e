package tsdbcache

import "math/bits"

// The XOR form is Gorilla's: a 0 bit for the value before; 10 and the bits
// inside the window of the value before; or 11, six bits of leading zeros,
// six bits of width - 1 and the bits inside that window.

func appendXOR(b []byte, prev uint64, vs []uint64) []byte {
	w := bitWriter{b: b}
	lead, width := uint(64), uint(0) // no window yet
	for _, v := range vs {
		x := v ^ prev
		prev = v
		if x == 0 {
			w.put(0, 1)
			continue
		}
		l, t := uint(bits.LeadingZeros64(x)), uint(bits.TrailingZeros64(x))
		if width > 0 && l >= lead && 64-t <= lead+width && lead+width <= 64 && 64-l-t+12 >= width {
			w.put(0b01, 2)
			w.put(x>>(64-lead-width), width)
			continue
		}
		lead, width = l, 64-l-t
		w.put(0b11, 2)
		w.put(uint64(lead), 6)
		w.put(uint64(width-1), 6)
		w.put(x>>t, width)
	}
	return w.finish()
}

// readXOR decodes n values behind prev and returns how many bytes they took.
func readXOR(b []byte, prev uint64, out []uint64) (int, bool) {
	r := bitReader{b: b}
	lead, width := uint(0), uint(0)
	total := uint(0)
	for i := range out {
		total++
		if r.get(1) == 1 {
			total++
			if r.get(1) == 1 {
				lead = uint(r.get(6))
				width = uint(r.get(6)) + 1
				total += 12
			}
			if width == 0 || lead+width > 64 {
				return 0, false
			}
			prev ^= r.get(width) << (64 - lead - width)
			total += width
		}
		out[i] = prev
	}
	used := int(total+7) / 8
	return used, !r.short && used <= len(b)
}

// The window form has one window for the whole block: six bits of leading
// zeros, six bits of width - 1, then a 0 bit for the value before or a 1 bit
// and the bits inside the window. Noise takes fewer bytes this way.

func windowOf(all uint64) (trail, width uint) {
	trail = uint(bits.TrailingZeros64(all | 1<<63))
	lead := uint(bits.LeadingZeros64(all | 1))
	return trail, max(64-lead-trail, 1)
}

// windowSize foretells the bytes of n values of which same are as the one
// before; all has every bit that changes.
func windowSize(all uint64, n, same int) int {
	_, width := windowOf(all)
	return (12 + n + (n-same)*int(width) + 7) / 8
}

func appendWindow(b []byte, prev uint64, vs []uint64) []byte {
	all, p := uint64(0), prev
	for _, v := range vs {
		all |= v ^ p
		p = v
	}
	trail, width := windowOf(all)
	w := bitWriter{b: b}
	w.put(uint64(trail), 6)
	w.put(uint64(width-1), 6)
	for _, v := range vs {
		x := v ^ prev
		prev = v
		if x == 0 {
			w.put(0, 1)
			continue
		}
		w.put(1, 1)
		w.put(x>>trail, width)
	}
	return w.finish()
}

// readWindow decodes n values behind prev and returns how many bytes they took.
func readWindow(b []byte, prev uint64, out []uint64) (int, bool) {
	r := bitReader{b: b}
	trail, width := uint(r.get(6)), uint(r.get(6))+1
	if trail+width > 64 {
		return 0, false
	}
	total := uint(12 + len(out))
	for i := range out {
		if r.get(1) == 1 {
			prev ^= r.get(width) << trail
			total += width
		}
		out[i] = prev
	}
	used := int(total+7) / 8
	return used, !r.short && used <= len(b)
}
