package receiver

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// TestPartialWrites: clauses 2 and 4. Three good series and a bad one: 400,
// exact counts, the three can be queried, the text has the reason's word. Both
// versions behave alike.
func TestPartialWrites(t *testing.T) {
	badHistogram := &histogram.Histogram{Count: 5, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{1}}
	long := strings.Repeat("x", 300)
	for _, tc := range []struct {
		clause, word string
		bad          remotewrite.BatchSeries
		only         remotewrite.Protocol // when one version cannot say it
	}{
		{"4.2 missing name", "missing_metric_name 1", float(base, 1, "job", "a"), 0},
		{"4.2 empty name", "missing_metric_name 1", float(base, 1, "__name__", "", "job", "a"), 0},
		{"4.2 duplicate label", "duplicate_label 1", remotewrite.BatchSeries{Labels: labels.New(labels.Label{Name: "__name__", Value: "x"}, labels.Label{Name: "a", Value: "1"}, labels.Label{Name: "a", Value: "2"}), Samples: []remotewrite.Sample{{T: base, V: 1}}}, 0},
		{"4.2 invalid UTF-8 in a value", "invalid_utf8 1", float(base, 1, "__name__", "x", "a", "\xff"), 0},
		{"4.2 invalid UTF-8 in a name", "invalid_utf8 1", float(base, 1, "__name__", "x", "\xff", "a"), 0},
		{"4.2 empty label name", "empty_label_name 1", float(base, 1, "__name__", "x", "", "a"), 0},
		{"4.2 label limit", "label_limit 1", float(base, 1, "__name__", "x", "a", "1", "b", "1", "c", "1", "d", "1"), 0},
		{"4.2 name length", "label_name_too_long 1", float(base, 1, "__name__", "x", long[:101], "1"), 0},
		{"4.2 value length", "label_value_too_long 1", float(base, 1, "__name__", "x", "a", long), 0},
		{"4.2 no samples", "no_samples 1", remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "x")}, remotewrite.V2},
		{"4.2 samples and histograms", "mixed_samples 2", remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "x"), Samples: []remotewrite.Sample{{T: base}}, Histograms: []remotewrite.Histogram{{T: base, Int: &histogram.Histogram{}}}}, remotewrite.V2},
		{"4.3 too old", "too_old 1", float(base-3600_000, 1, "__name__", "good", "n", "0"), 0},
		{"4.3 duplicate with another value", "duplicate 1", float(base, 99, "__name__", "good", "n", "0"), 0},
		{"4.3 too far ahead", "too_far_ahead 1", float(base+601_000, 1, "__name__", "x"), 0},
		{"4.4 count mismatch", "invalid_histogram 1", remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "h"), Histograms: []remotewrite.Histogram{{T: base, Int: badHistogram}}}, 0},
		{"4.4 unknown schema", "invalid_histogram 1", remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "h"), Histograms: []remotewrite.Histogram{{T: base, Float: &histogram.FloatHistogram{Schema: -7}}}}, 0},
		{"4.5 exemplar of no series", "unknown_series 1", remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "x"), Exemplars: []exemplar.Exemplar{{Value: 1, Ts: base}}}, 0},
	} {
		for _, p := range protocols12 {
			if tc.only != 0 && tc.only != p {
				continue
			}
			t.Run(tc.clause+"/"+p.String(), func(t *testing.T) {
				e := newEnv(t, tsdbcache.Options{}, Limits{Labels: 4, LabelNameBytes: 100, LabelValueBytes: 200})
				var batch []remotewrite.BatchSeries
				var want []string
				for n := range 3 {
					batch = append(batch, float(base, float64(n), "__name__", "good", "n", fmt.Sprint(n)))
					want = append(want, fmt.Sprintf(`{__name__="good", n="%d"} 0 %d`, n, n))
				}
				a := e.post(p, append(batch, tc.bad)...)
				e.want(a, p, http.StatusBadRequest, 3, 0, 0)
				if !strings.Contains(a.text, tc.word) {
					t.Errorf("the text does not say %q: %s", tc.word, a.text)
				}
				if diff := cmp.Diff(want, e.dump()); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestBadReferencesRefuseOneSeries: clause 4.1, which only 2.0 can break.
func TestBadReferencesRefuseOneSeries(t *testing.T) {
	good := encodeRaw(t, float(base, 1, "__name__", "up"))
	for clause, series := range map[string][]byte{
		"4.1 odd length":             {0x2a, 0x05, 0x0a, 0x01, 0x01, 0x12, 0x00},
		"4.1 reference too large":    {0x2a, 0x06, 0x0a, 0x02, 0x01, 0x63, 0x12, 0x00},
		"4.1 metadata ref too large": {0x2a, 0x0a, 0x0a, 0x02, 0x01, 0x02, 0x12, 0x00, 0x2a, 0x02, 0x18, 0x63},
	} {
		t.Run(clause, func(t *testing.T) {
			e := newEnv(t, tsdbcache.Options{}, Limits{})
			a := e.do(post(t, remotewrite.V2, remotewrite.Compress(nil, append(append([]byte(nil), series...), good...))))
			e.want(a, remotewrite.V2, 400, 1, 0, 0)
			if got := e.dump(); len(got) != 1 {
				t.Errorf("stored %v", got)
			}
		})
	}
	t.Run("4.1 symbols[0] not empty is accepted", func(t *testing.T) {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		body := append(append([]byte{0x22, 8}, "__name__"...), 0x22, 2, 'u', 'p')
		sample := binary.AppendUvarint([]byte{0x10}, uint64(base))
		body = append(body, 0x2a, byte(6+len(sample)), 0x0a, 2, 0, 1, 0x12, byte(len(sample)))
		e.want(e.do(post(t, remotewrite.V2, remotewrite.Compress(nil, append(body, sample...)))), remotewrite.V2, 204, 1, 0, 0)
	})
}

func encodeRaw(t *testing.T, series ...remotewrite.BatchSeries) []byte {
	t.Helper()
	var enc remotewrite.Encoder
	return enc.Encode(nil, remotewrite.V2, &remotewrite.Batch{Series: series})
}

// TestRefusalTextIsBounded: 20 causes are named, the rest is counted.
func TestRefusalTextIsBounded(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		var batch []remotewrite.BatchSeries
		for n := range 100 {
			batch = append(batch, float(base, 1, "job", fmt.Sprint("no name ", n)))
		}
		for n := range 100 {
			batch = append(batch, float(base+700_000, 1, "__name__", fmt.Sprint("ahead", n)))
		}
		a := e.post(p, batch...)
		e.want(a, p, 400, 0, 0, 0)
		for _, part := range []string{"refused 200 of 200", "missing_metric_name 100", "too_far_ahead 100", "no name 0", "and 180 more"} {
			if !strings.Contains(a.text, part) {
				t.Errorf("%s: the text does not say %q: %s", p, part, a.text)
			}
		}
		if n := strings.Count(a.text, ";"); n != 21 || len(a.text) > 10_000 {
			t.Errorf("%s: %d parts, %d bytes", p, n, len(a.text))
		}
	}
}

// TestRefusalNamesTheSeries: also one that was new and left again, and also
// with others made after it.
func TestRefusalNamesTheSeries(t *testing.T) {
	bad := &histogram.Histogram{Count: 5}
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		a := e.post(p, float(base, 1, "__name__", "first"), float(base+700_000, 1, "__name__", "ahead", "job", "a"), float(base, 1, "__name__", "last"),
			remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "broken"), Histograms: []remotewrite.Histogram{{T: base, Int: bad}}})
		e.want(a, p, 400, 2, 0, 0)
		for _, part := range []string{`{__name__="ahead", job="a"} at 1800000700000: too_far_ahead`, `{__name__="broken"}: `} {
			if !strings.Contains(a.text, part) {
				t.Errorf("%s: the text does not say %q: %s", p, part, a.text)
			}
		}
	}
}

