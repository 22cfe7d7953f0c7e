package receiver

import (
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/receiver/ha"
	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// FuzzRequest: whatever a sender puts into a body, the answer is one of those
// of the protocol, counts what it says, and leaves nothing held; a good request
// is stored after it.
func FuzzRequest(f *testing.F) {
	var enc remotewrite.Encoder
	ex := from("a", float(base, 1, "__name__", "up"))
	ex.Exemplars = append(ex.Exemplars, traceOf(1, "x"))
	batch := &remotewrite.Batch{Series: []remotewrite.BatchSeries{
		ex, from("b", float(base, 2, "__name__", "up")), float(base, 3, "job", "nameless"),
		{Labels: labels.FromStrings("__name__", "h"), Histograms: []remotewrite.Histogram{{T: base, Int: &histogram.Histogram{Count: 1, ZeroCount: 1}}}},
	}}
	for _, p := range protocols12 {
		f.Add(p == remotewrite.V2, enc.Encode(nil, p, batch))
		f.Add(p == remotewrite.V2, []byte{0x22, 0, 0x2a, 0, 0x0a, 0, 0x1a, 0})
	}
	e := newEnv(f, tsdbcache.Options{MaxSeries: 50, MaxSeriesPerMetric: 5}, Limits{})
	var err error
	now := time.UnixMilli(base)
	if e.h, err = New(Options{
		DB: e.db, HA: &HAOptions{Options: ha.Options{MaxClusters: 3}}, Limits: Limits{Samples: 1000, Labels: 10, DecompressedBytes: 1 << 16, CompressedBytes: 1 << 16},
		Now: func() time.Time { return now }, Logger: quiet,
	}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, v2 bool, raw []byte) {
		p := remotewrite.V1
		if v2 {
			p = remotewrite.V2
		}
		a := (&env{t: t, db: e.db, h: e.h}).do(post(t, p, remotewrite.Compress(nil, raw)))
		switch a.code {
		case http.StatusNoContent, http.StatusAccepted, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		default:
			t.Fatalf("answer %d %s", a.code, a.text)
		}
		if (a.code/100 == 2) != (a.text == "") || (len(a.written) == 3) != v2 {
			t.Errorf("answer %d %q, written %v", a.code, a.text, a.written)
		}
		if n := e.h.inflight.Load(); n != 0 {
			t.Errorf("%d bytes are held by nobody", n)
		}
		now = now.Add(time.Second)
	})
}
