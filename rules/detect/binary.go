package detect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Model states are a byte that names the model, a byte with the version of its
// layout, and the fields in order: floats as 8 bytes, or 4, little endian, integers as
// varints, slices after their length.
const (
	idZScore byte = iota + 1
	idMAD
	idSeasonal
	idHoltWinters
	idAuto
	idAny
	idAll
	idScorer
)

// Models of one series that look at more than a level and a season.
const (
	idTrend byte = iota + 20
	idQuantile
	idChangepoint
	idCount
	idProphet
	idSpectral
	idDiscord
)

// errState says that bytes are no state of this model.
var errState = errors.New("not a state of this model")

// writer appends fields.
type writer struct{ b []byte }

func newWriter(b []byte, id, version byte) *writer { return &writer{append(b, id, version)} }

func (w *writer) float(v float64) {
	w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(v))
}
func (w *writer) int(v int64) { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) bool(v bool) {
	n := int64(0)
	if v {
		n = 1
	}
	w.int(n)
}

func (w *writer) floats(vs []float64) {
	w.int(int64(len(vs)))
	for _, v := range vs {
		w.float(v)
	}
}

func (w *writer) float32s(vs []float32) {
	w.int(int64(len(vs)))
	for _, v := range vs {
		w.b = binary.LittleEndian.AppendUint32(w.b, math.Float32bits(v))
	}
}

// part appends the state of something that encodes itself.
func (w *writer) part(m interface{ AppendBinary([]byte) ([]byte, error) }) error {
	b, err := m.AppendBinary(nil)
	w.int(int64(len(b)))
	w.b = append(w.b, b...)
	return err
}

// reader reads the fields back; after the first failure it gives zeros.
type reader struct {
	b   []byte
	err error
}

func newReader(b []byte, id, version byte) *reader {
	if len(b) < 2 || b[0] != id {
		return &reader{err: errState}
	}
	if b[1] != version {
		return &reader{err: fmt.Errorf("%w: layout %d, this build reads %d", errState, b[1], version)}
	}
	return &reader{b: b[2:]}
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errState, what)
	}
	r.b = nil
}

func (r *reader) float() float64 {
	if len(r.b) < 8 {
		r.fail("it ends early")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("it ends early")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many of something there have been.
func (r *reader) count() int64 {
	n := r.int()
	if n < 0 || n > 1<<53 {
		r.fail("a count that cannot be")
		return 0
	}
	return n
}

func (r *reader) bool() bool { return r.index(2) == 1 }

// beyondState is the magnitude that no number of a state has: values stay below
// beyondUse, so what is summed of their squares stays far below.
const beyondState = 1e250

// floats fills a slice of a known length with finite numbers.
func (r *reader) floats(into []float64) {
	r.extended(into)
	for _, v := range into {
		if !(math.Abs(v) < beyondState) {
			r.fail("a number that cannot be")
			return
		}
	}
}

// extended is floats where a number may be infinite or missing, too.
func (r *reader) extended(into []float64) {
	if n := r.int(); n != int64(len(into)) {
		r.fail(fmt.Sprintf("%d values where the configuration has %d", n, len(into)))
		return
	}
	for i := range into {
		into[i] = r.float()
	}
}

// float32s fills a slice of a known length.
func (r *reader) float32s(into []float32) {
	n := r.int()
	if n != int64(len(into)) || 4*n > int64(len(r.b)) {
		r.fail(fmt.Sprintf("%d values where there must be %d", n, len(into)))
		return
	}
	for i := range into {
		into[i] = math.Float32frombits(binary.LittleEndian.Uint32(r.b[4*i:]))
	}
	r.b = r.b[4*n:]
}

// index reads a number from 0 to below n.
func (r *reader) index(n int) int {
	v := r.int()
	if v < 0 || v >= int64(n) {
		r.fail("a number out of range")
		return 0
	}
	return int(v)
}

// part gives the bytes of something that decodes itself.
func (r *reader) part(m interface{ UnmarshalBinary([]byte) error }) {
	b := r.skip()
	if r.err == nil {
		r.err = m.UnmarshalBinary(b)
	}
}

// skip passes over the bytes of a part and returns them.
func (r *reader) skip() []byte {
	n := r.int()
	if r.err != nil || n < 0 || n > int64(len(r.b)) {
		r.fail("it ends early")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// done returns the first failure; bytes left over are one.
func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes are left over")
	}
	return r.err
}

// text reads a short string.
func (r *reader) text(most int) string {
	n := r.int()
	if n < 0 || n > int64(min(most, len(r.b))) {
		r.fail("a text that is too long")
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// text writes a string that text reads.
func (w *writer) text(s string) {
	w.int(int64(len(s)))
	w.b = append(w.b, s...)
}
