package auto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrState says that bytes are no state of a model.
var ErrState = errors.New("not a state of the insides of auto")

// coder writes or reads one field after the other, little endian: the same walk
// does both, so that nothing is forgotten by one of them.
type coder struct {
	b       []byte
	reading bool
	err     error
}

func (c *coder) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrState, what)
	}
	c.b = nil
}

// bits codes a number of so many bytes.
func (c *coder) bits(v uint64, size int) uint64 {
	var b [8]byte
	if !c.reading {
		binary.LittleEndian.PutUint64(b[:], v)
		c.b = append(c.b, b[:size]...)
		return v
	}
	if len(c.b) < size {
		c.fail("it ends early")
		return 0
	}
	copy(b[:], c.b[:size])
	c.b = c.b[size:]
	return binary.LittleEndian.Uint64(b[:])
}

// mostNumber is the magnitude that no number of a state has.
const mostNumber = 1e250

func (c *coder) float(vs ...*float64) {
	for _, v := range vs {
		*v = math.Float64frombits(c.bits(math.Float64bits(*v), 8))
		if c.reading && !(math.Abs(*v) < mostNumber) {
			c.fail("a number that cannot be")
			*v = 0
		}
	}
}

func (c *coder) float32(vs ...*float32) {
	for _, v := range vs {
		*v = math.Float32frombits(uint32(c.bits(uint64(math.Float32bits(*v)), 4)))
		if c.reading && !(math.Abs(float64(*v)) <= math.MaxFloat32) {
			c.fail("a number that cannot be")
			*v = 0
		}
	}
}

func (c *coder) float32s(vs []float32) {
	for i := range vs {
		c.float32(&vs[i])
	}
}

func (c *coder) int(vs ...*int64) {
	for _, v := range vs {
		*v = int64(c.bits(uint64(*v), 8))
	}
}

func (c *coder) bool(v *bool) {
	var x uint64
	if *v {
		x = 1
	}
	if x = c.bits(x, 1); x > 1 {
		c.fail("neither yes nor no")
	}
	*v = x == 1
}

func number[T ~int8 | ~uint8 | ~uint16 | ~int32](c *coder, size int, vs ...*T) {
	for _, v := range vs {
		*v = T(c.bits(uint64(*v), size))
	}
}

func numbers[T ~uint8 | ~uint16](c *coder, size int, vs []T) {
	for i := range vs {
		number(c, size, &vs[i])
	}
}

// AppendBinary appends the whole state.
func (m *Model) AppendBinary(b []byte) ([]byte, error) {
	c := coder{b: b}
	m.code(&c)
	return c.b, nil
}

// UnmarshalBinary restores the state of a model with the same configuration. On
// an error the model must not be used further.
func (m *Model) UnmarshalBinary(b []byte) error {
	c := coder{b: b, reading: true}
	*m = Model{weigher: weigher{c: m.c}, past: &past{}}
	m.code(&c)
	return c.end(m.sound)
}

// end ends the reading of a state, of which sound tells whether it can be one.
func (c *coder) end(sound func() bool) error {
	if c.err == nil && len(c.b) > 0 {
		c.fail("bytes are left over")
	}
	if c.err == nil && !sound() {
		c.fail("numbers that do not fit each other")
	}
	return c.err
}

func (m *Model) code(c *coder) {
	m.weigher.code(c)
	number(c, 1, &m.kind)
	number(c, 2, &m.rises, &m.falls)
	number(c, 1, &m.blind)
	number(c, 1, &m.missing)
	c.bool(&m.weekly)
	for i := range m.past.recent {
		c.float(&m.past.recent[i])
	}
	m.past.code(c)
	for i := range m.follows.mean {
		c.float(&m.follows.mean[i])
	}
	m.expect.code(c)
	m.width.code(c, &m.past.widths)
	m.past.falls.code(c)
	for _, a := range [...]*sturdy{&m.rank.place, &m.rank.step, &m.rank.time} {
		c.float(&a.mean, &a.spread, &a.wild, &a.n)
	}
	c.float(&m.rank.before, &m.rank.far)
}

func (m *weigher) code(c *coder) {
	c.int(&m.n, &m.last)
	c.float(&m.raw, &m.step)
	c.float32s(m.gaps[:])
	number(c, 2, &m.pace)
	number(c, 1, &m.off)
	m.ev.code(c)
	c.float32(&m.same.share, &m.same.size, &m.same.steps, &m.same.longest)
	number(c, 4, &m.same.run)
	c.bool(&m.same.positive)
	m.ep.code(c)
	budget := m.c.Alerts
	c.float(&budget)
	if c.reading && c.err == nil && budget != m.c.Alerts {
		if !(budget > 0) {
			c.fail("a budget that cannot be")
			return
		}
		m.rebudget(m.c.Alerts / budget)
	}
}

// rebudget measures the tails by this budget: they were by one that it is so many
// times of. The time without an alert counts at its pace, too.
func (m *weigher) rebudget(times float64) {
	for i := range m.ev.tail {
		for side := range m.ev.tail[i] {
			t := &m.ev.tail[i][side]
			if t.caution < 0 {
				t.caution = float32(max(leastCaution, float64(t.caution)*times))
			}
			if t.at > 0 {
				m.measure(i, side)
			}
		}
	}
}

