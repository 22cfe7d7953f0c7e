package eval

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// A record is what is saved of one series, or of the one model of all series:
//
//	byte    layout, recordLayout
//	byte    kind: a series, one that has ended, or the model of all series
//	varint  time up to which it has learned, milliseconds
//	of a series: labels, varint born, varint seen, bytes state
//	of one that has ended: labels, varint born; the time is when it ended
//	of the model of all: bytes state, uvarint series, then for each
//	        labels, varint born, varint seen, byte stage
//	crc32 (Castagnoli, little endian) of everything before it
//
// Labels are a uvarint, how many, then name and value of each. Texts and bytes
// stand behind their length as uvarint. A state begins with a byte for the
// model and one for the version of its layout (package detect).
const recordLayout = 1

const (
	kindSeries byte = iota + 1
	kindEnded
	kindAll
)

// AllKey is the key of the record of a model that judges all series together.
// No series has it: the labels of a series never begin with this byte.
const AllKey = "\xff all"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errRecord says that bytes are no record.
var errRecord = errors.New("not a record of a model")

// Shared reports whether one model judges all series together, so that there
// is one record, with the key AllKey, and none of the series.
func (r *Rule) Shared() bool { return r.group != nil }

// EndedKey is the key of AppendEnded's record: of each life of a series its own.
func (s *Series) EndedKey() string {
	return "\xff ended " + strconv.FormatInt(s.born, 10) + " " + s.key
}

// Series appends the series that the rule follows to into, in no order. They
// may end with any step; Record tells.
func (r *Rule) Series(into []*Series) []*Series {
	for _, s := range r.series {
		into = append(into, s)
	}
	return into
}

// AppendRecord appends the record of one series; ok is false when it has ended.
// It also takes the size of its model anew.
func (r *Rule) AppendRecord(b []byte, s *Series) (record []byte, ok bool, err error) {
	if r.series[s.key] != s {
		return b, false, nil
	}
	r.measure(s)
	start := len(b)
	b = append(b, recordLayout, kindSeries)
	b = binary.AppendVarint(b, r.upTo(s.loaded))
	b = appendLabels(b, s.labels)
	b = binary.AppendVarint(b, s.born)
	b = binary.AppendVarint(b, s.seen)
	state, err := s.learner().AppendBinary(nil)
	if err != nil {
		return b[:start], false, fmt.Errorf("cannot save the model of %s: %w", s.labels, err)
	}
	return seal(appendBytes(b, state), start), true, nil
}

// AppendEnded appends the record of a series that has ended, which replaces
// that of the series and is needed until everything that was saved has learned
// beyond that time. Of a rule that is Shared none is needed.
func (r *Rule) AppendEnded(b []byte, s *Series) []byte {
	start := len(b)
	b = append(b, recordLayout, kindEnded)
	b = binary.AppendVarint(b, s.until)
	b = appendLabels(b, s.labels)
	return seal(binary.AppendVarint(b, s.born), start)
}

// AppendAll appends the record of the model of all series.
func (r *Rule) AppendAll(b []byte) ([]byte, error) {
	r.measureShared()
	start := len(b)
	b = append(b, recordLayout, kindAll)
	b = binary.AppendVarint(b, r.upTo(r.group1))
	state, err := r.group.AppendBinary(nil)
	if err != nil {
		return b[:start], fmt.Errorf("cannot save the model: %w", err)
	}
	b = binary.AppendUvarint(appendBytes(b, state), uint64(len(r.series)))
	for _, key := range slices.Sorted(maps.Keys(r.series)) {
		s := r.series[key]
		b = appendLabels(b, s.labels)
		b = binary.AppendVarint(b, s.born)
		b = binary.AppendVarint(b, s.seen)
		b = append(b, byte(s.state))
	}
	return seal(b, start), nil
}

// upTo is the time up to which something has learned that was loaded.
func (r *Rule) upTo(loaded int64) int64 { return max(r.last, loaded) }

