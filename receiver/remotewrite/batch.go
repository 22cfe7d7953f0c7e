package remotewrite

import (
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
)

// Batch is what a sender puts into one request of either version.
type Batch struct {
	Series []BatchSeries
	// Metadata goes into the metadata messages of a 1.0 request. 2.0 carries
	// metadata in its series and has no place for these.
	Metadata []FamilyMetadata
}

// BatchSeries is one series of a batch. Labels are sorted and complete. A 2.0
// receiver refuses series with both samples and histograms, or with neither.
type BatchSeries struct {
	Labels     labels.Labels
	Samples    []Sample
	Histograms []Histogram
	Exemplars  []exemplar.Exemplar
	// Metadata of the series' family, 2.0 only.
	Metadata metadata.Metadata
}

// FamilyMetadata is one metadata message of a 1.0 request.
type FamilyMetadata struct {
	Family string
	metadata.Metadata
}

// Reset empties the batch and keeps its memory for the next one.
func (b *Batch) Reset() {
	clear(b.Series)
	b.Series, b.Metadata = b.Series[:0], b.Metadata[:0]
}
