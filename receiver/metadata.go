package receiver

import (
	"bytes"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// metadataSeen remembers which metadata of a 2.0 request was looked at: every
// series repeats that of its family. A collision only costs a second look.
type metadataSeen [256]struct {
	name uint32 // reference of the metric name, plus one
	refs remotewrite.MetadataRefs
}

func (m *metadataSeen) reset() { *m = metadataSeen{} }

// metadataRefs says whether the metadata of a series refers to symbols.
func (r *request) metadataRefs(s *remotewrite.Series) bool {
	n := uint64(r.dec.Symbols())
	return uint64(s.Metadata.HelpRef) < max(n, 1) && uint64(s.Metadata.UnitRef) < max(n, 1)
}

// metadataV2 keeps the metadata of a 2.0 series for its metric family.
func (r *request) metadataV2(s *remotewrite.Series) {
	name, ok := r.nameRef(s.Refs)
	if !ok {
		return
	}
	seen := &r.seen[name%uint32(len(r.seen))]
	if seen.name == name+1 && seen.refs == s.Metadata {
		return
	}
	seen.name, seen.refs = name+1, s.Metadata
	metric, _ := r.dec.Symbol(name)
	help, _ := r.dec.Symbol(s.Metadata.HelpRef)
	unit, _ := r.dec.Symbol(s.Metadata.UnitRef)
	typ := s.Metadata.MetricType()
	r.keepMetadata(family(metric, typ), typ, help, unit)
}

// nameRef finds the reference of the metric name, nearly always the first.
func (r *request) nameRef(refs []uint32) (uint32, bool) {
	for i := 0; i+1 < len(refs); i += 2 {
		if b, ok := r.dec.Symbol(refs[i]); ok && string(b) == labels.MetricName {
			return refs[i+1], true
		}
	}
	return 0, false
}

// metadataV1 keeps the metadata messages of a 1.0 request.
func (r *request) metadataV1() error {
	for {
		m, ok := r.dec.NextMetadata()
		if !ok {
			return r.dec.Err()
		}
		if len(m.Family) > 0 && len(m.Family) <= r.h.limits.LabelValueBytes && utf8.Valid(m.Family) {
			r.keepMetadata(m.Family, m.Type, m.Help, m.Unit)
		}
	}
}

// maxMetadataText is how much of a help text is kept, in bytes.
const maxMetadataText = 4 << 10

// keepMetadata hands metadata to the ring if it says anything new.
func (r *request) keepMetadata(family []byte, typ model.MetricType, help, unit []byte) {
	help, unit = cut(help), cut(unit)
	have, ok := r.h.db.Metadata(unsafe.String(unsafe.SliceData(family), len(family)))
	if ok && have.Type == typ && have.Help == string(help) && have.Unit == string(unit) {
		return
	}
	r.tx.Metadata(string(family), metadata.Metadata{
		Type: typ,
		Help: strings.ToValidUTF8(string(help), "\uFFFD"),
		Unit: strings.ToValidUTF8(string(unit), "\uFFFD"),
	})
}

// cut shortens a text between two characters.
func cut(b []byte) []byte {
	if len(b) <= maxMetadataText {
		return b
	}
	b = b[:maxMetadataText]
	for n := 1; n < utf8.UTFMax && n < len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				b = b[:len(b)-n]
			}
			break
		}
	}
	return b
}

// familySuffixes are what a type adds to the name of its family.
var familySuffixes = map[model.MetricType][][]byte{
	model.MetricTypeCounter:        {[]byte("_total"), []byte("_created")},
	model.MetricTypeHistogram:      {[]byte("_bucket"), []byte("_sum"), []byte("_count"), []byte("_created")},
	model.MetricTypeGaugeHistogram: {[]byte("_bucket"), []byte("_gsum"), []byte("_gcount"), []byte("_sum"), []byte("_count")},
	model.MetricTypeSummary:        {[]byte("_sum"), []byte("_count"), []byte("_created")},
	model.MetricTypeInfo:           {[]byte("_info")},
}

// family is the metric family of a metric of this type.
func family(metric []byte, typ model.MetricType) []byte {
	for _, suffix := range familySuffixes[typ] {
		if f, ok := bytes.CutSuffix(metric, suffix); ok && len(f) > 0 {
			return f
		}
	}
	return metric
}
