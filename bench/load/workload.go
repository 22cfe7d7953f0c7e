package load

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Interval is the time between two rounds.
const Interval = 15 * time.Second

// Workload describes every series of a cluster, at any time. It keeps no state
// of theirs and is safe for concurrent use.
type Workload struct {
	Series int
	Start  int64 // time of round 0 in milliseconds

	metrics []metric
	pods    int
}

// New describes a number of series from a time in milliseconds on.
func New(series int, start int64) *Workload {
	return &Workload{Series: series, Start: start, metrics: podMetrics(), pods: (series + PerPod - 1) / PerPod}
}

// End is the time in milliseconds at which all of a number of rounds are past.
func (w *Workload) End(rounds int) int64 {
	return w.Start + int64(rounds)*Interval.Milliseconds()
}

// mix spreads its arguments over 64 bits: the finaliser of splitmix64 (Steele,
// Lea, Flood: Fast splittable pseudorandom number generators, 2014).
func mix(a, b, c uint64) uint64 {
	x := a*0x9E3779B97F4A7C15 + b*0xBF58476D1CE4E5B9 + c*0x94D049BB133111EB + 0x2545F4914F6CDD1D
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// unit turns 64 bits into a number from 0 to 1.
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// time is when series i is scraped in a round: each pod has its own offset.
func (w *Workload) time(i, round int) int64 {
	ms := Interval.Milliseconds()
	return w.Start + int64(round)*ms + int64(i/PerPod)*ms/int64(w.pods)
}

var (
	applications = []string{
		"checkout", "payments", "catalog", "search", "cart", "ledger", "auth", "profile", "notify", "shipping",
		"pricing", "reco", "media", "gateway", "orders", "stock", "fraud", "billing", "events", "reports",
	}
	roles = []string{"api", "worker", "db-proxy", "cache", "frontend"}
)

// podLetters are those of which Kubernetes makes the ends of pod names.
const podLetters = "bcdfghjklmnpqrstvwxz2456789"

func podSuffix(h uint64, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = podLetters[h%uint64(len(podLetters))]
		h /= uint64(len(podLetters))
	}
	return string(b)
}

// Labels returns the sorted label set of series i: ten labels of the target
// and those of the metric, about 209 bytes of names and values.
func (w *Workload) Labels(i int) [][2]string {
	pod, m := i/PerPod, &w.metrics[i%PerPod]
	application, role := applications[pod%len(applications)], roles[pod/len(applications)%len(roles)]
	service := application + "-" + role
	h := mix(1, uint64(pod), 1000)
	node := h % uint64(max(1, w.pods/30))
	ls := append([][2]string{
		{"__name__", m.name},
		{"cluster", "prod-1"},
		{"container", role},
		{"instance", fmt.Sprintf("10.%d.%d.%d:9090", node>>8&255, node&255, h>>40&255)},
		{"job", service},
		{"namespace", application},
		{"node", fmt.Sprintf("node-%04d", node)},
		{"pod", fmt.Sprintf("%s-%s-%s%d", service, podSuffix(mix(uint64(pod/100), 3, 5), 9), podSuffix(h>>8, 5), pod)},
		{"service", service},
		{"zone", "eu-1" + string(rune('a'+node%3))},
	}, m.extra...)
	slices.SortFunc(ls, func(a, b [2]string) int {
		if a[0] < b[0] {
			return -1
		}
		return 1
	})
	return ls
}

// Names returns how many series have each metric name.
func (w *Workload) Names() map[string]int {
	n := map[string]int{}
	for i := range w.Series {
		n[w.metrics[i%PerPod].name]++
	}
	return n
}

// step moves the value of series i into a round. Rounds come in order.
func (w *Workload) step(v float64, i, round int) float64 {
	pod, m := i/PerPod, &w.metrics[i%PerPod]
	if m.kind == constant {
		return m.scale
	}
	r := mix(1^uint64(pod)<<20, uint64(m.group), uint64(round))
	u := unit(r)
	size := 0.2 + 3*unit(mix(1, uint64(pod), 4242)) // pods differ in traffic
	events := m.scale * size * (0.7 + 0.6*u)        // of this round
	switch m.kind {
	case countEvents:
		v += math.Floor(events)
		if events < 1 && u < events {
			v++
		}
	case countSeconds:
		v += math.Round(events*1e6) / 1e6
	case walk:
		if v == 0 {
			v = m.scale * math.Floor(100+5000*size)
		}
		if r&3 == 0 {
			v = math.Max(m.scale, v+m.scale*float64(int64(r>>8&63)-32))
		}
	case noise:
		day := 2 * math.Pi * float64(int64(round)*Interval.Milliseconds()) / 86400e3
		g := u + unit(mix(r, 1, 1)) + unit(mix(r, 2, 2)) - 1.5 // nearly normal
		v = m.scale * (1 + 0.3*math.Sin(day+size) + 0.1*g)
	case bucket:
		v += math.Floor(math.Floor(events) * cumulative[m.le])
	case histogramCount:
		v += math.Floor(events)
	case histogramSum:
		v += math.Floor(events) * (0.11 + 0.02*u)
	case constant:
	}
	return v
}

// selector writes a label set in PromQL.
func selector(ls [][2]string) string {
	b := []byte{'{'}
	for i, l := range ls {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, l[0]...), '=')
		b = strconv.AppendQuote(b, l[1])
	}
	return string(append(b, '}'))
}
