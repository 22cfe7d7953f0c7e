package remotewrite

import "github.com/prometheus/common/model"

//	message WriteRequest {
//	  repeated TimeSeries timeseries = 1;
//	  reserved 2;
//	  repeated MetricMetadata metadata = 3;
//	}
//
//	message TimeSeries {
//	  repeated Label labels = 1;
//	  repeated Sample samples = 2;
//	  repeated Exemplar exemplars = 3;
//	  repeated Histogram histograms = 4;
//	}
//
// message Label { string name = 1; string value = 2; }
//
//	message MetricMetadata {
//	  MetricType type = 1; string metric_family_name = 2; string help = 4; string unit = 5;
//	}
const (
	v1Timeseries = 1
	v1Metadata   = 3
	v1Labels     = 1
	v1Exemplars  = 3
	v1Histograms = 4
)

// Metadata is one metadata message of a 1.0 request. Its bytes are those of
// the request and valid as long.
type Metadata struct {
	Type               model.MetricType
	Family, Help, Unit []byte
}

func (d *Decoder) next1() bool {
	for d.i < len(d.b) {
		at := d.i
		field, wire, i, err := tagAt(d.b, at)
		if err != nil {
			d.fail(at, "request", err) //nolint:errcheck // kept in d.err
			return false
		}
		switch field {
		case v1Timeseries:
			start, end, err := message(d.b, i, wire)
			if err != nil {
				d.fail(at, "timeseries", err) //nolint:errcheck // kept in d.err
				return false
			}
			d.i = end
			return d.series1(start, end)
		case v1Metadata:
			if wire != wireBytes {
				d.fail(at, "metadata", errWireType) //nolint:errcheck // kept in d.err
				return false
			}
			if d.firstMetadata < 0 {
				d.firstMetadata, d.atMetadata = at, at
			}
			fallthrough
		default:
			if d.i, err = skip(d.b, i, wire); err != nil {
				d.fail(at, "request", err) //nolint:errcheck // kept in d.err
				return false
			}
		}
	}
	return false
}

// series1 walks the fields of a series once: labels are bounded, the rest is
// counted.
func (d *Decoder) series1(start, end int) bool {
	d.start(start, end)
	s, b := &d.s, d.s.body
	i := shortFields(b, v1Labels<<3|wireBytes) // nearly always all labels
	s.labels = i
	scattered := false
	for i < len(b) {
		at := i
		if end, ok := shortField(b, i, fieldSamples<<3|wireBytes); ok {
			if s.Samples++; s.Samples == 1 {
				d.atSample = at
			}
			i = end
			continue
		}
		field, wire, j, err := tagAt(b, i)
		if err == nil {
			switch field {
			case v1Labels, fieldSamples, v1Exemplars, v1Histograms:
				_, i, err = message(b, j, wire)
			default:
				i, err = skip(b, j, wire)
			}
		}
		if err != nil {
			d.fail(start+at, "timeseries", err) //nolint:errcheck // kept in d.err
			return false
		}
		switch field {
		case v1Labels:
			if at == s.labels {
				s.labels = i
			} else {
				scattered = true
			}
		case fieldSamples:
			if s.Samples++; s.Samples == 1 {
				d.atSample = at
			}
		case v1Exemplars:
			if s.Exemplars++; s.Exemplars == 1 {
				d.atExemplar = at
			}
		case v1Histograms:
			if s.Histograms++; s.Histograms == 1 {
				d.atHistogram = at
			}
		}
	}
	s.Labels = b[:s.labels]
	if scattered {
		d.gatherLabels()
	}
	return true
}

// gatherLabels copies label fields that do not stand together at the start,
// which is legal and rare, so that the key of a series is one run of bytes.
func (d *Decoder) gatherLabels() {
	b := d.s.body
	d.scratch = d.scratch[:0]
	for i := 0; i < len(b); {
		at := i
		field, wire, j, err := tagAt(b, i)
		if err != nil {
			return // walked before
		}
		if i, err = skip(b, j, wire); err != nil {
			return
		}
		if field == v1Labels {
			d.scratch = append(d.scratch, b[at:i]...)
		}
	}
	d.s.Labels = d.scratch
}

