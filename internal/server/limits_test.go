package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// TestLimitsFromTheFile: each limit of the configuration file reaches what
// enforces it: over the whole server, one request within and one beyond.
func TestLimitsFromTheFile(t *testing.T) {
	now := time.Now().UnixMilli()
	series := func(at int64, lbls ...string) remotewrite.BatchSeries {
		return remotewrite.BatchSeries{Labels: labels.FromStrings(lbls...), Samples: []remotewrite.Sample{{T: at, V: 1}}}
	}
	many := func(n int, name func(int) string) (out []remotewrite.BatchSeries) {
		for i := range n {
			out = append(out, series(now, "__name__", name(i), "id", fmt.Sprint(i)))
		}
		return out
	}
	one := func(int) string { return "one" }
	each := func(i int) string { return fmt.Sprint("each_", i) }
	traced := series(now, "__name__", "a")
	traced.Exemplars = []exemplar.Exemplar{{Ts: now, HasTs: true}}
	for _, tc := range []struct {
		field          string
		within, beyond []remotewrite.BatchSeries
		code           int
		word           string
	}{
		{"max_series: 3", many(3, one), many(4, one), 429, "series_limit 1"},
		{"max_series_per_metric: 3", many(9, each), many(4, one), 400, "metric_series_limit 1"},
		{"max_labels_per_series: 2", many(1, one), []remotewrite.BatchSeries{series(now, "__name__", "a", "b", "c", "d", "e")}, 400, "label_limit 1"},
		{"max_label_name_length: 8", many(1, one), []remotewrite.BatchSeries{series(now, "__name__", "a", "ninechars", "c")}, 400, "label_name_too_long 1"},
		{"max_label_value_length: 3", many(1, one), []remotewrite.BatchSeries{series(now, "__name__", "four")}, 400, "label_value_too_long 1"},
		{"max_body_size: 500", many(3, one), many(400, each), 413, "larger than 500 bytes"},
		{"max_decoded_size: 500", many(3, one), many(400, each), 400, "limit is 500"},
		{"max_samples_per_request: 5", many(5, one), many(6, one), 413, "more than 5 samples"},
		{"out_of_order_window: 1m", []remotewrite.BatchSeries{series(now, "__name__", "a"), series(now-60_000, "__name__", "a")}, []remotewrite.BatchSeries{series(now-61_000, "__name__", "a")}, 400, "too_old 1"},
		{"max_future: 1h", []remotewrite.BatchSeries{series(now+3500_000, "__name__", "a")}, []remotewrite.BatchSeries{series(now+3700_000, "__name__", "b")}, 400, "too_far_ahead 1"},
		{"max_exemplars: 1", []remotewrite.BatchSeries{traced}, []remotewrite.BatchSeries{{Labels: labels.FromStrings("__name__", "nobody"), Exemplars: traced.Exemplars}}, 400, "unknown_series 1"},
	} {
		t.Run(tc.field, func(t *testing.T) {
			i := launch(t, map[string]string{"chiron.yaml": "receiver: { retry_after: 9s, " + tc.field + " }\n"}, nil)
			for _, p := range []remotewrite.Protocol{remotewrite.V1, remotewrite.V2} {
				send := func(s []remotewrite.BatchSeries) (int, http.Header, string) {
					var enc remotewrite.Encoder
					return i.postAll(p, remotewrite.Compress(nil, enc.Encode(nil, p, &remotewrite.Batch{Series: s})))
				}
				if code, _, text := send(tc.within); code != http.StatusNoContent {
					t.Errorf("%s, within: %d %s", p, code, text)
				}
				code, header, text := send(tc.beyond)
				if code != tc.code || !strings.Contains(text, tc.word) {
					t.Errorf("%s, beyond: %d %q, want %d %q", p, code, text, tc.code, tc.word)
				}
				if again := header.Get("Retry-After"); (again == "9") != (code == http.StatusTooManyRequests) {
					t.Errorf("%s: %d with Retry-After %q", p, code, again)
				}
				if code, _, text := send(tc.within); code != http.StatusNoContent {
					t.Errorf("%s, within after beyond: %d %s", p, code, text)
				}
			}
		})
	}
}

// TestInflightLimitFromTheFile: a limit that the largest request does not fit
// into stops the start.
func TestInflightLimitFromTheFile(t *testing.T) {
	o := Options{ListenAddress: "127.0.0.1:0", StoragePath: t.TempDir(), CacheMemory: 8 << 20, ConfigFile: t.TempDir() + "/chiron.yaml"}
	write(t, o.ConfigFile, "receiver: { max_inflight_size: 1MiB }\n")
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "a request of the largest size needs") {
		t.Error(err)
	}
}
