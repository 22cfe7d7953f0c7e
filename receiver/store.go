package receiver

import (
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

var (
	errTooManySamples = errors.New("too many samples in one request")
	errOverloaded     = errors.New("requests under way hold too much")
)

// store decodes r.raw into one transaction, commits it and answers.
func (r *request) store() int {
	r.tx = r.h.db.Begin()
	if err := r.append(); err != nil {
		r.tx.Rollback()
		switch {
		case errors.Is(err, errTooManySamples):
			return r.fail(http.StatusRequestEntityTooLarge, "more than %d samples in one request", r.h.limits.Samples)
		case errors.Is(err, errOverloaded):
			return r.overloaded()
		case errors.Is(err, errNotElected):
			return r.duplicate()
		case errors.Is(err, errTooManyClusters):
			return r.later(http.StatusTooManyRequests, "%v of HA pairs", err)
		}
		return r.fail(http.StatusBadRequest, "%v", err)
	}
	res, err := r.tx.Commit()
	if err != nil {
		r.h.log.Error("cannot store a remote write request", "err", err)
		if errors.Is(err, tsdbcache.ErrClosed) {
			return r.later(http.StatusServiceUnavailable, "cannot store: %v", err)
		}
		return r.later(http.StatusInternalServerError, "cannot store: %v", err)
	}
	return r.finish(&res)
}

// append buffers every good sample of the request in the transaction. An error
// means that the request as a whole is bad.
func (r *request) append() error {
	d := &r.dec
	if err := d.Reset(r.proto, r.raw); err != nil {
		return err
	}
	r.last = r.last[:0]
	if r.proto == remotewrite.V2 {
		r.lasting = append(r.lasting[:0], make([]uint32, d.Symbols())...)
		r.seen.reset()
	}
	for r.n = 0; d.Next(); r.n++ {
		s := d.Series()
		if r.items += s.Samples + s.Histograms + s.Exemplars; r.items > r.h.limits.Samples || r.n >= r.h.limits.Samples {
			return errTooManySamples
		}
		if s.Histograms+s.Exemplars > 0 && !r.holdObjects(s) {
			return errOverloaded
		}
		if r.n == 0 && r.h.ha != nil {
			if err := r.elect(); err != nil {
				return err
			}
		}
		if err := r.appendSeries(s); err != nil {
			return err
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	return r.metadataV1()
}

func (r *request) appendSeries(s *remotewrite.Series) error {
	ref, ok, err := r.resolve(s)
	if !ok {
		return err
	}
	for range s.Samples {
		x, err := r.dec.NextSample()
		if err != nil {
			return err
		}
		r.tx.Float(ref, start(x.ST, x.T), x.T, x.V)
	}
	if s.Histograms > 0 {
		if err := r.appendHistograms(s, ref); err != nil {
			return err
		}
	}
	if s.Exemplars > 0 {
		return r.appendExemplars(s, ref)
	}
	return nil
}

// start is a start timestamp unless it is newer than its sample.
func start(st, t int64) int64 {
	if st > t {
		return 0
	}
	return st
}

func (r *request) appendHistograms(s *remotewrite.Series, ref storage.SeriesRef) error {
	for range s.Histograms {
		x, err := r.dec.NextHistogram()
		if err != nil {
			return err
		}
		if err := remotewrite.CheckHistogram(x); err != nil {
			r.refused.problem(remotewrite.InvalidHistogram, 1, r.name(ref)+": "+err.Error())
			continue
		}
		r.tx.Histogram(ref, start(x.ST, x.T), x.T, x.Int, x.Float)
	}
	return nil
}

// appendExemplars sorts the exemplars of a series by time, as the ring wants
// them.
func (r *request) appendExemplars(s *remotewrite.Series, ref storage.SeriesRef) error {
	r.exemplars = r.exemplars[:0]
	for range s.Exemplars {
		err := r.dec.NextExemplar(&r.ex)
		if r.dec.Err() != nil {
			return err
		}
		r.exLabels.Labels = append(r.exLabels.Labels[:0], r.ex.Labels...)
		if err == nil {
			err = r.exLabels.Check(r.h.limits.labels(), false)
		}
		if err == nil && r.ex.T == 0 {
			err = &remotewrite.LabelError{Problem: remotewrite.InvalidExemplar, Detail: "exemplar without timestamp"}
		}
		if err != nil {
			r.refuseLabels(err, 1, r.name(ref)+": exemplar: ")
			continue
		}
		r.exemplars = append(r.exemplars, exemplar.Exemplar{Labels: r.exLabels.Copy(), Value: r.ex.V, Ts: r.ex.T, HasTs: true})
	}
	if len(r.exemplars) > 1 {
		slices.SortStableFunc(r.exemplars, exemplar.Compare)
	}
	for _, e := range r.exemplars {
		r.tx.Exemplar(ref, e)
	}
	return nil
}

// resolve finds or creates the series. Without an error, false means that the
// series is refused and counted.
func (r *request) resolve(s *remotewrite.Series) (storage.SeriesRef, bool, error) {
	if r.proto == remotewrite.V1 {
		if ref, ok := r.tx.Lookup(tsdbcache.KeyV1, s.Labels); ok {
			return ref, true, nil
		}
		return r.create(s, tsdbcache.KeyV1, s.Labels)
	}
	switch {
	case s.Samples+s.Histograms+s.Exemplars == 0:
		return 0, false, r.refuse(s, remotewrite.NoSamples, "no samples")
	case s.Samples > 0 && s.Histograms > 0:
		return 0, false, r.refuse(s, remotewrite.MixedSamples, "both samples and histograms")
	case s.Metadata != (remotewrite.MetadataRefs{}) && !r.metadataRefs(s):
		return 0, false, r.refuse(s, remotewrite.BadReference, "metadata reference outside of the symbols")
	}
	if !r.keyV2(s) {
		ref, ok, err := r.create(s, tsdbcache.KeyV2, nil)
		return ref, ok, err
	}
	ref, ok := r.tx.Lookup(tsdbcache.KeyV2, r.key)
	if !ok {
		var err error
		if ref, ok, err = r.create(s, tsdbcache.KeyV2, r.key); !ok {
			return 0, false, err
		}
	}
	if s.Metadata != (remotewrite.MetadataRefs{}) {
		r.metadataV2(s)
	}
	return ref, true, nil
}

// keyV2 builds the key of a 2.0 series: its references as the ring's lasting
// numbers. False means that the series cannot be good.
func (r *request) keyV2(s *remotewrite.Series) bool {
	if len(s.Refs) > 2*r.h.limits.Labels {
		return false
	}
	key := slices.Grow(r.key[:0], 4*len(s.Refs))[:4*len(s.Refs)]
	for i, ref := range s.Refs {
		if uint64(ref) >= uint64(len(r.lasting)) {
			return false
		}
		id := r.lasting[ref]
		if id == 0 {
			b, _ := r.dec.Symbol(ref)
			if len(b) > max(r.h.limits.LabelNameBytes, r.h.limits.LabelValueBytes) || !utf8.Valid(b) {
				return false // never becomes a lasting symbol
			}
			id = r.tx.Symbol(b)
			r.lasting[ref] = id
		}
		binary.LittleEndian.PutUint32(key[4*i:], id)
	}
	r.key = key
	return len(s.Refs)%2 == 0
}

// create checks the labels of a series that the ring does not know by this
// key, and makes it known. A nil key only finds out what is wrong.
func (r *request) create(s *remotewrite.Series, space tsdbcache.KeySpace, key []byte) (storage.SeriesRef, bool, error) {
	items := s.Samples + s.Histograms
	if items == 0 && s.Exemplars == 0 {
		return 0, false, nil // 1.0: labels and nothing to store
	}
	err := r.dec.ReadLabels(&r.series)
	if r.dec.Err() != nil {
		return 0, false, err
	}
	if err == nil {
		r.series.Valid = space == tsdbcache.KeyV2 && key != nil // keyV2 has looked
		err = r.series.Check(r.h.limits.labels(), true)
	}
	if err == nil && key == nil && space == tsdbcache.KeyV2 {
		err = &remotewrite.LabelError{Problem: remotewrite.InvalidUTF8, Detail: "unusable label in " + r.series.String()}
	}
	if err != nil {
		r.refuseLabels(err, items+s.Exemplars, "")
		return 0, false, nil
	}
	if r.h.ha != nil {
		r.h.ha.strip(&r.series)
	}
	// Exemplars alone come from every Prometheus that sends them. They make no
	// series: one that gets no sample in this request leaves again, and the
	// ring refuses its exemplars.
	ref, reason := r.tx.CreateSymbols(space, key, r.symbols(key))
	if reason != tsdbcache.Accepted {
		r.refused.reason(reason, items+s.Exemplars, r.series.String()+": "+reason.String())
		return 0, false, nil
	}
	r.created = append(r.created, createdSeries{ref, r.n})
	return ref, true, nil
}

// symbols turns the checked labels of r.series into the ring's symbols. A 2.0
// key is made of them; else most labels are those of the series before.
func (r *request) symbols(key []byte) []uint32 {
	if r.proto == remotewrite.V2 && r.series.AsSent() && 8*len(r.series.Labels) == len(key) { // else the replica label went
		r.last, r.refs = r.last[:0], r.refs[:0]
		for ; len(key) >= 4; key = key[4:] {
			r.refs = append(r.refs, binary.LittleEndian.Uint32(key))
		}
		return r.refs
	}
	refs, at := r.spare[:0], 0
	same := func(i int, l remotewrite.Label) bool {
		return i < len(r.last) && string(r.last[i].Name) == string(l.Name)
	}
	for _, l := range r.series.Labels {
		if !same(at, l) && same(at+1, l) {
			at++
		}
		if !same(at, l) {
			refs = append(refs, r.tx.Symbol(l.Name), r.tx.Symbol(l.Value))
			continue
		}
		value := r.refs[2*at+1]
		if string(r.last[at].Value) != string(l.Value) {
			value = r.tx.Symbol(l.Value)
		}
		refs = append(refs, r.refs[2*at], value)
		at++
	}
	r.last = append(r.last[:0], r.series.Labels...)
	r.refs, r.spare = refs, r.refs
	return refs
}

func (r *request) refuse(s *remotewrite.Series, p remotewrite.Problem, what string) error {
	err := r.dec.ReadLabels(&r.series)
	if r.dec.Err() != nil {
		return err
	}
	r.refused.problem(p, max(1, s.Samples+s.Histograms+s.Exemplars), r.series.String()+": "+what)
	return nil
}

func (r *request) refuseLabels(err error, n int, prefix string) {
	if le, ok := errors.AsType[*remotewrite.LabelError](err); ok {
		r.refused.problem(le.Problem, n, prefix+le.Detail)
	}
}

// name is the label set of a series for a message. A series that was made by
// this request and left again, because nothing of it was stored, is looked up
// in the request.
func (r *request) name(ref storage.SeriesRef) string {
	if ls, ok := r.h.db.Labels(ref); ok {
		return short(ls.String())
	}
	for _, c := range r.created {
		if c.ref == ref && r.dec.Reset(r.proto, r.raw) == nil {
			for n := 0; r.dec.Next(); n++ {
				if n == c.n && r.dec.ReadLabels(&r.series) == nil {
					return r.series.String()
				}
			}
		}
	}
	return "a series that left"
}

// finish answers after a commit.
func (r *request) finish(res *tsdbcache.Result) int {
	// Exemplars that the ring keeps none of are dropped by policy, which is
	// no failure of the request.
	exemplars := res.Exemplars + res.Refused[tsdbcache.ExemplarsDisabled]
	m := r.h.metrics
	m.samples[r.proto][0].Add(float64(res.Samples))
	m.samples[r.proto][1].Add(float64(res.Histograms))
	m.samples[r.proto][2].Add(float64(res.Exemplars))
	r.counts(res.Samples, res.Histograms, exemplars)
	for reason, n := range res.Refused {
		if n > 0 && tsdbcache.Reason(reason) != tsdbcache.ExemplarsDisabled { //nolint:gosec // an index of the array
			r.refused.reason(tsdbcache.Reason(reason), n, "") //nolint:gosec // an index of the array
		}
	}
	if r.refused.total == 0 {
		r.w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	}
	for _, e := range res.Examples {
		if e.Reason != tsdbcache.ExemplarsDisabled {
			r.refused.example(e, r.name(e.Ref))
		}
	}
	r.refused.count(m)
	code := http.StatusBadRequest
	if r.refused.reasons[tsdbcache.SeriesLimit] > 0 {
		code = http.StatusTooManyRequests
		r.w.Header()["Retry-After"] = r.h.retryAfter
	}
	return r.answer(code, r.refused.text(r.items))
}
