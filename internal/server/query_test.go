package server

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// TestTheShortWayCanBeSwitchedOff: with `range_short_way: false` Prometheus's
// engine alone evaluates range queries, and every answer is the same byte for
// byte.
func TestTheShortWayCanBeSwitchedOff(t *testing.T) {
	i := launch(t, map[string]string{"chiron.yaml": ""}, nil)
	end := time.Now().Truncate(time.Minute)
	var req prompb.WriteRequest
	for n := range 5 {
		ts := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "requests_total"}, {Name: "n", Value: strconv.Itoa(n)}}}
		for k := range 20 {
			ts.Samples = append(ts.Samples, prompb.Sample{Value: float64(k*n) / 7, Timestamp: end.Add(time.Duration(k-20) * 15 * time.Second).UnixMilli()})
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	body, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if code, text := do(t, http.MethodPost, i.url+"/api/v1/write", string(snappy.Encode(nil, body)), map[string]string{
		"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
	}); code != http.StatusNoContent {
		t.Fatalf("write: %d %s", code, text)
	}

	queries := []string{`requests_total`, `rate(requests_total[1m])`, `sum by (n) (increase(requests_total[2m]))`, `max(requests_total) or none`, `avg_over_time(requests_total[75s])`}
	answers := func() (out []string) {
		for _, q := range queries {
			code, text := i.get("/api/v1/query_range?" + url.Values{
				"query": {q}, "start": {fmt.Sprint(end.Add(-6 * time.Minute).Unix())}, "end": {fmt.Sprint(end.Unix())}, "step": {"20"},
			}.Encode())
			if code != http.StatusOK {
				t.Errorf("%s: %d %s", q, code, text)
			}
			out = append(out, text)
		}
		return out
	}
	count := func(way string) float64 {
		return i.metric(fmt.Sprintf(`chiron_query_range_total{way=%q}`, way))
	}
	want := answers()
	if n := count("short"); n != float64(len(queries)) {
		t.Errorf("%v of %d queries were evaluated the short way", n, len(queries))
	}

	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	write(t, i.o.ConfigFile, "query: { range_short_way: false }\n")
	i.start()
	got := answers()
	for k, q := range queries {
		if got[k] != want[k] {
			t.Errorf("%s by the engine alone:\n%s\nwant\n%s", q, got[k], want[k])
		}
	}
	if short, engine := count("short"), count("engine"); short != 0 || engine != float64(len(queries)) {
		t.Errorf("switched off, %v queries were evaluated the short way and %v by the engine", short, engine)
	}
}
