package remotewrite

import (
	"encoding/binary"
	"math"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// Encoder writes requests. Its zero value is ready; its buffers are reused. It
// is not for concurrent use.
type Encoder struct {
	symbols map[string]uint32
	table   []byte // the symbol fields
	series  []byte // the timeseries fields
	refs    []uint32
}

// Encode appends the batch as a message of the version, not compressed.
// Start timestamps have no place in 1.0 and are left out there.
func (e *Encoder) Encode(dst []byte, p Protocol, b *Batch) []byte {
	if p == V2 {
		return e.encode2(dst, b)
	}
	for i := range b.Series {
		dst = appendSeries1(dst, &b.Series[i])
	}
	for i := range b.Metadata {
		m := &b.Metadata[i]
		var mark int
		dst, mark = begin(dst, v1Metadata)
		dst = appendVarint(dst, 1, metricTypeNumber(m.Type))
		dst = appendString(dst, 2, m.Family)
		dst = appendString(dst, 4, m.Help)
		dst = appendString(dst, 5, m.Unit)
		dst = finish(dst, mark)
	}
	return dst
}

func appendSeries1(b []byte, s *BatchSeries) []byte {
	b, series := begin(b, v1Timeseries)
	b = appendLabels1(b, v1Labels, s.Labels)
	for _, x := range s.Samples {
		x.ST = 0
		b = appendSample(b, x)
	}
	for _, x := range s.Exemplars {
		var mark int
		b, mark = begin(b, v1Exemplars)
		b = appendLabels1(b, 1, x.Labels)
		b = appendExemplarValue(b, &x)
		b = finish(b, mark)
	}
	for _, x := range s.Histograms {
		x.ST = 0
		b = appendHistogram(b, v1Histograms, &x)
	}
	return finish(b, series)
}

func appendLabels1(b []byte, field int, ls labels.Labels) []byte {
	ls.Range(func(l labels.Label) {
		var mark int
		b, mark = begin(b, field)
		b = appendString(b, 1, l.Name)
		b = appendString(b, 2, l.Value)
		b = finish(b, mark)
	})
	return b
}

// encode2 writes series aside while it numbers their strings: the symbols
// stand first in the request.
func (e *Encoder) encode2(dst []byte, b *Batch) []byte {
	if e.symbols == nil {
		e.symbols = make(map[string]uint32)
	}
	clear(e.symbols)
	e.table, e.series = e.table[:0], e.series[:0]
	e.symbol("") // symbols[0] MUST be empty
	for i := range b.Series {
		e.series2(&b.Series[i])
	}
	return append(append(dst, e.table...), e.series...)
}

func (e *Encoder) symbol(s string) uint32 {
	if n, ok := e.symbols[s]; ok {
		return n
	}
	n := uint32(len(e.symbols)) //nolint:gosec // a request has no 2^32 strings
	e.symbols[s] = n
	e.table = binary.AppendUvarint(append(e.table, v2Symbols<<3|wireBytes), uint64(len(s)))
	e.table = append(e.table, s...)
	return n
}

func (e *Encoder) series2(s *BatchSeries) {
	b, series := begin(e.series, v2Timeseries)
	b = e.appendRefs(b, v2LabelsRefs, s.Labels)
	for _, x := range s.Samples {
		b = appendSample(b, x)
	}
	for _, x := range s.Histograms {
		b = appendHistogram(b, v2Histograms, &x)
	}
	for _, x := range s.Exemplars {
		var mark int
		b, mark = begin(b, v2Exemplars)
		b = e.appendRefs(b, 1, x.Labels)
		b = appendExemplarValue(b, &x)
		b = finish(b, mark)
	}
	if !s.Metadata.IsEmpty() {
		var mark int
		b, mark = begin(b, v2Metadata)
		b = appendVarint(b, 1, metricTypeNumber(s.Metadata.Type))
		b = appendVarint(b, 3, uint64(e.symbol(s.Metadata.Help)))
		b = appendVarint(b, 4, uint64(e.symbol(s.Metadata.Unit)))
		b = finish(b, mark)
	}
	e.series = finish(b, series)
}

func (e *Encoder) appendRefs(b []byte, field int, ls labels.Labels) []byte {
	if ls.IsEmpty() {
		return b
	}
	e.refs = e.refs[:0]
	ls.Range(func(l labels.Label) { e.refs = append(e.refs, e.symbol(l.Name), e.symbol(l.Value)) })
	b, mark := begin(b, field)
	for _, r := range e.refs {
		b = binary.AppendUvarint(b, uint64(r))
	}
	return finish(b, mark)
}

func appendSample(b []byte, s Sample) []byte {
	b, mark := begin(b, fieldSamples)
	b = appendDouble(b, 1, s.V)
	b = appendVarint(b, 2, uint64(s.T))  //nolint:gosec // two's complement on the wire
	b = appendVarint(b, 3, uint64(s.ST)) //nolint:gosec // two's complement on the wire
	return finish(b, mark)
}

func appendExemplarValue(b []byte, e *exemplar.Exemplar) []byte {
	b = appendDouble(b, 2, e.Value)
	return appendVarint(b, 3, uint64(e.Ts)) //nolint:gosec // two's complement on the wire
}

func appendHistogram(b []byte, field int, x *Histogram) []byte {
	b, mark := begin(b, field)
	if h := x.Float; h != nil {
		b = appendDoubleAlways(b, 2, h.Count)
		b = appendShape(b, h.Sum, h.Schema, h.ZeroThreshold)
		b = appendDoubleAlways(b, 7, h.ZeroCount)
		b = appendSpans(b, 8, h.NegativeSpans)
		b = appendDoubles(b, 10, h.NegativeBuckets)
		b = appendSpans(b, 11, h.PositiveSpans)
		b = appendDoubles(b, 13, h.PositiveBuckets)
		b = appendVarint(b, 14, uint64(h.CounterResetHint))
		b = appendVarint(b, 15, uint64(x.T)) //nolint:gosec // two's complement on the wire
		b = appendDoubles(b, 16, h.CustomValues)
	} else if h := x.Int; h != nil {
		b = appendVarintAlways(b, 1, h.Count)
		b = appendShape(b, h.Sum, h.Schema, h.ZeroThreshold)
		b = appendVarintAlways(b, 6, h.ZeroCount)
		b = appendSpans(b, 8, h.NegativeSpans)
		b = appendDeltas(b, 9, h.NegativeBuckets)
		b = appendSpans(b, 11, h.PositiveSpans)
		b = appendDeltas(b, 12, h.PositiveBuckets)
		b = appendVarint(b, 14, uint64(h.CounterResetHint))
		b = appendVarint(b, 15, uint64(x.T)) //nolint:gosec // two's complement on the wire
		b = appendDoubles(b, 16, h.CustomValues)
	}
	b = appendVarint(b, 17, uint64(x.ST)) //nolint:gosec // two's complement on the wire
	return finish(b, mark)
}

func appendShape(b []byte, sum float64, schema int32, zeroThreshold float64) []byte {
	b = appendDouble(b, 3, sum)
	b = appendVarint(b, 4, zig(int64(schema)))
	return appendDouble(b, 5, zeroThreshold)
}

func appendSpans(b []byte, field int, spans []histogram.Span) []byte {
	for _, s := range spans {
		var mark int
		b, mark = begin(b, field)
		b = appendVarint(b, 1, zig(int64(s.Offset)))
		b = appendVarint(b, 2, uint64(s.Length))
		b = finish(b, mark)
	}
	return b
}

func appendDeltas(b []byte, field int, ds []int64) []byte {
	if len(ds) == 0 {
		return b
	}
	b, mark := begin(b, field)
	for _, d := range ds {
		b = binary.AppendUvarint(b, zig(d))
	}
	return finish(b, mark)
}

func appendDoubles(b []byte, field int, fs []float64) []byte {
	if len(fs) == 0 {
		return b
	}
	b, mark := begin(b, field)
	for _, f := range fs {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
	}
	return finish(b, mark)
}

// zig is the zig-zag encoding of signed numbers.
func zig(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) } //nolint:gosec // zig-zag