// readLabels1 appends the labels of a run of label fields, and one more than
// limit at most.
func readLabels1(ls []Label, b []byte, limit int) ([]Label, error) {
	for i := 0; i < len(b) && (limit == 0 || len(ls) <= limit); {
		_, wire, j, err := tagAt(b, i)
		if err != nil {
			return ls, err
		}
		start, end, err := message(b, j, wire)
		if err != nil {
			return ls, err
		}
		l, err := readLabel(b[:end], start)
		if err != nil {
			return ls, err
		}
		ls, i = append(ls, l), end
	}
	return ls, nil
}

func readLabel(b []byte, i int) (l Label, err error) {
	for i < len(b) {
		field, wire, j, err := tagAt(b, i)
		if err != nil {
			return l, err
		}
		switch field {
		case 1, 2:
			start, end, err := message(b, j, wire)
			if err != nil {
				return l, err
			}
			if field == 1 {
				l.Name = b[start:end]
			} else {
				l.Value = b[start:end]
			}
			i = end
		default:
			if i, err = skip(b, j, wire); err != nil {
				return l, err
			}
		}
	}
	return l, nil
}

// NextMetadata yields the metadata messages of a 1.0 request. It is called
// after Next has returned false; false means that there is no more, or that
// the message is malformed, see Err.
func (d *Decoder) NextMetadata() (m Metadata, ok bool) {
	if d.err != nil || d.proto != V1 || d.firstMetadata < 0 {
		return m, false
	}
	for d.atMetadata < len(d.b) {
		at := d.atMetadata
		field, wire, i, err := tagAt(d.b, at)
		if err == nil && field == v1Metadata {
			var start, end int
			if start, end, err = message(d.b, i, wire); err == nil {
				d.atMetadata = end
				if m, err = readMetadata1(d.b[:end], start); err == nil {
					return m, true
				}
			}
		} else if err == nil {
			d.atMetadata, err = skip(d.b, i, wire)
		}
		if err != nil {
			d.fail(at, "metadata", err) //nolint:errcheck // kept in d.err
			return m, false
		}
	}
	return m, false
}

func readMetadata1(b []byte, i int) (m Metadata, err error) {
	m.Type = model.MetricTypeUnknown
	for i < len(b) {
		field, wire, j, err := tagAt(b, i)
		if err != nil {
			return m, err
		}
		switch field {
		case 1:
			var v uint64
			if v, i, err = uint64At(b, j, wire); err != nil {
				return m, err
			}
			m.Type = metricType(v)
		case 2, 4, 5:
			start, end, err := message(b, j, wire)
			if err != nil {
				return m, err
			}
			switch field {
			case 2:
				m.Family = b[start:end]
			case 4:
				m.Help = b[start:end]
			case 5:
				m.Unit = b[start:end]
			}
			i = end
		default:
			if i, err = skip(b, j, wire); err != nil {
				return m, err
			}
		}
	}
	return m, nil
}

// Both versions number the metric types alike.
var metricTypes = [...]model.MetricType{
	model.MetricTypeUnknown, model.MetricTypeCounter, model.MetricTypeGauge, model.MetricTypeHistogram,
	model.MetricTypeGaugeHistogram, model.MetricTypeSummary, model.MetricTypeInfo, model.MetricTypeStateset,
}

func metricType(v uint64) model.MetricType {
	if i := uint32(v); i < uint32(len(metricTypes)) { //nolint:gosec // enums are 32 bits
		return metricTypes[i]
	}
	return model.MetricTypeUnknown
}

func metricTypeNumber(t model.MetricType) uint64 {
	for i, x := range metricTypes {
		if x == t {
			return uint64(i)
		}
	}
	return 0
}
