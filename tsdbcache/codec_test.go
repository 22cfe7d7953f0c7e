package tsdbcache

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// values draws columns as they occur: constants, counters, decimals, noise,
// special values.
func drawValues(t *rapid.T, n int) []uint64 {
	kind := rapid.SampledFrom([]string{"const", "counter", "decimal", "noise", "bits", "special", "sparse", "sum", "walk"}).Draw(t, "kind")
	out := make([]uint64, n)
	acc := rapid.Float64Range(-1e6, 1e6).Draw(t, "base")
	for i := range out {
		var v float64
		switch kind {
		case "const":
			v = acc
		case "counter":
			acc = math.Floor(acc) + float64(rapid.IntRange(0, 1000).Draw(t, "step"))
			v = acc
		case "decimal":
			v = math.Round(acc*100)/100 + float64(rapid.IntRange(-500, 500).Draw(t, "cent"))/100
		case "sum":
			acc += math.Round(rapid.Float64Range(0, 9).Draw(t, "second")*1e6) / 1e6
			v = acc
		case "walk":
			acc += rapid.Float64Range(0.1, 0.2).Draw(t, "step")
			v = acc
		case "noise":
			v = acc * rapid.Float64().Draw(t, "v")
		case "bits":
			v = math.Float64frombits(rapid.Uint64().Draw(t, "v"))
		case "special":
			v = rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(0x7ff0000000000002), math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324, 1 << 53, 1<<53 + 2, 1}).Draw(t, "v")
		case "sparse":
			if rapid.IntRange(0, 9).Draw(t, "change") == 0 {
				acc++
			}
			v = math.Floor(acc)
		}
		out[i] = math.Float64bits(v)
	}
	return out
}

func drawTimes(t *rapid.T, from int64, n int) []int64 {
	step := rapid.Int64Range(1, 120_000).Draw(t, "step")
	jitter := rapid.SampledFrom([]int64{0, 0, 3, 5000}).Draw(t, "jitter")
	out := make([]int64, n)
	for i := range out {
		from += step
		if jitter > 0 {
			from += rapid.Int64Range(0, jitter).Draw(t, "j")
		}
		if rapid.IntRange(0, 30).Draw(t, "gap") == 0 {
			from += rapid.Int64Range(1, 1<<31).Draw(t, "gap length")
		}
		out[i] = from
	}
	return out
}

// Blocks decode to the bits they were made of, whatever state they continue.
func TestBlockRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p packer
		start := packState{
			t: rapid.Int64Range(-1e12, 1e13).Draw(t, "t"), dt: rapid.Int64Range(0, 1<<32).Draw(t, "dt"),
			v: rapid.Uint64().Draw(t, "prev"), st: rapid.Int64().Draw(t, "st0"),
			scale: byte(rapid.IntRange(0, maxScale).Draw(t, "scale")), width: uint8(rapid.IntRange(0, 64).Draw(t, "width")), lo: rapid.Int64Range(-99, 99).Draw(t, "lo"),
		}
		n := rapid.IntRange(1, maxBlock).Draw(t, "n")
		ts, vs, st := drawTimes(t, start.t, n), drawValues(t, n), rapid.SampledFrom([]int64{start.st, 0, math.MaxInt64}).Draw(t, "st")
		b, after := p.encode(start, st, ts, vs)
		b = append(slices.Clone(b), 0xff)
		var out points
		s := start
		rest, err := decodeBlock(b, maxBlock, &s, &out)
		if err != nil || len(rest) != 1 {
			t.Fatalf("decode: %v, %d bytes left", err, len(rest))
		}
		if !slices.Equal(out.t, ts) || !slices.Equal(out.v, vs) || slices.ContainsFunc(out.st, func(x int64) bool { return x != st }) {
			t.Fatalf("got %v %x\nwant %v %x", out.t, out.v, ts, vs)
		}
		if s != after {
			t.Fatalf("decoder ends at %+v, encoder at %+v", s, after)
		}
	})
}

// Integer columns survive the extremes of 64 bits.
func TestColumnRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SliceOfN(rapid.OneOf(rapid.Int64(), rapid.Just(int64(0)), rapid.Int64Range(-9, 9)), 1, maxBlock).Draw(t, "c")
		form, lo, width, size := column(c)
		var b []byte
		switch form {
		case colPacked:
			b = putPacked(nil, c, lo, width)
		case colSparse:
			b = putSparse(nil, c)
		}
		if len(b) != size {
			t.Fatalf("form %d takes %d bytes, foretold %d", form, len(b), size)
		}
		got := make([]int64, len(c))
		if rest, ok := readColumn(b, form, got); !ok || len(rest) != 0 || !slices.Equal(got, c) {
			t.Fatalf("got %v want %v", got, c)
		}
	})
}

// Arbitrary page bytes neither panic nor give more samples than the page says.
func FuzzPackedPage(f *testing.F) {
	var p packer
	pg := page(make([]byte, pageSize))
	pg.claim(1, 1, kindPacked, 1)
	ts, vs := []int64{15000, 30000, 45000}, []uint64{math.Float64bits(1), math.Float64bits(2), math.Float64bits(2.5)}
	startPacked(pg, ts, vs)
	_, used := pg.published()
	_, start, _ := readStart(pg, pg[pageHeader:pageHeader+used])
	b, _ := p.encode(start, 7, ts, vs)
	copy(pg[pageHeader+used:], b)
	pg.publish(3, used+len(b))
	f.Add([]byte(pg))
	f.Add(make([]byte, pageSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		pg := page(make([]byte, pageSize))
		copy(pg, b)
		var out points
		n, _ := pg.published()
		_, err := decodePacked(pg, &out)
		if len(out.t) > n || err == nil && len(out.t) != n || len(out.t) != len(out.v) || len(out.t) != len(out.st) {
			t.Fatalf("%d times, %d values of %d samples, err %v", len(out.t), len(out.v), n, err)
		}
	})
}

// Arbitrary record bytes neither panic nor allocate without bound.
func FuzzHistogramRecords(f *testing.F) {
	var s histState
	h := testHistogram(3)
	f.Add(appendRecord(nil, &s, 1, 2, flatten(h, nil, 0)), 1)
	s = histState{}
	f.Add(appendRecord(nil, &s, 1, 2, flatten(nil, h.ToFloat(nil), 0)), 1)
	f.Add(binary.AppendUvarint([]byte{0, 0, 0}, math.MaxUint64), 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		var out points
		if err := decodeRecords(b, n&0xff, func(int) bool { return true }, &out); err == nil && len(out.t) != n&0xff {
			t.Fatalf("%d of %d records without an error", len(out.t), n&0xff)
		}
	})
}
