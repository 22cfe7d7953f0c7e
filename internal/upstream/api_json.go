package upstream

import (
	"bytes"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"
)

// jsonCodec writes the results of queries as the stock codec does, byte for
// byte, in one pass over a slice of the right size. It leaves histograms, and
// everything around the result, to the stock codec.
type jsonCodec struct{ apiv1.JSONCodec }

// floats tells whether a result has no histograms.
func floats(result any) bool {
	switch result := result.(type) {
	case promql.Matrix:
		return !slices.ContainsFunc(result, func(s promql.Series) bool { return len(s.Histograms) > 0 })
	case promql.Vector:
		return !slices.ContainsFunc(result, func(s promql.Sample) bool { return s.H != nil })
	}
	return false
}

// emptyResult is where the stock codec puts a result, when it is empty. Nothing
// that a user can name comes before it.
var emptyResult = []byte(`"result":[]`)

// Encode writes the answer around an empty result, and the result into it.
func (c jsonCodec) Encode(resp *apiv1.Response) ([]byte, error) {
	given, ok := resp.Data.(*apiv1.QueryData)
	if !ok || !floats(given.Result) {
		return c.JSONCodec.Encode(resp)
	}
	data, result := *given, given.Result
	around := *resp
	around.Data = &data
	var enc jsonEncoder
	switch result := result.(type) {
	case promql.Matrix:
		data.Result = promql.Matrix{}
		enc.left = result.TotalSamples()
	case promql.Vector:
		data.Result = promql.Vector{}
		enc.left = len(result)
	}
	frame, err := c.JSONCodec.Encode(&around)
	if err != nil {
		return nil, err
	}
	at := bytes.Index(frame, emptyResult)
	if at < 0 {
		return c.JSONCodec.Encode(resp)
	}
	at += len(emptyResult) - 1
	enc.b = append(enc.b, frame[:at]...)
	switch result := result.(type) {
	case promql.Matrix:
		enc.matrix(result)
	case promql.Vector:
		enc.vector(result)
	}
	return append(enc.b, frame[at:]...), nil
}

// jsonEncoder appends to b.
type jsonEncoder struct {
	b    []byte
	left int // points to come
	// times has the text before the value of a point, by time, ascending. All
	// series of a matrix share the times of its steps.
	times []timeText
}

type timeText struct {
	t    int64
	n    uint8
	text [31]byte
}

// pointBytes is how long a point can be: a time, the longest float and what is
// around them.
const pointBytes = 24 + 25 + 8

func (e *jsonEncoder) matrix(m promql.Matrix) {
	points, first := 0, len(e.b)
	for i := range m {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.room(points, first, len(m[i].Floats))
		e.series(&m[i])
		points += len(m[i].Floats)
		e.left -= len(m[i].Floats)
	}
}

func (e *jsonEncoder) series(s *promql.Series) {
	e.b = append(e.b, `{"metric":`...)
	e.labels(s.Metric)
	if len(s.Floats) > 0 {
		e.b = append(e.b, `,"values":[`...)
		e.points(s.Floats)
		e.b = append(e.b, ']')
	}
	e.b = append(e.b, '}')
}

// room makes room for n points, and for all others if they are as long as those
// that are there, so that the text moves at most twice.
func (e *jsonEncoder) room(points, first, n int) {
	if cap(e.b)-len(e.b) >= n*pointBytes {
		return
	}
	all := n * pointBytes
	if points > 0 {
		each := (len(e.b)-first)/points + 2
		all += each * e.left
	}
	e.b = slices.Grow(e.b, all)
}

func (e *jsonEncoder) points(ps []promql.FPoint) {
	b, k := e.b, 0
	long := 0 // values in a row that were not short; noise seldom is
	for i := range ps {
		t := ps[i].T
		for k < len(e.times) && e.times[k].t < t {
			k++
		}
		switch {
		case k < len(e.times) && e.times[k].t == t:
			b = append(b, e.times[k].text[:e.times[k].n]...)
			k++
		case k == len(e.times):
			at := len(b)
			b = append(appendTime(append(b, '['), t), `,"`...)
			e.times = append(e.times, timeText{t: t, n: uint8(len(b) - at)})
			copy(e.times[k].text[:], b[at:])
			k++
		default:
			b = append(appendTime(append(b, '['), t), `,"`...)
		}
		if long > 4 && i&15 != 0 {
			b = appendLong(b, ps[i].F)
		} else if short, ok := appendShort(b, ps[i].F); ok {
			b, long = short, 0
		} else {
			b = appendLong(b, ps[i].F)
			long++
		}
		b = append(b, `"],`...)
	}
	e.b = b[:len(b)-1]
}

func (e *jsonEncoder) vector(v promql.Vector) {
	e.b = slices.Grow(e.b, len(v)*(pointBytes+128))
	for i := range v {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = append(e.b, `{"metric":`...)
		e.labels(v[i].Metric)
		e.b = append(e.b, `,"value":[`...)
		e.b = append(appendTime(e.b, v[i].T), `,"`...)
		e.b = append(appendFloat(e.b, v[i].F), `"]}`...)
	}
}

func (e *jsonEncoder) labels(ls labels.Labels) {
	e.b = append(e.b, '{')
	first := true
	ls.Range(func(l labels.Label) {
		if !first {
			e.b = append(e.b, ',')
		}
		first = false
		e.b = appendString(e.b, l.Name)
		e.b = append(e.b, ':')
		e.b = appendString(e.b, l.Value)
	})
	e.b = append(e.b, '}')
}
