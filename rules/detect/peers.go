package detect

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// PeersConfig configures a comparison with peers.
type PeersConfig struct {
	// Method is how a group's middle and spread are taken.
	Method PeersMethod
	// Tolerance is how many spreads from the middle the border of normal lies.
	Tolerance float64
	// MinMembers is the smallest group that is judged, at least 3.
	MinMembers int
}

// PeersMethod is how the middle and the spread of a group are taken.
type PeersMethod uint8

const (
	// PeersMAD takes the median and the median absolute deviation: nearly half
	// of the group may be odd.
	PeersMAD PeersMethod = iota
	// PeersZScore takes mean and standard deviation of the others: sharper
	// where one alone is odd.
	PeersZScore
)

// Peers finds the member of a group that is unlike the others at one time,
// whatever the group does over time (B. Iglewicz, D. Hoaglin, How to detect and
// handle outliers, 1993, for the modified z-score). The spread is that of the
// moment, but not less than the group's usual one: peers that happen to agree
// to the digit do not make the next wobble odd.
type Peers struct {
	c      PeersConfig
	groups map[string]*peerGroup
	small  Small // of the newest step
	order  []int // scratch
	values []float64
}

// peerGroup is what is kept of a group.
type peerGroup struct {
	usual float64 // spread, over some hundred times
	n     float64 // times learned, at most peersMemory
	last  int64   // milliseconds
}

const (
	// peersLeast is the smallest group that has a spread; it is learned whether
	// the group is judged or not.
	peersLeast  = 3
	peersMemory = 200
	peersForget = 24 * 60 * 60 * 1000 // milliseconds after which an absent group is forgotten
)

// NewPeers makes the model.
func NewPeers(c PeersConfig) (*Peers, error) {
	switch {
	case c.MinMembers < peersLeast:
		return nil, fmt.Errorf("a group of %d members has no one to be unlike: want at least %d", c.MinMembers, peersLeast)
	case !(c.Tolerance > 0):
		return nil, fmt.Errorf("the tolerance must be above 0, not %v", c.Tolerance)
	}
	return &Peers{c: c, groups: map[string]*peerGroup{}}, nil
}

// Name is peers.
func (*Peers) Name() string { return "peers" }

// Small tells of the groups that were too small to be judged in the newest step.
func (m *Peers) Small() Small { return m.small }

// Step judges every member against the others of its group. The members of a
// group that is too small have no score, and a reason.
func (m *Peers) Step(t int64, members []Member, out []MemberVerdict) []MemberVerdict {
	first := len(out)
	m.small = Small{}
	for _, p := range members {
		out = append(out, MemberVerdict{Key: p.Key, V: p.V, Verdict: unknown(Learning)})
	}
	m.order = m.order[:0]
	for i, p := range members {
		if !math.IsNaN(p.V) {
			m.order = append(m.order, i)
		}
	}
	slices.SortStableFunc(m.order, func(a, b int) int {
		switch {
		case members[a].Group != members[b].Group:
			if members[a].Group < members[b].Group {
				return -1
			}
			return 1
		case members[a].V < members[b].V:
			return -1
		case members[a].V > members[b].V:
			return 1
		}
		return 0
	})
	for rest := m.order; len(rest) > 0; {
		n := 1
		for n < len(rest) && members[rest[n]].Group == members[rest[0]].Group {
			n++
		}
		m.judge(t, members, rest[:n], out[first:])
		rest = rest[n:]
	}
	maps.DeleteFunc(m.groups, func(_ string, g *peerGroup) bool { return t-g.last > peersForget })
	return out
}

// judge fills the verdicts of one group, given in the order of values, and
// learns its spread.
func (m *Peers) judge(t int64, members []Member, group []int, out []MemberVerdict) {
	small := len(group) < m.c.MinMembers
	if small {
		m.small.Groups++
		m.small.Members += len(group)
		for _, i := range group {
			out[i].Reason = BelowMinMembers
		}
	}
	if len(group) < peersLeast {
		return
	}
	name := members[group[0]].Group
	g := m.groups[name]
	if g == nil {
		g = &peerGroup{}
		m.groups[name] = g
	}
	m.values = m.values[:0]
	for _, i := range group {
		m.values = append(m.values, min(max(members[i].V, -beyondUse), beyondUse))
	}
	middle, spread := peersMAD(m.values)
	for k, i := range group {
		if small {
			break
		}
		center, width := middle, spread
		if m.c.Method == PeersZScore {
			center, width = peersOthers(m.values, k)
		}
		out[i].Verdict = band(members[i].V, center, m.c.Tolerance*max(width, g.usual), Ready)
		if m.values[0] >= 0 {
			out[i].Lower = max(out[i].Lower, 0)
		}
	}
	g.last = t
	g.n = min(g.n+1, peersMemory)
	g.usual += (spread - g.usual) / g.n
}

// peersMAD is the median of sorted values and the median absolute deviation as
// the standard deviation of normal values.
func peersMAD(sorted []float64) (median, spread float64) {
	n := len(sorted)
	median = (sorted[(n-1)/2] + sorted[n/2]) / 2
	// The deviations grow to both sides of the median: take the smaller one.
	lo, hi := (n-1)/2, n/2
	if lo == hi {
		lo--
		spread = 0
	} else {
		spread = math.Abs(sorted[hi] - median)
		lo--
	}
	taken := 1
	if n%2 == 0 {
		taken = 2
	}
	hi++
	previous := spread
	for taken <= n/2 {
		previous = spread
		left, right := math.Inf(1), math.Inf(1)
		if lo >= 0 {
			left = median - sorted[lo]
		}
		if hi < n {
			right = sorted[hi] - median
		}
		if left <= right {
			spread = left
			lo--
		} else {
			spread = right
			hi++
		}
		taken++
	}
	if n%2 == 0 {
		spread = (spread + previous) / 2
	}
	return median, 1.4826 * spread
}

// peersOthers is mean and standard deviation without value k.
func peersOthers(values []float64, k int) (mean, dev float64) {
	n := float64(len(values) - 1)
	for i, v := range values {
		if i != k {
			mean += v / n
		}
	}
	for i, v := range values {
		if i != k {
			dev += (v - mean) * (v - mean) / n
		}
	}
	return mean, math.Sqrt(dev)
}

const (
	idPeers      byte = 50
	peersVersion byte = 1
)

// AppendBinary appends the state: the groups in the order of their names.
func (m *Peers) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idPeers, peersVersion)
	w.int(int64(len(m.groups)))
	for _, name := range slices.Sorted(maps.Keys(m.groups)) {
		g := m.groups[name]
		w.text(name)
		w.floats([]float64{g.usual, g.n})
		w.int(g.last)
	}
	return w.b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *Peers) UnmarshalBinary(b []byte) error {
	r := newReader(b, idPeers, peersVersion)
	groups := map[string]*peerGroup{}
	for range r.index(len(b) + 1) {
		var f [2]float64
		name := r.text(maxKey)
		r.floats(f[:])
		if !(f[0] >= 0 && f[1] >= 0) {
			r.fail("a spread that cannot be")
		}
		groups[name] = &peerGroup{usual: f[0], n: f[1], last: r.int()}
		if r.err != nil {
			break
		}
	}
	if err := r.done(); err != nil {
		return err
	}
	m.groups = groups
	return nil
}
