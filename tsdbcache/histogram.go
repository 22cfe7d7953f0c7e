package tsdbcache

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// histRecord is one decoded native histogram: one of h and fh is set.
type histRecord struct {
	h  *histogram.Histogram
	fh *histogram.FloatHistogram
}

// A record of a histogram chunk:
//
//	u8      flags: 1 float counts, 2 stale marker, 4 layout as in the record
//	        before, 8 and 16 counter reset hint
//	zigzag  time - time of the record before (first: of 0)
//	zigzag  start time - start time of the record before
//	layout  zigzag schema, u64 zero threshold, spans and custom values, each
//	        with its count (absent if the layout is as before)
//	u64     sum, as a byte-reversed uvarint of the XOR with the one before
//	counts  count, zero count, positive buckets, negative buckets: integers as
//	        zigzag differences, floats as XOR, to the record before if its
//	        layout is the same, else to 0
const (
	histFloat = 1 << iota
	histStale
	histSame
	histHintShift = 3 // two bits from here on
)

// histState is what the next record of a chunk is relative to.
type histState struct {
	t, st   int64
	sum     uint64
	isFloat bool
	valid   bool // a layout exists
	count   uint64
	zero    uint64
	schema  int32
	thresh  uint64
	pspans  []histogram.Span
	nspans  []histogram.Span
	custom  []float64
	pos     []uint64 // int64 or float bits
	neg     []uint64
}

// flat is a histogram with all counts as 64-bit words.
type flat struct {
	isFloat, stale bool
	hint           histogram.CounterResetHint
	schema         int32
	thresh, sum    uint64
	count, zero    uint64
	pspans, nspans []histogram.Span
	custom         []float64
	pos, neg       []uint64
}

func flatten(h *histogram.Histogram, fh *histogram.FloatHistogram, hint histogram.CounterResetHint) flat {
	if fh != nil {
		f := flat{
			isFloat: true, hint: hint, schema: fh.Schema, thresh: math.Float64bits(fh.ZeroThreshold), sum: math.Float64bits(fh.Sum),
			count: math.Float64bits(fh.Count), zero: math.Float64bits(fh.ZeroCount), pspans: fh.PositiveSpans, nspans: fh.NegativeSpans, custom: fh.CustomValues,
		}
		for _, b := range fh.PositiveBuckets {
			f.pos = append(f.pos, math.Float64bits(b))
		}
		for _, b := range fh.NegativeBuckets {
			f.neg = append(f.neg, math.Float64bits(b))
		}
		f.stale = value.IsStaleNaN(fh.Sum) && len(f.pos)+len(f.neg)+len(f.pspans)+len(f.nspans)+len(f.custom) == 0 && fh.Count == 0 && fh.ZeroCount == 0
		return f
	}
	f := flat{
		hint: hint, schema: h.Schema, thresh: math.Float64bits(h.ZeroThreshold), sum: math.Float64bits(h.Sum),
		count: h.Count, zero: h.ZeroCount, pspans: h.PositiveSpans, nspans: h.NegativeSpans, custom: h.CustomValues,
	}
	for _, b := range h.PositiveBuckets {
		f.pos = append(f.pos, uint64(b))
	}
	for _, b := range h.NegativeBuckets {
		f.neg = append(f.neg, uint64(b))
	}
	f.stale = value.IsStaleNaN(h.Sum) && len(f.pos)+len(f.neg)+len(f.pspans)+len(f.nspans)+len(f.custom) == 0 && h.Count == 0 && h.ZeroCount == 0
	return f
}

func sameSpans(a, b []histogram.Span) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func sameFloats(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return false
		}
	}
	return true
}

func (s *histState) sameLayout(f *flat) bool {
	return s.valid && s.isFloat == f.isFloat && s.schema == f.schema && s.thresh == f.thresh && len(s.pos) == len(f.pos) && len(s.neg) == len(f.neg) &&
		sameSpans(s.pspans, f.pspans) && sameSpans(s.nspans, f.nspans) && sameFloats(s.custom, f.custom)
}

// appendRecord encodes one histogram behind s and moves s on.
func appendRecord(b []byte, s *histState, st, t int64, f flat) []byte {
	head := byte(f.hint) << histHintShift
	if f.isFloat {
		head |= histFloat
	}
	same := s.sameLayout(&f)
	switch {
	case f.stale:
		head |= histStale
	case same:
		head |= histSame
	}
	b = append(b, head)
	b = binary.AppendUvarint(b, zigzag(t-s.t))
	b = binary.AppendUvarint(b, zigzag(st-s.st))
	s.t, s.st = t, st
	if f.stale {
		return b
	}
	if !same {
		b = binary.AppendUvarint(b, zigzag(int64(f.schema)))
		b = binary.LittleEndian.AppendUint64(b, f.thresh)
		b = appendSpans(b, f.pspans)
		b = appendSpans(b, f.nspans)
		b = binary.AppendUvarint(b, uint64(len(f.custom)))
		for _, c := range f.custom {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(c))
		}
		b = binary.AppendUvarint(b, uint64(len(f.pos)))
		b = binary.AppendUvarint(b, uint64(len(f.neg)))
		*s = histState{
			t: t, st: st, sum: s.sum, isFloat: f.isFloat, valid: true, schema: f.schema, thresh: f.thresh,
			pspans: append(s.pspans[:0], f.pspans...), nspans: append(s.nspans[:0], f.nspans...), custom: append(s.custom[:0], f.custom...),
			pos: zeros(s.pos, len(f.pos)), neg: zeros(s.neg, len(f.neg)),
		}
	}
	b = appendXORWord(b, &s.sum, f.sum, true)
	b = appendXORWord(b, &s.count, f.count, f.isFloat)
	b = appendXORWord(b, &s.zero, f.zero, f.isFloat)
	for i, v := range f.pos {
		b = appendXORWord(b, &s.pos[i], v, f.isFloat)
	}
	for i, v := range f.neg {
		b = appendXORWord(b, &s.neg[i], v, f.isFloat)
	}
	return b
}

