package emit

import (
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// BenchmarkEncode measures what the writing goroutine does with 2,000 samples,
// without and with external labels.
func BenchmarkEncode(b *testing.B) {
	var samples []sample
	for i := range 2000 {
		samples = append(samples, sample{labels: labels.FromStrings("__name__", "anomaly_score", "anomaly_name", "Latency", "instance", fmt.Sprint("10.0.0.", i), "job", "api", "path", "/orders"), t: 1e12, v: float64(i)})
	}
	for _, e := range []external{nil, newExternal(labels.FromStrings("cluster", "eu-1", "replica", "a"))} {
		b.Run(fmt.Sprint(len(e), "-external"), func(b *testing.B) {
			var j joiner
			var c codec
			var batch remotewrite.Batch
			b.ReportAllocs()
			for b.Loop() {
				batch.Reset()
				j.fill(&batch, samples, e)
				c.encode(remotewrite.V2, &batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(samples)), "ns/sample")
		})
	}
}
