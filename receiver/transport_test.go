package receiver

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/golang/snappy"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// TestTransportClauses: clauses 1, 1.1, 1.2 and 2 in the order of the checks,
// one request each. Every case starts from a good request and spoils it; the
// later faults stay in, so that the order is tested too.
func TestTransportClauses(t *testing.T) {
	const v1, v2 = remotewrite.V1, remotewrite.V2
	type change = func(*http.Request)
	header := func(name, value string) change { return func(r *http.Request) { r.Header.Set(name, value) } }
	without := func(name string) change { return func(r *http.Request) { r.Header.Del(name) } }
	body := func(b []byte) change {
		return func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b)) }
	}
	chunked := func(b []byte) change {
		return func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), -1 }
	}
	corrupt := body([]byte("not snappy at all"))
	large := bytes.Repeat([]byte{'x'}, 5000)
	const limit = 4000 // both sizes
	good := map[remotewrite.Protocol]int{v1: -1, v2: 1}
	for _, tc := range []struct {
		clause  string
		proto   remotewrite.Protocol
		changes []change
		code    int
		samples int // of the header, -1 for none
	}{
		{"1 POST", v1, nil, 204, -1},
		{"1 POST", v2, nil, 204, 1},
		{"1 method GET is 405", v2, []change{func(r *http.Request) { r.Method = http.MethodGet }, header("Content-Type", "image/png"), corrupt}, 405, -1},
		{"1 Content-Encoding absent is snappy", v2, []change{without("Content-Encoding")}, 204, 1},
		{"1 Content-Encoding gzip is 415", v1, []change{header("Content-Encoding", "gzip"), corrupt}, 415, -1},
		{"1 Content-Encoding gzip is 415", v2, []change{header("Content-Encoding", "gzip"), corrupt}, 415, 0},
		{"1 Content-Encoding deflate is 415", v2, []change{header("Content-Encoding", "deflate"), corrupt}, 415, 0},
		{"1 Content-Encoding zstd is 415", v2, []change{header("Content-Encoding", "zstd"), corrupt}, 415, 0},
		{"1 framed Snappy is not understood", v2, []change{body(framed(encode(v2, oneSample(v2))))}, 400, 0},
		{"1 version header absent is accepted", v2, []change{without(remotewrite.VersionHeader)}, 204, 1},
		{"1 version header does not choose the message", v2, []change{header(remotewrite.VersionHeader, "0.1.0")}, 204, 1},
		{"1 version header does not choose the message", v1, []change{header(remotewrite.VersionHeader, "2.0.0")}, 204, -1},
		{"1 Retry-Attempt changes nothing", v2, []change{header("Retry-Attempt", "3")}, 204, 1},
		{"1.1 Content-Type absent is 1.0", v1, []change{without("Content-Type")}, 204, -1},
		{"1.1 full 1.0 type", v1, []change{header("Content-Type", "application/x-protobuf;proto=prometheus.WriteRequest")}, 204, -1},
		{"1.1 blank after the semicolon", v2, []change{header("Content-Type", "application/x-protobuf; proto=io.prometheus.write.v2.Request")}, 204, 1},
		{"1.1 quoted message", v2, []change{header("Content-Type", `application/x-protobuf;proto="io.prometheus.write.v2.Request"`)}, 204, 1},
		{"1.1 upper-case media type", v2, []change{header("Content-Type", "Application/X-Protobuf;proto=io.prometheus.write.v2.Request")}, 204, 1},
		{"1.1 unknown message is 415", v2, []change{header("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v3.Request"), corrupt}, 415, -1},
		{"1.1 application/json is 415", v2, []change{header("Content-Type", "application/json"), corrupt}, 415, -1},
		{"1.1 image/png is 415", v1, []change{header("Content-Type", "image/png"), corrupt}, 415, -1},
		{"1.2 compressed over the limit is 413", v2, []change{body(large)}, 413, 0},
		{"1.2 compressed over the limit, length not announced", v2, []change{chunked(large)}, 413, 0},
		{"1.2 decoded over the limit is 400", v2, []change{body(snappy.Encode(nil, bytes.Repeat([]byte{0}, limit+1)))}, 400, 0},
		{"1.2 10 bytes claiming 4 GiB are 400", v2, []change{body([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0})}, 400, 0},
		{"2 malformed Snappy is 400", v1, []change{corrupt}, 400, -1},
		{"2 malformed Snappy is 400", v2, []change{corrupt}, 400, 0},
		{"2 malformed protobuf is 400", v1, []change{body(snappy.Encode(nil, []byte{0x0a, 0xff}))}, 400, -1},
		{"2 malformed protobuf is 400", v2, []change{body(snappy.Encode(nil, []byte{0x2a, 0xff}))}, 400, 0},
		{"2 empty body is 400", v2, []change{body(nil)}, 400, 0},
		{"2 empty message is 204", v1, []change{body(snappy.Encode(nil, nil))}, 204, -1},
		{"2 empty message is 204", v2, []change{body(snappy.Encode(nil, nil))}, 204, 0},
	} {
		t.Run(tc.clause+"/"+tc.proto.String(), func(t *testing.T) {
			e := newEnv(t, tsdbcache.Options{}, Limits{CompressedBytes: limit, DecompressedBytes: limit})
			req := post(t, tc.proto, encode(tc.proto, oneSample(tc.proto)))
			for _, c := range tc.changes {
				c(req)
			}
			a := e.do(req)
			samples := -1
			if len(a.written) == 3 {
				samples = a.written[0]
			}
			if a.code != tc.code || samples != tc.samples || len(a.written)%3 != 0 {
				t.Errorf("answer %d, written %v, %q; want %d, %d samples", a.code, a.written, a.text, tc.code, tc.samples)
			}
			if stored := len(e.dump()); (stored == 1) != (tc.code == 204 && (tc.samples == good[tc.proto])) {
				if !strings.Contains(tc.clause, "empty message") {
					t.Errorf("%d samples stored after %d", stored, a.code)
				}
			}
			if tc.code >= 400 && strings.TrimSpace(a.text) == "" {
				t.Error("an error without text")
			}
			if tc.code == 405 && a.header.Get("Allow") != http.MethodPost {
				t.Errorf("405 with Allow %q", a.header.Get("Allow"))
			}
		})
	}
}

func oneSample(remotewrite.Protocol) *remotewrite.Batch {
	return &remotewrite.Batch{Series: []remotewrite.BatchSeries{float(base, 1, "__name__", "up", "job", "a")}}
}

// framed wraps a block in the framing format.
func framed(block []byte) []byte {
	b := []byte("\xff\x06\x00\x00sNaPpY\x00")
	b = append(b, byte(len(block)+4), byte((len(block)+4)>>8), 0)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return append(b, block...)
}

// TestSnappyBombAllocatesNothing: what the length prefix claims is compared
// before memory is taken, and what Content-Length claims is not believed.
func TestSnappyBombAllocatesNothing(t *testing.T) {
	e := newEnv(t, tsdbcache.Options{}, Limits{DecompressedBytes: 1 << 40})
	bomb := []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0}
	e.do(post(t, remotewrite.V2, bomb)) // buffers of the first request
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		req := post(t, remotewrite.V2, bomb)
		req.ContentLength = 32 << 20
		e.want(e.do(req), remotewrite.V2, 400, 0, 0, 0)
	}
	runtime.ReadMemStats(&after)
	if perRequest := (after.TotalAlloc - before.TotalAlloc) / 100; perRequest > 128<<10 {
		t.Errorf("%d bytes allocated for a request of 10 bytes", perRequest)
	}
}