// Load takes in a record. One that is damaged, or of a layout or a model's
// version that this build does not know, is an error and changes nothing.
func (r *Rule) Load(record []byte) error {
	if len(record) < 6 {
		return fmt.Errorf("%w: it ends early", errRecord)
	}
	body, sum := record[:len(record)-4], binary.LittleEndian.Uint32(record[len(record)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return fmt.Errorf("%w: the checksum is wrong, so it is damaged", errRecord)
	}
	if body[0] != recordLayout {
		return fmt.Errorf("%w: layout %d, this build reads %d", errRecord, body[0], recordLayout)
	}
	p := &recordReader{b: body[2:]}
	upTo := p.varint()
	var err error
	switch kind := body[1]; {
	case kind == kindSeries && r.group == nil:
		err = r.loadSeries(p, upTo)
	case kind == kindEnded && r.group == nil:
		err = r.loadEnded(p, upTo)
	case kind == kindAll && r.group != nil:
		err = r.loadAll(p, upTo)
	default:
		err = fmt.Errorf("%w: kind %d does not go with the rule", errRecord, kind)
	}
	if err != nil {
		return err
	}
	r.loaded, r.now, r.before = max(r.loaded, upTo), max(r.now, upTo), max(r.before, upTo)
	return nil
}

func (r *Rule) loadSeries(p *recordReader, upTo int64) error {
	ls := p.labels()
	born, seen, state := p.varint(), p.varint(), p.bytes()
	if err := p.done(); err != nil {
		return err
	}
	s, err := r.make(r.keyOf(ls), ls)
	if err != nil {
		return err
	}
	for _, ended := range r.gone[s.key] {
		if ended.born == born {
			return nil // saved earlier in the same life
		}
	}
	if err := s.learner().UnmarshalBinary(state); err != nil {
		return fmt.Errorf("model of %s: %w", ls, err)
	}
	if old := r.series[s.key]; old != nil {
		r.drop(old)
	}
	s.born, s.seen, s.loaded = born, seen, upTo
	r.keep(s)
	return nil
}

func (r *Rule) loadEnded(p *recordReader, upTo int64) error {
	ls := p.labels()
	born := p.varint()
	if err := p.done(); err != nil {
		return err
	}
	key := r.keyOf(ls)
	if s := r.series[key]; s != nil && s.born == born {
		r.drop(s)
	}
	r.bury(key, ls, born, upTo)
	return nil
}

func (r *Rule) loadAll(p *recordReader, upTo int64) error {
	state := p.bytes()
	members := make([]*Series, 0, p.count())
	for range cap(members) {
		ls := p.labels()
		born, seen, stage := p.varint(), p.varint(), p.byte()
		if stage > byte(detect.Frozen) {
			p.fail()
		}
		if p.failed {
			break
		}
		s, err := r.make(r.keyOf(ls), ls)
		if err != nil {
			return err
		}
		s.born, s.seen, s.loaded, s.state = born, seen, upTo, detect.State(stage)
		members = append(members, s)
	}
	if err := p.done(); err != nil {
		return err
	}
	group, _, err := groupOf(r.spec)
	if err != nil {
		return err
	}
	if err := group.UnmarshalBinary(state); err != nil {
		return err
	}
	for _, s := range r.series {
		r.drop(s)
	}
	r.group, r.group1 = group, upTo
	r.measureShared()
	for _, s := range members {
		r.keep(s)
	}
	return nil
}

// CopyAs makes a rule of another text that has learned the same, as far as the
// two have the same learned key (lang.Anomaly.LearnedKey). What does not fit
// learns anew, and the first reason is returned beside the copy.
func (r *Rule) CopyAs(spec *lang.Anomaly) (copied *Rule, refused int, reason, err error) {
	copied, err = New(spec)
	if err != nil {
		return nil, 0, nil, err
	}
	load := func(record []byte) {
		if err := copied.Load(record); err != nil {
			refused++
			reason = errors.Join(reason, err)
		}
	}
	var b []byte
	if r.group != nil {
		if b, err = r.AppendAll(b); err != nil {
			return nil, 0, nil, err
		}
		load(b)
	} else {
		for _, s := range r.series {
			if b, _, err = r.AppendRecord(b[:0], s); err != nil {
				return nil, 0, nil, err
			}
			load(b)
		}
	}
	copied.room = r.room
	if refused > 0 && copied.Len() == 0 {
		return copied, refused, reason, nil
	}
	for key, lives := range r.gone {
		for _, s := range lives {
			copied.bury(key, s.labels, s.born, s.until)
		}
	}
	copied.now, copied.before, copied.loaded = r.now, r.before, max(r.loaded, r.last)
	return copied, refused, reason, nil
}

// keyOf is the key of a series with those labels.
func (r *Rule) keyOf(ls labels.Labels) string {
	if r.spec.Inputs != nil {
		return string(ls.BytesWithLabels(nil, r.join...))
	}
	return string(ls.BytesWithoutLabels(nil, labels.MetricName))
}

func seal(b []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func appendLabels(b []byte, ls labels.Labels) []byte {
	b = binary.AppendUvarint(b, uint64(ls.Len()))
	ls.Range(func(l labels.Label) { b = appendBytes(appendBytes(b, l.Name), l.Value) })
	return b
}

func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// recordReader reads the fields of a record; after the first failure it gives zeros.
type recordReader struct {
	b      []byte
	failed bool
}

func (p *recordReader) fail() { p.failed, p.b = true, nil }

func (p *recordReader) done() error {
	if p.failed || len(p.b) > 0 {
		return fmt.Errorf("%w: the lengths do not add up", errRecord)
	}
	return nil
}

// count reads how many things follow; each takes a byte at least.
func (p *recordReader) count() int {
	v, n := binary.Uvarint(p.b)
	if n <= 0 || v > uint64(len(p.b)-n) {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return int(v)
}

func (p *recordReader) varint() int64 {
	v, n := binary.Varint(p.b)
	if n <= 0 || v < -math.MaxInt64/4 || v > math.MaxInt64/4 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *recordReader) byte() byte {
	if len(p.b) == 0 {
		p.fail()
		return 0
	}
	v := p.b[0]
	p.b = p.b[1:]
	return v
}

// bytes aliases the record.
func (p *recordReader) bytes() []byte {
	n := p.count()
	if p.failed {
		return nil
	}
	v := p.b[:n]
	p.b = p.b[n:]
	return v
}

// labels reads labels in the order of their names, none of them the metric's.
func (p *recordReader) labels() labels.Labels {
	n := p.count()
	b := labels.NewScratchBuilder(n)
	before := ""
	for range n {
		name, value := string(p.bytes()), string(p.bytes())
		if p.failed || name <= before || name == labels.MetricName || value == "" {
			p.fail()
			return labels.EmptyLabels()
		}
		before = name
		b.Add(name, value)
	}
	return b.Labels()
}

// Born is the time of the series' first step, milliseconds.
func (s *Series) Born() int64 { return s.born }
