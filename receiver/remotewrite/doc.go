// Package remotewrite reads and writes both versions of the Prometheus remote
// write message: 1.0 (prometheus.WriteRequest) and 2.0
// (io.prometheus.write.v2.Request).
//
// It promises that a Decoder reads any bytes without a panic, with memory
// bounded by the length of the input, with no allocation once its buffers have
// grown, and yields what the generated protobuf decoders would yield. What a
// Decoder yields points into the input and into buffers of the Decoder; each
// method says for how long it is valid.
//
// It knows bytes, labels and histograms. It does not know HTTP bodies, stores,
// clocks, or which samples are too old.
package remotewrite
