package tsdbcache

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// querier answers queries over [mint, maxt]. While it is open the numbers of
// series and symbols it saw are not reused.
type querier struct {
	db         *DB
	mint, maxt int64
	id         uint64
	snap       *generation
}

// Querier returns a querier over [mint, maxt], milliseconds, both inclusive.
// All its Selects see every transaction that committed before it was made, and
// nothing of later ones. (If more than maxUndo series are appended to while it
// is open, later Selects see what is newest.) A Select that asks for times
// of which the ring has dropped samples warns.
func (db *DB) Querier(mint, maxt int64) (storage.Querier, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return nil, ErrClosed
	}
	return &querier{db: db, mint: mint, maxt: maxt, id: db.txs.begin(), snap: db.snaps.begin()}, nil
}

func (q *querier) Close() error {
	if q.id != 0 {
		q.db.mu.RLock()
		q.db.snaps.end(q.snap)
		q.db.mu.RUnlock()
		q.db.txs.end(q.id)
		q.id = 0
	}
	return nil
}

// Select notes where every matching series stands; the samples are copied
// series by series as they are read.
func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	if err := ctx.Err(); err != nil {
		return storage.ErrSeriesSet(err)
	}
	mint, maxt := q.mint, q.maxt
	if hints != nil {
		mint, maxt = max(mint, hints.Start), min(maxt, hints.End)
	}
	set := &seriesSet{ctx: ctx, db: q.db, mint: mint, maxt: maxt, b: labels.NewScratchBuilder(16)}
	if err := q.note(set, ms); err != nil {
		return storage.ErrSeriesSet(err)
	}
	if sorted {
		set.sort()
	}
	if hints != nil && hints.Limit > 0 && len(set.notes) > hints.Limit {
		set.notes = set.notes[:hints.Limit]
	}
	return set
}

// note selects series and notes where they stood when the querier was made.
func (q *querier) note(set *seriesSet, ms []*labels.Matcher) error {
	db := q.db
	terms := db.plan(ms)
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return ErrClosed
	}
	slots := db.selectSlots(terms)
	before := db.snaps.since(q.snap, func() slotBits {
		b := make(slotBits, db.series.next/64+1)
		for _, slot := range slots {
			b.set(slot)
		}
		return b
	})
	set.warnings = db.edge.warning(set.mint)
	set.notes = make([]note, 0, len(slots))
	for _, slot := range slots {
		e := db.series.entry(slot)
		n := note{slot: slot, gen: e.gen, lateN: e.lateN & lateMask, lastT: e.lastT, labels: db.series.encoded(slot)}
		if u, ok := before[slot]; ok {
			n.lateN, n.lastT = u.lateN, u.lastT
		}
		if n.lastT != noTime && n.lastT >= set.mint && db.firstTime(e) <= set.maxt {
			set.notes = append(set.notes, n)
		}
	}
	return nil
}

// firstTime is at most the time of the oldest sample in order; noTime when a
// late chunk is in front and so may be older.
func (db *DB) firstTime(e *entry) int64 {
	if e.late != 0 {
		return noTime
	}
	i := e.head
	if i == 0 {
		i = e.raw
	}
	if i == 0 {
		return noTime
	}
	pg := db.arena.page(i)
	if n, _ := pg.published(); n == 0 || pg.kind() == kindLate || pg.kind() == kindLateHist {
		return noTime
	}
	for j := i; j != 0 && i != e.raw; j = db.arena.link[j] {
		if k := db.arena.page(j).kind(); k == kindLate || k == kindLateHist {
			return noTime
		}
	}
	return pg.minT()
}

func (q *querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels(ctx, hints, ms, func(ts []term) map[uint32]bool { return q.db.labelValues(name, ts) })
}

func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels(ctx, hints, ms, q.db.labelNames)
}

func (q *querier) labels(ctx context.Context, hints *storage.LabelHints, ms []*labels.Matcher, f func([]term) map[uint32]bool) ([]string, annotations.Annotations, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	db := q.db
	terms := db.plan(ms)
	db.mu.RLock()
	if db.closed {
		db.mu.RUnlock()
		return nil, nil, ErrClosed
	}
	ids := f(terms)
	db.mu.RUnlock()
	out, _ := hints.ApplyLimit(db.syms.sorted(ids))
	return out, nil, nil
}

// seriesSet is the answer to one Select.
type seriesSet struct {
	ctx        context.Context
	db         *DB
	notes      []note
	lsets      []labels.Labels // by position, if sorted
	mint, maxt int64
	b          labels.ScratchBuilder
	next       int
	err        error
	warnings   annotations.Annotations
}

// labels builds a label set without a lock: neither its bytes nor its symbols
// are used for anything else while the querier is open.
func (s *seriesSet) labels(enc []byte) labels.Labels {
	s.b.Reset()
	s.db.syms.build(&s.b, enc)
	return s.b.Labels()
}

func (s *seriesSet) sort() {
	type both struct {
		n note
		l labels.Labels
	}
	all := make([]both, len(s.notes))
	for i, n := range s.notes {
		all[i] = both{n, s.labels(n.labels)}
	}
	slices.SortFunc(all, func(a, b both) int { return labels.Compare(a.l, b.l) })
	s.lsets = make([]labels.Labels, len(all))
	for i := range all {
		s.notes[i], s.lsets[i] = all[i].n, all[i].l
	}
}

func (s *seriesSet) Next() bool {
	if s.next&0xff == 0 && s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil || s.next >= len(s.notes) {
		return false
	}
	s.next++
	return true
}

func (s *seriesSet) At() storage.Series {
	i := s.next - 1
	out := &series{db: s.db, note: s.notes[i], mint: s.mint, maxt: s.maxt}
	if s.lsets != nil {
		out.lset = s.lsets[i]
	} else {
		out.lset = s.labels(s.notes[i].labels)
	}
	return out
}

func (s *seriesSet) Err() error                        { return s.err }
func (s *seriesSet) Warnings() annotations.Annotations { return s.warnings }

// series is one series of an answer.
type series struct {
	db         *DB
	note       note
	lset       labels.Labels
	mint, maxt int64
}

func (s *series) Labels() labels.Labels { return s.lset }

func (s *series) Iterator(old chunkenc.Iterator) chunkenc.Iterator {
	it, ok := old.(*iterator)
	if !ok {
		it = &iterator{}
	}
	it.begin(s.db, &s.note, s.mint, s.maxt)
	return it
}

// Series has the samples of one series in [mint, maxt] as the ring holds them
// now, false if the series has left.
func (db *DB) Series(ref storage.SeriesRef, mint, maxt int64) (s storage.Series, found bool, err error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return nil, false, ErrClosed
	}
	slot, live := db.liveSlot(ref)
	if !live {
		return nil, false, nil
	}
	e, b := db.series.entry(slot), labels.NewScratchBuilder(16)
	at := note{slot: slot, gen: e.gen, lateN: e.lateN & lateMask, lastT: e.lastT}
	return &series{db: db, note: at, lset: db.labelsOf(slot, &b), mint: mint, maxt: maxt}, true, nil
}

// ChunkQuerier returns a querier whose samples come as chunks, as remote read
// wants them.
func (db *DB) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	q, err := db.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return chunkQuerier{q.(*querier)}, nil
}

type chunkQuerier struct{ *querier }

func (q chunkQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.ChunkSeriesSet {
	return storage.NewSeriesSetToChunkSet(q.querier.Select(ctx, sorted, hints, ms...))
}
