package detect

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"time"
)

// NoveltyConfig configures a memory of what has been there.
type NoveltyConfig struct {
	// Learn is for how long everything new is taken as usual.
	Learn time.Duration
	// Hold is for how long something new keeps its score, so that an alert can
	// wait for it.
	Hold time.Duration
	// Capacity is how many keys are remembered at least. 0: 50,000. Twice as
	// many are held, 8 bytes each.
	Capacity int
}

// Novelty finds what has never been there: a log template, an error code, a
// version. How much something new surprises depends on how often something new
// comes: with p the share of times that brought a new key, by Good and Turing's
// estimate (I. J. Good, The population frequencies of species, Biometrika 40,
// 1953), the score is the logarithm of p over that of noveltyBorder. Where
// every thirtieth time brings something new, new things are usual.
//
// The memory is two generations of hashes: when the younger one is full the
// older one goes, so what was not seen for long is new again. One in 10^14 keys
// is taken for another one.
type Novelty struct {
	c          NoveltyConfig
	young, old map[uint64]struct{}
	fresh      map[uint64]novel
	first      int64 // milliseconds of the first step
	steps      float64
	news       float64 // steps that brought something new; both fade
	last       int64
	seen       bool
}

// novel is a key within its Hold.
type novel struct {
	since int64 // milliseconds
	score float64
}

const (
	noveltyCapacity = 50_000
	noveltyMemory   = 2000 // steps over which p is taken
	noveltyBorder   = 0.03
)

// NewNovelty makes the model.
func NewNovelty(c NoveltyConfig) (*Novelty, error) {
	if c.Capacity == 0 {
		c.Capacity = noveltyCapacity
	}
	if c.Learn < 0 || c.Hold < 0 || c.Capacity < 1 {
		return nil, fmt.Errorf("want learn and hold of at least 0 and a capacity of at least 1, not %v, %v and %d", c.Learn, c.Hold, c.Capacity)
	}
	return &Novelty{c: c, young: map[uint64]struct{}{}, old: map[uint64]struct{}{}, fresh: map[uint64]novel{}}, nil
}

// Name is novelty.
func (*Novelty) Name() string { return "novelty" }

// Step judges which members are new. Values do not matter, but a member whose
// value is NaN is not there.
func (m *Novelty) Step(t int64, members []Member, out []MemberVerdict) []MemberVerdict {
	if !m.seen {
		m.first, m.seen = t, true
	}
	m.last = t
	ready := t-m.first >= m.c.Learn.Milliseconds()
	surprise := math.Log((m.news+0.5)/(m.steps+1)) / math.Log(noveltyBorder)
	anything := 0.0
	maps.DeleteFunc(m.fresh, func(_ uint64, n novel) bool { return t-n.since > m.c.Hold.Milliseconds() })
	for _, p := range members {
		if math.IsNaN(p.V) {
			continue
		}
		h := hashKey(p.Key)
		if m.remember(h) {
			anything = 1
			if ready {
				m.fresh[h] = novel{t, max(surprise, 0)}
			}
		}
		v := unknown(Learning)
		if ready {
			v.State, v.Score = Ready, m.fresh[h].score
			v.Hold = v.Score
		}
		out = append(out, MemberVerdict{Key: p.Key, V: p.V, Verdict: v})
	}
	if ready { // everything was new at first; that says nothing of later
		m.news += anything
	}
	if m.steps++; m.steps > noveltyMemory {
		m.steps /= 2
		m.news /= 2
	}
	return out
}

// remember notes a key and tells whether it is new.
func (m *Novelty) remember(h uint64) bool {
	if _, ok := m.young[h]; ok {
		return false
	}
	_, known := m.old[h]
	if len(m.young) >= m.c.Capacity {
		m.old, m.young = m.young, map[uint64]struct{}{}
	}
	m.young[h] = struct{}{}
	return !known
}

func hashKey(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return h.Sum64()
}

const (
	idNovelty      byte = 52
	noveltyVersion byte = 1
)

// AppendBinary appends the state, sets in the order of hashes.
func (m *Novelty) AppendBinary(b []byte) ([]byte, error) {
	w := newWriter(b, idNovelty, noveltyVersion)
	w.bool(m.seen)
	w.int(m.first)
	w.int(m.last)
	w.floats([]float64{m.steps, m.news})
	for _, set := range []map[uint64]struct{}{m.young, m.old} {
		w.int(int64(len(set)))
		for _, h := range slices.Sorted(maps.Keys(set)) {
			w.int(int64(h)) //nolint:gosec // all 64 bits
		}
	}
	w.int(int64(len(m.fresh)))
	for _, h := range slices.Sorted(maps.Keys(m.fresh)) {
		w.int(int64(h)) //nolint:gosec // all 64 bits
		w.int(m.fresh[h].since)
		w.float(m.fresh[h].score)
	}
	return w.b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *Novelty) UnmarshalBinary(b []byte) error {
	r := newReader(b, idNovelty, noveltyVersion)
	n := Novelty{c: m.c, fresh: map[uint64]novel{}}
	n.seen, n.first, n.last = r.bool(), r.int(), r.int()
	var f [2]float64
	r.floats(f[:])
	if n.steps, n.news = f[0], f[1]; !(n.steps >= 0 && n.news >= 0) {
		r.fail("a count that cannot be")
	}
	for _, set := range []*map[uint64]struct{}{&n.young, &n.old} {
		*set = map[uint64]struct{}{}
		for range r.index(len(b) + 1) {
			(*set)[uint64(r.int())] = struct{}{} //nolint:gosec // all 64 bits
			if r.err != nil {
				break
			}
		}
	}
	for range r.index(len(b) + 1) {
		h := uint64(r.int()) //nolint:gosec // all 64 bits
		n.fresh[h] = novel{since: r.int(), score: r.float()}
		if r.err != nil {
			break
		}
	}
	if err := r.done(); err != nil {
		return err
	}
	*m = n
	return nil
}