func zeros(s []uint64, n int) []uint64 {
	if cap(s) < n {
		return make([]uint64, n)
	}
	s = s[:n]
	clear(s)
	return s
}

func appendSpans(b []byte, spans []histogram.Span) []byte {
	b = binary.AppendUvarint(b, uint64(len(spans)))
	for _, s := range spans {
		b = binary.AppendUvarint(b, zigzag(int64(s.Offset)))
		b = binary.AppendUvarint(b, uint64(s.Length))
	}
	return b
}

func appendXORWord(b []byte, prev *uint64, v uint64, float bool) []byte {
	d := bits.ReverseBytes64(v ^ *prev)
	if !float {
		d = zigzag(int64(v - *prev))
	}
	*prev = v
	return binary.AppendUvarint(b, d)
}

// recordReader decodes records; the first bad byte sets bad.
type recordReader struct {
	b   []byte
	bad bool
}

func (r *recordReader) uvarint() uint64 {
	v, k := binary.Uvarint(r.b)
	if k <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[k:]
	return v
}

func (r *recordReader) word() uint64 {
	if len(r.b) < 8 {
		r.bad, r.b = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// count reads the length of a list whose elements take at least size bytes.
func (r *recordReader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *recordReader) spans() []histogram.Span {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	out := make([]histogram.Span, n)
	for i := range out {
		out[i] = histogram.Span{Offset: int32(unzigzag(r.uvarint())), Length: uint32(r.uvarint())}
	}
	return out
}

func (r *recordReader) xor(prev *uint64, float bool) uint64 {
	d := r.uvarint()
	if float {
		*prev ^= bits.ReverseBytes64(d)
	} else {
		*prev += uint64(unzigzag(d))
	}
	return *prev
}

// next decodes one record behind s. Spans and custom values of the histograms
// of one layout share memory: whoever hands them out copies.
func (r *recordReader) next(s *histState) (histRecord, bool) {
	if len(r.b) == 0 {
		return histRecord{}, false
	}
	head := r.b[0]
	r.b = r.b[1:]
	s.t += unzigzag(r.uvarint())
	s.st += unzigzag(r.uvarint())
	hint := histogram.CounterResetHint(head >> histHintShift & 3)
	float := head&histFloat != 0
	if head&histStale != 0 {
		if float {
			return histRecord{fh: &histogram.FloatHistogram{Sum: math.Float64frombits(value.StaleNaN), CounterResetHint: hint}}, !r.bad
		}
		return histRecord{h: &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN), CounterResetHint: hint}}, !r.bad
	}
	if head&histSame == 0 {
		n := histState{t: s.t, st: s.st, sum: s.sum, isFloat: float, valid: true}
		n.schema = int32(unzigzag(r.uvarint()))
		n.thresh = r.word()
		n.pspans, n.nspans = r.spans(), r.spans()
		if k := r.count(8); k > 0 {
			n.custom = make([]float64, k)
			for i := range n.custom {
				n.custom[i] = math.Float64frombits(r.word())
			}
		}
		// A bucket takes a byte at least, so the rest bounds their number.
		npos := r.count(1)
		nneg := r.count(1)
		n.pos, n.neg = make([]uint64, npos), make([]uint64, nneg)
		*s = n
	}
	if r.bad || !s.valid || s.isFloat != float {
		r.bad = true
		return histRecord{}, false
	}
	sum, count, zero := r.xor(&s.sum, true), r.xor(&s.count, float), r.xor(&s.zero, float)
	if float {
		fh := &histogram.FloatHistogram{
			CounterResetHint: hint, Schema: s.schema, ZeroThreshold: math.Float64frombits(s.thresh), Sum: math.Float64frombits(sum),
			Count: math.Float64frombits(count), ZeroCount: math.Float64frombits(zero), PositiveSpans: s.pspans, NegativeSpans: s.nspans, CustomValues: s.custom,
		}
		fh.PositiveBuckets, fh.NegativeBuckets = make([]float64, len(s.pos)), make([]float64, len(s.neg))
		for i := range s.pos {
			fh.PositiveBuckets[i] = math.Float64frombits(r.xor(&s.pos[i], true))
		}
		for i := range s.neg {
			fh.NegativeBuckets[i] = math.Float64frombits(r.xor(&s.neg[i], true))
		}
		return histRecord{fh: fh}, !r.bad
	}
	h := &histogram.Histogram{
		CounterResetHint: hint, Schema: s.schema, ZeroThreshold: math.Float64frombits(s.thresh), Sum: math.Float64frombits(sum),
		Count: count, ZeroCount: zero, PositiveSpans: s.pspans, NegativeSpans: s.nspans, CustomValues: s.custom,
	}
	h.PositiveBuckets, h.NegativeBuckets = make([]int64, len(s.pos)), make([]int64, len(s.neg))
	for i := range s.pos {
		h.PositiveBuckets[i] = int64(r.xor(&s.pos[i], false))
	}
	for i := range s.neg {
		h.NegativeBuckets[i] = int64(r.xor(&s.neg[i], false))
	}
	return histRecord{h: h}, !r.bad
}
