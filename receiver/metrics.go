package receiver

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// codes are the answers a Handler gives.
var codes = [...]int{
	http.StatusNoContent, http.StatusAccepted, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
	http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable,
}

func codeIndex(code int) int {
	for i, c := range codes {
		if c == code {
			return i
		}
	}
	panic(fmt.Sprintf("receiver: answered %d without a metric for it", code))
}

const protocols = int(remotewrite.V2) + 1

// metrics are resolved to their label values at the start: the hot path only
// adds.
type metrics struct {
	requests [protocols][len(codes)]prometheus.Counter
	samples  [protocols][3]prometheus.Counter
	duration [protocols]prometheus.Observer
	refused  *prometheus.CounterVec
	bytes    prometheus.Counter
	inflight prometheus.Gauge
	retries  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, held *atomic.Int64) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chiron_receiver_requests_total", Help: "Remote write requests answered, by message version and status code.",
	}, []string{"protocol", "code"})
	samples := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chiron_receiver_samples_total", Help: "Samples stored, by message version and type.",
	}, []string{"protocol", "type"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "chiron_receiver_request_duration_seconds", Help: "Time from the request's headers to its answer.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	}, []string{"protocol"})
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chiron_receiver_refused_total", Help: "Samples, histograms and exemplars not stored, by reason.",
		}, []string{"reason"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chiron_receiver_bytes_total", Help: "Bytes of request bodies as sent, compressed.",
		}),
		inflight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "chiron_receiver_inflight_requests", Help: "Requests being answered.",
		}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chiron_receiver_retries_total", Help: "Requests that their sender marked as repeated.",
		}),
	}
	for p := range protocols {
		name := remotewrite.Protocol(p).String() //nolint:gosec // 0 to 2
		for i, code := range codes {
			m.requests[p][i] = requests.WithLabelValues(name, strconv.Itoa(code))
		}
		for i, typ := range []string{"float", "histogram", "exemplar"} {
			m.samples[p][i] = samples.WithLabelValues(name, typ)
		}
		m.duration[p] = duration.WithLabelValues(name)
	}
	for p := remotewrite.NoProblem + 1; p < remotewrite.NumProblems; p++ {
		m.refused.WithLabelValues(p.String())
	}
	for r := tsdbcache.Accepted + 1; r < tsdbcache.NumReasons; r++ {
		m.refused.WithLabelValues(r.String())
	}
	if reg == nil {
		return m, nil
	}
	heldBytes := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "chiron_receiver_inflight_bytes", Help: "Bytes that the buffers of all requests hold.",
	}, func() float64 { return float64(held.Load()) })
	for _, c := range []prometheus.Collector{heldBytes, requests, samples, duration, m.refused, m.bytes, m.inflight, m.retries} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("cannot register receiver metrics: %w", err)
		}
	}
	return m, nil
}
