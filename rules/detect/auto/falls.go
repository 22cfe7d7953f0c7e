package auto

import "math"

// falls knows when a series that is taken for a counter has fallen. Ages look like
// counters, but for that they rise evenly and fall at a constant pace: that one does not
// is news, and nothing else would tell of it.
type falls struct {
	at    int64   // milliseconds of the newest; 0: not known
	every float32 // seconds from one to the next, mean of late
	off   float32 // and how far they are from that, mean of late
	n     uint8   // distances that have been learned
}

const (
	// fallsKnown is how many distances make a pace, fallsMemory how many it is a mean
	// of, fallsOff the part of it that they may be off, fallsLate after how much of it
	// the next one is missed, and fallsApart the part of it within which they are one.
	fallsKnown, fallsMemory         = 6, 8
	fallsOff, fallsLate, fallsApart = 0.1, 1.5, 0.25
	// evenly is the part of the increase that it varies by at most: counters restart at a
	// constant pace, too, and are none the worse when they do not.
	evenly = 0.01
)

// learn takes one in, at t, of a series with a step of so many seconds.
func (f *falls) learn(t int64, step float64) {
	d := float64(t-f.at) / 1000
	switch {
	case f.at == 0:
	case d <= max(longestIncrease*step, fallsApart*float64(f.every)): // it takes some values
	case f.n == 0:
		f.every, f.n = float32(min(d, math.MaxFloat32)), 1
	default:
		d = min(d, 2*float64(f.every))
		f.n = min(f.n+1, fallsMemory)
		f.off += (float32(math.Abs(d-float64(f.every))) - f.off) / float32(f.n)
		f.every += (float32(d) - f.every) / float32(f.n)
	}
	f.at = t
}

// missed tells whether one should have come by t.
func (f *falls) missed(t int64) bool {
	return f.at != 0 && f.n >= fallsKnown && f.off < fallsOff*f.every && float64(t-f.at) > fallsLate*1000*float64(f.every)
}

// gap forgets when the newest was: there may have been another one since.
func (f *falls) gap() { f.at = 0 }

// unreset tells whether an age has not been reset when it was time.
func (m *Model) unreset(t int64) bool {
	return m.kind == counter && float64(m.width.all) <= evenly*math.Abs(m.follows.mean[byLevel]) && m.past.falls.missed(t)
}

// accept makes it usual that none comes.
func (f *falls) accept() { f.n = 0 }

func (f *falls) code(c *coder) {
	c.int(&f.at)
	c.float32(&f.every, &f.off)
	number(c, 1, &f.n)
}

func (f *falls) sound() bool { return f.every >= 0 && f.off >= 0 }
