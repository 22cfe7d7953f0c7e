package load

// kind is how the value of a series moves.
type kind uint8

const (
	constant     kind = iota // never changes
	countEvents              // whole numbers, idle now and then
	countSeconds             // a counter of fractions
	walk                     // a gauge that moves in whole steps and often rests
	noise                    // a daily wave and noise over the whole mantissa
	bucket                   // a cumulative histogram bucket
	histogramSum
	histogramCount
)

// Numbers of the metric types in the message of remote write 2.0.
const (
	typeCounter   = 1
	typeGauge     = 2
	typeHistogram = 3
)

// metric is one series of every pod.
type metric struct {
	name  string
	typ   byte
	help  string
	kind  kind
	le    int // index of a bucket's bound
	group int // the series of one histogram share a group, and with it their events
	extra [][2]string
	scale float64
}

// Upper bounds of the buckets, and the part of the events below each.
var (
	bounds     = []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "+Inf"}
	cumulative = []float64{0.02, 0.08, 0.22, 0.41, 0.63, 0.82, 0.91, 0.957, 0.98, 0.99, 0.996, 0.9993, 1}
)

// PerPod is how many series one pod exposes.
const PerPod = 50

// podMetrics is what one pod exposes: request counters, two latency
// histograms, usage, constants.
func podMetrics() []metric {
	var t []metric
	add := func(name string, typ byte, k kind, scale float64, extra ...[2]string) *metric {
		t = append(t, metric{name: name, typ: typ, help: "Help of " + name + ", as the exporter wrote it.", kind: k, scale: scale, group: len(t), extra: extra})
		return &t[len(t)-1]
	}
	for _, method := range []string{"GET", "POST", "DELETE"} {
		for i, code := range []string{"200", "500"} {
			add("http_requests_total", typeCounter, countEvents, []float64{120, 0.3}[i], [2]string{"method", method}, [2]string{"code", code})
		}
	}
	const latency = "http_request_duration_seconds"
	for i, method := range []string{"GET", "POST"} {
		label, group := [2]string{"method", method}, 1000+i
		for le, bound := range bounds {
			m := add(latency+"_bucket", typeHistogram, bucket, 120, label, [2]string{"le", bound})
			m.le, m.group = le, group
		}
		add(latency+"_sum", typeHistogram, histogramSum, 120, label).group = group
		add(latency+"_count", typeHistogram, histogramCount, 120, label).group = group
	}
	add("up", typeGauge, constant, 1)
	add("app_build_info", typeGauge, constant, 1, [2]string{"version", "v1.42.7"})
	add("kube_pod_status_ready", typeGauge, constant, 1, [2]string{"condition", "true"})
	add("kube_pod_container_resource_limits", typeGauge, constant, 536870912, [2]string{"resource", "memory"})
	add("process_cpu_seconds_total", typeCounter, countSeconds, 0.8)
	add("container_cpu_usage_seconds_total", typeCounter, countSeconds, 1.1)
	add("container_network_receive_bytes_total", typeCounter, countEvents, 90000, [2]string{"interface", "eth0"})
	add("container_network_transmit_bytes_total", typeCounter, countEvents, 70000, [2]string{"interface", "eth0"})
	add("container_memory_working_set_bytes", typeGauge, walk, 4096)
	add("process_resident_memory_bytes", typeGauge, walk, 4096)
	add("go_goroutines", typeGauge, walk, 1)
	add("queue_depth", typeGauge, walk, 1, [2]string{"queue", "orders"})
	add("db_connection_wait_seconds", typeGauge, noise, 0.02, [2]string{"db", "main"})
	add("process_load_ratio", typeGauge, noise, 0.6)
	return t
}
