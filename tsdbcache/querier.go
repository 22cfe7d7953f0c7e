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
}

// Querier returns a querier over [mint, maxt], milliseconds, both inclusive.
// Each Select sees every transaction that committed before it, and nothing of
// later ones.
func (db *DB) Querier(mint, maxt int64) (storage.Querier, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return nil, ErrClosed
	}
	return &querier{db: db, mint: mint, maxt: maxt, id: db.txs.begin()}, nil
}

func (q *querier) Close() error {
	if q.id != 0 {
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
	notes, err := q.notes(ms, mint, maxt)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	set := &seriesSet{ctx: ctx, db: q.db, notes: notes, mint: mint, maxt: maxt, b: labels.NewScratchBuilder(16)}
	if sorted {
		set.sort()
	}
	if hints != nil && hints.Limit > 0 && len(set.notes) > hints.Limit {
		set.notes = set.notes[:hints.Limit]
	}
	return set
}

func (q *querier) notes(ms []*labels.Matcher, mint, maxt int64) ([]note, error) {
	db := q.db
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return nil, ErrClosed
	}
	slots := db.selectSlots(ms)
	notes := make([]note, 0, len(slots))
	for _, slot := range slots {
		e := db.series.entry(slot)
		if e.lastT < mint || db.firstTime(e) > maxt {
			continue
		}
		notes = append(notes, note{slot: slot, gen: e.gen, lateN: e.lateN & lateMask, lastT: e.lastT, labels: db.series.encoded(slot)})
	}
	return notes, nil
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
	return q.labels(ctx, hints, func() []string { return q.db.labelValues(name, ms) })
}

func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels(ctx, hints, func() []string { return q.db.labelNames(ms) })
}

func (q *querier) labels(ctx context.Context, hints *storage.LabelHints, f func() []string) ([]string, annotations.Annotations, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	q.db.mu.RLock()
	defer q.db.mu.RUnlock()
	if q.db.closed {
		return nil, nil, ErrClosed
	}
	out, _ := hints.ApplyLimit(f())
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
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

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
