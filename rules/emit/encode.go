package emit

import (
	"fmt"

	"github.com/prometheus/prometheus/model/metadata"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// fill appends samples to a batch, one series message a sample: what follows
// in the queue is in the order of time.
func (j *joiner) fill(b *remotewrite.Batch, samples []sample, e external) {
	for i := range samples {
		s := &samples[i]
		bs := remotewrite.BatchSeries{Labels: j.join(s.labels, e), Metadata: s.meta}
		if s.h != nil || s.fh != nil {
			bs.Histograms = []remotewrite.Histogram{{T: s.t, ST: s.st, Int: s.h, Float: s.fh}}
		} else {
			bs.Samples = []remotewrite.Sample{{T: s.t, ST: s.st, V: s.v}}
		}
		b.Series = append(b.Series, bs)
	}
}

// codec turns queued bodies back into batches, to be sent together or as 1.0.
// Its buffers are reused.
type codec struct {
	enc  remotewrite.Encoder
	dec  remotewrite.Decoder
	set  remotewrite.LabelSet
	raw  []byte
	body []byte
}

// encode returns the batch as a compressed body, valid until the next call.
func (c *codec) encode(p remotewrite.Protocol, b *remotewrite.Batch) []byte {
	c.raw = c.enc.Encode(c.raw[:0], p, b)
	c.body = remotewrite.Compress(c.body, c.raw)
	return c.body
}

// decode appends the series of a compressed 2.0 body, as encode wrote it.
func (c *codec) decode(b *remotewrite.Batch, body []byte) error {
	var err error
	if c.raw, err = remotewrite.Decompress(c.raw, body, maxRecordBytes); err != nil {
		return err
	}
	if err := c.dec.Reset(remotewrite.V2, c.raw); err != nil {
		return err
	}
	for c.dec.Next() {
		s := c.dec.Series()
		if err := c.dec.ReadLabels(&c.set); err != nil {
			return fmt.Errorf("cannot read queued labels: %w", err)
		}
		bs := remotewrite.BatchSeries{Labels: c.set.Copy(), Metadata: c.metadata(s.Metadata)}
		for range s.Samples {
			x, err := c.dec.NextSample()
			if err != nil {
				return err
			}
			bs.Samples = append(bs.Samples, x)
		}
		for range s.Histograms {
			x, err := c.dec.NextHistogram()
			if err != nil {
				return err
			}
			if x.Int != nil {
				x.Int = x.Int.Copy()
			} else {
				x.Float = x.Float.Copy()
			}
			bs.Histograms = append(bs.Histograms, x)
		}
		b.Series = append(b.Series, bs)
	}
	return c.dec.Err()
}

func (c *codec) metadata(m remotewrite.MetadataRefs) metadata.Metadata {
	if m == (remotewrite.MetadataRefs{}) {
		return metadata.Metadata{}
	}
	help, _ := c.dec.Symbol(m.HelpRef)
	unit, _ := c.dec.Symbol(m.UnitRef)
	return metadata.Metadata{Type: m.MetricType(), Help: string(help), Unit: string(unit)}
}
