package tsdbcache

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// exemplars is a ring over all series. Every exemplar has a number that grows;
// those of one series are linked from the newest back, and a link to a number
// that the ring has passed is the end. It is under DB.mu.
type exemplars struct {
	ring  []exemplarSlot
	total int64            // number of the next one
	heads map[uint32]int64 // slot -> its newest
	log   *recordLog       // nil without Dir
	recs  int              // records in the log
}

type exemplarSlot struct {
	slot, gen uint32
	prev      int64
	e         exemplar.Exemplar
}

const exemplarMagic = "CHEX0001"

func newExemplars(n int) *exemplars {
	return &exemplars{ring: make([]exemplarSlot, 0, min(n, 1024)), heads: map[uint32]int64{}, recs: 0}
}

func (x *exemplars) at(n int64, limit int) *exemplarSlot {
	if n < 0 || n < x.total-int64(limit) {
		return nil
	}
	return &x.ring[n%int64(limit)]
}

// judge says whether an exemplar may be stored; sameSample if it is there.
func (x *exemplars) judge(slot, gen uint32, e exemplar.Exemplar, limit int) Reason {
	if limit <= 0 {
		return ExemplarsDisabled
	}
	runes := 0
	e.Labels.Range(func(l labels.Label) { runes += utf8.RuneCountInString(l.Name) + utf8.RuneCountInString(l.Value) })
	if runes > exemplar.ExemplarMaxLabelSetLength {
		return ExemplarInvalid
	}
	n, ok := x.heads[slot]
	if !ok {
		return Accepted
	}
	newest := x.at(n, limit)
	if newest == nil || newest.slot != slot || newest.gen != gen || newest.e.Ts < e.Ts {
		return Accepted
	}
	for s := newest; s != nil && s.slot == slot && s.gen == gen && s.e.Ts >= e.Ts; s = x.at(s.prev, limit) {
		if s.e.Ts == e.Ts && math.Float64bits(s.e.Value) == math.Float64bits(e.Value) && labels.Equal(s.e.Labels, e.Labels) {
			return sameSample
		}
	}
	if newest.e.Ts == e.Ts {
		return Accepted
	}
	return ExemplarOutOfOrder
}

func (x *exemplars) put(slot, gen uint32, e exemplar.Exemplar, limit int) {
	prev, ok := x.heads[slot]
	if !ok {
		prev = -1
	}
	s := exemplarSlot{slot: slot, gen: gen, prev: prev, e: e}
	if len(x.ring) < limit {
		x.ring = append(x.ring, s)
	} else {
		old := &x.ring[x.total%int64(limit)]
		if x.heads[old.slot] == x.total-int64(limit) {
			delete(x.heads, old.slot)
		}
		*old = s
	}
	x.heads[slot] = x.total
	x.total++
}

// applyExemplars stores the transaction's exemplars. That the log cannot be
// written does not fail the samples: the exemplars then only live in memory.
func (tx *Tx) applyExemplars(res *Result) {
	db := tx.db
	if len(tx.exs) == 0 {
		return
	}
	x, limit := db.ex, db.opts.MaxExemplars
	for i := range tx.exs {
		ref, e := tx.exs[i].ref, tx.exs[i].e
		slot, gen := splitRef(ref)
		if !db.series.known(slot) || db.series.entry(slot).gen != gen || db.series.cold(slot).state != stateLive {
			tx.refuse(res, ref, e.Ts, UnknownSeries)
			continue
		}
		switch r := x.judge(slot, gen, e, limit); r {
		case Accepted:
			e.Labels = copyLabels(e.Labels)
			x.put(slot, gen, e, limit)
			if x.log != nil {
				x.record(x.log, slot, gen, e)
				x.recs++
			}
			res.Exemplars++
		case sameSample:
			res.Exemplars++
		default:
			tx.refuse(res, ref, e.Ts, r)
		}
	}
	if x.log == nil {
		return
	}
	if err := x.log.flush(); err != nil {
		db.n.logErrors++
		db.opts.Logger.Error("exemplars are kept in memory only", "err", err)
		return
	}
	if x.recs > 2*limit+1000 {
		if err := x.compact(limit); err != nil {
			db.n.logErrors++
			db.opts.Logger.Error("cannot compact the exemplar log", "err", err)
			x.recs = 0 // try again after as many more
		}
	}
}