func (p *past) code(c *coder) {
	c.int(&p.bucket)
	if p.bucket == 0 { // nothing yet
		return
	}
	c.float(&p.base, &p.unit, &p.sum, &p.n, &p.oldSum, &p.oldN)
	c.int(&p.first, &p.now, &p.piece)
	c.bool(&p.started)
	if c.reading && !(p.bucket >= 60 && p.bucket <= 31*day && p.now >= p.first) {
		c.fail("a bucket that cannot be")
		return
	}
	if c.reading {
		p.shape(p.bucket)
	}
	if c.reading {
		p.clear()
	}
	if !p.started {
		return
	}
	// Of a young series little is known.
	for b := max(p.first, p.now-ringBuckets); b < p.now; b++ {
		number(c, 2, &p.ring[floorMod(b, ringBuckets)])
	}
	if p.now-p.first > ringBuckets {
		numbers(c, 2, p.old[:])
	}
}

func (e *expectations) code(c *coder) {
	for i := range e.err {
		c.float32s(e.err[i][:])
	}
	numbers(c, 1, e.lead[:])
	c.float32s(e.correct[:])
	for i := range e.lag {
		for k := range e.lag[i] {
			c.float(&e.lag[i][k])
		}
	}
	c.float32(&e.old[0], &e.old[1], &e.oldErr)
	c.int(&e.lagAt, &e.oldAt)
}

func (w *widths) code(c *coder, times *timely) {
	c.float32s(times.quarter[:])
	c.float32s(times.weekend[:])
	c.float32s(w.hour[:])
	c.float32(&w.all, &w.jump)
}

func (e *evidence) code(c *coder) {
	c.float32s(e.z[:])
	for i := range e.off {
		c.float(&e.off[i])
	}
	number(c, 1, &e.lead, &e.days, &e.missed, &e.missedDays)
	c.float32s(e.wide[:])
	c.float32s(e.base[:])
	c.float32s(e.mean[:])
	for i := range e.run {
		numbers(c, 2, e.run[i][:])
		numbers(c, 2, e.far[i][:])
	}
	for i := range e.burst {
		for k := range e.burst[i] {
			e.burst[i][k].code(c)
		}
	}
	for i := range e.tail {
		for k := range e.tail[i] {
			e.tail[i][k].code(c)
		}
	}
}

func (ep *episode) code(c *coder) {
	c.bool(&ep.told)
	c.float32(&ep.accepted, &ep.jump, &ep.shift, &ep.times, &ep.plus)
	c.bool(&ep.on)
	if !ep.on {
		return
	}
	number(c, 1, &ep.how, &ep.sign, &ep.flips, &ep.still)
	number(c, 1, &ep.lead)
	c.int(&ep.since, &ep.partFrom)
	c.float(&ep.level, &ep.sum, &ep.sumT, &ep.sumE, &ep.num)
	c.float32(&ep.first, &ep.off, &ep.sumET, &ep.moves, &ep.sumEE, &ep.sumED)
	c.float32s(ep.peak[:])
	number(c, 1, &ep.below)
	c.float32s(ep.part[:])
	numbers(c, 2, ep.partN[:])
}

// sound tells whether a state that was read can be one: what indexes, divides or
// loops is in its bounds.
func (m *Model) sound() bool {
	p := m.past
	for _, l := range m.expect.lead {
		if l >= expected {
			return false
		}
	}
	for _, x := range append(m.follows.mean[:], p.recent[:]...) {
		if !(math.Abs(x) < 2*beyondUse) {
			return false
		}
	}
	widths := append(append([]float32{m.width.all, m.width.jump}, p.widths.quarter[:]...), m.width.hour[:]...)
	widths = append(widths, p.widths.weekend[:]...)
	for _, w := range widths {
		if !(w >= 0) {
			return false
		}
	}
	for _, a := range [...]*sturdy{&m.rank.place, &m.rank.step, &m.rank.time} {
		if !(a.n >= 0 && a.spread >= 0 && a.wild >= 0) {
			return false
		}
	}
	return m.weigher.sound() && m.kind <= counter &&
		(m.n > stepPoints) == (p.bucket > 0) && (p.bucket == 0 || p.unit >= 0 && p.n >= 0 && p.oldN >= 0 && p.now >= p.first && (!p.started || p.unit > 0)) &&
		m.rank.far >= 0 && p.falls.sound()
}

func (m *weigher) sound() bool {
	ep := &m.ep
	for i := range m.ev.tail {
		for k := range m.ev.tail[i] {
			t := &m.ev.tail[i][k]
			if !t.whole() || !(t.caution > -1) || max(m.ev.run[i][k], m.ev.far[i][k]) >= nothing {
				return false
			}
		}
	}
	for i := range m.ev.burst {
		for k := range m.ev.burst[i] {
			if !m.ev.burst[i][k].sound() {
				return false
			}
		}
	}
	for i := range m.ev.base {
		if !(m.ev.base[i] >= 0 && m.ev.wide[i] >= 0) {
			return false
		}
	}
	howKnown := ep.how >= 0 && ep.how < stats || ep.how == ofRest || ep.how == ofMissing
	return m.n >= 0 && m.n < 1<<53 && m.step >= leastGap/2 && m.step < 1e12 && m.same.share >= 0 && m.same.size >= 0 && howKnown && ep.lead < expected
}