// TestMalformedRequestStoresNothing: a request that stops being protobuf after
// good series is refused whole.
func TestMalformedRequestStoresNothing(t *testing.T) {
	var enc remotewrite.Encoder
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		b := enc.Encode(nil, p, &remotewrite.Batch{Series: []remotewrite.BatchSeries{
			float(base, 1, "__name__", "a"), float(base, 2, "__name__", "b"),
		}})
		a := e.do(post(t, p, remotewrite.Compress(nil, append(b, 0x0a, 0x05))))
		e.want(a, p, 400, 0, 0, 0)
		if got := e.dump(); len(got) != 0 {
			t.Errorf("%s: stored %v", p, got)
		}
		if !strings.Contains(a.text, fmt.Sprintf("at byte %d", len(b))) {
			t.Errorf("%s: no offset in %q", p, a.text)
		}
	}
}

// TestRollback: clause 7.3. The ring fails in the commit: 5xx, zeros, nothing
// stored; the same request to a ring that works is 204.
func TestRollback(t *testing.T) {
	for _, p := range protocols12 {
		dir := t.TempDir()
		body := encode(p, &remotewrite.Batch{Series: []remotewrite.BatchSeries{float(base, 1, "__name__", "a"), float(base, 2, "__name__", "b")}})
		e := newEnv(t, tsdbcache.Options{Dir: dir}, Limits{})
		if err := e.db.Close(); err != nil {
			t.Fatal(err)
		}
		a := e.do(post(t, p, body))
		e.want(a, p, http.StatusServiceUnavailable, 0, 0, 0)
		if a.header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		e = newEnv(t, tsdbcache.Options{Dir: dir}, Limits{})
		if got := e.dump(); len(got) != 0 {
			t.Errorf("%s: stored %v", p, got)
		}
		e.want(e.do(post(t, p, body)), p, http.StatusNoContent, 2, 0, 0)
		if got := e.dump(); len(got) != 2 {
			t.Errorf("%s: stored %v", p, got)
		}
	}
}

// TestResend: clauses 4.3 and 7.4. The same request again is 204, counted in
// full, and adds nothing.
func TestResend(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		batch := everything(p)
		first := e.post(p, batch...)
		want := e.dump()
		for range 2 {
			again := e.post(p, batch...)
			if again.code != http.StatusNoContent || fmt.Sprint(again.written) != fmt.Sprint(first.written) {
				t.Errorf("%s: %d %v %q, first %d %v", p, again.code, again.written, again.text, first.code, first.written)
			}
		}
		if diff := cmp.Diff(want, e.dump()); diff != "" {
			t.Errorf("%s: (-once +again):\n%s", p, diff)
		}
	}
}

// everything is one series of each kind.
func everything(p remotewrite.Protocol) []remotewrite.BatchSeries {
	b := []remotewrite.BatchSeries{float(base, math.Pi, "__name__", "float")}
	b = append(b, histograms()...)
	ex := float(base, 1, "__name__", "traced")
	ex.Exemplars = []exemplar.Exemplar{
		{Labels: labels.FromStrings("trace_id", "b"), Value: 2, Ts: base + 1, HasTs: true},
		{Labels: labels.FromStrings("trace_id", "a"), Value: 1, Ts: base, HasTs: true},
	}
	return append(b, ex)
}
