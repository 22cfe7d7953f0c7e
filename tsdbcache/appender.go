package tsdbcache

import (
	"context"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
)

// appender is Prometheus's appender over a transaction. It judges every sample
// at once, against the ring and against what it holds itself; Commit judges
// again, because others may have committed meanwhile.
type appender struct {
	tx  *Tx
	lim limits
	own map[uint32]*ownSeries
	buf []byte
}

// ownSeries is what the appender itself holds of a series.
type ownSeries struct {
	lastT int64
	v     uint64
	hist  histRecord
	exT   int64
	hasEx bool
}

var _ storage.ExemplarAppenderV2 = (*appender)(nil)

// AppenderV2 returns an appender over a transaction of its own.
func (db *DB) AppenderV2(context.Context) storage.AppenderV2 {
	return &appender{tx: db.Begin(), lim: db.limits(), own: map[uint32]*ownSeries{}}
}

// resolve finds or makes the series of a label set.
func (a *appender) resolve(ref storage.SeriesRef, ls labels.Labels, create bool) (storage.SeriesRef, error) {
	db := a.tx.db
	if ref != 0 {
		slot, gen := splitRef(ref)
		db.mu.RLock()
		ok := db.series.known(slot) && db.series.entry(slot).gen == gen && db.series.cold(slot).state != stateFree
		db.mu.RUnlock()
		if ok {
			return ref, nil
		}
	}
	a.buf = ls.Bytes(a.buf)
	if ref, ok := a.tx.Lookup(keyLabels, a.buf); ok {
		return ref, nil
	}
	if !create {
		if ref, ok := db.find(ls); ok {
			return ref, nil
		}
		return 0, storage.ErrNotFound
	}
	ls = ls.WithoutEmpty()
	if ls.IsEmpty() {
		return 0, fmt.Errorf("cannot append to a series without labels: %w", ErrInvalidLabels)
	}
	if name, dup := ls.HasDuplicateLabelNames(); dup {
		return 0, fmt.Errorf("label %q occurs twice: %w", name, ErrInvalidLabels)
	}
	ref, reason := a.tx.Create(keyLabels, a.buf, ls)
	if reason != Accepted {
		return 0, fmt.Errorf("cannot append to %s: %w", ls, reason.Err())
	}
	return ref, nil
}

