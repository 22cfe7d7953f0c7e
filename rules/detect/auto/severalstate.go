package auto

import "math"

// AppendBinary appends the whole state.
func (m *Several) AppendBinary(b []byte) ([]byte, error) {
	c := coder{b: b}
	m.code(&c)
	return c.b, nil
}

// UnmarshalBinary restores the state of a model with the same configuration and
// number of inputs. On an error the model must not be used further.
func (m *Several) UnmarshalBinary(b []byte) error {
	c := coder{b: b, reading: true}
	*m = *NewSeveral(m.c, len(m.inputs))
	m.code(&c)
	return c.end(m.soundSeveral)
}

func (m *Several) code(c *coder) {
	n := int64(len(m.inputs))
	if c.int(&n); c.reading && n != int64(len(m.inputs)) {
		c.fail("another number of inputs")
		return
	}
	c.int(&m.n, &m.first, &m.last)
	c.float(&m.step)
	for i := range m.inputs {
		m.inputs[i].code(c)
	}
	m.far.code(c)
	ep := &m.ep
	c.bool(&ep.on)
	c.bool(&ep.told)
	number(c, 4, &ep.how)
	c.int(&ep.since, &ep.part)
	c.float32(&ep.peak)
	c.float(&ep.partN)
}

func (t *tail) code(c *coder) {
	numbers(c, 2, t.count[:])
	number(c, 2, &t.n, &t.since)
	c.float32(&t.at, &t.caution)
}

// whole tells whether a tail that was read can be one, but for its caution.
func (t *tail) whole() bool {
	sum := 0
	for _, c := range t.count {
		sum += int(c)
	}
	return sum == int(t.n) && t.n < tailMemory && t.at >= 0
}

// sound tells whether that of several inputs can be: alerts only raise it.
func (t *tail) sound() bool { return t.whole() && t.caution >= 0 }

func (in *input) code(c *coder) {
	c.float(&in.mean, &in.spread, &in.low, &in.high, &in.square)
	c.bool(&in.seen)
	c.bool(&in.daily.used)
	for k := range in.daily.off {
		c.float(&in.daily.off[k])
	}
	c.float32s(in.daily.n[:])
	c.float(&in.daily.rest)
	c.float32s(in.z[:])
	c.float32(&in.half, &in.told)
	for k := range in.held {
		c.float(&in.held[k])
	}
	for k := range in.tail {
		in.tail[k].code(c)
	}
}

func (d *distance) code(c *coder) {
	for _, fs := range [][]float64{d.corr, d.root, d.smooth[:]} {
		for i := range fs {
			c.float(&fs[i])
		}
	}
	c.float(&d.points, &d.independent, &d.going)
	c.float32s(d.usual[:])
	c.float32(&d.told)
	number(c, 4, &d.since)
	for k := range d.tail {
		d.tail[k].code(c)
	}
}

// soundSeveral tells whether a state that was read can be one: what indexes or
// divides is in its bounds.
func (m *Several) soundSeveral() bool {
	for i := range m.inputs {
		in := &m.inputs[i]
		for k := range in.tail {
			if !in.tail[k].sound() {
				return false
			}
		}
		for _, n := range in.daily.n {
			if !(n >= 0) {
				return false
			}
		}
		if !(in.daily.rest >= 0 && in.spread >= 0 && in.square >= 0 && in.told >= 0 && in.high >= in.low) || !(m.far.root[at(i, i)] > 0) {
			return false
		}
	}
	for k := range m.far.tail {
		if !(m.far.tail[k].sound() && m.far.usual[k] >= 0) {
			return false
		}
	}
	most := byInputs + len(m.inputs)*inputStats
	return m.n >= 0 && m.n < 1<<53 && m.step > 0 && m.step < 1e12 && int(m.ep.how) >= 0 && int(m.ep.how) < most &&
		m.far.points >= 0 && m.far.points <= distanceMemory && m.far.independent >= 1 && m.far.told >= 0 && m.far.since >= 0 && m.far.going >= 0 &&
		m.ep.partN >= 0 && m.far.smooth[ofShort] >= 0 && m.far.smooth[ofLong] >= 0 && !math.IsInf(float64(m.ep.peak), 0)
}
