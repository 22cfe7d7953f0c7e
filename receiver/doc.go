// Package receiver answers POST /api/v1/write: remote write 1.0 and 2.0 over
// HTTP into the ring.
//
// It promises: the order of checks is method, content type, content encoding,
// draining, concurrency, size, decompression, decoding, so that each bad
// request gets the code of its first fault; one request is one transaction of
// the ring, stored before the answer; valid samples of a request with invalid
// ones are stored and the answer says what was refused and why; a steady
// request (known series) allocates nothing that grows with its size; no
// request holds more memory than Limits say.
//
// It does not know how samples are kept, who may write, or TLS.
package receiver
