package remotewrite

import "github.com/prometheus/common/model"

// Exemplar is one exemplar of a series. Labels holds what came, unchecked; its
// bytes are those of the request, the slice is the caller's and reused.
type Exemplar struct {
	Labels []Label
	T      int64 // milliseconds, 0 when absent
	V      float64

	refs []uint32
}

// NextExemplar yields the next exemplar of the series. An unusable reference
// is a *LabelError and concerns this exemplar only; any other error ends the
// request.
//
//	1.0: message Exemplar { repeated Label labels = 1; double value = 2; int64 timestamp = 3; }
//	2.0: message Exemplar { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3; }
func (d *Decoder) NextExemplar(e *Exemplar) error {
	want := int32(v1Exemplars)
	if d.proto == V2 {
		want = v2Exemplars
	}
	start, end, next := d.find(d.atExemplar, want)
	d.atExemplar = next
	e.Labels, e.refs, e.T, e.V = e.Labels[:0], e.refs[:0], 0, 0
	if err := d.readExemplar(e, d.s.body[:end], start); err != nil {
		return d.fail(d.s.base+start, "exemplar", err)
	}
	if d.proto == V2 {
		var err error
		e.Labels, err = d.resolve(e.Labels, e.refs)
		return err
	}
	return d.tooMany(len(e.Labels))
}

func (d *Decoder) readExemplar(e *Exemplar, b []byte, i int) (err error) {
	for i < len(b) {
		at := i
		field, wire, j, err := tagAt(b, i)
		if err != nil {
			return err
		}
		switch field {
		case 1:
			if d.proto == V2 {
				e.refs, i, err = readRefs(e.refs, b, j, wire)
				break
			}
			if _, i, err = message(b, j, wire); err == nil {
				e.Labels, err = readLabels1(e.Labels, b[at:i], d.MaxLabels)
			}
		case 2:
			e.V, i, err = double(b, j, wire)
		case 3:
			e.T, i, err = int64At(b, j, wire)
		default:
			i, err = skip(b, j, wire)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// MetricType turns the number of a metadata message into its name; unknown
// numbers are "unknown".
func (m MetadataRefs) MetricType() model.MetricType { return metricType(uint64(m.Type)) }
