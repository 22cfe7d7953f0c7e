package upstream

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/promql"

	shortway "github.com/chironhq/chiron/internal/promql"
)

// A codec of the stock API has to return an answer as one slice, which for a
// thousand series takes fifty megabytes. So a matrix of the short way goes
// around it: the query leaves it with the request's stream and gives the API an
// empty one, and the stream writes it in pieces where the empty one comes by.

// stream is the way around the codec for one request.
type stream struct {
	http.ResponseWriter
	matrix promql.Matrix // what the answer lacks; nil: nothing
}

// streamed lets the queries of a handler go around the codec, but for those
// whose result the stock API cuts to a limit, or whose answer it compresses.
func streamed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		accept := r.Header.Get("Accept-Encoding")
		if r.FormValue("limit") != "" || strings.Contains(accept, "gzip") || strings.Contains(accept, "deflate") {
			next(w, r)
			return
		}
		s := &stream{ResponseWriter: w}
		next(s, r.WithContext(shortway.WithSink(r.Context(), func(m promql.Matrix) { s.matrix = m })))
	}
}

// Write passes on p, with the matrix in it.
func (s *stream) Write(p []byte) (int, error) {
	if s.matrix == nil {
		return s.ResponseWriter.Write(p)
	}
	m := s.matrix
	s.matrix = nil
	at := bytes.Index(p, emptyResult)
	if at < 0 {
		return 0, errors.New("cannot find the place of the result in its answer")
	}
	at += len(emptyResult) - 1
	if _, err := s.ResponseWriter.Write(p[:at]); err != nil {
		return 0, err
	}
	if err := writeMatrix(s.ResponseWriter, m); err != nil {
		return at, err
	}
	n, err := s.ResponseWriter.Write(p[at:])
	return at + n, err
}

// pieceBytes is about how much is written at once.
const pieceBytes = 1 << 16

var encoders = sync.Pool{New: func() any { return new(jsonEncoder) }}

// writeMatrix writes the series of a matrix, without the brackets around them.
func writeMatrix(w io.Writer, m promql.Matrix) error {
	e := encoders.Get().(*jsonEncoder)
	defer encoders.Put(e)
	e.b, e.times = e.b[:0], e.times[:0]
	for i := range m {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.series(&m[i])
		if len(e.b) >= pieceBytes || i == len(m)-1 {
			if _, err := w.Write(e.b); err != nil {
				return err
			}
			e.b = e.b[:0]
		}
	}
	return nil
}
