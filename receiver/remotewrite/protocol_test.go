package remotewrite

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/golang/snappy"
)

// Clause 1.1: the message is chosen by the content type alone.
func TestNegotiate(t *testing.T) {
	f := func(contentType string, want Protocol) {
		t.Helper()
		got, err := Negotiate(contentType)
		if got != want || (err != nil) != (want == Unknown) {
			t.Errorf("Negotiate(%q) = %v, %v; want %v", contentType, got, err, want)
		}
	}
	f("", V1)
	f("application/x-protobuf", V1)
	f("Application/X-Protobuf", V1)
	f("application/x-protobuf;proto=prometheus.WriteRequest", V1)
	f("application/x-protobuf; proto=prometheus.WriteRequest", V1)
	f("application/x-protobuf;proto=io.prometheus.write.v2.Request", V2)
	f("application/x-protobuf; proto=io.prometheus.write.v2.Request", V2)
	f(`application/x-protobuf;proto="io.prometheus.write.v2.Request"`, V2)
	f("APPLICATION/X-PROTOBUF ; PROTO=io.prometheus.write.v2.Request", V2)
	f("application/x-protobuf;charset=utf-8;proto=io.prometheus.write.v2.Request", V2)
	f("application/x-protobuf;proto=io.prometheus.write.v3.Request", Unknown)
	f("application/x-protobuf;proto=", Unknown)
	f("application/x-protobuf;proto=a;proto=b", Unknown)
	f("application/json", Unknown)
	f("image/png", Unknown)
	f(";", Unknown)
	for _, p := range []Protocol{V1, V2} {
		f(p.ContentType(), p)
	}
}

func TestCheckEncoding(t *testing.T) {
	f := func(encoding string, ok bool) {
		t.Helper()
		if err := CheckEncoding(encoding); (err == nil) != ok {
			t.Errorf("CheckEncoding(%q) = %v", encoding, err)
		}
	}
	f("", true)
	f("snappy", true)
	f("Snappy", true)
	f("gzip", false)
	f("deflate", false)
	f("zstd", false)
	f("identity", false)
}

// Clause 1.2: the length prefix is read before anything is allocated.
func TestDecompress(t *testing.T) {
	f := func(name string, src []byte, limit int64, want string) {
		t.Helper()
		dst := make([]byte, 0, 16)
		got, err := Decompress(dst, src, limit)
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v, want %q", name, err, want)
		case want != "" && cap(got) != cap(dst):
			t.Errorf("%s: %d bytes allocated before the error", name, cap(got))
		}
	}
	body := bytes.Repeat([]byte("abc"), 1000)
	claim := []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0}
	f("good", snappy.Encode(nil, body), 3000, "")
	f("one byte over", snappy.Encode(nil, body), 2999, "body decompresses to 3000 bytes, limit is 2999")
	f("10 bytes claim 4 GiB", claim, 32<<20, "body decompresses to 4294967295 bytes")
	f("10 bytes claim 4 GiB, no limit to speak of", claim, 1<<40, "10 bytes claim to hold 4294967295")
	f("empty", nil, 100, "snappy length")
	f("garbage", []byte("not snappy at all"), 1<<30, "cannot decompress")
	f("framed", []byte("\xff\x06\x00\x00sNaPpY"), 1<<30, "cannot decompress")
	var size *SizeError
	if _, err := Decompress(nil, claim, 1); !errors.As(err, &size) || size.Limit != 1 {
		t.Errorf("%v is no SizeError", err)
	}
}
