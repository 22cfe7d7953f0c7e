package receiver

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"math"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

func marshal(t *testing.T, m interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestUnknownFieldsAreSkipped: clauses 3, 4 and 7.7. Fields of later and earlier versions
// are no error: numbers of every wire type at the top level, and field 6 of a
// series, where Prometheus up to 3.7 put a start time.
func TestUnknownFieldsAreSkipped(t *testing.T) {
	unknown := []byte{
		0x98, 0x06, 0x05, // field 99: varint
		0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, // 64 bits
		0x9a, 0x06, 0x03, 'a', 'b', 'c', // bytes
		0x9d, 0x06, 1, 2, 3, 4, // 32 bits
	}
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		var body []byte
		if p == remotewrite.V1 {
			body = marshal(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
				Labels: []prompb.Label{{Name: "__name__", Value: "up"}}, Samples: []prompb.Sample{{Value: 1, Timestamp: base}},
			}}})
		} else {
			series := marshal(t, &writev2.TimeSeries{LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Value: 1, Timestamp: base}}})
			series = append(series, 0x30, 0xe8, 0x07) // field 6: created_timestamp
			body = marshal(t, &writev2.Request{Symbols: []string{"", "__name__", "up"}})
			body = append(append(body, 0x2a, byte(len(series))), series...)
		}
		e.want(e.do(post(t, p, remotewrite.Compress(nil, append(body, unknown...)))), p, 204, 1, 0, 0)
		if got := fmt.Sprint(e.dump()); got != `[{__name__="up"} 0 1]` {
			t.Errorf("%s: stored %s", p, got)
		}
	}
}

// TestV1DecoderSeesNothingInV2: clause 4. The field numbers of 2.0 are reserved
// in 1.0 and the other way round: a wrong content type stores nothing wrong.
func TestV1DecoderSeesNothingInV2(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		other := remotewrite.V1 + remotewrite.V2 - p
		e.want(e.do(post(t, p, encode(other, oneSample(other)))), p, 204, 0, 0, 0)
		if got := e.dump(); len(got) != 0 {
			t.Errorf("%s read as %s: stored %v", other, p, got)
		}
	}
}

// TestExemplarReferences: clause 4.1 for exemplars. A bad reference refuses
// that exemplar, not its neighbour and not the sample.
func TestExemplarReferences(t *testing.T) {
	for clause, refs := range map[string][]uint32{"reference too large": {3, 99}, "odd length": {3}} {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		a := e.do(post(t, remotewrite.V2, remotewrite.Compress(nil, marshal(t, &writev2.Request{
			Symbols: []string{"", "__name__", "up", "trace_id", "abc"},
			Timeseries: []writev2.TimeSeries{{
				LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Value: 1, Timestamp: base}},
				Exemplars: []writev2.Exemplar{{LabelsRefs: refs, Value: 1, Timestamp: base}, {LabelsRefs: []uint32{3, 4}, Value: 1, Timestamp: base}, {Value: 2, Timestamp: base + 1}},
			}},
		}))))
		e.want(a, remotewrite.V2, 400, 1, 0, 2)
		if got := e.exemplars(); got != "up abc@0, up @1" {
			t.Errorf("%s: exemplars %q", clause, got)
		}
	}
}

// TestOneLabelSetTwiceInARequest: clause 4.2, once of each order of labels.
func TestOneLabelSetTwiceInARequest(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		shuffled := remotewrite.BatchSeries{
			Labels:  labels.New(labels.Label{Name: "job", Value: "a"}, labels.Label{Name: "__name__", Value: "up"}),
			Samples: []remotewrite.Sample{{T: base + 2, V: 3}},
		}
		e.want(e.post(p, float(base, 1, "__name__", "up", "job", "a"), float(base+1, 2, "__name__", "up", "job", "a"), shuffled), p, 204, 3, 0, 0)
		want := []string{`{__name__="up", job="a"} 0 1`, `{__name__="up", job="a"} 1 2`, `{__name__="up", job="a"} 2 3`}
		if diff := cmp.Diff(want, e.dump()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p, diff)
		}
	}
}

// TestHistogramsAreNotSamples: clause 2.1. Native histograms count under their
// own header, also in a partial write.
func TestHistogramsAreNotSamples(t *testing.T) {
	e := newEnv(t, tsdbcache.Options{}, Limits{})
	sent, n := histograms(), 0
	for _, s := range sent {
		n += len(s.Histograms)
	}
	sent = append(sent, float(base, 1, "__name__", "f"), float(base, 1, "job", "nameless"))
	e.want(e.post(remotewrite.V2, sent...), remotewrite.V2, 400, 1, n, 0)
}

// TestOutOfOrderWindow: clause 4.3. Exactly the window late is stored, a
// millisecond more is not.
func TestOutOfOrderWindow(t *testing.T) {
	const window = 10 * 60_000
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		e.want(e.post(p, float(base, 1, "__name__", "up")), p, 204, 1, 0, 0)
		e.want(e.post(p, float(base-window, 2, "__name__", "up")), p, 204, 1, 0, 0)
		a := e.post(p, float(base-window-1, 3, "__name__", "up"))
		e.want(a, p, 400, 0, 0, 0)
		if !strings.Contains(a.text, "too_old 1") {
			t.Errorf("%s: %q", p, a.text)
		}
		e.want(e.post(p, float(base+window, 4, "__name__", "up")), p, 204, 1, 0, 0)
		e.want(e.post(p, float(base+window+1, 5, "__name__", "up")), p, 400, 0, 0, 0)
	}
}

