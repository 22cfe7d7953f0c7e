package receiver

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/golang/snappy"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// firstRead is how much is allocated for a body before any of it arrived,
// whatever Content-Length claims.
const firstRead = 4 << 10

// readBody reads the compressed body into r.body within the limits of size and
// time. It returns 0, or the code that it answered.
func (r *request) readBody() int {
	limit := r.h.limits.CompressedBytes
	if r.req.ContentLength > limit {
		return r.tooLarge()
	}
	r.readDeadline(time.Now().Add(r.h.limits.ReadTimeout))
	b := r.body[:0]
	if cap(b) == 0 {
		b = make([]byte, 0, min(firstRead, limit+1))
	}
	for {
		if len(b) == cap(b) {
			// Doubled, not taken as announced: who holds memory has sent half of it.
			size := min(2*int64(cap(b)), limit+1)
			if !r.hold(size + int64(cap(r.raw))) {
				return r.overloaded()
			}
			b = append(make([]byte, 0, size), b...)
		}
		n, err := r.req.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		r.body = b
		if int64(len(b)) > limit {
			return r.tooLarge()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return r.readFailed(err)
		}
	}
	r.readDeadline(time.Time{})
	r.h.metrics.bytes.Add(float64(len(b)))
	return 0
}

// holdDecoded holds what the body decompresses to. A claim that Decompress
// will refuse holds nothing.
func (r *request) holdDecoded() bool {
	n, err := snappy.DecodedLen(r.body)
	if err != nil || int64(n) > r.h.limits.DecompressedBytes || n > 64*len(r.body) {
		return true
	}
	return r.hold(int64(cap(r.body)) + int64(max(n, cap(r.raw)))*decodedFactor)
}

// What decoding makes of a decompressed byte at most, the byte included: a 2.0
// symbol of two bytes takes eight in tables, a sample 32. Histograms and
// exemplars become objects, of these bytes and what they hold.
const (
	decodedFactor  = 5
	histogramBytes = 512
	exemplarBytes  = 512
)

// holdObjects holds what the histograms and exemplars of a series become.
func (r *request) holdObjects(s *remotewrite.Series) bool {
	return r.hold(r.held + int64(s.Histograms)*histogramBytes + int64(s.Exemplars)*exemplarBytes)
}

func (r *request) tooLarge() int {
	return r.fail(http.StatusRequestEntityTooLarge, "body is larger than %d bytes", r.h.limits.CompressedBytes)
}

func (r *request) readFailed(err error) int {
	var max *http.MaxBytesError
	switch {
	case errors.As(err, &max):
		return r.fail(http.StatusRequestEntityTooLarge, "body is larger than %d bytes", max.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		// Not 408: a 4xx would tell the sender to drop its data.
		return r.later(http.StatusServiceUnavailable, "body did not arrive within %v", r.h.limits.ReadTimeout)
	}
	return r.fail(http.StatusBadRequest, "cannot read body: %v", err)
}

// readDeadline bounds how long a slow sender may hold a slot. Writers that
// cannot, as in tests without a connection, go unbounded.
func (r *request) readDeadline(t time.Time) {
	if c, ok := r.w.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = c.SetReadDeadline(t)
		return
	}
	_ = http.NewResponseController(r.w).SetReadDeadline(t)
}
