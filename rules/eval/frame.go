package eval

import "github.com/prometheus/prometheus/model/labels"

// Sample is one element of an instant vector.
type Sample struct {
	Labels labels.Labels // with the metric name
	V      float64
	// Histogram tells that the series holds a native histogram at this time,
	// where a model needs a number. V means nothing then.
	Histogram bool
}

// Frame is what the expressions of a rule return at one time.
type Frame struct {
	// Vectors are in the order of lang.Anomaly.Sources, each sorted by labels.
	Vectors [][]Sample
	// Limit is the vector of a forecast's limit; of a scalar one sample without
	// labels. nil: it is not known at this time.
	Limit []Sample
}