// find is the series of a label set without making anything.
func (db *DB) find(ls labels.Labels) (storage.SeriesRef, bool) {
	var refs []uint32
	ok := true
	ls.Range(func(l labels.Label) {
		n, v := db.syms.findString(l.Name), db.syms.findString(l.Value)
		if n == nil || v == nil {
			ok = false
			return
		}
		if l.Value != "" {
			refs = append(refs, n.id, v.id)
		}
	})
	if !ok || len(refs) == 0 {
		return 0, false
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	enc := encodeRefs(nil, refs)
	slot := db.series.find(db.series.hash(enc), enc)
	if slot == 0 {
		return 0, false
	}
	return db.series.ref(slot), true
}

// Append buffers a sample, or says why Commit would refuse it.
func (a *appender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AppendV2Options) (storage.SeriesRef, error) {
	rec := histRecord{fh: fh}
	if fh == nil {
		rec.h = h
	}
	if !rec.none() {
		if err := checkHistogram(&rec); err != nil {
			return 0, err
		}
	}
	ref, err := a.resolve(ref, ls, true)
	if err != nil {
		return 0, err
	}
	slot, _ := splitRef(ref)
	bits := math.Float64bits(v)
	own := a.own[slot]
	switch r := a.judge(slot, own, t, bits, rec, opts.RejectOutOfOrder); r {
	case Accepted:
		if own == nil {
			own = &ownSeries{lastT: noTime}
			a.own[slot] = own
		}
		if t > own.lastT {
			own.lastT, own.v, own.hist = t, bits, rec
		}
		if rec.none() {
			a.tx.Float(ref, st, t, v)
		} else {
			a.tx.Histogram(ref, st, t, rec.h, rec.fh)
		}
	case sameSample:
	default:
		return 0, r.Err()
	}
	if opts.Metadata != (metadata.Metadata{}) {
		family := opts.MetricFamilyName
		if family == "" {
			family = ls.Get(labels.MetricName)
		}
		a.tx.Metadata(string([]byte(family)), opts.Metadata)
	}
	return ref, a.exemplars(ref, opts.Exemplars)
}

// checkHistogram validates a histogram and lowers a resolution that only later
// standards know. The caller's histogram is not changed.
func checkHistogram(rec *histRecord) error {
	x := txHist{h: rec.h, fh: rec.fh}
	x.check()
	if x.reason == Accepted {
		rec.h, rec.fh = x.h, x.fh
		return nil
	}
	if rec.fh != nil {
		if err := rec.fh.Validate(); err != nil {
			return err
		}
		return histogram.InvalidSchemaError(rec.fh.Schema)
	}
	if err := rec.h.Validate(); err != nil {
		return err
	}
	return histogram.InvalidSchemaError(rec.h.Schema)
}

// judge foretells what Commit will say of a sample.
func (a *appender) judge(slot uint32, own *ownSeries, t int64, v uint64, rec histRecord, inOrder bool) Reason {
	db := a.tx.db
	if t > a.lim.hi {
		return TooFarAhead
	}
	if t < a.lim.lo {
		return TooOld
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return UnknownSeries
	}
	e := db.series.entry(slot)
	newest := e.lastT
	if own != nil && own.lastT > newest {
		newest = own.lastT
		if t == newest {
			return compare(sample{v: own.v, hist: own.hist}, v, rec)
		}
	}
	if t > newest {
		return Accepted
	}
	if t == e.lastT && e.lateN&flagHist == 0 {
		return compare(sample{v: e.lastV}, v, rec)
	}
	if t < newest {
		if inOrder {
			return OutOfOrder
		}
		if db.opts.OutOfOrderWindow >= 0 && newest-t > db.opts.OutOfOrderWindow.Milliseconds() {
			return TooOld
		}
	}
	if old, found := a.buffered(slot, t); found {
		return compare(old, v, rec)
	}
	if t > e.lastT {
		return Accepted // between samples of our own
	}
	if old, found := db.sampleAt(slot, t); found {
		return compare(old, v, rec)
	}
	return Accepted
}

// buffered finds a sample that the appender itself holds. Only late samples
// pay for the search.
func (a *appender) buffered(slot uint32, t int64) (sample, bool) {
	if a.own[slot] == nil {
		return sample{}, false
	}
	for _, f := range a.tx.floats {
		if f.t == t && uint32(f.ref) == slot {
			return sample{v: math.Float64bits(f.v)}, true
		}
	}
	for _, h := range a.tx.hists {
		if h.t == t && uint32(h.ref) == slot {
			return sample{hist: histRecord{h: h.h, fh: h.fh}}, true
		}
	}
	return sample{}, false
}

func compare(old sample, v uint64, rec histRecord) Reason {
	switch {
	case rec.none() && old.hist.none() && old.v == v, !rec.none() && !old.hist.none() && old.hist.equal(rec):
		return sameSample
	}
	return Duplicate
}

// AppendExemplars buffers exemplars of a series that exists.
func (a *appender) AppendExemplars(ref storage.SeriesRef, ls labels.Labels, es []exemplar.Exemplar) (storage.SeriesRef, error) {
	ref, err := a.resolve(ref, ls, false)
	if err != nil {
		return 0, err
	}
	return ref, a.exemplars(ref, es)
}

func (a *appender) exemplars(ref storage.SeriesRef, es []exemplar.Exemplar) error {
	if len(es) == 0 {
		return nil
	}
	db := a.tx.db
	slot, gen := splitRef(ref)
	own := a.own[slot]
	if own == nil {
		own = &ownSeries{lastT: noTime}
		a.own[slot] = own
	}
	var partial *storage.AppendPartialError
	for i, e := range es {
		db.mu.RLock()
		r := db.ex.judge(slot, gen, e, db.opts.MaxExemplars)
		db.mu.RUnlock()
		if r == Accepted && own.hasEx && e.Ts < own.exT {
			r = ExemplarOutOfOrder
		}
		switch r {
		case Accepted:
			e.Labels = copyLabels(e.Labels)
			a.tx.Exemplar(ref, e)
			own.exT, own.hasEx = e.Ts, true
		case sameSample:
		default:
			if partial == nil {
				partial = &storage.AppendPartialError{}
			}
			partial.ExemplarErrors = append(partial.ExemplarErrors, storage.ExemplarError{Index: i, Err: r.Err()})
		}
	}
	return partial.ToError()
}

// Commit stores what was appended.
func (a *appender) Commit() error {
	_, err := a.tx.Commit()
	return err
}

// Rollback drops it.
func (a *appender) Rollback() error {
	a.tx.Rollback()
	return nil
}

// appenderV1 is the old interface, which only says that it is not supported.
type appenderV1 struct{}

func (appenderV1) Append(storage.SeriesRef, labels.Labels, int64, float64) (storage.SeriesRef, error) {
	return 0, ErrAppenderV1
}

func (appenderV1) AppendExemplar(storage.SeriesRef, labels.Labels, exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, ErrAppenderV1
}

func (appenderV1) AppendHistogram(storage.SeriesRef, labels.Labels, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, ErrAppenderV1
}

func (appenderV1) AppendHistogramSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, ErrAppenderV1
}

func (appenderV1) AppendSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64) (storage.SeriesRef, error) {
	return 0, ErrAppenderV1
}

func (appenderV1) UpdateMetadata(storage.SeriesRef, labels.Labels, metadata.Metadata) (storage.SeriesRef, error) {
	return 0, ErrAppenderV1
}

func (appenderV1) SetOptions(*storage.AppendOptions) {}
func (appenderV1) Commit() error                     { return ErrAppenderV1 }
func (appenderV1) Rollback() error                   { return nil }