// TestFailureOfTheRingStoresNothing: clauses 2 and 7.3. A disk that takes no
// more bytes in the middle of a request: 500, zeros, nothing can be queried;
// the same request is stored once the disk has room again.
func TestFailureOfTheRingStoresNothing(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	for _, p := range protocols12 {
		dir := t.TempDir()
		e := newEnv(t, tsdbcache.Options{Dir: dir}, Limits{})
		e.want(e.post(p, float(base, 1, "__name__", "before")), p, 204, 1, 0, 0)
		info, err := os.Stat(filepath.Join(dir, "series.log"))
		if err != nil {
			t.Fatal(err)
		}
		batch := []remotewrite.BatchSeries{float(base+1, 2, "__name__", "before"), float(base, 1, "__name__", "new"), float(base, 1, "job", "nameless")}
		full := syscall.Rlimit{Cur: uint64(info.Size()), Max: old.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
			t.Fatal(err)
		}
		a := e.post(p, batch...)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
		e.want(a, p, http.StatusInternalServerError, 0, 0, 0)
		if a.header.Get("Retry-After") == "" {
			t.Error("500 without Retry-After")
		}
		if got := e.dump(); len(got) != 1 {
			t.Errorf("%s: stored %v", p, got)
		}
		e.want(e.post(p, batch...), p, 400, 2, 0, 0)
		if got := e.dump(); len(got) != 3 {
			t.Errorf("%s: stored %v", p, got)
		}
	}
}

// TestNegativeAndExtremeTimes: clause 4.3. Times are 64 bits: the farthest
// past is too old, not wrapped around.
func TestNegativeAndExtremeTimes(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{Retention: 3600e9}, Limits{})
		for _, at := range []int64{math.MinInt64, -1, 0, 1} {
			a := e.post(p, float(at, 1, "__name__", "up"))
			e.want(a, p, 400, 0, 0, 0)
			if !strings.Contains(a.text, "too_old") {
				t.Errorf("%s: time %d: %q", p, at, a.text)
			}
		}
		a := e.post(p, float(math.MaxInt64, 1, "__name__", "up"))
		e.want(a, p, 400, 0, 0, 0)
		if !strings.Contains(a.text, "too_far_ahead") {
			t.Errorf("%s: %q", p, a.text)
		}
	}
}

// TestConformanceTableNamesTests: every test that the page on remote write
// names for a clause exists.
func TestConformanceTableNamesTests(t *testing.T) {
	page, err := os.ReadFile("../docs/remote-write.md")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, dir := range []string{".", "remotewrite", "../internal/server", "../tsdbcache"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for fn := range f.Scope.Objects {
				have[fn] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 30 {
		t.Errorf("the page names %d tests", len(named))
	}
	for _, m := range named {
		if !have[m[1]] {
			t.Errorf("the page names %s, which is nowhere", m[1])
		}
	}
}

// TestMalformedSymbolTable: clauses 2 and 4.1. Symbol tables that are cut,
// lie about lengths, or are used by none: 400 as a whole when it is no
// protobuf, else one refused series; nothing is stored, the next request is.
func TestMalformedSymbolTable(t *testing.T) {
	e := newEnv(t, tsdbcache.Options{}, Limits{})
	series := []byte{0x2a, 0x0f, 0x0a, 0x02, 0x01, 0x02, 0x12, 0x09, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f} // references 1 and 2, value 1 at 0
	for name, tc := range map[string]struct {
		table []byte
		want  string
	}{
		"symbol longer than the message":   {[]byte{0x22, 0x7f, 'a'}, "at byte"},
		"length of 10 bytes":               {[]byte{0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, "at byte"},
		"length that never ends":           {[]byte{0x22, 0x80}, "at byte"},
		"symbol as a number":               {[]byte{0x20, 0x05}, "at byte"},
		"no symbols":                       {nil, "bad_reference 1"},
		"too few symbols":                  {[]byte{0x22, 0x00, 0x22, 0x01, 'a'}, "bad_reference 1"},
		"a name that is not UTF-8":         {[]byte{0x22, 0x00, 0x22, 0x01, 0xff, 0x22, 0x01, 'a'}, "invalid_utf8 1"},
		"a hundred thousand empty symbols": {bytes.Repeat([]byte{0x22, 0x00}, 100_000), "missing_metric_name 1"},
	} {
		// Truncated tables stand last, so that they cannot swallow the series.
		body := append(append([]byte(nil), series...), tc.table...)
		a := e.do(post(t, remotewrite.V2, remotewrite.Compress(nil, body)))
		e.want(a, remotewrite.V2, 400, 0, 0, 0)
		if !strings.Contains(a.text, tc.want) {
			t.Errorf("%s: %q does not say %q", name, a.text, tc.want)
		}
	}
	e.want(e.post(remotewrite.V2, float(base, 1, "__name__", "good")), remotewrite.V2, 204, 1, 0, 0)
	if got := e.dump(); len(got) != 1 {
		t.Errorf("stored %v", got)
	}
}
