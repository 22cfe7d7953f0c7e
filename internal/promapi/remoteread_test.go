package promapi

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// TestRemoteRead reads back what was stored with Prometheus's own client, as
// samples and as streamed chunks: external labels are added to results and
// taken out of what is asked for.
func TestRemoteRead(t *testing.T) {
	b := newBed(t, func(o *Options) {
		o.ExternalLabels = func() labels.Labels { return labels.FromStrings("cluster", "here") }
	})
	fill(t, b.store)
	u, err := url.Parse(b.serve(t).URL + "/api/v1/read")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []prompb.ReadRequest_ResponseType{prompb.ReadRequest_SAMPLES, prompb.ReadRequest_STREAMED_XOR_CHUNKS} {
		c, err := remote.NewReadClient("test", &remote.ClientConfig{
			URL: &commonconfig.URL{URL: u}, Timeout: model.Duration(time.Minute),
			ChunkedReadLimit:      1 << 20,
			AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{kind},
		})
		if err != nil {
			t.Fatal(err)
		}
		query, err := remote.ToQuery(base*1000, (base+30)*1000, []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchRegexp, "__name__", "up|latency|latency_custom"),
			labels.MustNewMatcher(labels.MatchEqual, "cluster", "here"),
		}, &storage.SelectHints{Start: base * 1000, End: (base + 30) * 1000})
		if err != nil {
			t.Fatal(err)
		}
		set, err := c.Read(t.Context(), query, true)
		if err != nil {
			t.Fatal(kind, err)
		}
		got := map[string]int{}
		for set.Next() {
			s := set.At()
			for it := s.Iterator(nil); ; {
				v := it.Next()
				if v == chunkenc.ValNone {
					if it.Err() != nil {
						t.Error(kind, it.Err())
					}
					break
				}
				got[s.Labels().String()+" "+v.String()]++
			}
		}
		if set.Err() != nil {
			t.Error(kind, set.Err())
		}
		if diff := gocmp.Diff(map[string]int{
			`{__name__="latency", cluster="here", job="api"} histogram`:         3,
			`{__name__="latency_custom", cluster="here", job="api"} histogram`:  3,
			`{__name__="up", cluster="here", instance="a:80", job="api"} float`: 3,
			`{__name__="up", cluster="here", instance="b:80", job="api"} float`: 3,
			`{__name__="up", cluster="here", instance="c:80", job="db"} float`:  3,
		}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
	if a := b.do(t, http.MethodPost, "/read", "not snappy"); a.code != http.StatusBadRequest {
		t.Errorf("a broken request: %d %s", a.code, a.body)
	}
}
