package receiver

import (
	"fmt"
	"time"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// Limits bound what one request may cost. Zero fields take the default;
// negative ones are an error.
type Limits struct {
	// CompressedBytes is the largest body as sent, above it 413. 0: 32 MiB.
	CompressedBytes int64
	// DecompressedBytes is the largest body after Snappy, above it 400, seen
	// before anything is allocated. 0: 32 MiB.
	DecompressedBytes int64
	// InflightBytes is how much all requests that have arrived in part or in
	// full may hold together, above it 429: their bodies, and five times what
	// these decompress to. It is at least what the largest request needs. 0:
	// 256 MiB, or what the largest needs.
	InflightBytes int64
	// Samples is the most samples, histograms and exemplars in one request, and
	// the most series, above it 413. Senders should send 2000. 0: 500,000.
	Samples int
	// Concurrency is how many requests are worked on at once. More wait for
	// QueueWait and are then answered 429. 0: 256.
	Concurrency int
	// QueueWait is how long a request waits for its turn. 0: 5 s.
	QueueWait time.Duration
	// Labels, LabelNameBytes and LabelValueBytes bound a series' labels; a
	// series beyond is refused, 400. 0: 128 labels, 1 KiB, 16 KiB.
	Labels, LabelNameBytes, LabelValueBytes int
	// ReadTimeout is how long a sender may take to send its body, then 503.
	// 0: 30 s.
	ReadTimeout time.Duration
	// RetryAfter is the wait that answers 429 and 503 ask for. 0: 5 s.
	RetryAfter time.Duration
}

func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		name  string
		value *int64
		def   int64
	}{
		{"CompressedBytes", &l.CompressedBytes, 32 << 20},
		{"DecompressedBytes", &l.DecompressedBytes, 32 << 20},
		{"InflightBytes", &l.InflightBytes, 0}, // below
		{"QueueWait", (*int64)(&l.QueueWait), int64(5 * time.Second)},
		{"ReadTimeout", (*int64)(&l.ReadTimeout), int64(30 * time.Second)},
		{"RetryAfter", (*int64)(&l.RetryAfter), int64(5 * time.Second)},
	} {
		if *f.value < 0 {
			return l, fmt.Errorf("limit %s is negative: %d", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	for _, f := range []struct {
		name  string
		value *int
		def   int
	}{
		{"Samples", &l.Samples, 500_000},
		{"Concurrency", &l.Concurrency, 256},
		{"Labels", &l.Labels, 128},
		{"LabelNameBytes", &l.LabelNameBytes, 1 << 10},
		{"LabelValueBytes", &l.LabelValueBytes, 16 << 10},
	} {
		if *f.value < 0 {
			return l, fmt.Errorf("limit %s is negative: %d", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	largest := l.CompressedBytes + decodedFactor*l.DecompressedBytes
	if l.InflightBytes == 0 {
		l.InflightBytes = max(256<<20, largest)
	}
	if l.InflightBytes < largest {
		return l, fmt.Errorf("limit InflightBytes is %d: a request of the largest size needs %d", l.InflightBytes, largest)
	}
	return l, nil
}

func (l *Limits) labels() remotewrite.LabelLimits {
	return remotewrite.LabelLimits{Count: l.Labels, NameBytes: l.LabelNameBytes, ValueBytes: l.LabelValueBytes}
}