// begin starts a length-delimited field with one byte for its length.
func begin(b []byte, field int) (_ []byte, mark int) {
	b = binary.AppendUvarint(b, uint64(field)<<3|wireBytes) //nolint:gosec // a constant of this package
	return append(b, 0), len(b)
}

// finish writes the length of the field that began at mark, making room for
// more bytes when the field turned out to be long.
func finish(b []byte, mark int) []byte {
	n := len(b) - mark - 1
	if n < 0x80 {
		b[mark] = byte(n)
		return b
	}
	var tmp [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(tmp[:], uint64(n))
	b = append(b, tmp[:k-1]...)
	copy(b[mark+k:], b[mark+1:mark+1+n])
	copy(b[mark:], tmp[:k])
	return b
}

// Zero values are left out, except that a double keeps its bits: -0 is sent.

func appendVarint(b []byte, field int, v uint64) []byte {
	if v == 0 {
		return b
	}
	return appendVarintAlways(b, field, v)
}

func appendVarintAlways(b []byte, field int, v uint64) []byte {
	b = binary.AppendUvarint(b, uint64(field)<<3|wireVarint) //nolint:gosec // a constant of this package
	return binary.AppendUvarint(b, v)
}

func appendDouble(b []byte, field int, v float64) []byte {
	if math.Float64bits(v) == 0 {
		return b
	}
	return appendDoubleAlways(b, field, v)
}

func appendDoubleAlways(b []byte, field int, v float64) []byte {
	b = binary.AppendUvarint(b, uint64(field)<<3|wireI64) //nolint:gosec // a constant of this package
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

func appendString(b []byte, field int, s string) []byte {
	if s == "" {
		return b
	}
	b = binary.AppendUvarint(b, uint64(field)<<3|wireBytes) //nolint:gosec // a constant of this package
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