func copyLabels(ls labels.Labels) labels.Labels {
	b := labels.NewScratchBuilder(ls.Len())
	ls.Range(func(l labels.Label) { b.Add(l.Name, l.Value) })
	b.Sort()
	return b.Labels()
}

// record: uvarint slot, u32 generation, zigzag time, u64 value, pairs of
// strings with uvarint lengths.
func (x *exemplars) record(l *recordLog, slot, gen uint32, e exemplar.Exemplar) {
	at := l.begin()
	l.buf = binary.AppendUvarint(l.buf, uint64(slot))
	l.buf = binary.LittleEndian.AppendUint32(l.buf, gen)
	l.buf = binary.AppendUvarint(l.buf, zigzag(e.Ts))
	l.buf = binary.LittleEndian.AppendUint64(l.buf, math.Float64bits(e.Value))
	e.Labels.Range(func(p labels.Label) {
		l.buf = binary.AppendUvarint(l.buf, uint64(len(p.Name)))
		l.buf = append(l.buf, p.Name...)
		l.buf = binary.AppendUvarint(l.buf, uint64(len(p.Value)))
		l.buf = append(l.buf, p.Value...)
	})
	l.end(at)
}

func readExemplar(p []byte) (slot, gen uint32, e exemplar.Exemplar, ok bool) {
	r := recordReader{b: p}
	s := r.uvarint()
	if len(r.b) < 4 || s >= maxSlot {
		return 0, 0, e, false
	}
	gen = binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	e.Ts, e.HasTs = unzigzag(r.uvarint()), true
	e.Value = math.Float64frombits(r.word())
	b := labels.NewScratchBuilder(2)
	for len(r.b) > 0 && !r.bad {
		name := r.str()
		b.Add(name, r.str())
	}
	e.Labels = b.Labels()
	return uint32(s), gen, e, !r.bad
}

func (r *recordReader) str() string {
	n := r.count(1)
	if r.bad {
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (x *exemplars) compact(limit int) error {
	recs := 0
	err := x.log.rewrite(func(n *recordLog) {
		for i := max(0, x.total-int64(len(x.ring))); i < x.total; i++ {
			s := &x.ring[i%int64(limit)]
			x.record(n, s.slot, s.gen, s.e)
			recs++
		}
	})
	if err == nil {
		x.recs = recs
	}
	return err
}

func (x *exemplars) sync() error {
	if x.log == nil {
		return nil
	}
	return x.log.sync()
}

func (x *exemplars) close() error {
	if x.log == nil {
		return nil
	}
	return x.log.close()
}

// ExemplarQuerier returns a querier of the exemplars held.
func (db *DB) ExemplarQuerier(context.Context) (storage.ExemplarQuerier, error) {
	return exemplarQuerier{db}, nil
}

type exemplarQuerier struct{ db *DB }

// Select returns the exemplars in [start, end] of every series that one of the
// matcher sets selects, series by labels and exemplars by time.
func (q exemplarQuerier) Select(start, end int64, matchers ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	db := q.db
	id := db.txs.begin()
	defer db.txs.end(id)
	plans := make([][]term, len(matchers))
	for i, ms := range matchers {
		plans[i] = db.plan(ms)
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return nil, ErrClosed
	}
	var out []exemplar.QueryResult
	done := map[uint32]bool{}
	b := labels.NewScratchBuilder(16)
	for _, terms := range plans {
		for _, slot := range db.selectSlots(terms) {
			if done[slot] {
				continue
			}
			done[slot] = true
			if es := db.exemplarsOf(slot, start, end); len(es) > 0 {
				out = append(out, exemplar.QueryResult{SeriesLabels: db.labelsOf(slot, &b), Exemplars: es})
			}
		}
	}
	slices.SortFunc(out, func(a, b exemplar.QueryResult) int { return labels.Compare(a.SeriesLabels, b.SeriesLabels) })
	return out, nil
}

func (db *DB) exemplarsOf(slot uint32, start, end int64) []exemplar.Exemplar {
	x, limit := db.ex, db.opts.MaxExemplars
	n, ok := x.heads[slot]
	if !ok || limit <= 0 {
		return nil
	}
	gen := db.series.entry(slot).gen
	var es []exemplar.Exemplar
	for s := x.at(n, limit); s != nil && s.slot == slot && s.gen == gen && s.e.Ts >= start; s = x.at(s.prev, limit) {
		if s.e.Ts <= end {
			es = append(es, s.e)
		}
	}
	slices.Reverse(es)
	return es
}
