// Package load is a deterministic remote write load: what a Kubernetes cluster
// exposes, sent as Prometheus sends it, and read back through the query API to
// see that every acknowledged sample is there.
//
// The same arguments give the same series, times and values, so that two
// servers get equal work. The encoder is written against the specification and
// shares no code with the receiver's decoder.
package load
