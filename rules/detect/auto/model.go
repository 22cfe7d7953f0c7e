// Package auto is the inside of the model auto: what a series is expected to
// be, how far it is from that over seconds, minutes, hours and a day, and how
// far it has to be for that to be worth an alert.
//
// Several expectations compete (see expect.go); the one that has predicted best
// leads. Deviations from it, in widths of their own time of day, are looked at
// over several horizons (evidence.go), each against the tail of its own past
// (tail.go), so that false alerts come at a rate in time that the rule sets.
// While something is anomalous nothing is learned but what is remembered of the
// series (past.go), and a level that holds is accepted (episode.go).
//
// The package knows numbers only. It promises bounded state, no clock and no
// randomness: the same points give the same verdicts to the bit.
package auto

import (
	"math"
	"time"
)

// Config configures New.
type Config struct {
	// Location is where days and weeks begin. nil: UTC.
	Location *time.Location
	// Alerts is the budget of false alerts a day. 0: one in 30 days.
	Alerts float64
	// Accept is after how long a level that holds is accepted. 0: a day.
	Accept time.Duration
}

// usualAlerts is the budget of false alerts a day that there is by default.
const usualAlerts = 1.0 / 30

// complete fills in what is not given.
func (c Config) complete() Config {
	if c.Location == nil {
		c.Location = time.UTC
	}
	if c.Alerts == 0 {
		c.Alerts = usualAlerts
	}
	if c.Accept == 0 {
		c.Accept = 24 * time.Hour
	}
	return c
}

// Verdict is what the model thinks of a value.
type Verdict struct {
	// Known tells whether the model can judge at all. Nothing else holds
	// without it.
	Known bool
	// Evidence is 1 where the deviation, over one of the horizons, is as rare as
	// the budget of alerts allows.
	Evidence float64
	// Side is that on which the values lie that Evidence, and Hold, are of: 1 above, -1
	// below what was expected; 0 where it is of none.
	Side int8
	// Hold is how far the newest values are still outside, while something is
	// anomalous: above 0.5 it goes on.
	Hold float64
	// Rank orders values, of one series, by how odd they are: from 0 to below 1.
	Rank float64
	// Expected is the value that was expected. Lower and Upper are where a
	// single value would be evidence of 1.
	Expected, Lower, Upper float64
}

// Model is one series' model. It is not safe for concurrent use.
type Model struct {
	weigher

	kind    kind
	blind   uint8 // points to come that are learned and not judged
	missing int8  // 1 or -1: what is above or below should have been in the newest buckets
	weekly  bool  // likewise, but only other weeks tell
	rises   uint16
	falls   uint16
	past    *past
	follows levels
	expect  expectations
	width   widths
	rank    ranking

	analogs cached // scratch
	civil   civil  // scratch
}

// New makes a model that has seen nothing.
func New(c Config) *Model {
	c = c.complete()
	return &Model{weigher: weigher{c: c, step: 60}, past: &past{}}
}

// SetAccept sets after how long a level that holds is accepted.
func (m *Model) SetAccept(d time.Duration) {
	if d > 0 {
		m.c.Accept = d
	}
}

// fewPoints is how many points there must be for a first verdict, settled from
// when on widths bound what is learned.
const (
	fewPoints = 10
	settled   = 20
	// beyondUse is the magnitude from which values are no measurements any more.
	beyondUse = 1e100
	// mostValue bounds values to what 32 bits hold, with room for their sums.
	mostValue = 1e30
	leastGap  = 1e-3 // seconds
)

// Ready tells whether the model can judge. One that has just been taken for a
// counter is known by few increases.
func (m *Model) Ready() bool { return m.n >= fewPoints && m.blind == 0 }

// Leads names the expectation that leads at the time of the newest point.
func (m *Model) Leads() string {
	if !m.Ready() {
		return ""
	}
	return names[m.expect.lead[floorMod(m.civil.seconds(m.last, m.c.Location), day)/blockLength]]
}

// Counter tells whether the series is taken for a counter, which is modelled by
// its increase.
func (m *Model) Counter() bool { return m.kind == counter }

// Judge tells what v at t, in milliseconds, looks like. It changes nothing.
func (m *Model) Judge(t int64, v float64) Verdict {
	if !m.Ready() {
		return Verdict{}
	}
	s := m.look(t, v)
	if t <= m.last { // it will not be learned
		defer m.Release()
	}
	out := Verdict{Known: true, Evidence: s.evidence, Side: m.side(s), Hold: s.hold, Rank: s.rank}
	if s.skip {
		out.Expected, out.Lower, out.Upper = v, v, v
		return out
	}
	out.Expected, out.Lower, out.Upper = s.expected, s.expected-s.below, s.expected+s.above
	if m.same.positive {
		out.Expected, out.Lower, out.Upper = max(out.Expected, 0), max(out.Lower, 0), max(out.Upper, 0)
	}
	if m.kind == counter { // in terms of what is received
		for _, x := range [...]*float64{&out.Expected, &out.Lower, &out.Upper} {
			*x = m.raw + *x*s.dt/counterUnit
		}
	}
	return out
}

// Learn takes v at t in. anomalous tells whether the series is, with this value.
func (m *Model) Learn(t int64, v float64, anomalous bool) {
	if m.n > 0 && t <= m.last || !(math.Abs(v) < beyondUse) || anomalous && m.n < fewPoints {
		if m.n > 0 { // the time has gone by
			m.last = max(m.last, t)
		}
		m.Release()
		return
	}
	if m.n == 0 || m.n == stepPoints+1 && m.kind != unsure { // the first of its kind
		if x, skip := m.value(v, max(float64(t-m.last)/1000, leastGap)); !skip {
			m.follows.reset(x)
			m.Release()
		}
	}
	s := m.look(t, v)
	if s.skip {
		if v < m.raw {
			m.past.falls.learn(t, m.step)
		} else {
			m.past.falls.gap()
		}
		m.tell(v)
		m.keepPace(s.dt)
		m.raw, m.last = v, t
		m.Release()
		return
	}
	if s.gap {
		m.ev.forget()
	}
	if m.past.bucket > 0 {
		m.advance(s)
	}
	begins := m.minds(s, anomalous)
	m.same.learn(&m.weigher, s, m.kind == counter)
	m.ev.learn(&m.weigher, s, begins)
	m.past.recent[m.n%int64(len(m.past.recent))] = clip(v, mostValue)
	m.n++
	m.blind -= min(m.blind, 1)
	m.expect.learn(m, s)
	m.follows.learn(m, s)
	m.width.learn(m, s, begins)
	if !m.ep.on {
		m.align(s.jumpWidth, s.width)
	}
	m.remember(s)
	m.rank.learn(s)
	m.pass(t, v, s)
	m.Release()
}
