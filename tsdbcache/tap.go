package tsdbcache

import (
	"cmp"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// TapSample is what a tap has to tell: a sample, or that a series joined.
type TapSample struct {
	Ref       storage.SeriesRef
	T         int64   // milliseconds
	V         float64 // of a histogram its sum, which is the stale marker's in a stale one
	Histogram bool
	// Joined says that the matchers were found to select the series when it had
	// samples already: the ring has those, see DB.Series. The samples that
	// follow are queued. Of the other fields only Ref is set.
	Joined bool
}

// tap collects what is stored in the series that some matchers select, once
// for everybody who asks for these matchers. The write path only queues and
// compares symbols; a matcher that is not an equality is judged by a drainer.
type tap struct {
	db  *DB
	id  uint64 // ascending in the order of opening
	key string
	ms  []*labels.Matcher

	// Symbols that the tap holds in use: of __name__, and of the metric name
	// that the matchers ask for, 0 if they ask for none.
	metricName uint32
	name       uint32
	equals     []tapEqual
	others     []tapOther
	alone      uint32 // number of the set that has only this tap, 0 before there is one

	// deciding is held while matchers are applied to series, and taken before
	// DB.mu.
	deciding sync.Mutex

	tapQueue
	tapNewborn
}

// tapEqual wants a label to have a value; 0: that there is none.
type tapEqual struct{ name, value uint32 }

// tapOther is any other matcher.
type tapOther struct {
	name uint32
	m    *labels.Matcher
}

// Tap opens a reader of what is stored from now on in the series that ms
// select, those there are and those to come. While more than capacity samples
// wait for it the reader loses them, see Drain. Readers of equal matchers
// share one queue, in which each has a position of its own.
func (db *DB) Tap(ms []*labels.Matcher, capacity int) *TapReader {
	ms = canonical(ms)
	key := tapKey(ms)
	id := db.txs.begin()
	defer db.txs.end(id)
	opened := db.newTap(key, ms, id)
	opened.deciding.Lock()
	defer opened.deciding.Unlock()

	db.mu.Lock()
	t := db.taps.byKey[key]
	if t == nil {
		t = opened
		db.taps.open(db.syms, t)
	}
	r := t.join(t, capacity)
	db.mu.Unlock()
	if t == opened {
		t.selectAll()
	} else {
		t.deciding.Lock() // whoever opened it may still be choosing its series
		defer t.deciding.Unlock()
	}
	return r
}

// canonical puts matchers into one order and drops those that say nothing.
func canonical(ms []*labels.Matcher) []*labels.Matcher {
	out := slices.DeleteFunc(slices.Clone(ms), func(m *labels.Matcher) bool {
		return m.Name == "" && m.Value == "" && m.Type == labels.MatchEqual || m.Value == ".*" && m.Type == labels.MatchRegexp
	})
	order := func(a, b *labels.Matcher) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	}
	slices.SortFunc(out, order)
	return slices.CompactFunc(out, func(a, b *labels.Matcher) bool { return order(a, b) == 0 })
}

// tapKey is equal for equal canonical matchers only.
func tapKey(ms []*labels.Matcher) string {
	var b []byte
	for _, m := range ms {
		b = strconv.AppendQuote(b, m.Name)
		b = append(b, m.Type.String()...)
		b = strconv.AppendQuote(b, m.Value)
	}
	return string(b)
}

// newTap makes a tap that nobody reads yet. Its symbols last as long as
// transaction tx, or as the tap once it is open.
func (db *DB) newTap(key string, ms []*labels.Matcher, tx uint64) *tap {
	sym := func(s string) uint32 { return db.syms.intern(stringBytes(s), tx).id }
	t := &tap{db: db, key: key, ms: ms, metricName: sym(labels.MetricName)}
	t.blocks.pool, t.dropped = &db.taps.blocks, &db.taps.dropped
	for _, m := range ms {
		name := sym(m.Name)
		if m.Type != labels.MatchEqual {
			t.others = append(t.others, tapOther{name, m})
			continue
		}
		value := sym(m.Value)
		if m.Name == labels.MetricName && t.name == 0 && value != 0 {
			t.name = value
		} else {
			t.equals = append(t.equals, tapEqual{name, value})
		}
	}
	return t
}

// TapReader is one asker's position in a tap. Only one goroutine may use it.
type TapReader struct {
	tap      *tap
	capacity uint64

	// Of the queue, under its mu.
	next   uint64
	lost   bool // too much waited; nothing does until the next Drain
	closed bool

	view []*tapBlock // scratch of Drain
}

// Drain calls f with everything that waited for the reader, in the order of
// the commits. It reports whether samples were lost since the last Drain; then
// f is not called and the drainer resyncs with a query. Series that were made
// since then are judged first, here and not on the write path.
func (r *TapReader) Drain(f func(TapSample)) (overflowed bool) {
	r.tap.decide()
	return r.tap.drain(r, f)
}

// Close gives the reader up; with its last reader the tap ends.
func (r *TapReader) Close() {
	db, t := r.tap.db, r.tap
	db.mu.Lock()
	defer db.mu.Unlock()
	if left, was := t.leave(r); was && left == 0 {
		db.taps.end(db.syms, t)
	}
}

// feed queues a stored sample. DB.mu is held for writing.
func (db *DB) feed(slot uint32, e *entry, s TapSample) {
	taps := db.taps.sets.tapsOf(slot)
	for _, t := range taps {
		t.push(s)
	}
	if len(taps) == 0 { // they have ended
		db.taps.sets.assign(slot, 0)
		e.lateN &^= flagTapped
	}
}

// tapSeries connects a series that is published to the taps that want it, or
// leaves it to them to judge. refs are its symbols. DB.mu is held for writing.
func (db *DB) tapSeries(slot uint32, refs []uint32) {
	ts := &db.taps
	e := db.series.entry(slot)
	e.lateN &^= flagTapped
	set := uint32(0)
	if len(ts.byKey) > 0 {
		ref := makeRef(slot, e.gen)
		offer := func(t *tap) {
			switch {
			case !t.equal(refs):
			case len(t.others) > 0:
				t.note(ref)
			default:
				set = ts.sets.with(set, t)
			}
		}
		for _, t := range ts.of(db.syms, symbolOf(refs, ts.metricName)) {
			offer(t)
		}
		for _, t := range ts.nameless {
			offer(t)
		}
	}
	ts.sets.assign(slot, set)
	if set != 0 {
		e.lateN |= flagTapped
	}
}

// equal reports whether the equalities but that of the metric name hold.
func (t *tap) equal(refs []uint32) bool {
	for _, q := range t.equals {
		if symbolOf(refs, q.name) != q.value {
			return false
		}
	}
	return true
}

// symbolOf is the value of a name in the symbols of a series, 0 if it has none.
func symbolOf(refs []uint32, name uint32) uint32 {
	for i := 0; i+1 < len(refs); i += 2 {
		if refs[i] == name {
			return refs[i+1]
		}
	}
	return 0
}
