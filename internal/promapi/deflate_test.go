package promapi

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// unzip is the standard library's view of what g makes of parts.
func unzip(t interface{ Fatal(...any) }, parts ...[]byte) ([]byte, int) {
	var zipped bytes.Buffer
	g := new(gzipper)
	g.reset(&zipped)
	for _, p := range parts {
		if _, err := g.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	n := zipped.Len()
	r, err := gzip.NewReader(&zipped)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return got, n
}

// points is what an answer consists of.
func points(seed uint64, n int, value func(*rand.Rand) string) []byte {
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a workload, no secret
	var b []byte
	for s := range 3 {
		b = append(b, `{"metric":{"__name__":"x","instance":"10.0.0.`+strconv.Itoa(s)+`:9090"},"values":[`...)
		for i := range n {
			b = append(b, `[`+strconv.Itoa(1767225600+15*i)+`,"`+value(rng)+`"],`...)
		}
		b = append(b[:len(b)-1], `]},`...)
	}
	return b
}

// TestGzip: whatever is written comes back, in whatever pieces.
func TestGzip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parts [][]byte
		for range rapid.IntRange(0, 3).Draw(t, "parts") {
			seed := rapid.Uint64().Draw(t, "seed")
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				parts = append(parts, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
			case 1:
				parts = append(parts, []byte(strings.Repeat(rapid.StringOf(rapid.RuneFrom([]rune(`],["a1`))).Draw(t, "text"), rapid.IntRange(0, 3000).Draw(t, "times"))))
			case 2: // longer than a block, all bytes
				rng := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // a workload, no secret
				b := make([]byte, blockBytes+rng.IntN(blockBytes))
				for i := range b {
					b[i] = byte(rng.Uint32N(256) & rng.Uint32N(256))
				}
				parts = append(parts, b)
			case 3:
				parts = append(parts, points(seed, rapid.IntRange(1, 4000).Draw(t, "points"), func(r *rand.Rand) string { return strconv.Itoa(r.IntN(1 << r.IntN(30))) }))
			default:
				parts = append(parts, points(seed, rapid.IntRange(1, 4000).Draw(t, "points"), func(r *rand.Rand) string { return strconv.FormatFloat(r.NormFloat64(), 'f', -1, 64) }))
			}
		}
		if got, _ := unzip(t, parts...); !bytes.Equal(got, bytes.Join(parts, nil)) {
			t.Fatal("what came back is not what went in")
		}
	})
}

// TestGzipSize: on points the result is not larger than what the standard
// library makes at its default level, and far from it on a value that repeats.
func TestGzipSize(t *testing.T) {
	for name, value := range map[string]func(*rand.Rand) string{
		"noise":   func(r *rand.Rand) string { return strconv.FormatFloat(r.Float64(), 'f', -1, 64) },
		"counter": func(r *rand.Rand) string { return strconv.Itoa(1_000_000 + r.IntN(99_999)) },
	} {
		text := points(1, 1441, value)
		_, n := unzip(t, text)
		var std bytes.Buffer
		w := gzip.NewWriter(&std)
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes of text, %d compressed, the standard library %d", name, len(text), n, std.Len())
		if n > std.Len() {
			t.Errorf("%s: %d bytes, the standard library makes %d", name, n, std.Len())
		}
	}
}

func FuzzGzip(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2,"1"],[3,"1.5"]]}]}}`))
	f.Add([]byte("]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],,,,,,,,,,]"))
	f.Add(bytes.Repeat([]byte{0xff, ']', 0}, 400))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, _ := unzip(t, b, b); !bytes.Equal(got, append(bytes.Clone(b), b...)) {
			t.Error("what came back is not what went in")
		}
	})
}
