package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// Interval is the time between two rounds, in milliseconds.
const Interval = 15_000

// perPod is how many series one pod exposes.
const perPod = 50

// kind is how the value of a series moves.
type kind uint8

const (
	constant kind = iota
	counter       // whole numbers, idle now and then
	seconds       // a counter of fractions
	bucket        // a cumulative histogram bucket
	walk          // a gauge that moves in steps and often rests
	noise         // a gauge with a full mantissa
)

// metric is one series of every pod.
type metric struct {
	name  string
	typ   model.MetricType
	kind  kind
	scale float64
	extra []labels.Label
}

// podMetrics is what one pod exposes: request counters, two latency
// histograms, usage, constants. 50 series, 1.5 labels each beside the target's.
func podMetrics() []metric {
	var ms []metric
	add := func(name string, typ model.MetricType, k kind, scale float64, extra ...string) {
		m := metric{name: name, typ: typ, kind: k, scale: scale}
		for i := 0; i < len(extra); i += 2 {
			m.extra = append(m.extra, labels.Label{Name: extra[i], Value: extra[i+1]})
		}
		ms = append(ms, m)
	}
	bounds := []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "+Inf"}
	for _, verb := range []string{"get", "put"} {
		for i, le := range bounds {
			add("rpc_server_latency_seconds_bucket", model.MetricTypeHistogram, bucket, float64(i+1)*7, "verb", verb, "le", le)
		}
		add("rpc_server_latency_seconds_sum", model.MetricTypeHistogram, seconds, 3, "verb", verb)
		add("rpc_server_latency_seconds_count", model.MetricTypeHistogram, counter, 90, "verb", verb)
	}
	for _, code := range []string{"200", "404", "500"} {
		add("rpc_server_requests_total", model.MetricTypeCounter, counter, 40, "code", code, "verb", "get")
		add("rpc_server_requests_total", model.MetricTypeCounter, counter, 10, "code", code, "verb", "put")
	}
	add("container_cpu_usage_seconds_total", model.MetricTypeCounter, seconds, 8, "cpu", "total")
	add("container_network_receive_bytes_total", model.MetricTypeCounter, counter, 9e5, "interface", "eth0")
	add("container_network_transmit_bytes_total", model.MetricTypeCounter, counter, 7e5, "interface", "eth0")
	add("process_cpu_seconds_total", model.MetricTypeCounter, seconds, 6)
	add("container_memory_working_set_bytes", model.MetricTypeGauge, walk, 4096)
	add("process_resident_memory_bytes", model.MetricTypeGauge, walk, 4096)
	add("go_goroutines", model.MetricTypeGauge, walk, 1)
	add("queue_length", model.MetricTypeGauge, walk, 1, "queue", "orders")
	add("pool_wait_seconds", model.MetricTypeGauge, noise, 0.02, "pool", "main")
	add("load_ratio", model.MetricTypeGauge, noise, 0.6)
	add("up", model.MetricTypeGauge, constant, 1)
	add("build_info", model.MetricTypeGauge, constant, 1, "version", "1.42.7", "goversion", "go1.26.7")
	add("kube_pod_ready", model.MetricTypeGauge, constant, 1, "condition", "true")
	add("kube_pod_limits", model.MetricTypeGauge, constant, 536870912, "resource", "memory")
	return ms
}

var (
	applications = []string{"checkout", "payments", "catalog", "search", "cart", "ledger", "auth", "profile", "notify", "shipping", "pricing", "media"}
	roles        = []string{"api", "worker", "proxy", "cache", "frontend"}
)

// Workload is a number of series as pods of a cluster expose them. It keeps
// the last value of every series and is not for concurrent use.
type Workload struct {
	metrics []metric
	series  []remotewrite.BatchSeries
	values  []float64
	rng     *rand.Rand
	round   int64
	start   int64
}

// NewWorkload makes n series that start at a time in milliseconds. The same
// arguments make the same workload.
func NewWorkload(n int, start int64) *Workload {
	w := &Workload{metrics: podMetrics(), rng: rand.New(rand.NewPCG(1, uint64(n))), start: start} //nolint:gosec // a workload, no secret
	for i := range n {
		w.series = append(w.series, w.describe(i))
		w.values = append(w.values, 0)
	}
	return w
}

// describe makes series i: ten target labels and those of the metric.
func (w *Workload) describe(i int) remotewrite.BatchSeries {
	pod, m := i/perPod, &w.metrics[i%perPod]
	app, role := applications[pod%len(applications)], roles[pod/len(applications)%len(roles)]
	h := rand.New(rand.NewPCG(2, uint64(pod))) //nolint:gosec // a workload, no secret
	node := h.Uint64N(uint64(max(1, len(w.series)/perPod/30) + 40))
	service := app + "-" + role
	ls := []labels.Label{
		{Name: labels.MetricName, Value: m.name},
		{Name: "cluster", Value: "prod-1"},
		{Name: "container", Value: role},
		{Name: "instance", Value: fmt.Sprintf("10.%d.%d.%d:9090", node>>8&255, node&255, pod&255)},
		{Name: "job", Value: service},
		{Name: "namespace", Value: app},
		{Name: "node", Value: fmt.Sprintf("node-%04d", node)},
		{Name: "pod", Value: fmt.Sprintf("%s-%09x-%05x%d", service, h.Uint64()>>28, h.Uint64()>>44, pod)},
		{Name: "service", Value: service},
		{Name: "zone", Value: "eu-1" + string(rune('a'+node%3))},
	}
	ls = append(ls, m.extra...)
	slices.SortFunc(ls, func(a, b labels.Label) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return remotewrite.BatchSeries{
		Labels:   labels.New(ls...),
		Samples:  make([]remotewrite.Sample, 1),
		Metadata: metadata.Metadata{Type: m.typ, Help: "Help of " + m.name + ", as its exporter says it."},
	}
}

// Requests encodes the next round of every series, n samples a request,
// Snappy included.
func (w *Workload) Requests(p remotewrite.Protocol, n int) [][]byte {
	at := w.start + w.round*Interval
	for i := range w.series {
		// The pods of a round are scraped one after the other.
		w.series[i].Samples[0] = remotewrite.Sample{T: at + int64(i/perPod)*Interval*perPod/int64(len(w.series)+perPod), V: w.step(i)}
	}
	w.round++
	var enc remotewrite.Encoder
	var out [][]byte
	var raw []byte
	for part := range slices.Chunk(w.series, n) {
		raw = enc.Encode(raw[:0], p, &remotewrite.Batch{Series: part})
		out = append(out, remotewrite.Compress(nil, raw))
	}
	return out
}

// step moves the value of series i.
func (w *Workload) step(i int) float64 {
	m := &w.metrics[i%perPod]
	v := &w.values[i]
	switch m.kind {
	case constant:
		*v = m.scale
	case counter, bucket:
		if w.rng.Uint64N(4) > 0 {
			*v += float64(w.rng.Uint64N(uint64(m.scale) + 1))
		}
	case seconds:
		*v += float64(w.rng.Uint64N(uint64(m.scale*1000))) / 1000
	case walk:
		if w.rng.Uint64N(3) == 0 {
			*v = max(0, *v+m.scale*float64(int64(w.rng.Uint64N(9))-4))
		}
	case noise:
		*v = m.scale * w.rng.Float64()
	}
	return *v
}
